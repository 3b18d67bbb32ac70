"""One task as the API shows it, with its service and its holder; and the task inside a 409. SPEC 8."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from taskdash.actions.refusals import visible
from taskdash.errors import Conflict
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Task
from taskdash.rules.roles import Visibility
from taskdash.store import task_page, tasks
from taskdash.web import shapes
from taskdash.web.context import Web
from taskdash.web.shapes import TaskShape


def shape(conn: Connection, task: Task, now: Instant) -> TaskShape:
    """The task with what its service and its holder make of it."""
    return shapes.task(task_page.rows_of(conn, [task], now)[0])


def find(conn: Connection, task_id: str, actor: Actor, visibility: Visibility) -> Task:
    """The task of that id, if the caller may see it; else raises UnknownTask."""
    return visible(tasks.load(conn, task_id), task_id, actor, visibility)


@asynccontextmanager
async def lost_shown(web: Web) -> AsyncIterator[None]:
    """A Conflict that carries the record of a task leaves with its shape."""
    try:
        yield
    except Conflict as lost:
        record = lost.extra.get("task")
        if isinstance(record, Task):
            lost.extra["task"] = await web.db.read(lambda conn: shape(conn, record, web.clock.now()))
        raise
