"""`make bench`: every operation of DESIGN 8 against its floor in the same run; prints the tables, writes docs/BENCHMARKS.md.

python -m bench                      all parts, each written as soon as it is measured
python -m bench NAME...              only these, written nowhere
python -m bench NAME... --write      only these, each in place of its older self
"""

import importlib
import inspect
import sys
import time

import uvloop

from bench import report
from bench.charts import Chart
from bench.harness import Row

SUITES = (
    "nsq",
    "nsqd",
    "pings",
    "tcp",
    "redis",
    "http",
    "collect",
    "liveness",
    "stream",
    "growth",
    "lists",
    "lists_postgres",
    "memory",
    "flower",
    "board",
    "instances",
)


async def measure(name: str) -> list[Row | Chart]:
    outcome = importlib.import_module(f"bench.{name}").run()
    return list(await outcome if inspect.isawaitable(outcome) else outcome)


def main(arguments: list[str]) -> None:
    chosen = [name for name in arguments if name != "--write"]
    if unknown := set(chosen) - {*SUITES}:
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    is_written = len(chosen) < len(arguments) or not chosen
    for name in chosen or SUITES:
        began = time.perf_counter()
        found = uvloop.run(measure(name))
        rows, charts = [x for x in found if isinstance(x, Row)], [x for x in found if isinstance(x, Chart)]
        measured = report.measured_at(report.today(), time.perf_counter() - began)
        text = report.section(name, rows, charts, measured)
        print(text, flush=True)
        if is_written:
            report.put(name, text, charts, SUITES)


if __name__ == "__main__":
    main(sys.argv[1:])
