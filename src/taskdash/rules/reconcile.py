"""What a service's answer makes of the stored tasks: new, changed, gone, back, clash. Pure. SPEC 4.

Law: a task belongs to the service that first reported it; nobody else's answer touches it until the owner is archived or
removed. One event a task only for status, gone, back and binding; a field that was not sent stays as it is; a person's
claim is never overwritten. What changes nothing gives no change.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import tzinfo
from typing import Any

from msgspec import UNSET, Struct, field, structs

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, NewEvent, Task, TaskFields
from taskdash.rules import binding
from taskdash.rules.binding import Refused
from taskdash.rules.requests import TEXTS, event_of
from taskdash.rules.schedule import placed

Change = tuple[Task | None, Task]


class Outcome(Struct):
    """(before, after) of each task that changes, the events, and the owner of each id that belongs to another service."""

    changes: list[Change] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    clashes: dict[str, str] = field(default_factory=dict)


def collected(
    service_id: str,
    sent: Sequence[TaskFields],
    stored: Mapping[str, Task],
    released_by: Set[str],
    now: Instant,
    zone: tzinfo,
) -> Outcome:
    """What the records that `service_id` named change; of two with one id the last counts.

    `stored`: the tasks of these ids that exist. `released_by`: owners among them that are archived or no longer there.
    """
    outcome = Outcome()
    actor = Actor(type="service", id=service_id, channel="collector")
    for record in {record.id: record for record in sent}.values():
        known = stored.get(record.id)
        if known is None:
            _keep(outcome, None, *_new(record, actor, now, zone))
        elif known.service_id in {"", service_id} or known.service_id in released_by:
            _keep(outcome, known, *_renewed(known, record, actor, now, zone))
        else:
            outcome.clashes[record.id] = known.service_id
    return outcome


def vanished(service_id: str, tasks: Iterable[Task], now: Instant) -> Outcome:
    """What becomes of the service's tasks that its complete answer no longer names: gone, with their last status."""
    outcome = Outcome()
    actor = Actor(type="service", id=service_id, channel="collector")
    for task in tasks:
        if task.gone_at is None and task.service_id == service_id:
            after = structs.replace(task, gone_at=now, updated_at=now)
            event = event_of("task.gone", after, actor, now, {"gone": False}, {"gone": True})
            _keep(outcome, task, after, [event])
    return outcome


def _keep(outcome: Outcome, before: Task | None, after: Task, events: list[NewEvent]) -> None:
    if after != before:
        outcome.changes.append((before, after))
        outcome.events.extend(events)


def _new(sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo) -> tuple[Task, list[NewEvent]]:
    given = {name: value for name in (*TEXTS, "user", "group_id") if (value := getattr(sent, name)) is not UNSET}
    since = now if given.get("user") else None
    task = Task(id=sent.id, **given, service_id=actor.id, created_at=now, updated_at=now, status_at=now, user_since=since)
    after = {name: value for name, value in given.items() if value} | {"service_id": actor.id}
    return placed(task, now, zone), [event_of("task.registered", task, actor, now, {}, after)]


def _renewed(known: Task, sent: TaskFields, actor: Actor, now: Instant, zone: tzinfo) -> tuple[Task, list[NewEvent]]:
    bound, event = _bound(known, sent, actor, now)
    changed: dict[str, Any] = {
        name: value for name in TEXTS if (value := getattr(sent, name)) is not UNSET and value != getattr(known, name)
    }
    told = {"service_id": actor.id, "gone_at": None, "adrift": False}
    changed |= {name: value for name, value in told.items() if value != getattr(known, name)}
    if not changed:
        return bound, [event] if event else []
    if "status" in changed:
        changed["status_at"] = now
    after = placed(structs.replace(bound, **changed, updated_at=now), now, zone)
    return after, [*_told(known, after, actor, now), *([event] if event else [])]


def _bound(known: Task, sent: TaskFields, actor: Actor, now: Instant) -> tuple[Task, NewEvent | None]:
    decision = binding.told(known, sent, actor, now, fills_only=True)
    return (known, None) if isinstance(decision, Refused) else (decision.task, decision.event)


def _told(known: Task, after: Task, actor: Actor, now: Instant) -> list[NewEvent]:
    """At most one event: back, moved from an owner that is archived, or status."""
    was: dict[str, Any] = {}
    told: dict[str, Any] = {}
    kind = "task.changed"
    if known.status != after.status:
        was["status"], told["status"] = known.status, after.status
    if known.service_id and known.service_id != after.service_id:
        was["service_id"], told["service_id"] = known.service_id, after.service_id
        kind = "task.transferred"
    if known.gone_at is not None:
        was["gone"], told["gone"] = True, False
        kind = "task.back"
    return [event_of(kind, after, actor, now, was, told)] if told else []
