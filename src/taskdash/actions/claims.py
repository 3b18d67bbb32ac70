"""Claim, release, assign, pin and unpin of one task: one function, one transaction. SPEC 6.

Of any number of claims at one moment exactly one wins, because each is decided on the task as the transactions before it
left it. Losing raises Conflict with `holder` and `task`; what the caller may not see raises UnknownTask.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from taskdash.actions.acknowledging import after_claims
from taskdash.actions.refusals import accepted, visible
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Task
from taskdash.rules import binding
from taskdash.rules.binding import Decision, Names, Wish
from taskdash.rules.roles import Visibility
from taskdash.store import events, known_names, tasks
from taskdash.store.database import Database


async def claim(
    db: Database,
    actor: Actor,
    task_id: str,
    now: Instant,
    *,
    seen: int | None = None,
    until: Instant | None = None,
    visibility: Visibility = "all",
) -> Task:
    """Give a free task to the actor; `until` ends it by itself. `seen`: the version the caller saw, if they tell."""

    def decide(_conn: Connection, task: Task) -> Decision:
        return binding.claim(task, actor, now, seen=seen, until=until)

    return await _change(db, actor, task_id, visibility, decide, acknowledges_at=now)


async def release(
    db: Database,
    actor: Actor,
    task_id: str,
    now: Instant,
    *,
    seen: int | None = None,
    note: str = "",
    visibility: Visibility = "all",
) -> Task:
    """Clear the user, keep the group."""

    def decide(_conn: Connection, task: Task) -> Decision:
        return binding.release(task, actor, now, seen=seen, note=note)

    return await _change(db, actor, task_id, visibility, decide)


async def assign(db: Database, actor: Actor, task_id: str, wish: Wish, now: Instant, *, visibility: Visibility = "all") -> Task:
    """Set user and group, each independently; `wish.seen` is needed (VersionMissing without)."""

    def decide(conn: Connection, task: Task) -> Decision:
        return binding.assign(task, actor, wish, names_of(conn, wish), now)

    return await _change(db, actor, task_id, visibility, decide)


async def pin(
    db: Database,
    actor: Actor,
    task_id: str,
    now: Instant,
    *,
    pinned: bool,
    seen: int | None = None,
    visibility: Visibility = "all",
) -> Task:
    """Say whether machines may change the binding."""

    def decide(_conn: Connection, task: Task) -> Decision:
        return binding.pin(task, actor, now, pinned=pinned, seen=seen)

    return await _change(db, actor, task_id, visibility, decide)


def names_of(conn: Connection, wish: Wish) -> Names:
    """Which of the wished names are accounts."""
    return Names(
        users=known_names.users_among(conn, [wish.user or ""]),
        groups=known_names.groups_among(conn, [wish.group_id or ""]),
    )


async def _change(
    db: Database,
    actor: Actor,
    task_id: str,
    visibility: Visibility,
    decide: Callable[[Connection, Task], Decision],
    *,
    acknowledges_at: Instant | None = None,
) -> Task:
    def change(conn: Connection) -> Task:
        task = visible(tasks.load(conn, task_id), task_id, actor, visibility)
        decision = accepted(decide(conn, task), task)
        if decision.event:
            tasks.save(conn, [(task, decision.task)])
            events.append(conn, [decision.event])
            if acknowledges_at is not None:
                events.append(conn, after_claims(conn, actor, [decision.task], acknowledges_at))
        return decision.task

    return await db.write(change)
