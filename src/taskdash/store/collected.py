"""What collecting writes beside tasks: the result on the service, who clashes with whom, which ids a service has."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from taskdash.model.instants import Instant
from taskdash.store import sqlite
from taskdash.store.tables import clashes, services, tasks

t, s = tasks.c, services.c


def note(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Set columns of many services in one statement; each row has `b_pk`, `b_url` and the same other keys.

    A service whose url changed meanwhile is left alone: what was asked is not its url any more.
    """
    if rows:
        changed: dict[str, Any] = {key: bindparam(key) for key in rows[0] if key not in {"b_pk", "b_url"}}
        mine = update(services).where(s.pk == bindparam("b_pk"), s.url == bindparam("b_url"))
        conn.execute(mine.values(changed), list(rows))


def look_again(conn: Connection, pks: Sequence[int], now: Instant) -> None:
    """Liveness is to judge these services at once."""
    if pks:
        conn.execute(update(services).where(s.pk == bindparam("b_pk")), [{"b_pk": pk, "due_at": now} for pk in pks])


def listed_ids(conn: Connection, service_id: str) -> list[str]:
    """Ids of the service's tasks that are not gone."""
    return list(conn.execute(select(t.id).where(t.service_id == service_id, t.gone_at.is_(None))).scalars())


def released(conn: Connection, service_ids: Iterable[str]) -> set[str]:
    """Those of the owners that are archived or no longer there: their tasks are free for another service."""
    wanted = {service_id for service_id in service_ids if service_id}
    if not wanted:
        return set()
    query = select(s.id).where(s.id.in_(wanted), s.archived_at.is_(None))
    return wanted - set(conn.execute(query).scalars())


def set_clashes(conn: Connection, service_id: str, asked: Collection[str], clashing: Collection[str], now: Instant) -> None:
    """Of the ids that the service named, `clashing` belong to another one; the rest no longer do."""
    free = sorted(set(asked) - set(clashing))
    for start in range(0, len(free), 500):
        some = free[start : start + 500]
        conn.execute(delete(clashes).where(clashes.c.service_id == service_id, clashes.c.task_id.in_(some)))
    if clashing:
        new = sqlite.upsert(clashes).on_conflict_do_nothing()
        conn.execute(new, [{"task_id": task_id, "service_id": service_id, "at": now} for task_id in clashing])


def forget_clashes_but(conn: Connection, service_id: str, still_named: Collection[str]) -> None:
    """The service no longer names these ids at all."""
    query = select(clashes.c.task_id).where(clashes.c.service_id == service_id)
    gone = set(conn.execute(query).scalars()) - set(still_named)
    for task_id in gone:
        conn.execute(delete(clashes).where(clashes.c.service_id == service_id, clashes.c.task_id == task_id))
