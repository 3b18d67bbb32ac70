"""R110: everybody who listened comes back at one moment after a restart, and is told what was missed.

100 browsers, each with a session of its own, over 50,000 events; LONG_FAULTS=1: 1,000, and by the clock too.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.faults.ports import told_by_tcp
from tests.faults.test_R109_history import fill
from tests.journeys.http import a_site
from tests.serving import Serving, serving
from tests.support import a_place

IS_LONG = bool(os.environ.get("LONG_FAULTS"))
BROWSERS = 1_000 if IS_LONG else 100
WITHIN_S = 10.0 if IS_LONG else 100.0


class Browser:
    """One that listens, and knows the last id it was told."""

    def __init__(self, cookie: str, last: int) -> None:
        self._cookie = cookie
        self.told: list[int] = [last]
        self.retries: list[int] = []

    async def connect(self, server: Serving) -> None:
        self._reader, self._writer = await asyncio.open_connection(*server.addresses["http"])
        asked = f"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nCookie: taskdash={self._cookie}\r\n"
        self._writer.write(f"{asked}Last-Event-ID: {self.told[-1]}\r\n\r\n".encode())

    async def hear(self, until: int) -> None:
        """Read until that id."""
        while self.told[-1] < until:
            line = await self._reader.readline()
            assert line, f"ended at {self.told[-1]}, before {until}"
            if line.startswith(b"id: "):
                self.told.append(int(line[4:]))
            elif line.startswith(b"retry: "):
                self.retries.append(int(line[7:]))
            assert not line.startswith(b"event: reset")

    async def ended(self) -> None:
        """Read to the end of the stream; close."""
        await self._reader.read()
        self._writer.close()
        await self._writer.wait_closed()


async def browsers(home: Path) -> list[Browser]:
    """Made in the store before it is served."""
    await asyncio.to_thread(lambda: (home.mkdir(mode=0o700), fill(a_place(home))))
    async with a_site(home) as site:
        names = [f"person-{n}" for n in range(BROWSERS)]
        await asyncio.gather(*(site.account(name, "viewer") for name in names))
        cookies = await asyncio.gather(*map(site.session, names))
        return [Browser(cookie, newest(home)) for cookie in cookies]


def newest(home: Path) -> int:
    with closing(sqlite3.connect(f"file:{home / 'taskdash.db'}?mode=ro", uri=True)) as conn:
        return int(conn.execute("SELECT max(seq) FROM events").fetchone()[0])


async def all_hear(listening: list[Browser], until: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*(browser.hear(until) for browser in listening))


async def one_more(server: Serving, home: Path, name: str) -> int:
    """A line of history; its seq."""
    assert await told_by_tcp(server, name) == 0
    return newest(home)


@pytest.mark.timeout(600)
async def test_R110_all_browsers_come_back_at_once_after_a_restart_and_miss_nothing(tmp_path: Path) -> None:
    home, loop = tmp_path / "data", asyncio.get_running_loop()
    listening = await browsers(home)
    async with serving(home) as server:
        await asyncio.gather(*(browser.connect(server) for browser in listening))
        await all_hear(listening, await one_more(server, home, "before"))
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.gather(*(browser.ended() for browser in listening))
        assert await stopping == 0
    async with serving(home) as server:
        missed, began = await one_more(server, home, "missed"), loop.time()
        await asyncio.gather(*(browser.connect(server) for browser in listening))
        await all_hear(listening, missed)
        print(f"{BROWSERS} browsers back after {loop.time() - began:.1f} s")  # noqa: T201
        last = await one_more(server, home, "live")
        await all_hear(listening, last)
        assert all(browser.told == list(range(listening[0].told[0], last + 1)) for browser in listening)
        retries = [retry for browser in listening for retry in browser.retries]
        assert len(retries) == 2 * BROWSERS
        assert 1_000 <= min(retries) < 1_500, "they are spread over the seconds"
        assert 4_500 < max(retries) <= 5_000
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.gather(*(browser.ended() for browser in listening))
        assert await stopping == 0


@asynccontextmanager
async def statements() -> AsyncIterator[list[tuple[str, Any]]]:
    """All that is asked of any store meanwhile."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


async def test_R110_a_listener_asks_for_no_whole_table(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        ada = await site.person("ada")
        async with statements() as asked, ada.http.get("/api/v1/stream", headers={"Last-Event-ID": "0"}) as stream:
            while not (await stream.content.readline()).startswith(b"data: "):
                pass
        with site.db.place.open_readers().connect() as conn:
            driver: Any = conn.connection.driver_connection
            for statement, values in asked:
                plan = [line[3] for line in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
                assert not [line for line in plan if line.startswith("SCAN ") and "CONSTANT" not in line], (statement, plan)
        assert len(asked) < 30
