"""How long TaskDash itself stood still: stopped, overloaded, or unable to store. SPEC 3, RELIABILITY R41, R45.

The watch sleeps for a moment and sees how late it wakes. Whoever is about to judge calls `look` first, so that a stall is
known before anybody is judged by it, whichever of the two wakes first.
"""

from taskdash.clock import Clock
from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.rules.sight import Span, with_stall

LOOK_EVERY_S = 0.25
NOTICED_S = 0.5
"""Waking later than this is a stall."""
SETTLE_S = 1.0
"""The time after a stall in which what waited is read; it counts as part of it."""


class LagWatch:
    """`stalls`: when TaskDash stood still, settling included; a verdict adds them to every deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked_at = clock.now()
        self._runs = False
        self.stalls: tuple[Span, ...] = ()

    async def run(self) -> None:
        """Watch until cancelled."""
        self._looked_at = self._clock.now()
        self._runs = True
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Note the stall, if there was one since the last look."""
        now = self._clock.now()
        late_s = in_seconds(now - self._looked_at) - LOOK_EVERY_S
        if self._runs and late_s > NOTICED_S:
            self.note(self._looked_at)
        self._looked_at = now

    def note(self, began: Instant) -> None:
        """TaskDash could not do its work since `began`, until now."""
        self.stalls = with_stall(self.stalls, began, self._clock.now() + seconds(SETTLE_S))

    @property
    def is_settling(self) -> bool:
        """True right after a stall: read first, judge later."""
        return bool(self.stalls) and self._clock.now() < self.stalls[-1].ended
