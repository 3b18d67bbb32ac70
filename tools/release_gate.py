"""The whole figures of the release gates, one after another: promise, tries, failures found, failures left.

`make release-gate` runs all and writes the table into docs/RELIABILITY.md; `python -m tools.release_gate R133 R134` only those.
A gate's tests are found by the row in their name, and tell their figures by `record_property("tries", ...)`. It exits 1 while
anything is left.
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

PAGE = Path("docs/RELIABILITY.md")
BEGIN, END = "<!-- gates -->", "<!-- end of gates -->"
GATES = {
    "R130": "kill -9 under load on all four ports: nothing acknowledged is lost, nothing refused is kept",
    "R131": "claims, assigns and releases at once: one order explains all, versions and events agree",
    "R132": "event streams over cuts and restarts: every client's list equals the table",
    "R133": "mutated input on every port: no crash, no hang, no growth, answers from the tables",
    "R134": "simulated hours of faults: no false down, every death found in time",
    "R135": "whichever store call fails: acknowledged is there, refused is not, a repeat is safe",
    "R136": "an hour of all faults: the end equals the model, nothing is leaked",
}


class Result(NamedTuple):
    """Of one gate. `tries` empty: its tests say no figure, so they are counted."""

    passed: int
    failed: int
    tries: str


def files_of(row: str) -> list[str]:
    """The test files with a test of that row."""
    named = re.compile(rf"def test_(?:R\d+_)*{row}_")
    return [str(path) for path in sorted(Path("tests").rglob("test_*.py")) if named.search(path.read_text(encoding="utf-8"))]


def run(row: str) -> Result:
    """Run the gate in its whole size."""
    files = files_of(row)
    if not files:
        return Result(0, 0, "")
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        environment = {**os.environ, "LONG_FAULTS": "1"}
        command = [sys.executable, "-m", "pytest", "-q", f"-k={row}_", "-ojunit_family=xunit1", f"--junitxml={report}", *files]
        subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own interpreter and files
        return read(report.read_text(encoding="utf-8")) if report.exists() else Result(0, 1, "")


def read(report: str) -> Result:
    """What pytest wrote down. A skipped test shows nothing and so counts as failed."""
    cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314 - pytest's own file
    failed = [case for case in cases if any(case.find(how) is not None for how in ("failure", "error", "skipped"))]
    told = [str(each.get("value")) for case in cases for each in case.iter("property") if each.get("name") == "tries"]
    return Result(len(cases) - len(failed), len(failed), "; ".join(dict.fromkeys(told)))


def line(row: str, result: Result, before: str) -> str:
    """A row of the table. What was found before stays found."""
    tries = result.tries or f"{result.passed + result.failed} tests"
    left = result.failed if result.passed + result.failed else "not shown: no test"
    found = max(result.failed, int(before or 0))
    return f"| {row} | {GATES[row]} | {tries} | {found} | {left} | `python -m tools.release_gate {row}` |"


def known(page: str) -> dict[str, str]:
    """The table's lines by row."""
    inside = page.partition(BEGIN)[2].partition(END)[0]
    return {text.split("|")[1].strip(): text for text in inside.splitlines() if text.startswith("| R")}


def with_table(page: str, lines: dict[str, str]) -> str:
    """The page with these lines between the markers."""
    head, rest = page.split(BEGIN)
    title = "| row | promise | tries | failures found | failures left | command |\n|---|---|---|---|---|---|"
    return f"{head}{BEGIN}\n{title}\n" + "".join(f"{lines[row]}\n" for row in GATES if row in lines) + END + rest.split(END)[1]


def main(wanted: list[str]) -> int:
    """0 when every gate holds and every row of the page has its test."""
    page = PAGE.read_text(encoding="utf-8")
    lines, is_good = known(page), True
    for row in wanted or list(GATES):
        result = run(row)
        is_good = is_good and result.passed > 0 and not result.failed
        before = lines[row].split("|")[4].strip() if row in lines else ""
        lines[row] = line(row, result, before)
        page = with_table(page, lines)
        PAGE.write_text(page, encoding="utf-8")
        sys.stdout.write(lines[row] + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
