"""The only place that reads a clock.

TaskDash's now is the wall time at start plus the monotonic time since, so that a step of the machine's clock changes no
state (SPEC 3). `wall_now` is the machine's own opinion, for telling people that the two differ.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from taskdash.model.instants import Instant, in_seconds, seconds


class Clock(Protocol):
    """What everything that needs the time is given."""

    def now(self) -> Instant:
        """The present instant; never goes back."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Return when `duration_s` seconds have passed on this clock."""
        ...


class SystemClock:
    """Wall time at start plus monotonic time since (CLOCK_MONOTONIC stands still while the machine is suspended)."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> Instant:
        """The present instant; never goes back."""
        return self._offset + time.monotonic_ns()

    @staticmethod
    def wall_now() -> Instant:
        """What the machine's own clock says."""
        return time.time_ns()

    async def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` seconds."""
        await asyncio.sleep(duration_s)


class ManualClock:
    """A clock for tests: it moves only when told, and wakes whoever sleeps until then."""

    def __init__(self, at: Instant = 1_700_000_000 * seconds(1)) -> None:
        self._now = at
        self._sleepers: list[tuple[Instant, asyncio.Future[None]]] = []

    def now(self) -> Instant:
        """The instant it was moved to."""
        return self._now

    def advance(self, duration_s: float) -> None:
        """Move forward and wake the sleepers whose time has come."""
        self._now += seconds(duration_s)
        due = [f for at, f in self._sleepers if at <= self._now]
        self._sleepers = [(at, f) for at, f in self._sleepers if at > self._now]
        for future in due:
            if not future.done():
                future.set_result(None)

    async def sleep(self, duration_s: float) -> None:
        """Return once `advance` has moved the clock by `duration_s` seconds."""
        if duration_s <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds(duration_s), future))
        await future


async def every(clock: Clock, period_s: float, step: Callable[[], Awaitable[None]]) -> None:
    """Run `step` for ever, `period_s` apart counted from start to start; a slow step delays only itself."""
    while True:
        began = clock.now()
        await step()
        await clock.sleep(max(0.0, period_s - in_seconds(clock.now() - began)))
