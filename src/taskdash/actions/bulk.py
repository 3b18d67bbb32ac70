"""One decision over many tasks in one transaction, in set form: bulk, hand-over, the end of a shift. SPEC 6, 8.

Either the ids are named, with the version that was seen of each, or a filter with the count that was seen: another count is
a Conflict and changes nothing. One result an id; a refusal of one hinders no other.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.actions.acknowledging import after_claims
from taskdash.actions.claims import names_of
from taskdash.actions.refusals import error_of
from taskdash.errors import BadField, Conflict, TaskDashError, UnknownTask
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Task
from taskdash.rules import binding, roles
from taskdash.rules.binding import Accepted, Decision, Names, Refused, Wish
from taskdash.rules.roles import Visibility
from taskdash.store import accounts, events, task_picks, tasks
from taskdash.store.database import Database

MOST_ITEMS = 1_000
MOST_HANDED_OVER = 10_000
"""A filter's count is exact up to here (SPEC 8, Facets)."""
BulkAction = Literal["claim", "release", "assign", "pin", "unpin"]
FindIds = Callable[[Connection, int], Sequence[str]]
"""The ids of a filter's result, at most so many; runs inside the transaction."""


class Item(Struct, frozen=True):
    """One named task, and the version that the caller saw of it."""

    id: str
    version: int | None = None


class Filtered(Struct, frozen=True):
    """A filter's result, and how many tasks the caller saw in it."""

    ids: FindIds
    expected: int


class Result(Struct, frozen=True):
    """One id: done with its `version`, or the error that one call for it alone would have raised."""

    id: str
    version: int | None = None
    error: TaskDashError | None = None


class _Chosen(Struct, frozen=True):
    ids: list[str]
    versions: dict[str, int | None]
    by_filter: bool


async def bulk(
    db: Database,
    actor: Actor,
    action: BulkAction,
    chosen: Sequence[Item] | Filtered,
    now: Instant,
    *,
    wish: Wish | None = None,
    visibility: Visibility = "all",
) -> list[Result]:
    """One result an id, in the order asked. `wish`: user, group, until, pin, note. Raises BadField over 1,000, Conflict."""
    wished = wish or Wish()

    def change(conn: Connection) -> list[Result]:
        picked = _choose(conn, chosen, MOST_ITEMS)
        names = names_of(conn, wished) if action == "assign" else Names()

        def decide(task: Task) -> Decision:
            return _decide(action, task, actor, wished, names, now, picked)

        done, results = _apply(conn, picked.ids, decide, actor, visibility)
        if action == "claim":
            events.append(conn, after_claims(conn, actor, done, now))
        return results

    return await db.write(change)


async def hand_over(
    db: Database,
    actor: Actor,
    chosen: str | Filtered,
    to: str,
    now: Instant,
    *,
    note: str = "",
    visibility: Visibility = "all",
) -> list[Result]:
    """Move all that the user `chosen` holds, or a filter's result, to `to`. Raises BadField when `to` is no account."""

    def change(conn: Connection) -> list[Result]:
        receiver = accounts.user(conn, to)
        if receiver is None:
            raise BadField(f"to: there is no account named {to}", field="to")
        ids = task_picks.held_by(conn, chosen) if isinstance(chosen, str) else _choose(conn, chosen, MOST_HANDED_OVER).ids

        def decide(task: Task) -> Decision:
            return binding.hand_over(task, actor, receiver, now, note=note)

        return _apply(conn, ids, decide, actor, visibility)[1]

    return await db.write(change)


async def set_end(
    db: Database, actor: Actor, until: Instant | None, now: Instant, *, visibility: Visibility = "all"
) -> list[Result]:
    """All that the actor holds ends at `until`, or has no end."""

    def change(conn: Connection) -> list[Result]:
        ids = task_picks.held_by(conn, actor.id)
        return _apply(conn, ids, lambda task: binding.set_end(task, actor, until, now), actor, visibility)[1]

    return await db.write(change)


def _choose(conn: Connection, chosen: Sequence[Item] | Filtered, most: int) -> _Chosen:
    if isinstance(chosen, Filtered):
        return _Chosen(_filtered(conn, chosen, most), {}, by_filter=True)
    if len(chosen) > most:
        raise BadField(f"items must hold at most {most:,} tasks, not {len(chosen):,}", field="items")
    versions = {item.id: item.version for item in chosen}
    return _Chosen(list(versions), versions, by_filter=False)


def _filtered(conn: Connection, chosen: Filtered, most: int) -> list[str]:
    if chosen.expected > most:
        raise BadField(f"expected must be at most {most:,}", field="expected")
    ids = list(chosen.ids(conn, most + 1))
    if len(ids) != chosen.expected:
        raise Conflict(f"the filter finds {len(ids):,} tasks, not the {chosen.expected:,} that you saw", found=len(ids))
    return ids


def _decide(action: BulkAction, task: Task, actor: Actor, wish: Wish, names: Names, now: Instant, picked: _Chosen) -> Decision:
    seen = picked.versions.get(task.id)
    if action == "claim":
        until = wish.until if isinstance(wish.until, int) else None
        return binding.claim(task, actor, now, seen=seen, until=until)
    if action == "release":
        return binding.release(task, actor, now, seen=seen, note=wish.note)
    if action == "assign":
        return binding.assign(task, actor, structs.replace(wish, seen=seen), names, now, by_version=not picked.by_filter)
    return binding.pin(task, actor, now, pinned=action == "pin", seen=seen, note=wish.note)


def _apply(
    conn: Connection, ids: Iterable[str], decide: Callable[[Task], Decision], actor: Actor, visibility: Visibility
) -> tuple[list[Task], list[Result]]:
    """Decide each, then save all that changed with their events; returns those and a result an id."""
    wanted = list(ids)
    known = {key: task for key, task in tasks.load_many(conn, wanted).items() if roles.may_see(actor, task, visibility)}
    decisions = {key: decide(task) for key, task in known.items()}
    done = [(known[key], d.task, d.event) for key, d in decisions.items() if isinstance(d, Accepted) and d.event]
    tasks.save(conn, [(before, after) for before, after, _event in done])
    events.append(conn, [event for _before, _after, event in done])
    results = [_result(task_id, known.get(task_id), decisions.get(task_id)) for task_id in wanted]
    return [after for _before, after, _event in done], results


def _result(task_id: str, task: Task | None, decision: Decision | None) -> Result:
    if task is None or decision is None:
        return Result(task_id, error=UnknownTask(f"no task has the id {task_id}"))
    if isinstance(decision, Refused):
        return Result(task_id, error=error_of(decision, task))
    return Result(task_id, decision.task.version)
