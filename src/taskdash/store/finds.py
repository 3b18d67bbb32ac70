"""Find over TCP: the fields of the tasks that many connections ask for at once, by one query. Hot (DESIGN 8).

Rows stay plain tuples in the order of SPEC 5's fields.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from taskdash.store import hot
from taskdash.store.tables import tasks

FIELDS = ("id", "name", "url", "user", "group_id", "description", "status", "start_time", "stop_time", "reserved")
_FOUND = hot.ByKey([tasks.c[name] for name in FIELDS], tasks.c.id)


def find(conn: Connection, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Fields in the order of FIELDS, by id; ids that are not stored are absent."""
    return {row[0]: row for row in _FOUND.rows(conn, list(ids))}
