"""File descriptors: how many there are, who may have how many, and what is said when there is none (RELIABILITY R46, R103).

Law: what comes from outside never takes the descriptors that the store and what is under way need. So those are set aside, and
the rest is shared out between the listeners and the collector before anybody connects.
"""

import asyncio
import errno
import resource
from typing import Any

from taskdash import telemetry
from taskdash.clock import Clock
from taskdash.model.instants import Instant, seconds

SET_ASIDE = 40
"""The store's connections, the listeners, the loop, logs: 32 in all on Linux, and some for a backup or a lookup of a name."""
SHARES = 5
"""Four listeners and the collector."""
SAY_EVERY_S = 60.0


def raise_limit() -> int:
    """Take as many as the hard limit gives; how many that is."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def share(limit: int, wanted: int) -> int:
    """How many of `wanted` connections one listener, or the collector, may have when the process has `limit` descriptors."""
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (limit - SET_ASIDE) // SHARES))


class Crowding:
    """Says that peers are turned away, or that no descriptor is left, but at most once a minute, with how often."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_at: Instant | None = None
        self._times = 0

    def met(self, why: str) -> None:
        """One more time."""
        self._times += 1
        now = self._clock.now()
        if self._said_at is None or now - self._said_at >= seconds(SAY_EVERY_S):
            telemetry.log.warning("connections are turned away", reason=why, times=self._times)
            self._said_at, self._times = now, 0

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the loop asks about errors nobody caught: it would log each accept that failed (RELIABILITY F25)."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            self.met("no file descriptor is left")
        else:
            loop.default_exception_handler(context)
