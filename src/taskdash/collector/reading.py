"""The body of an answer, counted while it streams: a bomb is noticed at the limit, not in memory. RELIABILITY R48, F17.

Law: nobody calls `read`, `text` or `json` on a service's answer. Past 1 MiB an answer needs one of the few rooms for big
ones, so that memory is bounded whatever all services answer at once (R14); waiting for a room does not count as slowness.
"""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import hdrs

from taskdash.collector.failures import Failed

MIB = 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})


class Room:
    """How long one asking may still take, and how much its pages may still hold, decompressed.

    `has_begun`: the url answers, however slowly. `is_cut`: its time was ended before that.
    """

    def __init__(self, big: asyncio.Semaphore, most_bytes: int, stack: AsyncExitStack, deadline: asyncio.Timeout) -> None:
        self._big = big
        self._most_bytes = most_bytes
        self._used = 0
        self._stack = stack
        self._deadline = deadline
        self._is_big = False
        self.has_begun = self.is_cut = False

    def cut(self) -> None:
        """End it now, unless its time is over anyway."""
        if not self._deadline.expired():
            self.is_cut = True
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def take(self, size: int) -> None:
        """Count `size` more bytes. Raises Failed past the limit."""
        before = self._used // MIB
        self._used += size
        if self._used > self._most_bytes:
            raise Failed(f"its answer is larger than {_readable(self._most_bytes)}")
        if self._used // MIB > before:
            await self._enter_big()

    async def _enter_big(self) -> None:
        await asyncio.sleep(0)
        if self._is_big:
            return
        loop = asyncio.get_running_loop()
        left_s = (self._deadline.when() or 0.0) - loop.time()
        self._deadline.reschedule(None)
        await self._stack.enter_async_context(self._big)
        self._deadline.reschedule(loop.time() + left_s)
        self._is_big = True


def _readable(size: int) -> str:
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size} bytes"


async def read_body(response: aiohttp.ClientResponse, room: Room) -> bytes:
    """The decompressed body. Raises Failed when it is too large or encoded in a way that nobody asked for."""
    if response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() not in _ENCODINGS:
        raise Failed("its answer uses a content encoding that was not asked for")
    pieces = []
    async for piece in response.content.iter_chunked(_CHUNK_BYTES):
        await room.take(len(piece))
        pieces.append(piece)
    return b"".join(pieces)
