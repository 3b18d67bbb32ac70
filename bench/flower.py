"""Beside Flower 2.2 over as many tasks, in the same run: first page, deep page, memory."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from bench.harness import Row, at_least, interleaved
from bench.http import a_people_server, timed
from bench.peers.running import command, running
from bench.seed import a_store
from taskdash.store.migrations import runner
from tests.brokers import free_port
from tests.faults.load.usage import rss_mib

TASKS, SERVICES, TIMES = 100_000, 10_000, 10
DEEP = 90_000


async def run() -> list[Row]:
    path = a_store(TASKS, SERVICES)
    (path.parent / runner.MARKER).touch()
    async with a_flower() as (its_pid, its), a_people_server(path.parent) as (ours, session):
        rows = [
            await _page(its, session, "page one", 0, "/api/v1/tasks?limit=50"),
            await _page(its, session, f"the page at {DEEP:,}", DEEP, await _deep(session)),
        ]
        its_mib, our_mib = rss_mib(its_pid), rss_mib(ours.process.pid)
    path.unlink()
    ratio = our_mib / its_mib
    name = f"{TASKS:,} tasks beside Flower 2.2: memory"
    return [*rows, Row(name, f"{our_mib:,.0f} MiB", f"{its_mib:,.0f} MiB", ratio, "≤ 0.5 ×", ratio <= 0.5)]


@contextlib.asynccontextmanager
async def a_flower() -> AsyncIterator[tuple[int, aiohttp.ClientSession]]:
    """Its pid, and a session to it."""
    port = free_port()
    async with (
        running(*command("flower_server", port, TASKS), says=b"ready") as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield process.pid, session


def _its_page(start: int) -> str:
    order = "search[value]=&order[0][column]=0&order[0][dir]=desc&columns[0][data]=received"
    return f"/tasks/datatable?draw=1&start={start}&length=50&{order}"


async def _page(its: aiohttp.ClientSession, session: aiohttp.ClientSession, name: str, start: int, path: str) -> Row:
    async def mean_ms(who: aiohttp.ClientSession, where: str) -> float:
        return sum(await timed(who, where, TIMES)) / TIMES

    theirs, ours = await interleaved(lambda: mean_ms(its, _its_page(start)), lambda: mean_ms(session, path))
    row = at_least(f"{TASKS:,} tasks beside Flower 2.2: {name}, times faster", theirs, ours, 50.0, " ms")
    row.ours, row.floor = row.floor, row.ours
    return row


async def _deep(session: aiohttp.ClientSession) -> str:
    """The path of a page that far from the first."""
    cursor = ""
    for _ in range(DEEP // 500):
        async with session.get(f"/api/v1/tasks?limit=500{cursor}") as answer:
            cursor = f"&cursor={(await answer.json())['next']}"
    return f"/api/v1/tasks?limit=50{cursor}"
