"""Which services a person sees when `access.visibility` is "groups": those that have a task they see (SPEC 6). No decisions."""

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Connection, or_, select

from taskdash.store.tables import tasks

_CHUNK = 500


def tasks_of(user: str, groups: Collection[str]) -> ColumnElement[bool]:
    """The same three conditions as `rules.roles.may_see`: their groups', without group, or their own."""
    return or_(tasks.c.user == user, tasks.c.group_id == "", tasks.c.group_id.in_(groups))


def services_seen(conn: Connection, ids: Iterable[str], user: str, groups: Collection[str]) -> set[str]:
    """Those of the ids of services that have a task which the user sees."""
    wanted = list(dict.fromkeys(ids))
    found: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        query = select(tasks.c.service_id).where(tasks.c.service_id.in_(chunk), tasks_of(user, groups)).distinct()
        found.update(conn.execute(query).scalars())
    return found
