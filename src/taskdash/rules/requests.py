"""What one Register or Update over TCP makes of a task (SPEC 5). Pure.

Law: a request that changes nothing leaves no event. Register of a known id is an update that also revives a gone task and
binds only what is unbound; Update rebinds unless the binding is pinned, and then nothing of the request is kept. Both take
the task out of `adrift`.
"""

from datetime import tzinfo
from typing import Any

from msgspec import UNSET, Struct, structs

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, NewEvent, Task, TaskFields
from taskdash.rules import binding
from taskdash.rules.binding import Refused
from taskdash.rules.schedule import placed

TEXTS = ("name", "url", "description", "status", "start_time", "stop_time", "reserved")
_TOLD_AT_CREATION = (*TEXTS, "user", "group_id")


class Told(Struct, frozen=True):
    """The task after a request, and the lines of history it wrote."""

    task: Task
    events: tuple[NewEvent, ...] = ()


def register(known: Task | None, sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo) -> Told | Refused:
    """A new task, or an update of a known one that revives it when it was gone. Never Refused."""
    if known is None:
        return _created(sent, actor, now, zone)
    return _told(known, sent, actor, now, zone, registers=True)


def update(known: Task, sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo) -> Told | Refused:
    """The fields that were sent. Refused when user or group_id would change a pinned binding."""
    return _told(known, sent, actor, now, zone, registers=False)


def lost_voucher(task: Task, actor: Actor, now: Instant) -> Told:
    """The connection that vouched for the task is gone: it is stale until it is registered or updated again."""
    if task.adrift:
        return Told(task)
    after = structs.replace(task, adrift=True, updated_at=now)
    sentence = f"the connection {actor.id} that vouched for it is gone"
    return Told(after, (event_of("task.changed", after, actor, now, {"stale": False}, {"stale": True}, sentence),))


def _created(sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo) -> Told:
    given = {name: value for name in _TOLD_AT_CREATION if (value := getattr(sent, name)) is not UNSET}
    since = now if given.get("user") else None
    task = Task(id=sent.id, **given, created_at=now, updated_at=now, status_at=now, user_since=since)
    after = {name: value for name, value in given.items() if value}
    return Told(placed(task, now, zone), (event_of("task.registered", task, actor, now, {}, after),))


def _told(known: Task, sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo, *, registers: bool) -> Told | Refused:
    decision = binding.told(known, sent, actor, now, fills_only=registers)
    if isinstance(decision, Refused):
        return decision
    revives = registers and known.gone_at is not None
    task = _renewed(decision.task, sent, now, zone, revives=revives)
    before, after = _differences(known, task, revives=revives)
    events = [decision.event] if decision.event else []
    if before:
        kind = "task.back" if revives else "task.changed"
        events.insert(0, event_of(kind, task, actor, now, before, after))
        task = structs.replace(task, updated_at=now)
    return Told(task, tuple(events))


def _renewed(task: Task, sent: TaskFields, now: Instant, zone: tzinfo, *, revives: bool) -> Task:
    changed: dict[str, Any] = {
        name: value for name in TEXTS if (value := getattr(sent, name)) is not UNSET and value != getattr(task, name)
    }
    if "status" in changed:
        changed["status_at"] = now
    if revives:
        changed["gone_at"] = None
    if task.adrift:
        changed["adrift"] = False
    if not changed:
        return task
    return placed(structs.replace(task, **changed), now, zone)


def _differences(known: Task, task: Task, *, revives: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in TEXTS if getattr(known, name) != getattr(task, name)]
    before = {name: getattr(known, name) for name in names}
    after = {name: getattr(task, name) for name in names}
    if revives:
        before["gone"], after["gone"] = True, False
    if known.adrift and not task.adrift:
        before["stale"], after["stale"] = True, False
    return before, after


def event_of(
    kind: str, task: Task, actor: Actor, now: Instant, before: dict[str, Any], after: dict[str, Any], evidence: str = ""
) -> NewEvent:
    """One line of a task's history; before and after hold only what changed."""
    return NewEvent(
        at=now,
        kind=kind,
        subject_type="task",
        subject_id=task.id,
        actor_type=actor.type,
        actor_id=actor.id,
        channel=actor.channel,
        before=before,
        after=after,
        evidence=evidence,
    )
