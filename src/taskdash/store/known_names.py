"""Which names are accounts or groups. No decisions."""

from collections.abc import Iterable

from sqlalchemy import Column, Connection, select

from taskdash.store.tables import groups, users


def users_among(conn: Connection, names: Iterable[str]) -> frozenset[str]:
    """The names that are accounts."""
    return _among(conn, users.c.name, names)


def groups_among(conn: Connection, ids: Iterable[str]) -> frozenset[str]:
    """The ids that are groups."""
    return _among(conn, groups.c.id, ids)


def _among(conn: Connection, column: Column[str], names: Iterable[str]) -> frozenset[str]:
    wanted = sorted({name for name in names if name})
    if not wanted:
        return frozenset()
    return frozenset(conn.execute(select(column).where(column.in_(wanted))).scalars())
