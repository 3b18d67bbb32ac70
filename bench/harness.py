"""How every figure is taken: ours and its floor side by side in one run, interleaved, medians, printed as ratios (DESIGN 8)."""

import asyncio
import os
import platform
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from bench import profiled

ROUNDS = 5


class Row(Struct):
    """One line of docs/BENCHMARKS.md. `ratio` is ours / floor; `goal` a text; `met` None where no goal was set."""

    operation: str
    ours: str
    floor: str
    ratio: float | None
    goal: str
    met: bool | None
    note: str = ""


def at_least(
    operation: str, ours: Sequence[float], floor: Sequence[float], goal: float, unit: str = "/s", note: str = ""
) -> Row:
    """A rate against its floor: the median of the pairwise ratios must reach `goal`."""
    ratio = statistics.median(o / f for o, f in zip(ours, floor, strict=True))
    return Row(operation, rate(ours, unit), rate(floor, unit), ratio, f"≥ {goal}", ratio >= goal, note)


def at_most(
    operation: str, ours: Sequence[float], floor: Sequence[float], goal: float, unit: str = " ms", note: str = ""
) -> Row:
    """A cost against its floor: the median of the pairwise ratios must stay within `goal`."""
    ratio = statistics.median(o / f for o, f in zip(ours, floor, strict=True))
    return Row(operation, cost(ours, unit), cost(floor, unit), ratio, f"≤ {goal} ×", ratio <= goal, note)


def beside(operation: str, ours: Sequence[float], theirs: Sequence[float], unit: str = "/s", note: str = "") -> Row:
    """A rate beside a peer's, with no goal set."""
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    return Row(operation, rate(ours, unit), rate(theirs, unit), ratio, "-", None, note)


def within(operation: str, value: float, limit: float, unit: str = " ms", note: str = "") -> Row:
    """A figure against an absolute goal."""
    return Row(operation, f"{value:,.1f}{unit}", "-", None, f"≤ {limit:g}{unit}", value <= limit, note)


def rate(values: Sequence[float], unit: str = "/s") -> str:
    """The median, without decimals."""
    return f"{statistics.median(values):,.0f}{unit}"


def cost(values: Sequence[float], unit: str = " ms") -> str:
    """The median, with decimals."""
    return f"{statistics.median(values):,.2f}{unit}"


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


async def interleaved(
    ours: Callable[[], Awaitable[float]], floor: Callable[[], Awaitable[float]], rounds: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Each measured `rounds` times, in turns."""
    a, b = await in_turns(ours, floor, rounds=rounds)
    return a, b


async def in_turns(*sides: Callable[[], Awaitable[float]], rounds: int = ROUNDS) -> list[list[float]]:
    """Each of any number measured `rounds` times, in turns, so that a noisy minute hits all."""
    found: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, values in zip(sides, found, strict=True):
            values.append(await side())
    return found


@asynccontextmanager
async def a_process(module: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """A Python child that prints one line when it is ready; ended by SIGTERM. Yields (process, that line)."""
    child = await asyncio.create_subprocess_exec(
        *profiled.command(module), *arguments, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}
    )
    try:
        line = await asyncio.wait_for(child.stdout.readline(), 60)  # type: ignore[union-attr]
        yield child, line.decode().strip()
    finally:
        child.terminate()
        await child.wait()


def machine() -> str:
    """The size of the machine, for the head of the table."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return f"{os.cpu_count()} cores, {pages:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| operation | TaskDash | floor | ratio | goal | reached | note |", "|---|---|---|---|---|---|---|"]
    for r in rows:
        ratio = "-" if r.ratio is None else f"{r.ratio:.2f}"
        met = {True: "yes", False: "**no**", None: "-"}[r.met]
        lines.append(f"| {r.operation} | {r.ours} | {r.floor} | {ratio} | {r.goal} | {met} | {r.note} |")
    return "\n".join(lines)
