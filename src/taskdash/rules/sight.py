"""What TaskDash can see: its inputs, its own stalls, who fell silent together. Pure. SPEC 3, RELIABILITY R41 to R45.

`follow` keeps, from one look at an input to the next, what a single look cannot tell: whether it was lost, how old its
messages arrive, and when it fell silent. Durations without `_s` are nanoseconds.
"""

from collections.abc import Iterable

from msgspec import Struct, structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service
from taskdash.rules.deadlines import cadence_s, heard_at, slack_s

SHORTEST_SILENCE = seconds(2)
YOUNG = seconds(1)
"""A message that arrives no older than this says that the node's clock is right."""
MOST_SPANS = 16
MOST_STALLS = 256
URLS = "urls"
"""The key of the crowd of services that are judged by their url alone."""


class Span(Struct, frozen=True):
    """A stretch of time."""

    began: Instant
    ended: Instant


class Skew(Struct, frozen=True):
    """Since `since` and until `last` every message of a node arrived about equally old, none young."""

    since: Instant
    last: Instant
    least: int
    most: int


class Source(Struct, frozen=True, kw_only=True):
    """One input: what it tells of itself (as `health.Input`), and what `follow` found out."""

    name: str
    healthy: bool
    since: Instant
    reason: str = ""
    withdrawn_at: Instant | None = None
    last_message_at: Instant | None = None
    was_lost: bool = False
    """It was healthy before and lost since TaskDash started: being deaf is then no longer a matter of the start."""
    skew: Skew | None = None
    silences: tuple[Span, ...] = ()
    """Stretches without any message that ended; each is longer than those after it (others tell nothing more)."""
    skews: tuple[Span, ...] = ()
    """Stretches of equally old messages that ended, likewise."""
    skew_read_until: Instant = 0


class Crowd(Struct, frozen=True):
    """The services of one input: how many are silent, of how many that were up, and what is newest among them."""

    silent: int
    all: int
    newest_at: Instant | None = None
    """The newest beat of any of them: a witness."""
    answered_at: Instant | None = None
    """When anybody's url last answered."""


class Sight(Struct, frozen=True, kw_only=True):
    """All that a verdict needs to know about TaskDash itself. `crowds` by input, for those with somebody to be judged."""

    started_at: Instant
    sources: dict[str, Source] = {}
    stalls: tuple[Span, ...] = ()
    crowds: dict[str, Crowd] = {}


def follow(before: Source | None, told: Source, arrivals: Iterable[tuple[Instant, int]] = ()) -> Source:
    """What is known of an input after it told of itself again. `arrivals`: (arrived, how old the message was), ascending."""
    if before is None:
        before = told
    came_back = before.healthy and told.healthy and told.since > before.since
    skew, skews, read_until = before.skew, before.skews, before.skew_read_until
    for arrived, age in arrivals:
        if arrived >= read_until:
            last, skew, read_until = skew, _skewed(skew, arrived, age), arrived
            if last is not None and (skew is None or skew.since != last.since):
                skews = _remembered(skews, Span(last.since, arrived))
    return structs.replace(
        told,
        was_lost=before.was_lost or came_back or (before.healthy and not told.healthy),
        skew=skew,
        skews=skews,
        skew_read_until=read_until,
        silences=_silences(before, told),
    )


def _skewed(skew: Skew | None, arrived: Instant, age: int) -> Skew | None:
    if age <= YOUNG:
        return None
    if skew is None:
        return Skew(arrived, arrived, age, age)
    least, most = min(skew.least, age), max(skew.most, age)
    if most - least > YOUNG + least // 10:
        return Skew(arrived, arrived, age, age)
    return Skew(skew.since, arrived, least, most)


def _silences(before: Source, told: Source) -> tuple[Span, ...]:
    """The silences with the one that ended between the two looks."""
    last, now = before.last_message_at, told.last_message_at
    if last is None or now is None:
        return before.silences
    return _remembered(before.silences, Span(last, now))


def _remembered(spans: tuple[Span, ...], new: Span) -> tuple[Span, ...]:
    if new.ended - new.began < SHORTEST_SILENCE:
        return spans
    longer = [span for span in spans if span.ended - span.began > new.ended - new.began]
    return (*longer[-MOST_SPANS + 1 :], new)


def newest_since(spans: tuple[Span, ...], least: int, since: Instant) -> Span | None:
    """The newest of the spans that is at least so long and ended after `since`."""
    found = [span for span in spans if span.ended - span.began >= least and span.ended > since]
    return found[-1] if found else None


def crowd_of(services: Iterable[Service], now: Instant) -> Crowd:
    """The crowd of one input (`store.silence` asks the same of the tables): silent is who missed one beat and the slack.

    Those that went down since the newest beat of anybody are silent with the others; those that were down before are not.
    """
    members = [s for s in services if s.archived_at is None and s.state not in {"left", "paused"}]
    newest = max((s.last_beat_at for s in members if s.last_beat_at is not None), default=None)
    expected = [s for s in members if s.state != "down"]
    fallen = sum(s.state == "down" and (newest is None or s.since > newest) for s in members)
    silent = sum(misses_beat(s, now) for s in expected)
    answered = max((s.collect_ok_at for s in members if s.collect_ok_at is not None), default=None)
    return Crowd(silent + fallen, len(expected) + fallen, newest, answered)


def misses_beat(service: Service, now: Instant) -> bool:
    """Whether a beat should have come and has not."""
    cadence = cadence_s(service)
    return heard_at(service) + seconds(cadence + slack_s(cadence)) <= now


def stalled(stalls: tuple[Span, ...], since: Instant, now: Instant) -> int:
    """For how long TaskDash itself stood still between the two instants; added to every deadline (RELIABILITY R45)."""
    return sum(max(0, min(span.ended, now) - max(span.began, since)) for span in stalls)


def joined(some: tuple[Span, ...], others: tuple[Span, ...]) -> tuple[Span, ...]:
    """The stalls of both, ascending, those that overlap as one."""
    spans: tuple[Span, ...] = ()
    for span in sorted((*some, *others), key=lambda one: one.began):
        spans = with_stall(spans, span.began, span.ended)
    return spans


def with_stall(stalls: tuple[Span, ...], began: Instant, ended: Instant) -> tuple[Span, ...]:
    """The stalls with one more; those that touch become one, the oldest are forgotten."""
    if stalls and began <= stalls[-1].ended:
        last = stalls[-1]
        return (*stalls[:-1], Span(min(last.began, began), max(last.ended, ended)))
    return (*stalls[-MOST_STALLS + 1 :], Span(began, ended))
