"""Queries over `tasks`: load and save. `save` is the only writer, so counters and search index cannot drift. No decisions."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select

from taskdash.model.records import Task
from taskdash.store import counters, search
from taskdash.store.rows import Shape
from taskdash.store.tables import tasks

SHAPE = Shape(Task, tasks, kept_by_the_store=("pk",))
Change = tuple[Task | None, Task]
"""(before, after); before is None for a new task."""
_ALL = select(*SHAPE.columns)


def load(conn: Connection, task_id: str) -> Task | None:
    """The task of that id."""
    return load_many(conn, [task_id]).get(task_id)


def load_many(conn: Connection, ids: Iterable[str]) -> dict[str, Task]:
    """The known ones among `ids`, by id."""
    found: dict[str, Task] = {}
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), 500):
        query = _ALL.where(tasks.c.id.in_(wanted[start : start + 500]))
        found.update((task.id, task) for task in SHAPE.records(conn, query))
    return found


def save(conn: Connection, changes: Sequence[Change]) -> None:
    """Insert and update tasks as (before, after); each id at most once in `changes`."""
    SHAPE.update_changed(conn, [(before, after) for before, after in changes if before])
    SHAPE.insert_many(conn, [after for before, after in changes if not before])
    counters.add(conn, changes)
    search.index(conn, [(before, after, pk) for (before, after), pk in zip(changes, _pks(conn, changes), strict=True)])


def _pks(conn: Connection, changes: Sequence[Change]) -> list[int]:
    """The pk of each; new rows have theirs from the store."""
    new = [after.id for before, after in changes if before is None]
    made: dict[str, int] = {}
    for start in range(0, len(new), 500):
        rows = conn.execute(select(tasks.c.id, tasks.c.pk).where(tasks.c.id.in_(new[start : start + 500])))
        made.update((row[0], row[1]) for row in rows)
    return [before.pk if before else made[after.id] for before, after in changes]


def remove(conn: Connection, removed: Sequence[Task]) -> None:
    """Delete tasks for good (an admin, or `tasks.keep_gone`)."""
    conn.execute(tasks.delete().where(tasks.c.pk == bindparam("b_pk")), [{"b_pk": task.pk} for task in removed])
    counters.add(conn, [(task, None) for task in removed])
    search.index(conn, [(task, None, task.pk) for task in removed])
