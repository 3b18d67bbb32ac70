"""Whose turn it is to be asked: many at once, few an origin, the slow in lanes of their own. SPEC 4, RELIABILITY R9, R13, R49.

Law: no url that hangs holds up one that answers. Who waits for its origin or for a lane of the slow holds no place that
another could use; who has a place that others wait for, and has not begun to answer after `patience_s`, gives it back and
waits among the slow. Who never answered at its url has at most half of the places of those who did. What liveness and people
ask has lanes of its own, because no verdict waits for what is only collected.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from msgspec import Struct

from taskdash.model.records import Service

SLOW_MS = 1_000.0


class Limits(Struct, frozen=True):
    """How much at once: `at_once` in all; an eighth for what is urgent, a quarter for the urgent that hang, `slow_lane` (at
    most a quarter) for the others that are slow, and what is left for the rest."""

    at_once: int = 512
    an_origin: int = 4
    slow_lane: int = 128
    patience_s: float = 1.0
    """So long a url may take to begin its answer while others wait for its place."""


class Turn(Struct, frozen=True, kw_only=True):
    """What kind of turn somebody wants."""

    urgent: bool
    slow: bool
    new: bool = False
    """Its url has not answered yet: anybody can name thousands of such urls."""

    @property
    def lane(self) -> "Turn":
        """Whose places it needs."""
        return Turn(urgent=self.urgent, slow=self.slow)


class _Origin:
    """The places of one scheme, host and port, of which the slow have at most half; and how many want one."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.for_slow = asyncio.Semaphore(max(1, places // 2))
        self.wanted = 0


class Lanes:
    """Gives out turns, in each lane first come, first served."""

    def __init__(self, limits: Limits) -> None:
        urgent, quarter = max(1, limits.at_once // 8), max(1, limits.at_once // 4)
        slow = max(1, min(limits.slow_lane, quarter))
        places = {
            Turn(urgent=False, slow=False): max(1, limits.at_once - urgent - quarter - slow),
            Turn(urgent=False, slow=True): slow,
            Turn(urgent=True, slow=False): urgent,
            Turn(urgent=True, slow=True): quarter,
        }
        self._lanes = {turn: asyncio.Semaphore(count) for turn, count in places.items()}
        self._newcomers = asyncio.Semaphore(max(1, places[Turn(urgent=False, slow=False)] // 2))
        self._waiting: Counter[Turn] = Counter()
        self._an_origin = limits.an_origin
        self._origins: dict[str, _Origin] = {}

    @asynccontextmanager
    async def turn(self, url: str, turn: Turn) -> AsyncIterator[None]:
        """Entered when the url may be asked; left when it has answered, or has had its turn."""
        async with self._origin(origin_of(url), turn), self._place(turn):
            yield

    def is_wanted(self, turn: Turn) -> bool:
        """Whether somebody waits for a place in this lane."""
        return self._waiting[turn.lane] > 0 or self._waiting[turn] > 0

    @asynccontextmanager
    async def _place(self, turn: Turn) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if turn.new:
                await stack.enter_async_context(self._one_of(self._newcomers, turn))
            await stack.enter_async_context(self._one_of(self._lanes[turn.lane], turn.lane))
            yield

    @asynccontextmanager
    async def _one_of(self, places: asyncio.Semaphore, turn: Turn) -> AsyncIterator[None]:
        self._waiting[turn] += 1
        try:
            await places.acquire()
        finally:
            self._waiting[turn] -= 1
        try:
            yield
        finally:
            places.release()

    @asynccontextmanager
    async def _origin(self, name: str, turn: Turn) -> AsyncIterator[None]:
        origin = self._origins.setdefault(name, _Origin(self._an_origin))
        origin.wanted += 1
        try:
            async with AsyncExitStack() as stack:
                if turn.slow:
                    await stack.enter_async_context(origin.for_slow)
                await stack.enter_async_context(origin.places)
                yield
        finally:
            origin.wanted -= 1
            if not origin.wanted:
                del self._origins[name]


def is_slow(service: Service, *, urgent: bool) -> bool:
    """Its last answer took more than a second, or failed; one that was refused at once does not keep a verdict waiting."""
    return (service.collect_took_ms or 0.0) > SLOW_MS or (not urgent and service.collect_failures > 0)


def origin_of(url: str) -> str:
    """Scheme, host and port, as one text."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
