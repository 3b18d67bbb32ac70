"""A change told to 500 listeners of the event stream: time until the last has it, and the server's CPU."""

import asyncio
import json
import time
from collections import Counter

import aiohttp

from bench.harness import Row, cpu_s, p95, within
from bench.serving import Server, a_server

LISTENERS, CHANGES = 500, 40


class Arrivals:
    """When the last listener had each change."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._complete: dict[str, asyncio.Future[float]] = {}

    def complete(self, subject: str) -> "asyncio.Future[float]":
        return self._complete.setdefault(subject, asyncio.get_running_loop().create_future())

    def note(self, subject: str) -> None:
        self._counts[subject] += 1
        if self._counts[subject] == LISTENERS:
            self.complete(subject).set_result(time.perf_counter())


async def listen(session: aiohttp.ClientSession, arrivals: Arrivals, ready: asyncio.Semaphore) -> None:
    async with session.get("/api/v1/stream", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        ready.release()
        async for line in stream.content:
            if line.startswith(b"data:"):
                arrivals.note(json.loads(line[5:])["subject"]["id"])


async def change(server: Server, number: int) -> float:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": f"change-{number}", "status": "running"}}
    writer.write(json.dumps(pack).encode() + b"\n")
    began = time.perf_counter()
    await reader.readline()
    writer.close()
    return began


async def run() -> list[Row]:
    arrivals = Arrivals()
    ready = asyncio.Semaphore(0)
    async with a_server() as server, server.session() as session:
        listeners = [asyncio.create_task(listen(session, arrivals, ready)) for _ in range(LISTENERS)]
        for _ in range(LISTENERS):
            await ready.acquire()
        spent = cpu_s(server.process.pid)
        took = []
        for number in range(CHANGES):
            began = await change(server, number)
            last = await asyncio.wait_for(arrivals.complete(f"change-{number}"), 30)
            took.append((last - began) * 1_000)
        cpu = (cpu_s(server.process.pid) - spent) / CHANGES / LISTENERS * 1e6
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return [
        within(f"a change until the last of {LISTENERS} listeners has it, p95", p95(took), 100.0),
        Row("the same: CPU of the server a listener and change", f"{cpu:.0f} µs", "-", None, "-", None),
    ]
