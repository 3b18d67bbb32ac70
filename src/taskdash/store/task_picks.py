"""Which tasks an action is about when it names none: held by somebody, or whose deadline has passed. No decisions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from taskdash.model.instants import Instant
from taskdash.model.records import Task
from taskdash.store.tables import clashes, tasks
from taskdash.store.tasks import SHAPE

c = tasks.c


def held_by(conn: Connection, user: str) -> list[str]:
    """Ids of all that `user` holds and is not gone."""
    query = select(c.id).where(c.user == user, c.gone_at.is_(None)).order_by(c.pk)
    return list(conn.execute(query).scalars())


def shifts_over(conn: Connection, now: Instant, limit: int = 500) -> list[Task]:
    """Tasks whose `until` has come, longest past first. Index: tasks_until."""
    return _tasks(conn, c.until <= now, c.until, limit)


def schedule_due(conn: Connection, now: Instant, limit: int = 500) -> list[Task]:
    """Tasks whose window opens or closes by `now`, longest past first. Index: tasks_schedule_at."""
    return _tasks(conn, c.schedule_at <= now, c.schedule_at, limit)


def gone_before(conn: Connection, at: Instant, limit: int = 500) -> list[Task]:
    """Tasks that nobody holds and that were gone before `at`, longest gone first. Index: tasks_gone_at."""
    return _tasks(conn, (c.gone_at < at) & (c.user == ""), c.gone_at, limit)


def of_service(conn: Connection, service_id: str, limit: int = 500) -> list[Task]:
    """Some tasks of a service, gone ones too."""
    return _tasks(conn, c.service_id == service_id, c.pk, limit)


def _tasks(conn: Connection, condition: ColumnElement[bool], order: Any, limit: int) -> list[Task]:
    query = select(*SHAPE.columns).where(condition).order_by(order).limit(limit)
    return [SHAPE.record_of(row) for row in conn.execute(query).mappings()]


def forget_clashes(conn: Connection, task_ids: Sequence[str], service_id: str | None = None) -> None:
    """These ids no longer clash: with that service, or with any."""
    statement = delete(clashes).where(clashes.c.task_id.in_(task_ids))
    if service_id is not None:
        statement = statement.where(clashes.c.service_id == service_id)
    conn.execute(statement)


def any_unowned(conn: Connection, service_ids: Sequence[str]) -> bool:
    """True when one of these services has a task that nobody holds and that is not gone."""
    for start in range(0, len(service_ids), 500):
        some = service_ids[start : start + 500]
        query = select(c.pk).where(c.service_id.in_(some), c.user == "", c.gone_at.is_(None)).limit(1)
        if conn.execute(query).first():
            return True
    return False
