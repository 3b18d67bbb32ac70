"""docs/BENCHMARKS.md: one section a suite, each replaced alone, each with the day and the revision it was measured at.

So a page can be measured part by part on a quiet machine, and says of each part how old it is. What people write
(docs/benchmarks-notes.md) ends the page.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.charts import Chart
from bench.harness import Row, machine, table
from taskdash.clock import SystemClock
from taskdash.model.instants import Instant, to_rfc3339

PAGE, NOTES, IMAGES = Path("docs/BENCHMARKS.md"), Path("docs/benchmarks-notes.md"), Path("docs/images")
HEAD = """# Benchmarks

Every ratio was measured side by side in one run, medians of 3 to 5. The floor is the least that the same work can cost, or a
peer where the line says *beside*. A part without a date is older than those that have one. The curves of `growth` show what ten
times the beats, services, tasks cost, on both databases.

    make bench                                  # all parts on a quiet machine; each is written here as soon as it is measured
    .venv/bin/python -m bench growth --write    # one part with its curves; without --write it is only printed
    make bench-compare REV=<revision>           # is the working tree slower than that revision?"""


def section(name: str, rows: Sequence[Row], charts: Sequence[Chart], measured: str) -> str:
    """One suite's part of the page."""
    pictures = "".join(f"\n![{chart.title}](images/{chart.name}.svg)\n" for chart in charts)
    return f"## {name}\n\n{measured}\n\n{table(rows)}\n{pictures}"


def measured_at(now: Instant, took_s: float) -> str:
    """When, at which revision and in how long a part was measured."""
    return f"Measured {to_rfc3339(now)[:10]} at {_revision()}, in {took_s:.0f} s on {machine()}."


def _revision() -> str:
    """Of the code: the pages that a measurement writes are no change of what is measured."""
    known, changed = (
        subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
        for arguments in (("describe", "--always"), ("status", "--porcelain", "--", "src", "bench", "requirements.txt"))
    )
    return (known or "an unknown revision") + (" with changes" if changed else "")


def today() -> Instant:
    """The clock's, for `measured_at`."""
    return SystemClock().now()


def put(name: str, text: str, charts: Sequence[Chart], order: Sequence[str]) -> None:
    """Write one section into the page in place of its older self, and its pictures beside it."""
    for chart in charts:
        (IMAGES / f"{chart.name}.svg").write_text(chart.svg(), encoding="utf-8")
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(sections(old) | {name: text}, order, NOTES.read_text(encoding="utf-8")), encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """The sections of a page, by their titles."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return {part[3:].split("\n", 1)[0]: part for part in parts if part.startswith("## ")}


def page(known: dict[str, str], order: Sequence[str], notes: str) -> str:
    """The whole page: the suites that were measured in their order, then the notes."""
    return "\n\n".join([HEAD, *(known[name].strip() for name in order if name in known), notes.strip()]) + "\n"
