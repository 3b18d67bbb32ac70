"""Whether something became slower. Pure: figures of one run in, a verdict out; no clock, no process.

A revision is measured twice in each round, by two servers of its own. How far these two are apart is what the machine's noise
alone can do: nothing below it is called a change, nor anything below 5 %.
"""

import statistics
from collections.abc import Sequence

from msgspec import Struct

LEAST = 0.05


class Costs(Struct, frozen=True):
    """Seconds for one operation, a value a round: of the revision, of the revision again, of the working tree."""

    before: Sequence[float]
    again: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        """What ours cost for one of the revision's: the median over the rounds."""
        return statistics.median(o / ((b + a) / 2) for b, a, o in zip(self.before, self.again, self.ours, strict=True))

    @property
    def spread(self) -> float:
        """How far the revision was from itself: in three rounds of four not farther."""
        apart = [abs(a / b - 1) for b, a in zip(self.before, self.again, strict=True)]
        return statistics.quantiles(apart, n=4)[-1]

    @property
    def allowed(self) -> float:
        """The ratio up to which nothing is called slower."""
        return 1 + max(LEAST, self.spread)

    @property
    def is_slower(self) -> bool:
        return self.ratio > self.allowed

    @property
    def is_faster(self) -> bool:
        return self.ratio < 1 / self.allowed


class Compared(Struct, frozen=True):
    """One operation: its processor time, and the time its clients waited (one over the rate)."""

    operation: str
    cpu: Costs
    time: Costs

    @property
    def is_slower(self) -> bool:
        """Either cost suffices: a wait takes no CPU, and CPU on a core that nobody needs takes no time."""
        return self.cpu.is_slower or self.time.is_slower

    @property
    def verdict(self) -> str:
        if self.is_slower:
            return "SLOWER"
        return "faster" if self.cpu.is_faster or self.time.is_faster else "as before"
