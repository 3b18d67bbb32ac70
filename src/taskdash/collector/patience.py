"""How long an asking may keep a place that others wait for, before its url has begun to answer. RELIABILITY R9, R13."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from taskdash.collector.reading import Room

OWN_LAG_S = 0.25
"""Looking later than it should be: that is TaskDash's own slowness, which says nothing of the url (R10)."""


class Patience(Struct, frozen=True):
    """`for_s` seconds, and again so long while nobody `is_wanted` for its place."""

    for_s: float
    is_wanted: Callable[[], bool]

    @contextmanager
    def watching(self, room: Room) -> Iterator[None]:
        """Cut the asking when its time is over."""
        loop = asyncio.get_running_loop()
        handle: asyncio.TimerHandle

        def look() -> None:
            nonlocal handle
            if room.has_begun:
                return
            if self.is_wanted() and loop.time() - handle.when() < OWN_LAG_S:
                room.cut()
            else:
                handle = loop.call_later(self.for_s, look)

        handle = loop.call_later(self.for_s, look)
        try:
            yield
        finally:
            handle.cancel()
