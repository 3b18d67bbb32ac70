"""What a beat, a goodbye, a registration, a pause and the archive do to a service. Pure. SPEC 3.

Reads no clock and no store. Instants UTC nanoseconds; `at` is the message's own time, `now` TaskDash's. A message counts
at its own time, never later than now, so no backlog makes a dead service look alive (RELIABILITY R8). Whose deadline has
passed is judged in `rules.judgement`. Functions return the changed record (itself when nothing changed) and its events.
"""

from typing import Any

from msgspec import Struct, structs

from taskdash.model.instants import Instant, seconds, to_rfc3339_or_none
from taskdash.model.records import SYSTEM, Actor, NewEvent, Service, State
from taskdash.rules import beat_strip
from taskdash.rules.deadlines import (
    Deadlines,
    Limits,
    Pulse,
    Timed,
    alive_at,
    is_fresh,
    is_news,
    late_after,
    late_at,
    next_deadlines,
)
from taskdash.rules.evidence import moment, say
from taskdash.rules.transitions import changed, earliest, quiet_at, service_event

__all__ = [
    "BeatColumns",
    "Deadlines",
    "Limits",
    "Pulse",
    "UrlAnswer",
    "archive",
    "beat",
    "goodbye",
    "next_deadlines",
    "pause",
    "plain_beat",
    "registered",
    "resume",
]

Outcome = tuple[Service, list[NewEvent]]
_DEFAULTS = Limits()
ASK_BEFORE_S = 6.0
"""A url is asked so long before the verdict that even a hanging one has answered or not by then (RELIABILITY R9)."""


class UrlAnswer(Struct, frozen=True):
    """What became of asking a service's url. `at`: when it was asked; `error`: why not, one sentence without full stop."""

    ok: bool
    at: Instant
    took_ms: float = 0.0
    error: str = ""


class BeatColumns(Struct, frozen=True):
    """All that a plain beat changes, by column name; `due_at` stays what it was when the beat is too old to count."""

    last_beat_at: Instant
    due_at: Instant | None
    beat_bits: int
    beat_known: int
    source: str


def plain_beat(service: Timed, at: Instant, now: Instant, source: str, limits: Limits = _DEFAULTS) -> BeatColumns | None:
    """What a beat changes that tells no news of a state: in time of a living service, or too old and only remembered. These
    columns, and there is no event. Else None."""
    at = min(at, now)
    if at <= (service.last_beat_at or 0):
        return None
    due_at, patience = service.due_at, late_after(service, limits)
    if is_news(service, at) and now <= at + patience:
        if service.state != "up" or service.flapping or service.archived_at is not None:
            return None
        due_at = max(at, service.judge_from) + patience
    bits, known = beat_strip.shifted(service, at, seen=service.state != "unknown")
    return BeatColumns(at, due_at, bits, known, source)


def beat(service: Service, at: Instant, now: Instant, source: str, limits: Limits = _DEFAULTS) -> Outcome:
    """After a beat of the instant `at` that came through `source`.

    A fresh one makes it `up` in any state but `paused`; one that is only newer than the last is remembered; an older one
    changes nothing.
    """
    at = min(at, now)
    if at <= (service.last_beat_at or 0):
        return service, []
    fresh = is_fresh(service, at, now, limits)
    heard = _heard(service, at, source)
    if not fresh or service.state == "paused":
        return heard, []
    alive, events = _unarchived(heard, at)
    up, more = changed(alive, "up", at, say("beat", at=moment(at)), limits)
    return _awaited(service, up, now, limits), [*events, *more]


def _heard(service: Service, at: Instant, source: str) -> Service:
    bits, known = beat_strip.shifted(service, at, seen=service.state != "unknown")
    return structs.replace(service, last_beat_at=at, source=source, beat_bits=bits, beat_known=known)


def _awaited(before: Service, after: Service, now: Instant, limits: Limits) -> Service:
    """With its next deadline. A flapping one is looked at when it is quiet, and at once when it has just begun."""
    due = late_at(after, alive_at(after), limits) if after.interval_s or after.url else None
    if after.flapping:
        begins = None if before.flapping else now
        due = earliest(begins, before.due_at if before.flapping else None, due, quiet_at(after, limits))
    return structs.replace(after, due_at=due)


def goodbye(service: Service, at: Instant, now: Instant, limits: Limits = _DEFAULTS, *, address: str = "") -> Outcome:
    """After it said that it stops on purpose: `left`, unless something newer was heard. A goodbye may be of any age.

    `address`: where the message came from, because anybody who reaches the input can say it.
    """
    at = min(at, now)
    if at <= (service.left_at or 0) or at < max(service.last_beat_at or 0, service.registered_at):
        return service, []
    if service.state == "paused":
        return structs.replace(service, left_at=at, last_known="left"), []
    due = None if service.archived_at else at + seconds(limits.archive_after_s)
    words = {"at": moment(at), "address": address}
    evidence = say("goodbye_from", **words) if address else say("goodbye", at=moment(at))
    return changed(service, "left", at, evidence, limits, left_at=at, due_at=due)


def registered(service: Service, at: Instant, now: Instant, limits: Limits = _DEFAULTS) -> Outcome:
    """After a registration of the instant `at`, be the service new or known: it moves the deadline as a beat does.

    A fresh one makes a service that was overdue, `down`, `left` or archived `new`; `up` and `paused` stay what they are.
    """
    at = min(at, now)
    if at < service.registered_at:
        return service, []
    news = max(service.last_beat_at or 0, service.left_at or 0)
    known = structs.replace(service, registered_at=at)
    if service.state == "paused" or (service.state == "up" and at <= news):
        return known, []
    is_first = service.state == "new" and service.archived_at is None
    if not is_first and (at <= news or now > late_at(known, at, limits)):
        return known, []
    alive, events = _unarchived(known, at)
    state: State = "up" if service.state == "up" else "new"
    evidence = service.evidence if service.state == "up" else say("registered", at=moment(at))
    alive, more = changed(alive, state, at, evidence, limits)
    return _first_asked(_awaited(service, alive, now, limits), now), [*events, *more]


def _first_asked(service: Service, now: Instant) -> Service:
    """One that sends no beats is judged as soon as its url had time to answer the collection that registering begins."""
    if service.interval_s or not service.url or service.state != "new":
        return service
    return structs.replace(service, due_at=now + seconds(ASK_BEFORE_S))


def _unarchived(service: Service, at: Instant) -> Outcome:
    if service.archived_at is None:
        return service, []
    was, told = {"archived": True}, {"archived": False}
    back = service_event(service, "service.back", at, SYSTEM, was, told, say("unarchived", at=moment(at)))
    return structs.replace(service, archived_at=None, collect_at=at if service.url else None), [back]


def pause(service: Service, actor: Actor, reason: str, until: Instant | None, now: Instant) -> Outcome:
    """Muted by an operator, with a reason and, if wanted, an end; again: with another reason or end."""
    told: dict[str, Any] = {"paused_until": until, "paused_by": actor.id, "pause_reason": reason}
    evidence = say("paused", who=actor.id, reason=reason) if reason else say("paused_silently", who=actor.id)
    after, _ = changed(service, "paused", now, evidence, _DEFAULTS, **told, due_at=until)
    until_text = to_rfc3339_or_none(until)
    was = {"state": service.state}
    event = service_event(
        after, "service.paused", now, actor, was, {"state": "paused", "reason": reason, "until": until_text}, evidence
    )
    return after, [event]


def resume(service: Service, actor: Actor, at: Instant, now: Instant, limits: Limits = _DEFAULTS) -> Outcome:
    """After the end of its pause at `at`: judged from that moment. `left` stays left, a fresh beat makes it `up`."""
    if service.state != "paused":
        return service, []
    evidence = say("resumed", who=actor.id) if actor.type == "user" else say("pause_over", at=moment(at))
    free: dict[str, Any] = {"paused_until": None, "paused_by": "", "pause_reason": ""}
    if service.last_known == "left" and (service.left_at or 0) > (service.last_beat_at or 0):
        return changed(service, "left", at, evidence, limits, actor=actor, **free, due_at=at + seconds(limits.archive_after_s))
    is_up = service.last_beat_at is not None and at <= late_at(service, service.last_beat_at, limits)
    judged = structs.replace(service, judge_from=at)
    after, events = changed(judged, "up" if is_up else "new", at, evidence, limits, actor=actor, **free)
    return _awaited(service, after, now, limits), events


def archive(service: Service, actor: Actor, at: Instant, evidence: str = "") -> Outcome:
    """Hidden by default, and not asked for its tasks, until a beat or a registration brings it back; nothing is deleted."""
    if service.archived_at is not None:
        return service, []
    why = evidence or say("archived_by", who=actor.id)
    event = service_event(service, "service.archived", at, actor, {"archived": False}, {"archived": True}, why)
    return structs.replace(service, archived_at=at, due_at=None, collect_at=None), [event]
