"""What moves a task at a stored deadline, without anybody's doing: shifts that end, windows that open, gone tasks. SPEC 4, 6.

Each call does at most one page in one transaction and says how many it did: call again at once while that is a whole page.
"""

from datetime import tzinfo

from msgspec import structs
from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import SYSTEM, NewEvent, Task
from taskdash.rules import binding
from taskdash.rules.schedule import placed
from taskdash.store import events, task_picks, tasks
from taskdash.store.database import Store

PAGE = 500


async def end_shifts(db: Store, now: Instant) -> int:
    """Clear the user of each task whose `until` has come; the group keeps it and is told by the event."""

    def change(conn: Connection) -> int:
        over = task_picks.shifts_over(conn, now, PAGE)
        ended = [(task, binding.end_shift(task, now)) for task in over]
        tasks.save(conn, [(task, decision.task) for task, decision in ended])
        events.append(conn, [decision.event for _task, decision in ended if decision.event])
        return len(over)

    return await db.write(change)


async def move(db: Store, now: Instant, zone: tzinfo) -> int:
    """Look again at the tasks whose window opened or closed."""

    def change(conn: Connection) -> int:
        due = task_picks.schedule_due(conn, now, PAGE)
        moved = [(task, _moved(task, now, zone)) for task in due]
        tasks.save(conn, moved)
        events.append(conn, [_event(b, a, now) for b, a in moved if b.schedule != a.schedule])
        return len(due)

    return await db.write(change)


def _moved(task: Task, now: Instant, zone: tzinfo) -> Task:
    after = placed(task, now, zone)
    return after if after.schedule == task.schedule else structs.replace(after, updated_at=now)


def _event(before: Task, after: Task, now: Instant) -> NewEvent:
    return NewEvent(
        at=now if before.schedule_at is None else before.schedule_at,
        kind="task.changed",
        subject_type="task",
        subject_id=after.id,
        before={"schedule": before.schedule},
        after={"schedule": after.schedule},
        evidence="its start or stop time came",
    )


async def purge_gone(db: Store, now: Instant, keep_s: float) -> int:
    """Remove tasks that nobody holds and that were gone for longer than `keep_s`, counted in one event a page."""

    def change(conn: Connection) -> int:
        old = task_picks.gone_before(conn, now - seconds(keep_s), PAGE)
        if old:
            tasks.remove(conn, old)
            task_picks.forget_clashes(conn, [task.id for task in old])
            events.append(conn, [_purged(len(old), now)])
        return len(old)

    return await db.write(change)


def _purged(removed: int, now: Instant) -> NewEvent:
    return NewEvent(
        at=now,
        kind="task.removed",
        subject_type="system",
        subject_id="tasks",
        actor_type=SYSTEM.type,
        actor_id=SYSTEM.id,
        channel=SYSTEM.channel,
        after={"removed": removed},
        evidence="gone for longer than tasks.keep_gone, and nobody's",
    )
