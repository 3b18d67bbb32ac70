"""CPU of one collection (50 tasks) against a bare aiohttp client doing the same GET."""

import time
from collections.abc import Awaitable, Callable

import aiohttp
from msgspec import structs

from bench.harness import Row, a_process, at_most, interleaved
from taskdash.clock import SystemClock
from taskdash.collector.asking import Bounds
from taskdash.collector.fetch import Fetcher
from taskdash.collector.guard import Guard
from taskdash.model.records import Service

TIMES = 400


async def cpu_us(once: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of this process's CPU an asking."""
    await once()
    began = time.process_time()
    for _ in range(TIMES):
        await once()
    return (time.process_time() - began) / TIMES * 1e6


async def run() -> list[Row]:
    rows: list[Row] = []
    async with a_process("bench.task_service") as (_child, port), aiohttp.ClientSession() as bare:
        fetcher = Fetcher(Guard(list, lambda: True), SystemClock(), Bounds())
        for name, path, goal in (
            ("304", "same", 1.3),
            ("unchanged 200", "plain", 1.6),
            ("changed 200, decoded and checked", "changes", 3.0),
        ):
            url = f"http://127.0.0.1:{port}/{path}"
            service = Service(pk=1, id="s", url=url)
            if name != "changed 200, decoded and checked":
                first = await fetcher.fetch(service)
                service = structs.replace(service, collect_etag=first.etag, collect_digest=first.digest)
            headers = {"If-None-Match": service.collect_etag} if service.collect_etag else {}

            async def get(url: str = url, headers: dict[str, str] = headers) -> None:
                async with bare.get(url, headers=headers) as answer:
                    await answer.read()

            ours, floor = await interleaved(lambda s=service: cpu_us(lambda: fetcher.fetch(s)), lambda g=get: cpu_us(g))
            rows.append(at_most(f"collecting 50 tasks: {name}, CPU", ours, floor, goal, " µs"))
        await fetcher.close()
    return rows
