"""`make bench-compare REV=…`: is the working tree slower than that revision? Leaves with 1 when it is.

The revision is checked out and installed in a temporary directory. Two servers of it and one of ours run side by side on stores
filled with the same tasks, and in each round every operation is measured on all three, one after the other, first each in turn.
The servers are told everything through their ports, so that any revision that speaks them can be compared.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import aiohttp
import uvloop
from msgspec import Struct

from bench.harness import cost, machine
from bench.http import at_once
from bench.nsq import beat, mpub, rate, register
from bench.serving import Server, a_server
from bench.tcp import framed, load
from bench.verdict import Compared, Costs
from tests.brokers import BEATS
from tests.faults.load.usage import cpu_s

TASKS, ROUNDS, FEWEST, LONGEST_S = 20_000, 7, 4, 150
"""A machine that is busy with other things gets fewer rounds after that time."""
SETTLE_S, LEAST_S = 0.3, 0.01
"""What a server still does after its answers, above all to copy its WAL, is its cost too; one tick of its CPU is the least."""


class Side(Struct, frozen=True):
    """A running server and somebody signed in there."""

    server: Server
    session: aiohttp.ClientSession

    @property
    def tcp(self) -> int:
        return self.server.addresses["tcp"][1]


class Operation(Struct, frozen=True):
    """`send` makes `count` requests of one turn and gives requests a second."""

    name: str
    count: int
    send: Callable[[Side, int, int], Awaitable[float]]


async def finds(side: Side, _turn: int, count: int) -> float:
    asked = [framed("Find", {"id": f"t{n * 7_919 % TASKS}"}) for n in range(count)]
    return (await load(side.tcp, asked, 16, 1))[0]


async def registers(side: Side, turn: int, count: int) -> float:
    return (await load(side.tcp, _new_tasks(f"new-{turn}-", count), 64, 1))[0]


async def pages(side: Side, _turn: int, count: int) -> float:
    return await at_once([side.session], [("GET", "/api/v1/tasks?limit=50")] * count, 4)


async def claims(side: Side, turn: int, count: int) -> float:
    free = range(turn * count, (turn + 1) * count)
    return await at_once([side.session], [("POST", f"/api/v1/tasks/t{n}/claim") for n in free], 16)


async def beats(side: Side, _turn: int, count: int) -> float:
    commands = [mpub(BEATS, [beat(n) for n in range(100)])] * (count // 400)
    return await rate(side.server.addresses["nsq"], [commands] * 4, count)


OPERATIONS = (
    Operation("TCP Find, 16 connections", 16_000, finds),
    Operation("TCP Register, 64 connections", 6_400, registers),
    Operation("list page of 50 over HTTP, 4 at once", 320, pages),
    Operation("claim over HTTP, 16 at once", 800, claims),
    Operation("beats by MPUB of 100, 4 producers", 60_000, beats),
)


def _new_tasks(prefix: str, count: int) -> list[bytes]:
    names = ((f"{prefix}{n}", f"任务 {n}") for n in range(count))
    return [framed("Register", {"id": key, "name": name, "status": "running", "group_id": "mx"}) for key, name in names]


@contextlib.asynccontextmanager
async def a_side(python: Path, data_dir: Path) -> AsyncIterator[Side]:
    """A server over a new store that has the tasks, and services that beat."""
    async with a_server(data_dir=data_dir, python=str(python)) as server, server.session() as session:
        side = Side(server, session)
        await load(side.tcp, _new_tasks("t", TASKS), 16, 16)
        await register(server)
        yield side


async def measured(side: Side, operation: Operation, turn: int) -> tuple[float, float]:
    """Seconds of the server's CPU, and seconds of waiting, for one."""
    before = cpu_s(side.server.process.pid)
    a_second = await operation.send(side, turn, operation.count)
    await asyncio.sleep(SETTLE_S)
    used = max(LEAST_S, cpu_s(side.server.process.pid) - before)
    return used / operation.count, 1 / a_second


async def compared(sides: Sequence[Side], operations: Sequence[Operation], first: int = 0) -> dict[Operation, Compared]:
    """Of the revision, of the revision again, and ours; a first round that warms up counts for nothing."""
    found: dict[Operation, list[list[tuple[float, float]]]] = {one: [[] for _ in sides] for one in operations}
    end = time.perf_counter() + LONGEST_S
    for turn in range(first, first + ROUNDS + 1):
        if turn - first > FEWEST and time.perf_counter() > end:
            break
        for operation in operations:
            for n in (*range(turn % len(sides), len(sides)), *range(turn % len(sides))):
                found[operation][n].append(await measured(sides[n], operation, turn))
    return {one: Compared(one.name, *(_costs(kept, which) for which in (0, 1))) for one, kept in found.items()}


def _costs(kept: list[list[tuple[float, float]]], which: int) -> Costs:
    return Costs(*([costs[which] for costs in side[1:]] for side in kept))


async def run(python: Path, folder: Path) -> list[Compared]:
    """What looks slower is measured once more, and only that counts: noise rarely does the same twice."""
    async with the_sides(python, folder) as sides:
        found = await compared(sides, OPERATIONS)
        if doubtful := [operation for operation, one in found.items() if one.is_slower]:
            found |= await compared(sides, doubtful, ROUNDS + 1)
        return list(found.values())


@contextlib.asynccontextmanager
async def the_sides(python: Path, folder: Path) -> AsyncIterator[list[Side]]:
    """The revision, the revision again, and ours."""
    async with contextlib.AsyncExitStack() as stack:
        whose = [python, python, Path(sys.executable)]
        yield [await stack.enter_async_context(a_side(p, folder / str(n))) for n, p in enumerate(whose)]


@contextlib.contextmanager
def installed(revision: str) -> Iterator[tuple[Path, Path]]:
    """(its Python, a folder for stores), both gone at the end; it is installed as its own Makefile says."""
    with tempfile.TemporaryDirectory(prefix="taskdash-compare-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            subprocess.run(["make", "--silent", "--no-print-directory", "-C", tree, "install"], check=True)
            yield tree / ".venv/bin/python", Path(folder)
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def table(found: Sequence[Compared]) -> str:
    """Markdown, as everything that the bench prints."""
    head = "| operation | CPU before | CPU now | ratio | slower above | time before | time now | ratio | slower above | |"
    lines = [head, "|---" * 10 + "|"]
    for one in found:
        figures = (text for costs in (one.cpu, one.time) for text in _figures(costs))
        lines.append(f"| {one.operation} | {' | '.join(figures)} | {one.verdict} |")
    return "\n".join(lines)


def _figures(costs: Costs) -> tuple[str, ...]:
    before, now = ([value * 1e6 for value in values] for values in ((*costs.before, *costs.again), costs.ours))
    return cost(before, " µs"), cost(now, " µs"), f"{costs.ratio:.2f}", f"{costs.allowed:.2f}"


def main(revision: str) -> int:
    """The exit status."""
    try:
        known = _git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError:
        sys.exit(f"no such revision: {revision!r}")
    with installed(known) as (python, folder):
        found = uvloop.run(run(python, folder))
    print(f"The working tree beside {known}, {len(found[0].cpu.ours)} rounds on {machine()}.")
    print(f"Of one operation: the server's CPU, and the time that is one over the rate.\n\n{table(found)}")
    return int(any(one.is_slower for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
