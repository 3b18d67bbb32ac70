"""One pool of connections over which services are asked; each asking within its time and room. SPEC 4, RELIABILITY 7, R47-R50.

Law: whatever the url answers, it costs at most the bounds, reaches allowed addresses only, and gives one Answer.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import aiohttp
from msgspec import structs

from taskdash.clock import Clock
from taskdash.collector.asking import Asking, Bounds, decode_now
from taskdash.collector.failures import sentence
from taskdash.collector.guard import Guard
from taskdash.collector.names import Names
from taskdash.model.instants import MILLISECOND
from taskdash.model.records import Service
from taskdash.wire.metadata import Answer, Page

KEPT_S = 40.0
"""Longer than the usual interval, so that a service is asked over the connection it already has."""
ON_THE_LOOP_BYTES = 32 * 1024
_HEADERS = {
    "Accept": "application/json, application/x-ndjson",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "User-Agent": "TaskDash",
}


class Fetcher:
    """Asks urls. Make it on the event loop; `close` it there."""

    def __init__(self, guard: Guard, clock: Clock, bounds: Bounds, names: Names | None = None) -> None:
        self._clock = clock
        self._bounds = bounds
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=names or Names(guard),
            socket_factory=guard.open_socket,
            ttl_dns_cache=10,
            keepalive_timeout=KEPT_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=bounds.connect_s),
        )
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="collector-decode")

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        self._decoder.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def asked(self, service: Service) -> AsyncIterator[Answer]:
        """As `fetch`, for the time that the answer is in use."""
        yield await self.fetch(service)

    async def fetch(self, service: Service) -> Answer:
        """What the service's url answers now. Never raises but when it is cancelled."""
        began = self._clock.now()
        try:
            async with asyncio.timeout(self._bounds.whole_s):
                answer = await Asking(self._session, service, self._bounds, self._decode).answer()
        except Exception as error:
            answer = Answer(ok=False, url=service.url, method=service.method, error=sentence(error, self._bounds.whole_s))
        return structs.replace(answer, took_ms=(self._clock.now() - began) / MILLISECOND)

    async def _decode(self, body: bytes, content_type: str) -> Page:
        """A large page on a thread, so that the loop goes on."""
        if len(body) <= ON_THE_LOOP_BYTES:
            return decode_now(body, content_type)
        return await asyncio.get_running_loop().run_in_executor(self._decoder, decode_now, body, content_type)
