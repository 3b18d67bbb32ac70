"""Queries over `tasks`: load and save. `save` is the only writer, so counters and search index cannot drift. No decisions."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from taskdash.model.records import Task
from taskdash.store.rows import Shape
from taskdash.store.tables import tasks

SHAPE = Shape(Task, tasks)
Change = tuple[Task | None, Task]
"""(before, after); before is None for a new task."""
_ALL = select(*SHAPE.columns)
_UPDATE = update(tasks).where(tasks.c.pk == bindparam("b_pk"))


def load(conn: Connection, task_id: str) -> Task | None:
    """The task of that id."""
    return load_many(conn, [task_id]).get(task_id)


def load_many(conn: Connection, ids: Iterable[str]) -> dict[str, Task]:
    """The known ones among `ids`, by id."""
    found: dict[str, Task] = {}
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), 500):
        query = _ALL.where(tasks.c.id.in_(wanted[start : start + 500]))
        for row in conn.execute(query).mappings():
            found[row["id"]] = SHAPE.record_of(row)
    return found


def save(conn: Connection, changes: Sequence[Change]) -> None:
    """Insert and update tasks as (before, after); each id at most once in `changes`."""
    known = [SHAPE.row_of(after, without=("pk",)) | {"b_pk": before.pk} for before, after in changes if before]
    new = [SHAPE.row_of(after, without=("pk",)) for before, after in changes if not before]
    if known:
        conn.execute(_UPDATE, known)
    if new:
        conn.execute(insert(tasks), new)


def remove(conn: Connection, removed: Sequence[Task]) -> None:
    """Delete tasks for good (an admin, or `tasks.keep_gone`)."""
    conn.execute(tasks.delete().where(tasks.c.pk == bindparam("b_pk")), [{"b_pk": task.pk} for task in removed])
