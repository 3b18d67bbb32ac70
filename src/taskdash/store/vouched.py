"""Tasks that an open TCP connection vouches for, and at which instance, so that a restart of that one knows which have lost
theirs (SPEC 5)."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select

from taskdash.store.elements import upsert
from taskdash.store.tables import vouched

v = vouched.c
_CHUNK = 500


def add(conn: Connection, ids: Sequence[str], instance: str) -> None:
    """A connection of this instance vouches for these."""
    if ids:
        mine = {"instance": instance}
        new = upsert(vouched).on_conflict_do_update(index_elements=["task_id"], set_=mine)
        conn.execute(new, [{"task_id": task_id} | mine for task_id in dict.fromkeys(ids)])


def forget(conn: Connection, ids: Sequence[str]) -> None:
    """Nobody vouches for these any more."""
    for start in range(0, len(ids), _CHUNK):
        conn.execute(delete(vouched).where(v.task_id.in_(ids[start : start + _CHUNK])))


def elsewhere(conn: Connection, ids: Sequence[str], instance: str) -> set[str]:
    """Those of these for which a connection of another instance vouches."""
    found: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        query = select(v.task_id).where(v.task_id.in_(ids[start : start + _CHUNK]), v.instance != instance)
        found.update(conn.execute(query).scalars())
    return found


def orphans(conn: Connection, alive: Collection[str], limit: int = 500) -> list[str]:
    """Some of those whose instance is none of these."""
    return list(conn.execute(select(v.task_id).where(v.instance.not_in(list(alive))).limit(limit)).scalars())
