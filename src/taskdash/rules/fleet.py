"""What several instances see together: an input is heard while any of them hears it. Pure. SPEC 3.

Law: the blindness of one instance makes nothing `down` and nothing `unknown` while another sees. When one is lost, what nsqd
had given to it comes again only later: that time counts against nobody. Who pushed to its own listeners must find others:
they have their interval again.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from taskdash.model.instants import Instant, seconds
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

    @property
    def is_fresh(self) -> bool:
        """Whether what it told still says what it hears."""
        return self.age < seconds(FRESH_S)


def merged(
    before: dict[str, Source], reports: Sequence[Report], looked_at: Instant, restarted_at: Instant | None = None
) -> dict[str, Heard]:
    """The inputs of all instances by name, told as if by one.

    `before`: what was known at `looked_at`. `restarted_at`: an instance is gone; who pushed to it finds another from then on.
    """
    told: dict[str, list[Heard]] = {}
    for report in reports:
        for heard in report.inputs:
            told.setdefault(heard.source.name, []).append(heard)
    return {name: _together(before.get(name), some, looked_at, restarted_at) for name, some in told.items()}


def _together(before: Source | None, told: list[Heard], looked_at: Instant, restarted_at: Instant | None) -> Heard:
    sources = [heard.source for heard in told]
    hearing = [source for source in sources if source.healthy]
    source = _heard(before, hearing, looked_at) if hearing else max(sources, key=lambda one: one.since)
    if restarted_at is not None and source.healthy and not source.name.startswith(SHARED):
        source = structs.replace(source, since=restarted_at)
    last = max((heard.source.last_message_at or 0 for heard in told), default=0)
    arrivals = tuple(sorted(arrival for heard in told for arrival in heard.arrivals))
    return Heard(structs.replace(source, last_message_at=last or None), arrivals)


def _heard(before: Source | None, hearing: list[Source], looked_at: Instant) -> Source:
    """Since the first of them hears it; or longer, when one took it over from another without a moment between."""
    first = min(hearing, key=lambda one: one.since)
    if before is not None and before.healthy and before.since < first.since <= looked_at:
        return structs.replace(first, since=before.since)
    return first
