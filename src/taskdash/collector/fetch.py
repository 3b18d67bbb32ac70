"""One bounded asking of a service's url: GET or POST, with pages. SPEC 4, RELIABILITY R47-R50, 7.

Law: whatever the url answers, it costs at most the limits below, reaches allowed addresses only, and gives one Answer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

import aiohttp
from aiohttp import hdrs
from msgspec import structs

from taskdash.clock import Clock
from taskdash.collector import failures
from taskdash.collector.asking import Asking, Bounds
from taskdash.collector.guard import Guard
from taskdash.collector.interim import Connector
from taskdash.collector.names import Names
from taskdash.collector.patience import Patience
from taskdash.collector.reading import Room
from taskdash.errors import TaskDashError
from taskdash.model.instants import MILLISECOND
from taskdash.model.records import Service
from taskdash.wire import metadata
from taskdash.wire.metadata import Answer, Page

BIG_AT_ONCE = 8
KEPT_S = 40.0
"""Longer than the usual interval, so that a service is asked over the connection it already has."""
_DECODED_ON_THE_LOOP_BYTES = 32 * 1024
_EXPECTED = (aiohttp.ClientError, OSError, ValueError, failures.Failed, TaskDashError)
_HEADERS = {
    hdrs.ACCEPT: "application/json, application/x-ndjson",
    hdrs.ACCEPT_ENCODING: "gzip, deflate, br, zstd",
    hdrs.USER_AGENT: "TaskDash",
}
log = logging.getLogger(__name__)


class Fetcher:
    """Asks urls over one pool of connections. Made and closed on the event loop."""

    def __init__(self, guard: Guard, clock: Clock, bounds: Bounds, names: Names | None = None) -> None:
        self._clock = clock
        self._bounds = bounds
        connector = Connector(
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
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._bounds.connect_s),
            read_bufsize=64 * 1024,
        )
        self._big = asyncio.Semaphore(BIG_AT_ONCE)
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="collector-decode")

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        self._decoder.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, service: Service) -> Answer:
        """What the service's url answers now; never raises."""
        async with self.asked(service) as answer:
            return answer

    @asynccontextmanager
    async def asked(self, service: Service, patience: Patience | None = None) -> AsyncIterator[Answer]:
        """As `fetch`; inside, a big answer keeps its room, so that only few are in memory at once (RELIABILITY R14).

        A url that has not begun to answer is cut when the patience is over (None: it has the whole time).
        """
        async with AsyncExitStack() as stack:
            yield await self._timed(service, stack, patience)

    async def _timed(self, service: Service, stack: AsyncExitStack, patience: Patience | None) -> Answer:
        began = self._clock.now()
        answer = await self._answer(service, stack, patience)
        return structs.replace(answer, took_ms=(self._clock.now() - began) / MILLISECOND)

    async def _answer(self, service: Service, stack: AsyncExitStack, patience: Patience | None) -> Answer:
        deadline = asyncio.timeout(self._bounds.whole_s)
        room = Room(self._big, self._bounds.most_bytes, stack, deadline)
        try:
            async with deadline:
                stack.enter_context(patience.watching(room) if patience else nullcontext())
                return await Asking(self._session, service, self._bounds.most_tasks, self._decode, room).answer()
        except Exception as error:
            if not isinstance(error, _EXPECTED):
                log.exception("asking the url of the service %s failed unexpectedly", service.id)
            sentence = failures.sentence(error, self._bounds.whole_s)
            return Answer(ok=False, url=service.url, method=service.method, error=sentence, is_cut=room.is_cut)

    async def _decode(self, body: bytes, content_type: str) -> Page:
        if len(body) <= _DECODED_ON_THE_LOOP_BYTES:
            return metadata.decode_page(body, content_type, self._bounds.most_tasks)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoder, metadata.decode_page, body, content_type, self._bounds.most_tasks)
