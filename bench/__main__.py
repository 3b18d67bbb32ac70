"""`make bench`: every operation of DESIGN 8 against its floor in the same run; prints the table and writes docs/BENCHMARKS.md.

`python -m bench NAME...` runs only these, and writes nothing. docs/benchmarks-notes.md, which people write, ends the page.
"""

import importlib
import inspect
import sys
from pathlib import Path

import uvloop

from bench.harness import Row, machine, table

SUITES = ("nsq", "tcp", "http", "collect", "liveness", "stream", "growth", "lists", "memory", "flower", "board", "instances")
PAGE, NOTES = Path("docs/BENCHMARKS.md"), Path("docs/benchmarks-notes.md")


async def measure(name: str) -> list[Row]:
    outcome = importlib.import_module(f"bench.{name}").run()
    return list(await outcome if inspect.isawaitable(outcome) else outcome)


def main(chosen: list[str]) -> None:
    parts = []
    for name in chosen or SUITES:
        rows = uvloop.run(measure(name))
        parts.append(f"## {name}\n\n{table(rows)}\n")
        print(parts[-1], flush=True)
    if not chosen:
        head = "# Benchmarks\n\nWritten by `make bench`; every ratio was measured side by side in one run, medians of 5.\n"
        page = (f"{head}Machine: {machine()}.\n", *parts, NOTES.read_text(encoding="utf-8"))
        PAGE.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
