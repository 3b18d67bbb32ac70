"""Beats to the embedded endpoint, to durable, against a bare loop of the same changes."""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.harness import Row, at_least, interleaved
from bench.replay import Twins, recorded
from bench.serving import Server, a_server
from taskdash.actions.arrivals import Topics
from taskdash.actions.intake import store_batch
from taskdash.clock import SystemClock
from taskdash.model.records import Message
from taskdash.store.migrations import runner
from taskdash.wire import nsq

SERVICES = 1_000
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


async def run() -> list[Row]:
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
