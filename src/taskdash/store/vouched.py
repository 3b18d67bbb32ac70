"""Tasks that an open TCP connection vouches for, so that a restart knows which of them have lost theirs (SPEC 5)."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from taskdash.store.elements import upsert
from taskdash.store.tables import vouched


def add(conn: Connection, ids: Sequence[str]) -> None:
    """A connection vouches for these."""
    if ids:
        conn.execute(upsert(vouched).on_conflict_do_nothing(), [{"task_id": task_id} for task_id in ids])


def forget(conn: Connection, ids: Sequence[str]) -> None:
    """Nobody vouches for these any more."""
    for start in range(0, len(ids), 500):
        conn.execute(delete(vouched).where(vouched.c.task_id.in_(ids[start : start + 500])))


def some(conn: Connection, limit: int = 500) -> list[str]:
    """Some of them."""
    return list(conn.execute(select(vouched.c.task_id).limit(limit)).scalars())
