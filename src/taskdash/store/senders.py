"""Who beats without ever having registered: at most 10,000 ids, the longest silent go first (SPEC 3). No decisions."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, case, delete, func, select

from taskdash.model.records import Sender
from taskdash.store import hot
from taskdash.store.elements import upsert
from taskdash.store.rows import Shape
from taskdash.store.tables import senders

KEPT = 10_000
SHAPE = Shape(Sender, senders)
_FORGET = delete(senders).where(senders.c.id == bindparam("b_id"))


def add(conn: Connection, heard: Sequence[Sender]) -> None:
    """Count these beats; each id at most once in `heard`, its `count` how many came."""
    if not heard:
        return
    c, new = senders.c, upsert(senders)
    fresh = new.excluded
    statement = new.on_conflict_do_update(
        index_elements=[c.id],
        set_={
            "first_at": case((c.first_at < fresh.first_at, c.first_at), else_=fresh.first_at),
            "last_at": case((c.last_at > fresh.last_at, c.last_at), else_=fresh.last_at),
            "count": c.count + fresh["count"],
            "sender": fresh.sender,
        },
    )
    conn.execute(statement, [SHAPE.row_of(sender) for sender in heard])
    _forget_the_longest_silent(conn)


def _forget_the_longest_silent(conn: Connection) -> None:
    surplus = conn.execute(select(func.count()).select_from(senders)).scalar_one() - KEPT
    if surplus > 0:
        longest = select(senders.c.id).order_by(senders.c.last_at, senders.c.id).limit(surplus)
        conn.execute(delete(senders).where(senders.c.id.in_(longest)))


def forget(conn: Connection, ids: Iterable[str]) -> None:
    """These have registered."""
    hot.change_many(conn, _FORGET, [(sender_id,) for sender_id in ids])


def page(conn: Connection, *, limit: int = 50, after_id: str = "") -> list[Sender]:
    """By id, after `after_id`."""
    query = select(*SHAPE.columns).where(senders.c.id > after_id).order_by(senders.c.id).limit(limit)
    return [SHAPE.record_of(row) for row in conn.execute(query).mappings()]
