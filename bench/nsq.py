"""Messages to durable: the embedded endpoint against a bare loop of its changes, a real nsqd drained by us and by others."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.harness import Row, at_least, interleaved
from bench.replay import Twins, recorded
from bench.serving import Server, a_server
from taskdash.actions.arrivals import Topics
from taskdash.actions.intake import store_batch
from taskdash.clock import SystemClock
from taskdash.model.records import Heartbeat, Message
from taskdash.store.migrations import runner
from taskdash.wire import nsq
from tests.faults.load.usage import cpu_s

SERVICES = 1_000
BACKLOG = 200_000
TOPICS = Topics()
CLOCK = SystemClock()
FLOOR = "floor: the same changes and history, told to the driver by a bare loop"


def pub(topic: str, body: bytes) -> bytes:
    return f"PUB {topic}\n".encode() + len(body).to_bytes(4, "big") + body


def mpub(topic: str, bodies: list[bytes]) -> bytes:
    inner = len(bodies).to_bytes(4, "big") + b"".join(len(b).to_bytes(4, "big") + b for b in bodies)
    return f"MPUB {topic}\n".encode() + len(inner).to_bytes(4, "big") + inner


async def publish(address: tuple[str, int], commands: list[bytes]) -> None:
    """One producer that waits for each OK."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"  V2")
    for command in commands:
        writer.write(command)
        frame = await reader.readexactly(10)
        if frame != nsq.OK:
            raise RuntimeError(frame)
    writer.close()


async def rate(address: tuple[str, int], producers: list[list[bytes]], messages: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(publish(address, commands) for commands in producers))
    return messages / (time.perf_counter() - began)


def beat(n: int) -> bytes:
    return b'{"id":"service-%d","reserved":""}' % (n % SERVICES)


async def register(server: Server) -> None:
    bodies = [json.dumps({"id": f"service-{n}", "name": f"服务 {n}"}).encode() for n in range(SERVICES)]
    await publish(server.addresses["nsq"], [mpub("taskdash.services", bodies)])


async def twins() -> Twins:
    """Stores that know the services, all of them up."""
    path = Path(tempfile.mkdtemp()) / "told.db"
    runner.upgrade(path)
    await recorded(path, registering(0, 1, SERVICES, prefix="service"))
    await recorded(path, beating(SERVICES, SERVICES))
    return Twins(path)


def beating(count: int, size: int) -> Callable[[Any], Awaitable[None]]:
    """Beats of all services in turn, `size` a commit."""

    async def act(db: Any) -> None:
        now = CLOCK.now()
        for start in range(0, count, size):
            some = [Message(TOPICS.heartbeats, beat(start + n), now - 10**9 + start + n, "nsq") for n in range(size)]
            await store_batch(db, some, now, TOPICS)

    return act


def registering(first: int, batches: int, size: int, *, prefix: str) -> Callable[[Any], Awaitable[None]]:
    """Registrations of new services, `size` a commit."""

    async def act(db: Any) -> None:
        now = CLOCK.now()
        for start in range(first, first + batches * size, size):
            ids = [f"{prefix}-{start + n}" for n in range(size)]
            bodies = [json.dumps({"id": one, "name": f"服务 {one}"}).encode() for one in ids]
            some = [Message(TOPICS.services, body, now - 2 * 10**9 + n, "nsq") for n, body in enumerate(bodies)]
            await store_batch(db, some, now, TOPICS)

    return act


async def embedded() -> list[Row]:
    rows: list[Row] = []
    floors = await twins()
    async with a_server() as server:
        await register(server)
        where = server.addresses["nsq"]
        topic = "taskdash.heartbeats"
        for name, producers, size, goal in (
            ("PUB one at a time, 1 producer", [[pub(topic, beat(n)) for n in range(1_500)]], 1, 0.7),
            ("PUB one at a time, 64 producers", [[pub(topic, beat(n + p)) for n in range(200)] for p in range(64)], 64, 0.6),
            ("MPUB of 100, 4 producers", [[mpub(topic, [beat(n) for n in range(100)])] * 100 for _ in range(4)], 400, 0.6),
        ):
            count = sum(len(p) for p in producers) * (100 if "MPUB" in name else 1)
            ours, floor = await interleaved(
                lambda p=producers, c=count: rate(where, p, c),
                lambda s=size, c=count: floors.rate(c - c % s, beating(c - c % s, s)),
            )
            rows.append(at_least(f"embedded endpoint, beats: {name}", ours, floor, goal, note=FLOOR))
    return rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def a_nsqd() -> AsyncIterator[tuple[int, int]]:
    """A real nsqd with a memory queue that holds the backlog; (TCP port, HTTP port)."""
    tcp, http = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"-tcp-address=127.0.0.1:{tcp}", f"-http-address=127.0.0.1:{http}", f"-data-path={folder}"]
        process = await asyncio.create_subprocess_exec(
            ".tools/nsqd", *arguments, f"-mem-queue-size={BACKLOG * 2}", stderr=subprocess.DEVNULL
        )
        try:
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", tcp), 1).close()
                    break
                await asyncio.sleep(0.05)
            yield tcp, http
        finally:
            process.terminate()
            await process.wait()


async def drained(http: int, channel: str) -> float:
    """Let the paused backlog of beats go; beats a second until the last is finished."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http}") as session:
        began = time.perf_counter()
        await session.post(f"/channel/unpause?topic=taskdash.heartbeats&channel={channel}")
        await finished(http, "taskdash.heartbeats", channel, BACKLOG)
    return BACKLOG / (time.perf_counter() - began)


async def fill(http: int, topic: str, channel: str, bodies: list[bytes], *, paused: bool = False) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http}") as session:
        await session.post(f"/topic/create?topic={topic}")
        await session.post(f"/channel/create?topic={topic}&channel={channel}")
        if paused:
            await session.post(f"/channel/pause?topic={topic}&channel={channel}")
        for start in range(0, len(bodies), 5_000):
            async with session.post(f"/mpub?topic={topic}", data=b"\n".join(bodies[start : start + 5_000])) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())


async def finished(http: int, topic: str, channel: str, count: int) -> None:
    """Return when the channel has nothing left and nothing in flight."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{http}") as session:
        while True:
            async with session.get(f"/stats?format=json&topic={topic}") as answer:
                for one in (await answer.json())["topics"]:
                    for c in one["channels"]:
                        done = c["depth"] == 0 and c["in_flight_count"] == 0 and c["message_count"] >= count
                        if c["channel_name"] == channel and done:
                            return
            await asyncio.sleep(0.02)


class Raw(asyncio.Protocol):
    """Decodes each beat and finishes it at once; stores nothing."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.reader = nsq.FrameReader()
        self.decoder = msgspec.json.Decoder(Heartbeat)
        self.seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(b"  V2" + f"SUB taskdash.heartbeats {self.channel}\nRDY 2500\n".encode())

    def data_received(self, data: bytes) -> None:
        fins = []
        for frame in self.reader.feed(data):
            if frame.kind == nsq.MESSAGE:
                delivery = nsq.delivery(frame.body)
                self.decoder.decode(delivery.body)
                fins.append(b"FIN " + delivery.id + b"\n")
            elif frame.body == b"_heartbeat_":
                fins.append(b"NOP\n")
        self.seen += len(fins)
        self.transport.write(b"".join(fins))


async def cluster() -> list[Row]:
    beats = [beat(n) for n in range(BACKLOG)]
    registrations = [json.dumps({"id": f"service-{n}", "name": f"服务 {n}"}).encode() for n in range(20_000)]

    async def ours() -> float:
        async with a_nsqd() as (tcp, http):
            await fill(http, "taskdash.services", "taskdash", registrations[:SERVICES])
            await fill(http, "taskdash.heartbeats", "taskdash", beats, paused=True)
            async with a_server(f"--nsqd=127.0.0.1:{tcp}") as server:
                await finished(http, "taskdash.services", "taskdash", SERVICES)
                spent = cpu_s(server.process.pid)
                found = await drained(http, "taskdash")
                _SPENT.append((cpu_s(server.process.pid) - spent) / BACKLOG * 1e6)
                return found

    async def floor() -> float:
        async with a_nsqd() as (tcp, http):
            await fill(http, "taskdash.heartbeats", "raw", beats, paused=True)
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: Raw("raw"), "127.0.0.1", tcp)
            found = await drained(http, "raw")
            transport.close()
            return found

    async def go_nsq() -> float:
        async with a_nsqd() as (tcp, http):
            await fill(http, "taskdash.heartbeats", "go", beats, paused=True)
            consumer = await asyncio.create_subprocess_exec(".tools/gonsq-consumer", f"127.0.0.1:{tcp}", "go")
            found = await drained(http, "go")
            consumer.terminate()
            await consumer.wait()
            return found

    async def registered() -> float:
        async with a_nsqd() as (tcp, http):
            await fill(http, "taskdash.services", "taskdash", registrations)
            async with a_server(f"--nsqd=127.0.0.1:{tcp}"):
                began = time.perf_counter()
                await finished(http, "taskdash.services", "taskdash", len(registrations))
                return len(registrations) / (time.perf_counter() - began)

    a, b = await interleaved(ours, floor, 3)
    rows = [at_least("beats from one real nsqd to durable", a, b, 0.6)]
    rows.append(Row("the same: CPU of TaskDash a beat", f"{_SPENT[-1]:.1f} µs", "-", None, "-", None))
    go = [await go_nsq() for _ in a]
    rows.append(at_least("the same beside a go-nsq consumer (v1.1, 4 handlers) that stores nothing", a, go, 1.0))
    floors, size = await twins(), 500
    batches = len(registrations) // size

    async def bare() -> float:
        return await floors.rate(len(registrations), registering(0, batches, size, prefix=os.urandom(4).hex()))

    c, d = await interleaved(registered, bare, 3)
    return [
        *rows,
        at_least("registrations from one real nsqd to durable, batches", c, d, 0.7, note=f"{FLOOR}, {size} a commit"),
    ]


_SPENT: list[float] = []


async def run() -> list[Row]:
    return [*await embedded(), *await cluster()]
