"""Messages that cannot be understood, the last 1,000 of them, each with the first 4 KiB of its body (SPEC 2). No decisions."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from taskdash.model.instants import Instant
from taskdash.model.records import DeadLetter
from taskdash.store.rows import Shape
from taskdash.store.tables import dead_letters

KEPT = 1_000
BODY_BYTES = 4_096
SHAPE = Shape(DeadLetter, dead_letters)


def append(conn: Connection, new: Sequence[DeadLetter]) -> None:
    """Keep these, cut to the first bytes of each; the oldest beyond 1,000 go."""
    if not new:
        return
    rows = [SHAPE.row_of(letter, without=("id",)) | {"body": letter.body[:BODY_BYTES]} for letter in new[-KEPT:]]
    conn.execute(insert(dead_letters), rows)
    newest = select(func.max(dead_letters.c.id)).scalar_subquery()
    conn.execute(delete(dead_letters).where(dead_letters.c.id <= newest - KEPT))


def page(conn: Connection, *, before_id: int | None = None, limit: int = 50) -> list[DeadLetter]:
    """Newest first; the next page is before the last one's id."""
    query = select(*SHAPE.columns).order_by(dead_letters.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(dead_letters.c.id < before_id)
    return [SHAPE.record_of(row) for row in conn.execute(query).mappings()]


def load(conn: Connection, letter_id: int) -> DeadLetter | None:
    """The dead letter of that id, while it is kept."""
    row = conn.execute(select(*SHAPE.columns).where(dead_letters.c.id == letter_id)).mappings().first()
    letter: DeadLetter | None = SHAPE.record_of(row) if row else None
    return letter


def times(conn: Connection, since: Instant) -> list[Instant]:
    """When those that are kept came, of the ones since then, oldest first."""
    query = select(dead_letters.c.at).where(dead_letters.c.at >= since).order_by(dead_letters.c.id)
    return list(conn.execute(query).scalars())


def by_reason(conn: Connection) -> list[tuple[str, int]]:
    """(reason, how many) of those that are kept, most frequent first."""
    total = func.count().label("total")
    query = select(dead_letters.c.reason, total).group_by(dead_letters.c.reason).order_by(total.desc(), dead_letters.c.reason)
    return [(reason, count) for reason, count in conn.execute(query)]
