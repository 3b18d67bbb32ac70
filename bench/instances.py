"""One instance on PostgreSQL against one on SQLite, and two on PostgreSQL against one, on the same cores; a million tasks.

    .venv/bin/python -m bench instances

The tasks, a real nsqd, a real PostgreSQL with fsync; every store has the same tasks. Each figure is taken in turns, so that a
noisy minute hits all three.
"""

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
from msgspec import Struct

from bench.harness import ROUNDS, Row, at_least, p95, within
from bench.http import PASSWORD, at_once, unowned
from bench.seed import a_store, fill_place
from bench.serving import Server, a_server
from taskdash.store.migrations import runner
from tests import postgres
from tests.brokers import Nsqd, running
from tests.support import eventually

TASKS, SERVICES = 1_000_000, 100_000
PAGES, CLAIMS, REGISTERS, MESSAGES, WAKE_UPS = 400, 400, 2_000, 20_000, 60
AT_ONCE = 16
PATHS = [f"/api/v1/tasks?limit=50{more}" for more in ("", "&status=failed", "&user=none", "&group=group-3", "&sort=name")]


class Side(Struct):
    """One way to serve: its instances, somebody signed in at each of them, an nsqd, ids that nobody holds."""

    servers: Sequence[Server]
    sessions: Sequence[aiohttp.ClientSession]
    nsqd: Nsqd
    free: list[str]


async def pages(side: Side) -> float:
    """List pages a second, 16 at once, spread over the instances."""
    return await at_once(side.sessions, [("GET", PATHS[n % len(PATHS)]) for n in range(PAGES)], AT_ONCE)


async def claims(side: Side) -> float:
    """Claims a second, 16 at once."""
    ids, side.free = side.free[:CLAIMS], side.free[CLAIMS:]
    return await at_once(side.sessions, [("POST", f"/api/v1/tasks/{task_id}/claim") for task_id in ids], AT_ONCE)


async def registers(side: Side) -> float:
    """Registers over TCP a second, durable, 64 connections."""
    began = time.perf_counter()
    await asyncio.gather(*(_register(side.servers[n % len(side.servers)], n, REGISTERS // 64) for n in range(64)))
    return REGISTERS // 64 * 64 / (time.perf_counter() - began)


async def _register(server: Server, name: int, count: int) -> None:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    for n in range(count):
        body = {"id": f"bench-{name}-{n}", "status": "running"}
        writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": body}).encode() + b"\n")
        if json.loads(await reader.readline())["Body"]["errid"]:
            raise RuntimeError("a Register was refused")
    writer.close()


async def ingest(side: Side) -> float:
    """Beats a second from the nsqd to durable."""
    bodies = [json.dumps({"id": f"service-{n % 1_000}"}).encode() for n in range(MESSAGES)]
    began = time.perf_counter()
    for n in range(0, MESSAGES, 500):
        await side.nsqd.publish(bodies[n : n + 500])
    await eventually(side.nsqd.is_drained, 120)
    return MESSAGES / (time.perf_counter() - began)


async def wake_ups(side: Side) -> list[float]:
    """Milliseconds from a claim at the first instance until the stream of the last has it."""
    took: list[float] = []
    async with side.sessions[-1].get("/api/v1/stream", timeout=aiohttp.ClientTimeout(total=None)) as stream:
        await stream.content.readuntil(b"\n\n")
        for _ in range(WAKE_UPS):
            task_id = side.free.pop()
            began = time.perf_counter()
            async with side.sessions[0].post(f"/api/v1/tasks/{task_id}/claim", json={}) as answer:
                await answer.read()
            while f'"{task_id}"'.encode() not in await stream.content.readuntil(b"\n\n"):
                continue
            took.append((time.perf_counter() - began) * 1_000)
    return took


@contextlib.asynccontextmanager
async def a_side(count: int, *options: str, data_dir: Path | None = None) -> AsyncIterator[Side]:
    """So many instances, ready and warm."""
    async with contextlib.AsyncExitStack() as stack:
        nsqd = Nsqd(Path(tempfile.mkdtemp()), "-mem-queue-size=100000", "-sync-every=2500")
        await stack.enter_async_context(running(nsqd))
        await nsqd.create()
        options = (*options, f"--nsqd={nsqd.address}")
        servers = [await stack.enter_async_context(_served(*options, data_dir=data_dir)) for _ in range(count)]
        sessions = [await stack.enter_async_context(server.session("boss", PASSWORD)) for server in servers]
        yield Side(servers, sessions, nsqd, [])


def _served(*options: str, data_dir: Path | None) -> "contextlib.AbstractAsyncContextManager[Server]":
    return a_server(*options, data_dir=data_dir, first_admin=False)


async def _add_boss(*options: str) -> None:
    command = (".venv/bin/taskdash", "user", "add", "boss", "--role=admin", "--password-stdin", *options)
    add = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL)
    await add.communicate(f"{PASSWORD}\n".encode())


async def run() -> list[Row]:
    path = await asyncio.to_thread(a_store, TASKS, SERVICES)
    (path.parent / runner.MARKER).touch()
    await _add_boss(f"--data-dir={path.parent}")
    with postgres.cluster(fsync=True) as cluster, cluster.fresh() as place:
        await asyncio.to_thread(fill_place, place, TASKS, SERVICES)
        cluster.do("VACUUM ANALYZE", place.url.rpartition("/")[2])
        at = f"--db={place.url}"
        await _add_boss(at)
        async with a_side(1, data_dir=path.parent) as embedded:
            rows = await _against_sqlite(embedded, at)
    path.unlink()
    return rows


MEASURES = {
    "list pages, 16 people": pages,
    "claims, 16 people": claims,
    "TCP Register, 64 connections": registers,
    "beats": ingest,
}


async def _against_sqlite(embedded: Side, at: str) -> list[Row]:
    rows: list[Row] = []
    figures: dict[str, dict[str, list[float]]] = {name: {"sqlite": [], "one": [], "two": []} for name in MEASURES}
    woken: list[float] = []
    for _ in range(ROUNDS):
        await _measure(embedded, "sqlite", figures)
        for name, count in (("one", 1), ("two", 2)):
            async with a_side(count, at) as side:
                await _measure(side, name, figures)
                woken += await wake_ups(side) if count == 2 else []
    for name, took in figures.items():
        rows.append(at_least(f"{name}: PostgreSQL against SQLite", took["one"], took["sqlite"], 0.5))
        rows.append(at_least(f"{name}: two instances against one", took["two"], took["one"], 0.9))
    rows.append(within("a claim at one instance until the stream of the other has it, p95", p95(woken), 150.0))
    rows.append(within("the same, median", statistics.median(woken), 150.0))
    return rows


async def _measure(side: Side, name: str, figures: dict[str, dict[str, list[float]]]) -> None:
    side.free = await unowned(side.sessions[0], CLAIMS + WAKE_UPS)
    for path in PATHS:
        async with side.sessions[0].get(path) as answer:
            await answer.read()
    for what, measure in MEASURES.items():
        figures[what][name].append(await measure(side))
