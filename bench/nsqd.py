"""A backlog of one real nsqd drained: by TaskDash to durable, by a raw loop, and by consumers of others that store nothing.

In turns, each with an nsqd of its own; the clock starts when the consumer is there and the channel is let go.
"""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from bench.harness import Row, at_least, beside, cost, in_turns, interleaved
from bench.nsq import FLOOR, SERVICES, beat, registering, twins
from bench.peers.running import command
from bench.peers.running import running as a_program
from bench.serving import a_server
from taskdash.model.records import Heartbeat
from taskdash.wire import nsq
from tests import brokers
from tests.brokers import Nsqd
from tests.faults.load.usage import cpu_s
from tests.support import eventually

BACKLOG, REGISTRATIONS, SIZE, ROUNDS = 200_000, 20_000, 500, 3
CHANNEL, DEADLINE_S = "taskdash", 300
Consumer = Callable[[Nsqd], AbstractAsyncContextManager[int]]
"""Consumes the beats of that nsqd; yields the process that does."""


def registrations(count: int) -> list[bytes]:
    return [json.dumps({"id": f"service-{n}", "name": f"服务 {n}"}).encode() for n in range(count)]


@contextlib.asynccontextmanager
async def a_nsqd() -> AsyncIterator[Nsqd]:
    """With both topics, and a memory queue that holds the backlog."""
    with tempfile.TemporaryDirectory() as folder:
        nsqd = Nsqd(Path(folder), f"-mem-queue-size={BACKLOG * 2}")
        async with brokers.running(nsqd):
            await nsqd.create()
            yield nsqd


async def fill(nsqd: Nsqd, topic: str, bodies: list[bytes]) -> None:
    for start in range(0, len(bodies), 5_000):
        await nsqd.publish(bodies[start : start + 5_000], topic)


async def finished(nsqd: Nsqd, topic: str, count: int) -> None:
    """Return when the channel has been given so many and every one was finished."""

    async def is_done() -> bool:
        return (await nsqd.channel(topic))["message_count"] >= count and await nsqd.is_drained(topic)

    await eventually(is_done, DEADLINE_S)


class Drained:
    """One consumer, measured: beats a second of each turn, and its CPU."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.cpu_us: list[float] = []

    async def __call__(self) -> float:
        async with a_nsqd() as nsqd:
            await nsqd.call("POST", f"/channel/pause?topic={brokers.BEATS}&channel={CHANNEL}")
            await fill(nsqd, brokers.BEATS, [beat(n) for n in range(BACKLOG)])
            async with self._consumer(nsqd) as pid:
                return await self._rate(nsqd, pid)

    async def _rate(self, nsqd: Nsqd, pid: int) -> float:
        async def is_there() -> bool:
            return bool((await nsqd.channel())["clients"])

        await eventually(is_there)
        spent, began = cpu_s(pid), time.perf_counter()
        await nsqd.call("POST", f"/channel/unpause?topic={brokers.BEATS}&channel={CHANNEL}")
        await finished(nsqd, brokers.BEATS, BACKLOG)
        took = time.perf_counter() - began
        self.cpu_us.append((cpu_s(pid) - spent) / BACKLOG * 1e6)
        return BACKLOG / took

    @property
    def note(self) -> str:
        return f"its CPU a beat: {cost(self.cpu_us, ' µs')}"


@contextlib.asynccontextmanager
async def taskdash(nsqd: Nsqd) -> AsyncIterator[int]:
    """A real `serve` that knows the services."""
    await fill(nsqd, brokers.SERVICES, registrations(SERVICES))
    async with a_server(f"--nsqd={nsqd.address}") as server:
        await finished(nsqd, brokers.SERVICES, SERVICES)
        yield server.process.pid


class Raw(asyncio.Protocol):
    """Decodes each beat and finishes it at once; stores nothing."""

    def __init__(self) -> None:
        self.reader = nsq.FrameReader()
        self.decoder = msgspec.json.Decoder(Heartbeat)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(b"  V2" + f"SUB {brokers.BEATS} {CHANNEL}\nRDY 2500\n".encode())

    def data_received(self, data: bytes) -> None:
        fins = []
        for frame in self.reader.feed(data):
            if frame.kind == nsq.MESSAGE:
                delivery = nsq.delivery(frame.body)
                self.decoder.decode(delivery.body)
                fins.append(b"FIN " + delivery.id + b"\n")
            elif frame.body == b"_heartbeat_":
                fins.append(b"NOP\n")
        self.transport.write(b"".join(fins))


@contextlib.asynccontextmanager
async def raw(nsqd: Nsqd) -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_connection(Raw, brokers.HOST, nsqd.tcp)
    yield os.getpid()
    transport.close()


@contextlib.asynccontextmanager
async def go_nsq(nsqd: Nsqd) -> AsyncIterator[int]:
    async with a_program(".tools/gonsq-consumer", nsqd.address, CHANNEL) as child:
        yield child.pid


@contextlib.asynccontextmanager
async def pynsq(nsqd: Nsqd) -> AsyncIterator[int]:
    async with a_program(*command("pynsq_consumer", nsqd.address, CHANNEL)) as child:
        yield child.pid


async def beats() -> list[Row]:
    ours, floor, go, python = (Drained(consumer) for consumer in (taskdash, raw, go_nsq, pynsq))
    a, b, c, d = await in_turns(ours, floor, go, python, rounds=ROUNDS)
    return [
        at_least("beats from one real nsqd to durable", a, b, 0.6),
        Row("the same: CPU of TaskDash a beat", cost(ours.cpu_us, " µs"), "-", None, "-", None),
        at_least("the same beside a go-nsq consumer (v1.1, 4 handlers) that stores nothing", a, c, 1.0, note=go.note),
        beside("the same beside a pynsq consumer (0.9.1) that stores nothing", a, d, note=python.note),
    ]


async def registered() -> float:
    """Registrations a second from nsqd to durable, the program's start left out."""
    async with a_nsqd() as nsqd:
        await fill(nsqd, brokers.SERVICES, registrations(REGISTRATIONS))
        async with a_server(f"--nsqd={nsqd.address}"):
            began = time.perf_counter()
            await finished(nsqd, brokers.SERVICES, REGISTRATIONS)
            return REGISTRATIONS / (time.perf_counter() - began)


async def run() -> list[Row]:
    floors, batches = await twins(), REGISTRATIONS // SIZE

    async def bare() -> float:
        return await floors.rate(REGISTRATIONS, registering(0, batches, SIZE, prefix=os.urandom(4).hex()))

    rows = await beats()
    ours, floor = await interleaved(registered, bare, ROUNDS)
    name = "registrations from one real nsqd to durable, batches"
    return [*rows, at_least(name, ours, floor, 0.7, note=f"{FLOOR}, {SIZE} a commit")]
