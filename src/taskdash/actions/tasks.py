"""Register and Update over TCP, and what becomes of a task without anybody's claim. One function, one transaction. SPEC 5.

`apply_batch` is set-based: one load, the rule folded over the requests in their order, one save, one insert of events
(DESIGN 4). Each request has its own outcome; one that is refused changes nothing and hinders no other.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Literal

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, Forbidden, TaskDashError, UnknownTask
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, NewEvent, Task, TaskFields
from taskdash.rules import requests, roles
from taskdash.rules.requests import Told, event_of
from taskdash.store import collected, events, services, task_picks, tasks, vouched
from taskdash.store.database import Database, Store

Outcome = TaskDashError | None


class TaskRequest(Struct, frozen=True, kw_only=True):
    """One Register or Update whose fields keep SPEC 1, and the connection it came by."""

    kind: Literal["register", "update"]
    fields: TaskFields
    actor: Actor


async def apply_batch(
    db: Database, batch: Sequence[TaskRequest], now: Instant, *, zone: tzinfo = UTC, instance: str = ""
) -> list[Outcome]:
    """One outcome a request, in order: None when it is done and durable, else UnknownTask or BadField. Raises StoreRefused."""
    registered = [request.fields.id for request in batch if request.kind == "register"]

    def change(conn: Connection) -> list[Outcome]:
        known = tasks.load_many(conn, [request.fields.id for request in batch])
        fold = _Fold(known)
        outcomes = [fold.take(request, now, zone) for request in batch]
        fold.store(conn)
        if instance:
            _take_over(conn, registered, instance)
        return outcomes

    return await db.write(change)


def _take_over(conn: Connection, registered: Sequence[str], instance: str) -> None:
    """The newest connection that registered a task is the only one that can vouch for it, wherever the one before is."""
    vouched.forget(conn, sorted(vouched.elsewhere(conn, registered, instance)))


class _Fold:
    """The tasks of one batch while its requests are applied in order."""

    def __init__(self, known: dict[str, Task]) -> None:
        self._stored = known
        self._tasks = dict(known)
        self._events: list[NewEvent] = []

    def take(self, request: TaskRequest, now: Instant, zone: tzinfo) -> Outcome:
        """Apply one request, or say why not."""
        known = self._tasks.get(request.fields.id)
        if request.kind == "register":
            told = requests.register(known, request.fields, request.actor, now, zone)
        elif known is None:
            return unknown_task(request.fields.id)
        else:
            told = requests.update(known, request.fields, request.actor, now, zone)
        if not isinstance(told, Told):
            return BadField(told.sentence, field=told.field)
        self.put(told)
        return None

    def put(self, told: Told) -> None:
        """Keep what a rule made of a task."""
        self._tasks[told.task.id] = told.task
        self._events.extend(told.events)

    def store(self, conn: Connection) -> None:
        """Save what changed, with its events."""
        changed = [(before, after) for key, after in self._tasks.items() if (before := self._stored.get(key)) is not after]
        tasks.save(conn, changed)
        events.append(conn, self._events)
        _ask_anew(conn, [after for before, after in changed if before and before.gone_at is not None and after.gone_at is None])


def unknown_task(task_id: str) -> UnknownTask:
    """The sentence for an id that is not stored."""
    return UnknownTask(f"no task has the id {task_id}")


async def lost_connection(
    db: Database, connection_id: str, task_ids: Iterable[str], now: Instant, *, instance: str = ""
) -> int:
    """The connection of this instance that vouched for these tasks is gone: they are adrift, but for those that registered
    at another one since. Returns how many were not so before."""
    asked = list(task_ids)

    def change(conn: Connection) -> int:
        others = vouched.elsewhere(conn, asked, instance)
        return _set_adrift(conn, connection_id, [task_id for task_id in asked if task_id not in others], now)

    return await db.write(change)


def _set_adrift(conn: Connection, connection_id: str, ids: Sequence[str], now: Instant) -> int:
    actor = Actor(type="connection", id=connection_id, channel="tcp")
    known = tasks.load_many(conn, ids)
    told = [t for task in known.values() if (t := requests.lost_voucher(task, actor, now)).events]
    tasks.save(conn, [(known[t.task.id], t.task) for t in told])
    events.append(conn, [event for t in told for event in t.events])
    vouched.forget(conn, ids)
    _ask_anew(conn, [t.task for t in told])
    return len(told)


def _ask_anew(conn: Connection, changed: Iterable[Task]) -> None:
    """Their services' next answers are applied even when they did not change: the tasks did."""
    collected.forget_validators(conn, {task.service_id for task in changed} - {""})


async def vouch(db: Database, task_ids: Sequence[str], *, instance: str = "") -> None:
    """An open connection vouches for these; known to the store, so that a restart can tell that it is gone."""
    await db.write(lambda conn: vouched.add(conn, task_ids, instance))


async def lose_orphans(db: Store, now: Instant, alive: Collection[str] = ()) -> int:
    """Of an instance that is gone no connection is left: what they vouched for is adrift. A page; returns how many it was."""
    if not await db.read(lambda conn: vouched.orphans(conn, alive)):
        return 0

    def change(conn: Connection) -> int:
        ids = vouched.orphans(conn, alive)
        _set_adrift(conn, "of an instance that is gone", ids, now)
        return len(ids)

    return await db.write(change)


async def transfer(db: Database, actor: Actor, task_id: str, service_id: str, now: Instant) -> Task:
    """From now on the task belongs to that service (admin). Raises Forbidden, UnknownTask, BadField."""

    def change(conn: Connection) -> Task:
        task = _for_admin(conn, actor, "transfer", task_id)
        if services.load(conn, service_id) is None:
            raise BadField(f"service_id: no service has the id {service_id}", field="service_id")
        if task.service_id == service_id:
            return task
        after = structs.replace(task, service_id=service_id, updated_at=now)
        tasks.save(conn, [(task, after)])
        task_picks.forget_clashes(conn, [task_id], service_id)
        _ask_anew(conn, [task, after])
        was, told = {"service_id": task.service_id}, {"service_id": service_id}
        events.append(conn, [event_of("task.transferred", after, actor, now, was, told)])
        return after

    return await db.write(change)


async def delete(db: Database, actor: Actor, task_id: str, now: Instant) -> None:
    """Remove the task for good (admin); history stays. It comes back as a new one when somebody reports it again."""

    def change(conn: Connection) -> None:
        task = _for_admin(conn, actor, "delete", task_id)
        tasks.remove(conn, [task])
        task_picks.forget_clashes(conn, [task_id])
        _ask_anew(conn, [task])
        before = {"name": task.name, "status": task.status, "user": task.user, "group_id": task.group_id}
        events.append(conn, [event_of("task.removed", task, actor, now, before, {})])

    await db.write(change)


def _for_admin(conn: Connection, actor: Actor, action: Literal["transfer", "delete"], task_id: str) -> Task:
    if sentence := roles.refusal(actor, action):
        raise Forbidden(sentence)
    task = tasks.load(conn, task_id)
    if task is None:
        raise unknown_task(task_id)
    return task
