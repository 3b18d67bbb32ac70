"""The last half hour of a service on one time axis: beats by the slot, and the answers that are known. Pure. UI 6 (Service).

Law: only what is stored is drawn. Single beats are kept for the last 30 intervals; before that a slot tells the state at that
time. Of single answers the last, the last good one and the first of a failing row are kept; others come from evidence.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from taskdash.model.instants import SECOND, Instant, parse_rfc3339, seconds
from taskdash.model.records import Service
from taskdash.rules.beat_strip import SLOTS
from taskdash.rules.deadlines import slack_s
from taskdash.store.state_history import StateChange
from taskdash.web.pages.uptime import stretches

SLOT_S, WINDOW_S = 20.0, 1_800.0
Kind = Literal["came", "missed", "blind", "was-up", "was-late", "muted", "none"]
_OF_STATE: dict[str, Kind] = {
    "up": "was-up",
    "late": "was-late",
    "down": "missed",
    "unknown": "blind",
    "paused": "muted",
}
_HIGHEST = 20


class Slot(NamedTuple):
    """One slot of the beats, its place in percent of the axis."""

    x: float
    width: float
    kind: Kind


class Point(NamedTuple):
    """One answer; `height` of a good one in pixels, 0 where nobody wrote down how long it took."""

    x: float
    at: Instant
    ok: bool
    took_ms: float | None
    height: float = 0


class Timeline(Struct, frozen=True):
    """What is drawn, and what the text alternative counts."""

    began: Instant
    ended: Instant
    slot_s: float
    slots: list[Slot]
    answers: list[Point]
    last_x: float | None
    """Where the last beat is; None: not on the axis."""

    def count(self, *kinds: Kind) -> int:
        """How many slots are of these kinds."""
        return sum(slot.kind in kinds for slot in self.slots)


def window_of(service: Service) -> tuple[float, float]:
    """(length, slot) in seconds: half an hour, or 30 intervals of a service that beats seldom."""
    if service.interval_s > WINDOW_S / SLOTS:
        return SLOTS * service.interval_s, service.interval_s
    return WINDOW_S, max(SLOT_S, service.interval_s)


def timeline(service: Service, changes: Sequence[StateChange], now: Instant) -> Timeline:
    """The service up to now. `changes`: of its state, at least those of the window."""
    window_s, slot_s = window_of(service)
    began = now - seconds(window_s)
    last = service.last_beat_at
    return Timeline(
        began=began,
        ended=now,
        slot_s=slot_s,
        slots=_slots(service, changes, began, now, slot_s) if service.interval_s else [],
        answers=_answers(service, changes, began, now),
        last_x=_x(last, began, now) if last is not None and service.interval_s and began <= last <= now else None,
    )


def _x(at: Instant, began: Instant, now: Instant) -> float:
    return round(100 * (at - began) / (now - began), 2)


def _slots(service: Service, changes: Sequence[StateChange], began: Instant, now: Instant, slot_s: float) -> list[Slot]:
    """Slots follow the last beat, so that jitter makes no holes; the first and the last are cut by the axis."""
    length, anchor = seconds(slot_s), service.last_beat_at or now
    past = stretches(changes, service.state, max(began, service.created_at), now)
    first, last = (began - anchor) // length + 1, (now - anchor) // length + 1
    found = []
    for n in range(first, last + 1):
        begins, ends = max(began, anchor + (n - 1) * length), min(now, anchor + n * length)
        if ends > begins:
            left, right = _x(begins, began, now), _x(ends, began, now)
            found.append(Slot(left, round(right - left, 2), _kind(service, past, anchor + n * length, n, now)))
    return found


def _kind(service: Service, past: Sequence[tuple[Instant, Instant, str]], ends: Instant, n: int, now: Instant) -> Kind:
    """`n`: how many slots after the one of the last beat, which is 0."""
    if service.last_beat_at is None:
        return "none"
    if n > 0:
        return _since(service, ends, now)
    return _of_bits(service, -n) or _of_past(past, ends)


def _since(service: Service, ends: Instant, now: Instant) -> Kind:
    """After the last beat: missed only when the slot and the slack for jitter are over."""
    if service.state in {"unknown", "paused"}:
        return "blind" if service.state == "unknown" else "muted"
    if service.state == "left" or now < ends + seconds(slack_s(service.interval_s)):
        return "none"
    return "missed"


def _of_bits(service: Service, back: int) -> Kind | None:
    """From the single beats that are kept; None where none of the slot is."""
    per = max(1.0, SLOT_S / service.interval_s)
    bits = [bit for bit in range(int(back * per), max(int(back * per) + 1, int((back + 1) * per))) if bit < SLOTS]
    known = [bit for bit in bits if service.beat_known >> bit & 1]
    if not known:
        return None
    return "came" if any(service.beat_bits >> bit & 1 for bit in known) else "missed"


def _of_past(past: Sequence[tuple[Instant, Instant, str]], at: Instant) -> Kind:
    state = next((name for began, ended, name in past if began < at <= ended), "")
    return _OF_STATE.get(state, "none")


_ANSWERED = re.compile(r"its url answered in ([0-9a-z ]{1,20}) at ([0-9T:.-]{19,30}Z)")
_REFUSED = re.compile(r"its url, asked at ([0-9T:.-]{19,30}Z), did not answer")
_MS = {"ms": 1.0, "s": 1_000.0, "min": 60_000.0}


def _answers(service: Service, changes: Iterable[StateChange], began: Instant, now: Instant) -> list[Point]:
    found: dict[Instant, tuple[bool, float | None]] = {}
    for change in changes:
        found.update(_told(change.evidence))
    if service.collect_error_at is not None:
        found[service.collect_error_at] = (False, None)
    if service.collect_ok_at is not None:
        found.setdefault(service.collect_ok_at, (True, None))
    if service.collected_at is not None and service.collect_ok is not None:
        found[service.collected_at] = (service.collect_ok, service.collect_took_ms if service.collect_ok else None)
    inside = sorted((at, ok, took) for at, (ok, took) in found.items() if began <= at <= now)
    longest = max((took for _at, _ok, took in inside if took is not None), default=0) or 1.0
    return [Point(_x(at, began, now), at, ok, took, _height(took, longest)) for at, ok, took in inside]


def _height(took_ms: float | None, longest_ms: float) -> float:
    return 4.0 if took_ms is None else round(max(4.0, _HIGHEST * took_ms / longest_ms), 1)


def _told(evidence: str) -> dict[Instant, tuple[bool, float | None]]:
    """The answers that a sentence of `rules.evidence` names."""
    found: dict[Instant, tuple[bool, float | None]] = {}
    for took, at in _ANSWERED.findall(evidence):
        found |= {moment: (True, _ms(took)) for moment in _instants(at)}
    for at in _REFUSED.findall(evidence):
        found |= {moment: (False, None) for moment in _instants(at)}
    return found


def _instants(text: str) -> list[Instant]:
    try:
        return [parse_rfc3339(text)]
    except ValueError:
        return []


def _ms(text: str) -> float | None:
    """`12 ms`, `2 s`; longer ones have two parts and are left out."""
    number, _, unit = text.partition(" ")
    return float(number) * _MS[unit] if number.isdigit() and unit in _MS else None


def slot_seconds(line: Timeline) -> int:
    """The length of a slot, for people."""
    return round(line.slot_s)


def minutes(line: Timeline) -> int:
    """The length of the axis, for people."""
    return round((line.ended - line.began) / (60 * SECOND))
