"""When a service turns late and when it turns down, if nothing is heard of it. Pure. SPEC 3.

Instants are nanoseconds UTC, durations in fields that end in `_s` are seconds, other durations nanoseconds.
"""

from msgspec import Struct

from taskdash.model.instants import SECOND, Instant, seconds
from taskdash.model.records import Service, State

DAY_S = 86_400.0


class Limits(Struct, frozen=True, kw_only=True):
    """The configurable numbers of SPEC 3 and 7, with their defaults."""

    late_factor: float = 2.0
    down_factor: float = 3.0
    mass_hold_s: float = 120.0
    mass_least: int = 5
    """So many services that fall silent at once make their input suspect,"""
    mass_share: float = 0.15
    """when they are at least this share of those that were up."""
    redelivery_s: float = 15.0
    """nsqd gives a message of a dead consumer to another one after this time."""
    flapping_changes: int = 3
    flapping_window_s: float = 600.0
    archive_after_s: float = 7 * DAY_S
    reminder_after_s: float = 900.0
    input_grace_s: float = 5.0
    """An input must be lost, or back, for so long before people hear of it."""
    quiet_s: float = 600.0
    """Dead letters are over after this time without another one."""
    collect_intervals: int = 10
    """So many collect intervals without a good collection are an incident."""


class Deadlines(Struct, frozen=True):
    """The two instants that follow from when a service was last heard."""

    late_at: Instant
    down_at: Instant


class Pulse(Struct, frozen=True):
    """The columns of a service that a plain beat reads, in the order in which the hot path loads them."""

    pk: int
    id: str
    interval_s: float
    collect_interval_s: float
    registered_at: Instant
    last_beat_at: Instant | None
    left_at: Instant | None
    judge_from: Instant
    due_at: Instant | None
    state: State
    flapping: bool
    archived_at: Instant | None
    beat_bits: int
    beat_known: int


Timed = Service | Pulse

_DEFAULTS = Limits()


def slack_s(interval_s: float) -> float:
    """The slack T for jitter: a tenth of the interval, at least 1 s."""
    return max(1.0, interval_s / 10)


def next_deadlines(last_heard_at: Instant, interval_s: float, limits: Limits = _DEFAULTS) -> Deadlines:
    """When a service turns late, and when it turns down, if no beat comes.

    `interval_s` is already clamped to 1 s..1 day. Never raises.
    """
    slack = slack_s(interval_s)
    return Deadlines(
        last_heard_at + seconds(limits.late_factor * interval_s + slack),
        last_heard_at + seconds(limits.down_factor * interval_s + slack),
    )


def cadence_s(service: Timed) -> float:
    """How often something should be heard of it: its interval, or, when no beats are expected, how often it is asked."""
    return service.interval_s or service.collect_interval_s


def heard_at(service: Timed) -> Instant:
    """From when its deadlines count: the newest of its last beat, its registration and the end of its last pause."""
    return max(service.last_beat_at or 0, service.registered_at, service.judge_from)


def alive_at(service: Service) -> Instant:
    """As `heard_at`; for a service of which no beats are expected, a good collection counts as a beat."""
    answered_at = 0 if service.interval_s else service.collect_ok_at or 0
    return max(heard_at(service), answered_at)


def late_after(service: Timed, limits: Limits = _DEFAULTS) -> int:
    """How long after it was heard a service turns late, in nanoseconds."""
    cadence = service.interval_s or service.collect_interval_s
    slack = cadence / 10 if cadence > 10 else 1.0
    return round((limits.late_factor * cadence + slack) * SECOND)


def late_at(service: Timed, heard: Instant, limits: Limits = _DEFAULTS) -> Instant:
    """When a service last heard at `heard` turns late."""
    return heard + late_after(service, limits)


def is_news(service: Timed, at: Instant) -> bool:
    """Whether a message of the instant `at` is newer than all that is known of the service."""
    return at > (service.last_beat_at or 0) and at > service.registered_at and at > (service.left_at or 0)


def is_fresh(service: Timed, at: Instant, now: Instant, limits: Limits = _DEFAULTS) -> bool:
    """Whether a message of the instant `at` may make the service `up`: news, and at most 2 I + T old (SPEC 3)."""
    return is_news(service, at) and now <= late_at(service, at, limits)
