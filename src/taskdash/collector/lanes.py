"""Whose turn it is to be asked: many at once, few an origin, the slow in a lane of their own. SPEC 4, RELIABILITY R13, R49.

Law: whoever waits for its origin or for the slow lane holds no place that another service could use. Liveness and people
have a lane of their own, because a verdict does not wait for what hangs.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from msgspec import Struct

from taskdash.model.records import Service

SLOW_MS = 1_000.0


class Limits(Struct, frozen=True):
    """How much at once: `at_once` in all, of which a quarter is kept for what is urgent."""

    at_once: int = 512
    an_origin: int = 4
    slow_lane: int = 128


class _Origin:
    """The places of one scheme, host and port, and how many want one."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.wanted = 0


class Lanes:
    """Gives out turns, first come, first served."""

    def __init__(self, limits: Limits) -> None:
        urgent = max(1, limits.at_once // 4)
        self._an_origin = limits.an_origin
        self._urgent = asyncio.Semaphore(urgent)
        self._usual = asyncio.Semaphore(max(1, limits.at_once - urgent))
        self._slow = asyncio.Semaphore(max(1, min(limits.slow_lane, urgent)))
        self._origins: dict[str, _Origin] = {}

    @asynccontextmanager
    async def turn(self, service: Service, *, urgent: bool = False) -> AsyncIterator[None]:
        """Entered when the service may be asked; left when it has answered."""
        async with self._origin(origin_of(service.url)):
            if urgent:
                async with self._urgent:
                    yield
            elif is_slow(service):
                async with self._slow, self._usual:
                    yield
            else:
                async with self._usual:
                    yield

    @asynccontextmanager
    async def _origin(self, name: str) -> AsyncIterator[None]:
        origin = self._origins.setdefault(name, _Origin(self._an_origin))
        origin.wanted += 1
        try:
            async with origin.places:
                yield
        finally:
            origin.wanted -= 1
            if not origin.wanted:
                del self._origins[name]


def is_slow(service: Service) -> bool:
    """Its last answer failed or took more than a second."""
    return service.collect_failures > 0 or (service.collect_took_ms or 0.0) > SLOW_MS


def origin_of(url: str) -> str:
    """Scheme, host and port, as one text."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
