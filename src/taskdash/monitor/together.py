"""The inputs of all instances, followed from look to look as if they were one process's. SPEC 3; the rule is `rules.fleet`.

Law: every monitor follows, also one that does not lead, so that one that takes over knows what the one before knew.
"""

from collections.abc import Sequence

from taskdash.actions.liveness import heard
from taskdash.health import Inputs
from taskdash.instance import Fleet
from taskdash.model.instants import Instant, seconds
from taskdash.rules import fleet, sight
from taskdash.rules.fleet import Report
from taskdash.rules.sight import Source, Span

SETTLE_S = 1.0


class Together:
    """`sources` by name, and the `stalls` that the loss of an instance was."""

    def __init__(self, of: Fleet, inputs: Inputs, redelivery_s: float) -> None:
        self._fleet, self._inputs = of, inputs
        self._redelivery_s = redelivery_s
        self._fresh: frozenset[str] = frozenset()
        self._looked_at: Instant = 0
        self.sources: dict[str, Source] = {}
        self.stalls: tuple[Span, ...] = ()

    def look(self, now: Instant) -> None:
        """Follow what every instance told last."""
        others = {one.id: one for one in self._fleet.others}
        fresh = frozenset(key for key, one in others.items() if one.is_fresh)
        gone = self._fresh - fresh
        for lost in (one for key, one in others.items() if key in gone):
            self._note_loss(now - lost.age, now)
        reports = [Report(inputs=tuple(heard(self._inputs))), *(others[key].report for key in sorted(fresh))]
        self._follow(reports, bool(gone), now)
        self._fresh, self._looked_at = fresh, now

    def _note_loss(self, since: Instant, now: Instant) -> None:
        """What nsqd had given to it comes again when its time is over."""
        self.stalls = sight.with_stall(self.stalls, since, now + seconds(self._redelivery_s + SETTLE_S))

    def _follow(self, reports: Sequence[Report], gone: bool, now: Instant) -> None:
        told = fleet.merged(self.sources, reports, self._looked_at, restarted_at=now if gone else None)
        self.sources = {name: sight.follow(self.sources.get(name), one.source, one.arrivals) for name, one in told.items()}
