"""TCP Find and Register over real sockets, against the same server without a store and against bare batches of the driver."""

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from bench.harness import Row, a_process, at_least, at_most, interleaved, p95
from bench.replay import Twins
from bench.tcp_server import STORED, a_task
from taskdash.actions.tasks import TaskRequest, apply_batch
from taskdash.clock import SystemClock
from taskdash.model.records import Actor, TaskFields
from taskdash.store import sqlite, tasks
from taskdash.store.migrations import runner

FINDS = 20_000
CLOCK = SystemClock()


def framed(request_id: str, body: dict[str, object]) -> bytes:
    raw = json.dumps({"MessageID": 2, "Header": {"RequestID": request_id}, "Body": body}).encode()
    return len(raw).to_bytes(4, "big") + raw


class Client(asyncio.Protocol):
    """Keeps `depth` requests under way and times each."""

    def __init__(self, requests: list[bytes], depth: int) -> None:
        self.requests, self.depth = requests, depth
        self.sent: list[float] = []
        self.took: list[float] = []
        self.buffer = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send(self.depth)

    def _send(self, count: int) -> None:
        chosen, self.requests = self.requests[:count], self.requests[count:]
        self.sent += [time.perf_counter()] * len(chosen)
        if chosen:
            self.transport.write(b"".join(chosen))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        at, answered, now = 0, 0, time.perf_counter()
        while len(self.buffer) - at >= 4:
            size = int.from_bytes(self.buffer[at : at + 4], "big")
            if len(self.buffer) - at - 4 < size:
                break
            at += 4 + size
            answered += 1
        del self.buffer[:at]
        self.took += [now - began for began in self.sent[:answered]]
        del self.sent[:answered]
        if not self.sent and not self.requests:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
        else:
            self._send(answered)


async def load(port: int, requests: list[bytes], connections: int, depth: int) -> tuple[float, float]:
    """(requests a second, p95 in ms)."""
    loop, share = asyncio.get_running_loop(), max(1, len(requests) // connections)
    began = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda i=i: Client(requests[i * share : (i + 1) * share], depth), "127.0.0.1", port))[1]
        for i in range(connections)
    ]
    await asyncio.gather(*(c.done for c in clients))
    took = [t for c in clients for t in c.took]
    return len(took) / (time.perf_counter() - began), p95(took) * 1_000


async def run() -> list[Row]:
    rows: list[Row] = []
    finds = [framed("Find", {"id": f"t{random.randrange(STORED)}"}) for _ in range(FINDS)]
    async with (
        a_process("bench.tcp_server", "store") as (_a, ours),
        a_process("bench.tcp_server", "dict") as (_b, floor),
    ):
        for connections, depth in ((1, 1), (64, 1), (256, 1), (1, 16), (64, 16), (256, 16)):
            few = finds[: FINDS // 4] if (connections, depth) == (1, 1) else finds * (4 if depth > 1 else 1)
            a, b = await interleaved(
                lambda few=few, c=connections, d=depth: load(int(ours), few, c, d),
                lambda few=few, c=connections, d=depth: load(int(floor), few, c, d),
            )
            name = f"TCP Find, {connections} connection{'s' * (connections > 1)}{', pipelined × 16' if depth > 1 else ''}"
            rows.append(at_least(name, [x[0] for x in a], [x[0] for x in b], 0.5))
            rows.append(at_most(f"{name}: p95", [x[1] for x in a], [x[1] for x in b], 2.5))
        for connections, goal in ((1, 0.0), (16, 0.6), (256, 0.75)):
            rows.append(await register(int(ours), connections, goal))
    return rows


async def register(port: int, connections: int, goal: float) -> Row:
    count = {1: 1_000, 16: 4_000, 256: 8_192}[connections]

    def requests() -> list[bytes]:
        run = os.urandom(4).hex()
        return [framed("Register", {"id": f"{run}-{n}", "name": f"任务 {n}", "status": "running"}) for n in range(count)]

    a, b = await interleaved(
        lambda: load(port, requests(), connections, 1), lambda: twins().rate(count, registering(count, connections))
    )
    row = at_least(f"TCP Register, durable, {connections} connections", [x[0] for x in a], b, goal or 0.5, note=FLOOR)
    return row if goal else Row(row.operation, row.ours, row.floor, row.ratio, "-", None, FLOOR)


FLOOR = "floor: the same changes, counters, grams and history, told to the driver by a bare loop"
PEER = Actor(type="connection", id="127.0.0.1:1", channel="tcp")


def registering(count: int, size: int) -> Callable[[Any], Awaitable[None]]:
    """Registers of new tasks, `size` a commit."""
    run = os.urandom(4).hex()
    fields = [TaskFields(id=f"{run}-{n}", name=f"任务 {n}", status="running") for n in range(count)]
    requests = [TaskRequest(kind="register", fields=one, actor=PEER) for one in fields]

    async def act(db: Any) -> None:
        for start in range(0, count, size):
            await apply_batch(db, requests[start : start + size], CLOCK.now())

    return act


@cache
def twins() -> Twins:
    """Stores with as many tasks as ours holds, made once a run."""
    path = Path(tempfile.mkdtemp()) / "told.db"
    runner.upgrade(path)
    with sqlite.open_engine(path).connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        for start in range(0, STORED, 10_000):
            sqlite.begin(conn)
            tasks.save(conn, [(None, a_task(n)) for n in range(start, start + 10_000)])
            sqlite.rows(conn, "COMMIT")
        sqlite.checkpoint_whole(conn)
    return Twins(path)
