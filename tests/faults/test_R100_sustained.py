"""R100, R14: under a load that stays the same, memory, descriptors, threads and tasks stay the same.

20 s of a small load; LONG_FAULTS=1: an hour of 1,000 beats a second, 100,000 tasks and 50 listeners (SOAK: so many seconds).
"""

import asyncio
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from tests.faults.load.producers import p99
from tests.faults.load.sustained import Load, Sustained, moments
from tests.faults.load.usage import rss_mib, used
from tests.faults.test_R20_kill import a_token
from tests.serving import Serving, serving

IS_LONG = bool(os.environ.get("LONG_FAULTS"))
SMALL = Sustained(services=200, interval_s=1.0, tasks=500, listeners=8, length_s=20.0)
LONG = Sustained(services=10_000, interval_s=10.0, tasks=100_000, listeners=50, length_s=float(os.environ.get("SOAK", "3600")))
SAMPLES = 48
MORE = 3
"""Descriptors, threads and tasks that the middle of the last samples may be above that of the first: what is under way."""
GROWTH = 1.05 if IS_LONG else 1.15
TEN_TIMES_S = 0.5


class Sample(Struct, frozen=True):
    """At one moment."""

    rss_mib: float
    descriptors: int
    threads: int
    tasks: int


async def sample(server: Serving) -> Sample:
    found = await used(server.url, server.process.pid)
    return Sample(rss_mib(server.process.pid), found.descriptors, found.threads, found.tasks)


def middle(some: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(*(statistics.median(getattr(one, name) for one in some) for name in Sample.__struct_fields__))


async def states(server: Serving, token: str) -> set[str]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(server.url, headers=headers) as session,
        session.get("/api/v1/services?limit=500") as answer,
    ):
        return {service["liveness"]["state"] for service in (await answer.json())["items"]}


@pytest.mark.timeout(5_400)
async def test_R100_R14_under_a_load_that_stays_the_same_so_does_what_it_costs(tmp_path: Path) -> None:
    size = LONG if IS_LONG else SMALL
    async with serving(tmp_path / "data") as server:
        token = await a_token(server, "read")
        load = Load(server, size, token)
        await load.begin()
        running = [asyncio.ensure_future(part()) for part in load.parts()]
        taken = [await sample(server) async for _moment in moments(size.length_s, SAMPLES)]
        assert not [part for part in running if part.done()], "the load itself goes on"
        assert "down" not in await states(server, token), "none is accused"
        for part in running:
            part.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert await server.stop() == 0
    first, last = middle(taken[SAMPLES // 4 : SAMPLES // 2]), middle(taken[-SAMPLES // 4 :])
    told = f"{load.beats} beats, {len(load.waits_s)} reads (p99 {p99(load.waits_s) * 1e3:.0f} ms), {load.events} events told"
    print(f"{told}: {first} to {last}; MiB {' '.join(f'{one.rss_mib:.0f}' for one in taken)}")  # noqa: T201
    assert last.rss_mib <= first.rss_mib * GROWTH
    for name in ("descriptors", "threads", "tasks"):
        assert getattr(last, name) <= getattr(first, name) + MORE, name
    assert not IS_LONG or p99(load.waits_s) < TEN_TIMES_S
