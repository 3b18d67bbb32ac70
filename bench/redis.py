"""TCP Find of a real `taskdash serve` beside GET of a real redis-server, asked by one blocking Python client of the same shape.

Redis holds in memory, as text, exactly what Find answers of each task; neither side is told to keep anything meanwhile.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.harness import Row, beside, cost, interleaved
from bench.peers.running import HOST, listening, running, told
from bench.seed import a_store
from bench.serving import a_server
from taskdash.store.migrations import runner
from tests.brokers import free_port
from tests.faults.load.usage import cpu_s

TASKS, SERVICES, LOOKUPS = 100_000, 10_000, 10_000
DEPTHS = {1: "one at a time", 16: "pipelined × 16"}


async def run() -> list[Row]:
    path = a_store(TASKS, SERVICES)
    (path.parent / runner.MARKER).touch()
    async with a_server(data_dir=path.parent, first_admin=False) as server, a_redis() as (redis_pid, redis_port):
        _, port = server.addresses["tcp"]
        await told("lookups", "copy", port, redis_port, TASKS)
        sides = Side("taskdash", port, server.process.pid), Side("redis", redis_port, redis_pid)
        rows = [await _row(*sides, depth) for depth in DEPTHS]
    path.unlink()
    return rows


class Side:
    """One of the two servers."""

    def __init__(self, kind: str, port: int, pid: int) -> None:
        self._kind, self._port, self._pid = kind, port, pid
        self.cpu_us: list[float] = []

    def lookups(self, depth: int) -> Callable[[], Awaitable[float]]:
        """Measures lookups a second, and the server's CPU for one."""
        self.cpu_us = []
        count = LOOKUPS * (4 if depth > 1 else 1)

        async def measure() -> float:
            before = cpu_s(self._pid)
            found = float(await told("lookups", self._kind, self._port, TASKS, count, depth))
            self.cpu_us.append((cpu_s(self._pid) - before) / count * 1e6)
            return found

        return measure


async def _row(ours: Side, redis: Side, depth: int) -> Row:
    a, b = await interleaved(ours.lookups(depth), redis.lookups(depth))
    note = f"CPU of the server a lookup: {cost(ours.cpu_us, ' µs')} against {cost(redis.cpu_us, ' µs')}"
    return beside(f"TCP Find beside redis-py GET, 1 connection, {DEPTHS[depth]}", a, b, note=note)


@contextlib.asynccontextmanager
async def a_redis() -> AsyncIterator[tuple[int, int]]:
    """A redis-server that saves nothing: its process and its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = ("--bind", HOST, "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "no")
        async with running("redis-server", *options) as process:
            await listening(port)
            yield process.pid, port
