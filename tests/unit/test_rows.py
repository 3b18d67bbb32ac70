"""R137: every row of the reliability page has a test named after it, or is told to have none."""

from pathlib import Path

import pytest

from tools import rows


def page(line: str) -> str:
    return f"{rows.REASONS}\n{line}\n{rows.END_REASONS}\n"


def test_R137_a_row_without_a_test_or_a_written_reason_is_named() -> None:
    found = {row: ["a test"] for row in rows.ALL if row not in {22, 33}}
    assert rows.missing(found, page("| R33 | nothing here can be shown |"), rows.ALL) == [22]
    assert rows.missing(found, page("| R33 | |"), rows.ALL) == [22, 33]


def test_R137_what_is_still_to_be_shown_has_no_test_yet() -> None:
    assert [row for row in rows.OPEN if row in rows.tests_by_row()] == []


def test_R137_the_pages_table_is_the_one_that_the_tests_make() -> None:
    page = Path("docs/RELIABILITY.md").read_text(encoding="utf-8")
    assert rows.table(rows.tests_by_row()) in page, "write it anew: python tools/rows.py --write"


@pytest.mark.parametrize("row", [17, 56, 88, 112, 137, 168, 178])
def test_R137_the_list_goes_to_the_end_of_each_section(row: int) -> None:
    assert row in rows.ALL
