"""RELIABILITY R105, R14, R52: many peers ask for much and never read; the server keeps little for each, and serves the others.

The small part runs always; LONG_FAULTS=1 has a thousand of them.
"""

import os
from contextlib import ExitStack
from pathlib import Path

import aiohttp

from tests.faults.load.crowd import crowd
from tests.faults.load.usage import MIB, usage
from tests.serving import Serving, serving
from tests.support import eventually

MANY = 500 if os.environ.get("LONG_FAULTS") == "1" else 50
AN_ONE = 256 * 1024
LONG_TEXT = "x" * 8_000
REGISTER = b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"long","description":"%b"}}\n' % LONG_TEXT.encode()
FINDS = b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":{"id":"long"}}\n' * 500


async def _history(server: Serving) -> str:
    """A task with a long text and a history of it; the cookie of who may read it."""
    async with server.signed_in() as browser:
        with crowd(server.addresses["tcp"], 1, REGISTER):
            await eventually(lambda: _is_there(browser), 30)
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in browser.cookie_jar)


async def _is_there(browser: aiohttp.ClientSession) -> bool:
    async with browser.get("/api/v1/tasks/long") as answer:
        return bool(answer.status == 200)


async def test_R105_R14_who_never_reads_costs_at_most_256_KiB(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        cookie = await _history(server)
        stream = f"GET /api/v1/stream?after=0 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
        before = usage(server.process.pid)
        with ExitStack() as stack:
            stack.enter_context(crowd(server.addresses["tcp"], MANY, FINDS, receives=4_096))
            stack.enter_context(crowd(server.addresses["http"], MANY, stream, receives=4_096))
            async with server.signed_in() as browser:
                for n in range(100):
                    async with browser.get(f"/api/v1/tasks?limit=500&q={n}") as answer:
                        assert answer.status == 200, "the others are served"
            during = usage(server.process.pid)
        grown = during.rss - before.rss
        print(f"{2 * MANY} who never read: RSS {before.rss / MIB:.0f} to {during.rss / MIB:.0f} MiB")  # noqa: T201
        assert grown <= 2 * MANY * AN_ONE + 16 * MIB
        await eventually(lambda: usage(server.process.pid).descriptors <= before.descriptors + 2, 60)
        assert await server.stop() == 0
