"""The last 30 intervals of a service, one bit each: where a beat came, and where TaskDash could see. Pure. SPEC 8 (`beats`).

Bit 0 is the newest interval, the one of the last beat. `beat_known` is 0 where TaskDash itself was blind.
"""

from taskdash.model.instants import Instant, seconds
from taskdash.rules.deadlines import Timed, slack_s

SLOTS = 30
_ALL = (1 << SLOTS) - 1


def shifted(service: Timed, at: Instant, *, seen: bool) -> tuple[int, int]:
    """(beat_bits, beat_known) after a beat at `at`; `seen`: TaskDash could see since the one before."""
    if service.last_beat_at is None or not service.interval_s:
        return 1, 1
    steps = slots_between(service.last_beat_at, at, service.interval_s)
    bits = service.beat_bits << steps | 1
    between = (1 << steps) - 1 if seen else 1
    return bits & _ALL, (service.beat_known << steps | between | 1) & _ALL


def slots_between(earlier: Instant, later: Instant, interval_s: float) -> int:
    """How many slots apart two beats are, at most 30.

    Slots follow the beats, so that jitter makes no holes; beats less than half an interval apart share a slot, but one
    slot a whole interval is opened even then, or the strip of a service that beats too often would stand still.
    """
    interval = seconds(interval_s)
    if later - earlier < interval // 2:
        return later // interval - earlier // interval
    return min(SLOTS, max(1, round((later - earlier) / interval)))


def shown(service: Timed, now: Instant) -> list[bool | None]:
    """The last 30 intervals up to `now`, oldest first: a beat came, none came, or nobody can tell.

    A beat that is late by no more than the slack for jitter is not missed yet.
    """
    if service.last_beat_at is None or not service.interval_s:
        return [None] * SLOTS
    silent = now - service.last_beat_at - seconds(slack_s(service.interval_s))
    passed = min(SLOTS, max(0, int(silent // seconds(service.interval_s))))
    since = 0 if service.state in {"unknown", "paused"} else (1 << passed) - 1
    bits, known = service.beat_bits << passed, service.beat_known << passed | since
    return [bool(bits >> slot & 1) if known >> slot & 1 else None for slot in reversed(range(SLOTS))]
