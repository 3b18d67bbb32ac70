"""Queries over `tasks`: load and save. `save` is the only writer, so counters and search index cannot drift. No decisions."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam

from taskdash.model.records import Task
from taskdash.store import counters, search
from taskdash.store.dialect import of
from taskdash.store.rows import Shape
from taskdash.store.tables import tasks

SHAPE = Shape(Task, tasks, kept_by_the_store=("pk",))
Change = tuple[Task | None, Task]
"""(before, after); before is None for a new task."""


def load(conn: Connection, task_id: str) -> Task | None:
    """The task of that id."""
    return load_many(conn, [task_id]).get(task_id)


def load_many(conn: Connection, ids: Iterable[str]) -> dict[str, Task]:
    """The known ones among `ids`, by id."""
    return {task.id: task for task in SHAPE.load_many(conn, tasks.c.id, ids)}


def save(conn: Connection, changes: Sequence[Change]) -> None:
    """Insert and update tasks as (before, after); each id at most once in `changes`."""
    known = [(before, after) for before, after in changes if before]
    new = [after for before, after in changes if not before]
    pks = of(conn).next_pks(conn, tasks, len(new)) if new else ()
    SHAPE.update_changed(conn, known)
    SHAPE.insert_numbered(conn, new, pks)
    counters.add(conn, changes)
    search.index(conn, [(before, after, before.pk) for before, after in known])
    search.index(conn, [(None, after, pk) for after, pk in zip(new, pks, strict=True)])


def remove(conn: Connection, removed: Sequence[Task]) -> None:
    """Delete tasks for good (an admin, or `tasks.keep_gone`)."""
    conn.execute(tasks.delete().where(tasks.c.pk == bindparam("b_pk")), [{"b_pk": task.pk} for task in removed])
    counters.add(conn, [(task, None) for task in removed])
    search.index(conn, [(task, None, task.pk) for task in removed])
