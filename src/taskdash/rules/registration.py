"""What TaskDash knows of a service after one more registration. Pure.

Law: an older message never overwrites a newer one, so any order of the same messages ends equal (SPEC 2, RELIABILITY R4).
Each field remembers the time of the message that told it last, because a message may leave fields out: a late one may
still fill what no newer message has told. Two messages of one instant are ordered by their text. What a message time
further ahead than `now` claims is read as `now`.
"""

from typing import Any

from msgspec import UNSET, structs

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, NewEvent, Registration, Service
from taskdash.model.reserved import read_hints
from taskdash.rules import liveness
from taskdash.rules.deadlines import Limits
from taskdash.rules.evidence import say
from taskdash.rules.transitions import service_event

FIELDS = ("name", "type", "url", "description", "reserved")
DEFAULT_INTERVAL_S = 10.0
DEFAULT_COLLECT_INTERVAL_S = 15.0
_NEVER = (-1,) * len(FIELDS)


def heard_at(sent_at: Instant, now: Instant) -> Instant:
    """The message's own time, never later than now and never before 1970 (SPEC 2)."""
    return min(max(sent_at, 0), now)


def merge(known: Service | None, told: Registration, at: Instant, now: Instant, source: str) -> Service:
    """The service after `told`, a message of the instant `at` (see `heard_at`) that came through `source`.

    Liveness is not judged here. Returns `known` itself when the message tells nothing new and is not the newest.
    """
    before = known or Service(id=told.id, created_at=now, registered_at=at, updated_at=now, since=now, told_at=_NEVER)
    told_at = list(before.told_at or _NEVER)
    changed: dict[str, Any] = {}
    for index, name in enumerate(FIELDS):
        value = getattr(told, name)
        if value is not UNSET and (at, value) > (told_at[index], getattr(before, name)):
            told_at[index] = at
            changed[name] = value
    heard = {"told_at": tuple(told_at), "registered_at": max(at, before.registered_at), "source": _source(before, at, source)}
    after = structs.replace(before, **changed, **heard)
    after = _derived(before, after, now) if known else _derived_anew(after, now)
    return after if after != known else before


def _source(service: Service, at: Instant, source: str) -> str:
    newest = max(service.registered_at, service.last_beat_at or 0)
    return max((newest, service.source), (at, source))[1]


def _derived(before: Service, after: Service, now: Instant) -> Service:
    """What follows from the fields, when they changed: hints, the next collection, `updated_at`."""
    if changed_fields(before, after):
        after = structs.replace(after, updated_at=now)
    if before.reserved != after.reserved:
        after = _hinted(after)
    if before.url != after.url:
        after = _asked_anew(after, now)
    return after


def _derived_anew(after: Service, now: Instant) -> Service:
    return _asked_anew(_hinted(after), now)


def _hinted(service: Service) -> Service:
    hints = read_hints(service.reserved)
    others = tuple(p for p in service.collect_problems if not p["problem"].startswith("reserved: "))
    problems = tuple({"id": service.id, "problem": problem} for problem in hints.problems)
    return structs.replace(
        service,
        interval_s=DEFAULT_INTERVAL_S if hints.heartbeat_interval_s is None else hints.heartbeat_interval_s,
        collect_interval_s=hints.collect_interval_s or DEFAULT_COLLECT_INTERVAL_S,
        method=hints.method,
        collect_problems=others + problems,
    )


def _asked_anew(service: Service, now: Instant) -> Service:
    """A new url is asked at once (SPEC 4), by the method the service named, and without the old url's validators."""
    return structs.replace(
        service,
        method=read_hints(service.reserved).method,
        collect_at=now if service.url else None,
        collect_etag="",
        collect_last_modified="",
        collect_digest="",
    )


def changed_fields(before: Service, after: Service) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(before, after) of the fields that a registration may change and that did; None when there are none."""
    names = [n for n in (*FIELDS, "interval_s") if getattr(before, n) != getattr(after, n)]
    if not names:
        return None
    return {n: getattr(before, n) for n in names}, {n: getattr(after, n) for n in names}


def is_leaving(reserved: Any) -> bool:
    """True when a message's own `reserved` says that the service stops on purpose (SPEC 1)."""
    return bool(reserved) and reserved is not UNSET and "leaving" in reserved and read_hints(reserved).leaving


def register(
    known: Service | None, told: Registration, at: Instant, now: Instant, source: str, actor: Actor, limits: Limits
) -> tuple[Service, list[NewEvent]]:
    """All that a registration does: the fields, liveness, a goodbye inside it, the collection that follows; and its events.

    Returns `known` itself and no event when nothing changed.
    """
    merged = merge(known, told, at, now, source)
    after, events = liveness.registered(merged, at, now, limits)
    if is_leaving(told.reserved):
        after, more = liveness.goodbye(after, at, now, limits, address=actor.address)
        events = [*events, *more]
    if known is not None and after.url and after.state != "left" and after.registered_at > known.registered_at:
        after = structs.replace(after, collect_at=now)  # its tasks may be others by now
    if after == known:
        return known, []
    return after, [*_told_events(known, after, at, actor), *events]


def _told_events(known: Service | None, after: Service, at: Instant, actor: Actor) -> list[NewEvent]:
    evidence = say("told_from", address=actor.address) if actor.address else ""
    if known is None:
        given = {name: value for name in FIELDS if (value := getattr(after, name))}
        return [service_event(after, "service.registered", at, actor, {}, given, evidence)]
    changes = changed_fields(known, after)
    return [service_event(after, "service.changed", at, actor, *changes, evidence)] if changes else []
