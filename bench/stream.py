"""A change told to 500 listeners of the event stream: time until the last has it, and the server's CPU."""

import asyncio
import json
import time
from collections import Counter

import aiohttp

from bench.harness import Row, a_process, at_most, p95, within
from bench.plain_sockets import CHUNK, GREETING
from bench.serving import Server, a_server
from tests.faults.load.usage import cpu_s

LISTENERS, CHANGES = 500, 40


class Arrivals:
    """When the last listener had each change."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._complete: dict[str, asyncio.Future[float]] = {}

    def complete(self, subject: str) -> "asyncio.Future[float]":
        return self._complete.setdefault(subject, asyncio.get_running_loop().create_future())

    def of(self, subject: str) -> int:
        return self._counts[subject]

    def note(self, subject: str) -> None:
        self._counts[subject] += 1
        if self._counts[subject] == LISTENERS:
            self.complete(subject).set_result(time.perf_counter())


async def listen(session: aiohttp.ClientSession, arrivals: Arrivals, ready: asyncio.Semaphore) -> None:
    async with session.get("/api/v1/stream", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        stream.raise_for_status()
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
        async with asyncio.timeout(60):
            for _ in range(LISTENERS):
                await ready.acquire()
        spent = cpu_s(server.process.pid)
        took = []
        for number in range(CHANGES):
            began = await change(server, number)
            try:
                last = await asyncio.wait_for(arrivals.complete(f"change-{number}"), 30)
            except TimeoutError:
                ended = sum(listener.done() for listener in listeners)
                raise RuntimeError(
                    f"change {number} reached {arrivals.of(f'change-{number}')}; {ended} streams ended"
                ) from None
            took.append((last - began) * 1_000)
        cpu = (cpu_s(server.process.pid) - spent) / CHANGES / LISTENERS * 1e6
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return [
        within(f"a change until the last of {LISTENERS} listeners has it, p95", p95(took), 100.0, note=NOTE),
        at_most("the same: CPU of the server a listener and change", [cpu], [await plain_cpu_us()], 3.0, " µs"),
    ]


NOTE = "the one process that listens 500 times shares the two cores and is part of the time"


class Sinks:
    """So many connections to the plain server, and how many bytes all of them have got."""

    def __init__(self) -> None:
        self._received = self._wanted = 0
        self._have = asyncio.Event()

    def got(self, count: int) -> None:
        self._received += count
        if self._received >= self._wanted:
            self._have.set()

    async def have(self, count: int) -> None:
        """Return when so many more bytes have come."""
        self._wanted += count
        if self._received < self._wanted:
            self._have.clear()
            await self._have.wait()


class Sink(asyncio.Protocol):
    """One of them."""

    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks

    def data_received(self, data: bytes) -> None:
        self._sinks.got(len(data))


async def plain_cpu_us() -> float:
    """Microseconds of CPU of a server that writes the same bytes to as many sockets and does nothing else."""
    loop, sinks = asyncio.get_running_loop(), Sinks()
    async with a_process("bench.plain_sockets") as (child, port):
        opened = [(await loop.create_connection(lambda: Sink(sinks), "127.0.0.1", int(port)))[0] for _ in range(LISTENERS)]
        await sinks.have(LISTENERS * len(GREETING))
        spent = cpu_s(child.pid)
        for _ in range(CHANGES * 5):
            opened[0].write(b"go")
            await sinks.have(LISTENERS * len(CHUNK))
        spent = cpu_s(child.pid) - spent
        for transport in opened:
            transport.close()
    return spent / CHANGES / 5 / LISTENERS * 1e6
