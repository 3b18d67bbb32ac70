"""Beside Flower 2.2 over as many tasks, in the same run: first page, deep page, memory. It has an environment of its own."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from bench.harness import Row, at_least, interleaved
from bench.http import a_people_server, timed
from bench.nsq import free_port
from bench.seed import a_store
from taskdash.store.migrations import runner
from tests.faults.load.usage import rss_mib

TASKS, SERVICES, TIMES = 100_000, 10_000, 10
DEEP = 90_000
HOME, WANTED = Path(".tools/flower"), "flower==2.2.0"


async def run() -> list[Row]:
    try:
        await asyncio.to_thread(_install)
    except subprocess.CalledProcessError as error:
        return [Row(f"beside {WANTED}", "-", "-", None, "-", None, f"it could not be installed here: {error.stderr[-80:]!r}")]
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


def _install() -> None:
    if not (HOME / "bin/flower").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True, capture_output=True)
    quiet = ("install", "--quiet", "--disable-pip-version-check", WANTED)
    subprocess.run([HOME / "bin/pip", *quiet], check=True, capture_output=True)


@contextlib.asynccontextmanager
async def a_flower() -> AsyncIterator[tuple[int, aiohttp.ClientSession]]:
    """Its pid, and a session to it."""
    port = free_port()
    python = (HOME / "bin/python", "-P", "bench/flower_server.py", str(port), str(TASKS))
    process = await asyncio.create_subprocess_exec(*python, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 120)  # type: ignore[union-attr]
        if line != b"ready\n":
            raise RuntimeError("Flower ended before it was ready")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield process.pid, session
    finally:
        process.terminate()
        await process.wait()


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
