"""What came in and could not be used, a page at a time, for those who look for the cause. No decisions."""

from msgspec import Struct
from sqlalchemy import Connection, func, select

from taskdash.model.instants import Instant
from taskdash.model.records import DeadLetter, Service
from taskdash.store.rows import Shape
from taskdash.store.services import SHAPE as SERVICES
from taskdash.store.tables import dead_letters, senders, services, tasks

_LETTERS = Shape(DeadLetter, dead_letters)


class Arrived(Struct, frozen=True):
    """What a new store holds: whether anything at all, and what came first."""

    is_empty: bool
    first: Service | None
    letters: int
    last_letter: DeadLetter | None
    senders: int


def letters(
    conn: Connection, *, reason: str = "", since: Instant | None = None, before_id: int | None = None, limit: int = 50
) -> list[DeadLetter]:
    """Newest first; only of one reason, when it is named, and only since then."""
    query = select(*_LETTERS.columns).order_by(dead_letters.c.id.desc()).limit(limit)
    query = query.where(dead_letters.c.reason == reason) if reason else query
    query = query.where(dead_letters.c.at >= since) if since is not None else query
    query = query.where(dead_letters.c.id < before_id) if before_id is not None else query
    return _LETTERS.records(conn, query)


def count_of_letters(conn: Connection) -> int:
    """How many are kept."""
    return int(conn.execute(select(func.count()).select_from(dead_letters)).scalar_one())


def count_of_senders(conn: Connection) -> int:
    """How many ids beat without having registered."""
    return int(conn.execute(select(func.count()).select_from(senders)).scalar_one())


def is_empty(conn: Connection) -> bool:
    """True while there was neither a service nor a task."""
    return all(conn.execute(select(table.c.pk).limit(1)).first() is None for table in (services, tasks))


def arrived(conn: Connection) -> Arrived:
    """For the first-run page."""
    first = conn.execute(select(*SERVICES.columns).order_by(services.c.pk).limit(1)).mappings().first()
    found = letters(conn, limit=1)
    return Arrived(
        is_empty(conn),
        SERVICES.record_of(first) if first else None,
        count_of_letters(conn),
        found[0] if found else None,
        count_of_senders(conn),
    )
