"""What a cluster costs under a steady load: the figures of docs/guides/sizing.md, each run again by its command.

`python -m bench.sizing --services 2000 --interval 10 --tasks 100000` starts the cluster of `make cluster` with the
load of the scripted hour and no fault, waits until all is collected, and measures CPU, memory and what the store needs.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import psycopg
from msgspec import Struct, structs

from tests.brokers import BEATS, HOST
from tests.faults.hour import checks
from tests.faults.hour.scale import HOUR
from tests.faults.hour.stage import Stage
from tools.cluster.process import until

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BATCH = 500
TABLES = ("services", "tasks", "events", "task_grams")


class Used(Struct, frozen=True):
    """CPU seconds since the start, and memory now, of some processes together."""

    cpu_s: float
    memory_bytes: int


def of_processes(pids: list[int]) -> Used:
    """From the kernel's own lists; with the children that have ended."""
    told = [fields for pid in pids if (fields := _stat(pid))]
    cpu_s = sum(sum(map(int, fields[11:15])) for fields in told) / TICKS
    return Used(cpu_s, sum(int(fields[21]) for fields in told) * PAGE_BYTES)


def _stat(pid: int) -> list[str]:
    """The fields from the state on; none of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(parent: int) -> list[int]:
    """Itself and the processes that it started."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [parent, *(pid for pid in pids if _stat(pid)[1:2] == [str(parent)])]


def everybody(stage: Stage) -> dict[str, Used]:
    """Each TaskDash, PostgreSQL (its shared memory counts once a process: only its CPU means something), both nsqd."""
    postmaster = int((stage.cluster.postgres.directory / "data" / "postmaster.pid").read_text().split()[0])
    used = {one.name: of_processes([one.pid]) for one in stage.cluster.instances}
    used["postgresql"] = of_processes(children(postmaster))
    return used | {"nsqd": of_processes([nsqd.pid for nsqd in stage.cluster.nsqds])}


async def _settled(stage: Stage, running: list[asyncio.Task[None]]) -> None:
    """All services are up and all tasks are there."""
    wanted = stage.scale.tasks * 0.99
    while not any(one.done() for one in running):
        found = await asyncio.to_thread(checks.states, stage.cluster.database)
        with psycopg.connect(stage.cluster.database) as conn:
            row = conn.execute("SELECT count(*) FROM tasks").fetchone()
        up = sum(state == "up" for state in found.values())
        sys.stderr.write(f"{up} of {stage.scale.services} services up, {row and row[0]} tasks\n")
        if row and row[0] >= wanted and up == stage.scale.services:
            return
        await asyncio.sleep(5.0)
    raise RuntimeError(f"the load ended by itself: {[one.exception() for one in running if one.done()]}")


async def measured(stage: Stage, length_s: float) -> Iterator[str]:
    """The lines of the report."""
    work = (stage.programs, *stage.writers, *stage.people, *stage.watchers)
    running = [asyncio.create_task(one.run()) for one in work]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _settled(stage, running)
    settled_s = loop.time() - began
    before, beats, claims = everybody(stage), stage.programs.beats, sum(len(one.calls) for one in stage.people)
    events = checks.read(stage.cluster.database).newest
    start = loop.time()
    await asyncio.sleep(length_s)
    took, after = loop.time() - start, everybody(stage)
    lines = [f"all up and collected after {settled_s:.0f} s; then measured for {took:.0f} s"]
    lines.append(f"{(stage.programs.beats - beats) / took:.0f} beats/s, longest gap {stage.programs.longest_gap_s:.1f} s")
    calls = [call for one in stage.people for call in one.calls][claims:]
    lines += [f"{len(calls) / took:.1f} claims and releases/s, {_times(stage)}"]
    lines.append(f"{(checks.read(stage.cluster.database).newest - events) / took:.1f} events/s")
    for name, used in after.items():
        share = (used.cpu_s - before[name].cpu_s) / took
        lines.append(f"{name}: {share:.2f} of a core, {used.memory_bytes / 1e6:.0f} MB resident")
    for one in running:
        one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return iter(lines)


def _times(stage: Stage) -> str:
    took = sorted(1e3 * (call.end - call.start) for one in stage.people for call in one.calls if call.end is not None)
    return f"median {statistics.median(took):.0f} ms, p95 {took[int(len(took) * 0.95)]:.0f} ms"


async def drained(stage: Stage, count: int) -> Iterator[str]:
    """So many beats at once, of all services in turn: how fast they are stored, and the CPU of one."""
    ids = stage.programs.ids
    bodies = [b'{"id":"%s"}' % ids[n % len(ids)].encode() for n in range(count)]
    before, loop = everybody(stage), asyncio.get_running_loop()
    start = loop.time()
    async with aiohttp.ClientSession(trust_env=False) as session:
        for n in range(0, count, BATCH):
            nsqd = stage.cluster.nsqds[n // BATCH % len(stage.cluster.nsqds)]
            body = b"\n".join(bodies[n : n + BATCH])
            async with session.post(f"http://{HOST}:{nsqd.http}/mpub?topic={BEATS}", data=body) as answer:
                answer.raise_for_status()
        for nsqd in stage.cluster.nsqds:
            await until(partial(_is_empty, session, nsqd.http), "the beats to be stored", within_s=300.0)
    took, after = loop.time() - start, everybody(stage)
    cost = {name: (used.cpu_s - before[name].cpu_s) / count * 1e6 for name, used in after.items()}
    each = ", ".join(f"{name} {us:.0f} µs" for name, us in cost.items())
    return iter([f"{count:,} beats at once: stored after {took:.1f} s, {count / took:,.0f}/s; CPU a beat: {each}"])


async def _is_empty(session: aiohttp.ClientSession, port: int) -> bool:
    async with session.get(f"http://{HOST}:{port}/stats?format=json&topic={BEATS}&channel=taskdash") as answer:
        channels = [channel for topic in (await answer.json(content_type=None))["topics"] for channel in topic["channels"]]
    return all(one["depth"] == one["in_flight_count"] == 0 for one in channels)


def stored(url: str) -> Iterator[str]:
    """What each table needs with its indexes, a row."""
    with psycopg.connect(url, autocommit=True) as conn:
        for table in TABLES:
            row = conn.execute(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}".encode()).fetchone()
            assert row is not None
            yield f"{table}: {row[0]:,} rows, {row[1] / 1e6:.1f} MB, {row[1] / max(1, row[0]):.0f} bytes a row with its indexes"


async def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--services", type=int, default=2_000)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two beats of a service")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--claims", type=float, default=10.0, help="claims and releases a second, of 20 people")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--at-once", type=int, default=100_000, help="beats that come all at once in the end")
    asked = parser.parse_args()
    scale = structs.replace(
        HOUR, services=asked.services, interval_s=asked.interval, tasks=asked.tasks, claims_s=asked.claims, writers=2
    )
    folder = Path(tempfile.mkdtemp(prefix="taskdash-sizing-"))
    try:
        async with Stage(folder, scale, asked.instances, 1, has_proxies=False).running() as stage:
            await stage.set_up()
            sys.stdout.writelines(f"{line}\n" for line in await measured(stage, asked.seconds))
            sys.stdout.writelines(f"{line}\n" for line in await drained(stage, asked.at_once))
            sys.stdout.writelines(f"{line}\n" for line in stored(stage.cluster.database))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())
