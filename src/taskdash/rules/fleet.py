"""What several instances see together: an input is heard while any of them hears it. Pure. SPEC 3.

Law: the blindness of one instance makes nothing `down` and nothing `unknown` while another sees. When one is lost, what nsqd
had given to it comes again only later: that time counts for nobody. Who pushed to its own listeners must find another one:
they have their interval again.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from taskdash.model.instants import Instant
from taskdash.rules.sight import Source

Arrivals = tuple[tuple[Instant, int], ...]
FRESH_S = 2.5
"""An instance that has told nothing of itself for so long may not hear any more; shorter than the shortest time to `down`."""
SHARED = "nsqd:"
"""How the names of inputs begin that are no instance's own: any of them can hear a node."""


class Heard(Struct, frozen=True):
    """An input, as one instance hears it, and how old its last messages arrived."""

    source: Source
    arrivals: Arrivals = ()


class Report(Struct, frozen=True, kw_only=True):
    """What an instance tells of itself, once a second. `since`: since when it, or one that it found alive, has seen."""

    roles: tuple[str, ...] = ()
    since: Instant = 0
    inputs: tuple[Heard, ...] = ()


class Seen(Struct, frozen=True):
    """An instance that is in the list: what it told last, and how long ago (nanoseconds)."""

    id: str
    report: Report
    age: int


def merged(before: dict[str, Source], reports: Sequence[Report], lost: bool, now: Instant) -> dict[str, Heard]:
    """The inputs of all instances by name, told as if by one. `lost`: one of them has just ceased to tell of itself."""
    told: dict[str, list[Heard]] = {}
    for report in reports:
        for heard in report.inputs:
            told.setdefault(heard.source.name, []).append(heard)
    return {name: _together(before.get(name), some, lost, now) for name, some in told.items()}


def _together(before: Source | None, told: list[Heard], lost: bool, now: Instant) -> Heard:
    hearing = [heard.source for heard in told if heard.source.healthy]
    source = _heard(before, hearing) if hearing else max((heard.source for heard in told), key=lambda one: one.since)
    if lost and hearing and not source.name.startswith(SHARED):
        source = structs.replace(source, since=now)
    last = max((heard.source.last_message_at or 0 for heard in told), default=0)
    arrivals = tuple(sorted(arrival for heard in told for arrival in heard.arrivals))
    return Heard(structs.replace(source, last_message_at=last or None), arrivals)


def _heard(before: Source | None, hearing: list[Source]) -> Source:
    """Since the first of them hears it; or longer, when it was heard all the time by one after another."""
    first = min(hearing, key=lambda one: one.since)
    if before is not None and before.healthy and before.since < first.since:
        return structs.replace(first, since=before.since)
    return first
