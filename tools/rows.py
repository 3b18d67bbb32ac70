"""Which tests show which row of the reliability page: writes the table of docs/RELIABILITY.md, and names rows without a test.

`python tools/rows.py --write` writes the table anew; without, it exits 1 when a row of this release has no test. `--all` wants
every row of sections 2 to 8, but those for which the page gives a written reason.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

PAGE = Path("docs/RELIABILITY.md")
BEGIN, END = "<!-- rows -->", "<!-- end of rows -->"
ALL = [
    *range(1, 18), *range(20, 57), *range(60, 89), *range(100, 113), *range(130, 138), *range(140, 169), *range(170, 179),
]  # fmt: skip
OPEN: tuple[int, ...] = ()
"""Rows that are still to be shown: a release needs them (`--all`), a change does not."""
REASONS, END_REASONS = "<!-- rows without a test -->", "<!-- end of rows without a test -->"
_TEST = re.compile(r"def (test_(?:R\d+_)+\w+)")
_ROW = re.compile(r"R(\d+)(?=_)")
_REASON = re.compile(r"^\| R(\d+) \| *\S.*\|$", re.MULTILINE)


def tests_by_row() -> dict[int, list[str]]:
    """Test names by row number."""
    found: dict[int, list[str]] = {}
    for path in sorted(Path("tests").rglob("test_*.py")):
        for name in _TEST.findall(path.read_text(encoding="utf-8")):
            for row in {int(number) for number in _ROW.findall(name)}:
                found.setdefault(row, []).append(
                    f"`{path.relative_to('tests')}` {name.removeprefix('test_').replace('_', ' ')}"
                )
    return found


def table(found: dict[int, list[str]]) -> str:
    """Markdown, a line a row."""
    lines = ["| row | shown by |", "|---|---|"]
    for row in sorted(found):
        shown = found[row]
        more = f" (and {len(shown) - 3} more)" if len(shown) > 3 else ""
        lines.append(f"| R{row} | {'<br>'.join(shown[:3])}{more} |")
    return "\n".join(lines)


def reasons(page: str) -> set[int]:
    """Rows for which the page says why no test is possible."""
    told = page.partition(REASONS)[2].partition(END_REASONS)[0]
    return {int(number) for number in _REASON.findall(told)}


def missing(found: dict[int, list[str]], page: str, wanted: Sequence[int]) -> list[int]:
    """The wanted rows that have neither a test nor a reason in the page."""
    return [row for row in wanted if row not in found and row not in reasons(page)]


def main() -> int:
    """0 when all is well."""
    found = tests_by_row()
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    new = f"{head}{BEGIN}\n{table(found)}\n{END}{rest.split(END)[1]}"
    if "--write" in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    wanted = ALL if "--all" in sys.argv else [row for row in ALL if row not in OPEN]
    unshown = missing(found, page, wanted)
    if unshown:
        sys.stdout.write(f"rows without a test: {', '.join(f'R{row}' for row in unshown)}\n")
    return 1 if unshown else 0


if __name__ == "__main__":
    sys.exit(main())
