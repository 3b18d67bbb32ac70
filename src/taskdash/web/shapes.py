"""The shapes of SPEC 8, field by field in its order. Pure: records in, JSON-ready records out.

Law: a field may be added here, never renamed or taken away. Instants leave as RFC 3339 with milliseconds; unknown is null.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from taskdash.model.instants import Instant, to_rfc3339, to_rfc3339_or_none
from taskdash.model.records import Event, Incident, SavedView, Service
from taskdash.rules import beat_strip
from taskdash.store.task_page import TaskRow


class Why(Struct, frozen=True):
    """One reason to look at a task, and since when it holds."""

    reason: str
    since: str | None


class TaskShape(Struct, frozen=True, kw_only=True):
    """Task (SPEC 8)."""

    id: str
    name: str
    url: str
    user: str
    group_id: str
    description: str
    status: str
    start_time: str
    stop_time: str
    reserved: str
    service_id: str
    version: int
    pinned: bool
    until: str | None
    created_at: str
    updated_at: str
    status_at: str
    stale: bool
    gone: bool
    at_risk: bool
    why: list[Why]
    liveness: str | None
    schedule: str


class Liveness(Struct, frozen=True, kw_only=True):
    """The judgement about a service, with its evidence in one sentence."""

    state: str
    since: str
    evidence: str
    reason: str
    last_known: str
    flapping: bool
    until: str | None


class Problem(Struct, frozen=True):
    """One thing that is wrong with what a service told; `id` is the task concerned, if one is."""

    id: str
    problem: str


class Collect(Struct, frozen=True, kw_only=True):
    """How asking the service's url went last."""

    ok: bool | None
    at: str | None
    error: str
    took_ms: float | None
    method: str
    tasks: int
    problems: list[Problem]
    next_at: str | None


class ServiceShape(Struct, frozen=True, kw_only=True):
    """Service (SPEC 8)."""

    id: str
    name: str
    type: str
    url: str
    description: str
    reserved: str
    interval_s: float
    beats: list[bool | None]
    registered_at: str
    updated_at: str
    last_beat_at: str | None
    archived: bool
    liveness: Liveness
    collect: Collect


class Named(Struct, frozen=True):
    """What an event is about, or who did it."""

    type: str
    id: str


class EventShape(Struct, frozen=True, kw_only=True):
    """Event (SPEC 8)."""

    seq: int
    at: str
    kind: str
    subject: Named
    actor: Named
    channel: str
    before: dict[str, Any]
    after: dict[str, Any]
    evidence: str


class IncidentShape(Struct, frozen=True, kw_only=True):
    """Incident (SPEC 8). `tasks`: not gone, on its services; `unowned`: those of them that nobody holds."""

    id: str
    kind: str
    state: str
    opened_at: str
    resolved_at: str | None
    acknowledged_by: str
    acknowledged_at: str | None
    sentence: str
    evidence: str
    next_reminder_at: str | None
    services: list[str]
    tasks: int
    unowned: int


class ViewShape(Struct, frozen=True, kw_only=True):
    """A saved view: a named query string of the board, one's own or a group's."""

    id: str
    name: str
    user: str
    group_id: str
    query: str
    created_at: str


class Tasks(Struct, frozen=True):
    """One page of tasks, and the cursor of the next one."""

    items: list[TaskShape]
    next: str | None


class Services(Struct, frozen=True):
    """One page of services, and the cursor of the next one."""

    items: list[ServiceShape]
    next: str | None


class Events(Struct, frozen=True):
    """One page of history, and the cursor of the next one."""

    items: list[EventShape]
    next: str | None


class Incidents(Struct, frozen=True):
    """One page of incidents, and the cursor of the next one."""

    items: list[IncidentShape]
    next: str | None


class Views(Struct, frozen=True):
    """All views that the caller has."""

    items: list[ViewShape]
    next: str | None = None


def task(row: TaskRow) -> TaskShape:
    """The task with what its service and its holder make of it."""
    record = row.task
    return TaskShape(
        id=record.id,
        name=record.name,
        url=record.url,
        user=record.user,
        group_id=record.group_id,
        description=record.description,
        status=record.status,
        start_time=record.start_time,
        stop_time=record.stop_time,
        reserved=record.reserved,
        service_id=record.service_id,
        version=record.version,
        pinned=record.pinned,
        until=to_rfc3339_or_none(record.until),
        created_at=to_rfc3339(record.created_at),
        updated_at=to_rfc3339(record.updated_at),
        status_at=to_rfc3339(record.status_at),
        stale=row.stale,
        gone=record.gone_at is not None,
        at_risk=row.at_risk,
        why=[Why(each.reason, to_rfc3339_or_none(each.since)) for each in row.why],
        liveness=row.liveness,
        schedule=record.schedule,
    )


def service(record: Service, now: Instant, problems: Iterable[tuple[str, str]] = ()) -> ServiceShape:
    """The service as of `now`; `problems` beside those of its last collection are id clashes (task id, sentence)."""
    return ServiceShape(
        id=record.id,
        name=record.name,
        type=record.type,
        url=record.url,
        description=record.description,
        reserved=record.reserved,
        interval_s=record.interval_s,
        beats=beat_strip.shown(record, now),
        registered_at=to_rfc3339(record.registered_at),
        updated_at=to_rfc3339(record.updated_at),
        last_beat_at=to_rfc3339_or_none(record.last_beat_at),
        archived=record.archived_at is not None,
        liveness=liveness(record),
        collect=_collect(record, problems),
    )


def liveness(record: Service) -> Liveness:
    """The service's state and why; `until` is the end of a pause."""
    return Liveness(
        state=record.state,
        since=to_rfc3339(record.since),
        evidence=record.evidence,
        reason=record.pause_reason if record.state == "paused" else record.reason,
        last_known=record.last_known,
        flapping=record.flapping,
        until=to_rfc3339_or_none(record.paused_until) if record.state == "paused" else None,
    )


def _collect(record: Service, problems: Iterable[tuple[str, str]]) -> Collect:
    told = [Problem(each.get("id", ""), each.get("problem", "")) for each in record.collect_problems]
    return Collect(
        ok=record.collect_ok,
        at=to_rfc3339_or_none(record.collected_at),
        error=record.collect_error,
        took_ms=record.collect_took_ms,
        method=record.method,
        tasks=record.task_total,
        problems=told + [Problem(task_id, sentence) for task_id, sentence in problems],
        next_at=to_rfc3339_or_none(record.collect_at),
    )


def event(record: Event) -> EventShape:
    """One line of history."""
    return EventShape(
        seq=record.seq,
        at=to_rfc3339(record.at),
        kind=record.kind,
        subject=Named(record.subject_type, record.subject_id),
        actor=Named(record.actor_type, record.actor_id),
        channel=record.channel,
        before=record.before,
        after=record.after,
        evidence=record.evidence,
    )


def incident(record: Incident, tasks: int, unowned: int) -> IncidentShape:
    """An incident with how many tasks it touches."""
    return IncidentShape(
        id=record.id,
        kind=record.kind,
        state=record.state,
        opened_at=to_rfc3339(record.opened_at),
        resolved_at=to_rfc3339_or_none(record.resolved_at),
        acknowledged_by=record.acknowledged_by,
        acknowledged_at=to_rfc3339_or_none(record.acknowledged_at),
        sentence=record.sentence,
        evidence=record.evidence,
        next_reminder_at=to_rfc3339_or_none(record.next_reminder_at),
        services=list(record.services),
        tasks=tasks,
        unowned=unowned,
    )


def view(record: SavedView) -> ViewShape:
    """A saved view."""
    return ViewShape(
        id=record.id,
        name=record.name,
        user=record.user,
        group_id=record.group_id,
        query=record.query,
        created_at=to_rfc3339(record.created_at),
    )
