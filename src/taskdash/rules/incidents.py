"""Which changes and which conditions are one incident, and when it is over. Pure. SPEC 7.

Law: one open incident a kind and cause. All that go down within one window through one input are one incident, mass or not.
A flapping service has one incident of its own kind instead of one each time.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import SYSTEM, Actor, Incident, NewEvent, Service
from taskdash.rules.deadlines import Limits, cadence_s
from taskdash.rules.evidence import duration, say

LONGEST_WINDOW_S = 600.0
MOST_TOLD = 100
"""So many service ids are told in one event; the incident itself holds all."""
OVER = frozenset({"up", "left", "paused"})

Outcome = tuple[list[Incident], list[NewEvent]]
Change = tuple[Service, Service]
"""(before, after) of one judged service."""


class Condition(Struct, frozen=True, kw_only=True):
    """Something that is wrong now, whoever noticed."""

    kind: str
    cause: str
    at: Instant
    sentence: str
    evidence: str
    services: tuple[str, ...] = ()


class Desk:
    """The open incidents during one look; gathers the services of each so that ten thousand cost no more than ten thousand."""

    def __init__(self, opened: Iterable[Incident], limits: Limits) -> None:
        self.limits = limits
        self.incidents = {incident.id: incident for incident in opened}
        self.before = dict(self.incidents)
        self.openings: list[NewEvent] = []
        self._services = {i.id: dict.fromkeys(i.services) for i in self.incidents.values()}
        self._down_of = {s: i.id for i in self.incidents.values() if i.kind == "down" for s in i.services}
        self._flapping = {i.cause for i in self.incidents.values() if i.kind == "flapping"}

    def flaps(self, after: Service) -> None:
        """A service is flapping."""
        if after.id not in self._flapping:
            self._flapping.add(after.id)
            self._open(_flapping(after))

    def fell(self, after: Service) -> None:
        """A service went down, or is held as one of many that fell silent."""
        found = self._down_of.get(after.id) or next((i.id for i in self.incidents.values() if _is_same(i, after)), None)
        if found is None:
            found = self._open(_down(after))
        incident = self.incidents[found]
        self._down_of[after.id] = found
        self._services[found][after.id] = None
        self.incidents[found] = structs.replace(incident, last_at=max(incident.last_at, after.since))

    def _open(self, condition: Condition) -> str:
        incident, event = opening(condition, self.limits)
        self.incidents[incident.id] = incident
        self._services[incident.id] = dict.fromkeys(incident.services)
        self.openings.append(event)
        return incident.id

    def outcome(self) -> Outcome:
        """The incidents that changed, and the events of those that were opened."""
        complete = {i.id: _with_services(i, tuple(self._services[i.id])) for i in self.incidents.values()}
        changed = [incident for id, incident in complete.items() if self.before.get(id) != incident]
        return changed, [_told_as(event, complete) for event in self.openings]


def after_changes(opened: Iterable[Incident], changes: Sequence[Change], limits: Limits) -> Outcome:
    """The incidents that the changes open or extend. `opened`: those of kind down and flapping that are not resolved."""
    desk = Desk(opened, limits)
    for was, after in sorted(changes, key=lambda change: change[1].since):
        if after.flapping:
            desk.flaps(after)
        elif _fell(was, after):
            desk.fell(after)
    return desk.outcome()


def _fell(was: Service, after: Service) -> bool:
    """Down now, or held as unknown because so many fell silent: both are told, as one incident."""
    is_down = after.state == "down" and (was.state != "down" or was.flapping)
    is_suspected = after.reason == "mass" and was.reason != "mass"
    return is_down or is_suspected


def _is_same(incident: Incident, after: Service) -> bool:
    """One input, one window: three intervals of the service, at most ten minutes."""
    if incident.kind != "down" or not incident.cause.startswith(f"{after.source}/"):
        return False
    window = seconds(min(3 * cadence_s(after), LONGEST_WINDOW_S))
    return abs(after.since - incident.last_at) <= window


def _with_services(incident: Incident, services: tuple[str, ...]) -> Incident:
    if services == incident.services:
        return incident
    return structs.replace(incident, services=services, sentence=say("many_down", n=len(services)))


def _down(after: Service) -> Condition:
    return Condition(
        kind="down",
        cause=f"{after.source}/{after.id}",
        at=after.since,
        sentence=say("one_down", name=after.name or after.id),
        evidence=after.evidence,
        services=(after.id,),
    )


def _flapping(after: Service) -> Condition:
    flaps = after.flaps or (after.since,)
    return Condition(
        kind="flapping",
        cause=after.id,
        at=flaps[-1],
        sentence=say("flaps", name=after.name or after.id),
        evidence=say("flaps_why", n=len(flaps), gap=duration(flaps[-1] - flaps[0])),
        services=(after.id,),
    )


def opening(condition: Condition, limits: Limits) -> tuple[Incident, NewEvent]:
    """A new incident and its event. The id follows from kind, cause and time, so that writing it twice is writing it once."""
    name = f"{condition.kind} {condition.cause} {condition.at}"
    incident = Incident(
        id=hashlib.sha256(name.encode()).hexdigest()[:16],
        kind=condition.kind,
        cause=condition.cause,
        opened_at=condition.at,
        last_at=condition.at,
        sentence=condition.sentence,
        evidence=condition.evidence,
        services=condition.services,
        next_reminder_at=condition.at + seconds(limits.reminder_after_s),
    )
    return incident, _event(incident, "incident.opened", condition.at, SYSTEM, {}, {"state": "open"})


def _told_as(event: NewEvent, known: dict[str, Incident]) -> NewEvent:
    """The opening's event, telling the incident as it is after all changes of one look."""
    incident = known[event.subject_id]
    told = {
        "state": incident.state,
        "kind": incident.kind,
        "sentence": incident.sentence,
        "services": list(incident.services[:MOST_TOLD]),
    }
    return structs.replace(event, after=told, evidence=incident.evidence)


def untold(past: Iterable[Condition], ended_at: Instant | None) -> list[Condition]:
    """Of troubles that are told when they are over: those that began after the end of the last one that was told.

    Several instances meet one trouble, each at its own moment, and whoever leads tells it.
    """
    return [condition for condition in past if ended_at is None or condition.at > ended_at]


def not_before(condition: Condition, ended_at: Instant | None) -> Condition:
    """As a new incident, after the end of the last one of its kind and cause: who leads now may know of an earlier beginning
    than who led until then and called it over."""
    return condition if ended_at is None or condition.at > ended_at else structs.replace(condition, at=ended_at + 1)


def reconciled(opened: Iterable[Incident], wrong: Iterable[Condition], now: Instant, limits: Limits) -> Outcome:
    """Open what is wrong and not yet open, resolve what is no longer wrong. Both of the same kinds."""
    wrong_now = {(condition.kind, condition.cause): condition for condition in wrong}
    changed: list[Incident] = []
    events: list[NewEvent] = []
    for incident in opened:
        condition = wrong_now.pop((incident.kind, incident.cause), None)
        if condition is None:
            resolved, event = resolve(incident, now)
            changed.append(resolved)
            events.append(event)
        elif set(condition.services) - set(incident.services):
            changed.append(structs.replace(incident, services=condition.services, last_at=now))
    for condition in wrong_now.values():
        incident, event = opening(condition, limits)
        changed.append(incident)
        events.append(_told_as(event, {incident.id: incident}))
    return changed, events


def is_over(incident: Incident, services: Iterable[Service]) -> bool:
    """True when none of the incident's services (those that still exist) needs it any more."""
    if incident.kind == "flapping":
        return not any(service.flapping and service.archived_at is None for service in services)
    return all(service.state in OVER or service.archived_at is not None for service in services)


def resolve(incident: Incident, at: Instant) -> tuple[Incident, NewEvent]:
    """It ended by itself."""
    over = structs.replace(incident, state="resolved", resolved_at=max(at, incident.opened_at), next_reminder_at=None)
    return over, _event(incident, "incident.resolved", at, SYSTEM, {"state": incident.state}, {"state": "resolved"})


def acknowledge(incident: Incident, actor: Actor, at: Instant) -> tuple[Incident, list[NewEvent]]:
    """Somebody looks after it; a second time changes nothing, nor does one that is over."""
    if incident.state != "open":
        return incident, []
    known = structs.replace(incident, state="acknowledged", acknowledged_by=actor.id, acknowledged_at=at, next_reminder_at=None)
    told = {"state": "acknowledged", "acknowledged_by": actor.id}
    return known, [_event(incident, "incident.acknowledged", at, actor, {"state": "open"}, told)]


def reminded(incident: Incident, now: Instant, limits: Limits) -> Incident:
    """With its next reminder ahead of `now`."""
    return structs.replace(incident, next_reminder_at=now + seconds(limits.reminder_after_s))


def _event(incident: Incident, kind: str, at: Instant, actor: Actor, before: dict[str, Any], after: dict[str, Any]) -> NewEvent:
    return NewEvent(
        at=at,
        kind=kind,
        subject_type="incident",
        subject_id=incident.id,
        actor_type=actor.type,
        actor_id=actor.id,
        channel=actor.channel,
        before=before,
        after=after,
        evidence=incident.sentence,
    )
