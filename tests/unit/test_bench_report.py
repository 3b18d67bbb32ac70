"""docs/BENCHMARKS.md is written part by part, and its curves are pictures that any page can show."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import report
from bench.charts import Chart
from bench.harness import Row
from bench.report import page, sections

ORDER = ("nsq", "tcp", "growth")
OLD = "# Benchmarks\n\nhead\n\n## nsq\n\n1,000/s\n\n\n## growth\n\ncurves\n\n## How the floors are made\n\nold notes\n"


def test_one_part_measured_anew_leaves_the_others_as_they_were() -> None:
    again = page(sections(OLD) | {"nsq": "## nsq\n\n2,000/s\n"}, ORDER, "## How the floors are made\n\nnew notes\n")
    assert "2,000/s" in again
    assert "1,000/s" not in again
    assert "## growth\n\ncurves" in again


def test_a_part_measured_for_the_first_time_stands_in_its_place_before_the_notes() -> None:
    again = page(sections(OLD) | {"tcp": "## tcp\n\n3/s"}, ORDER, "## Notes")
    assert [line for line in again.splitlines() if line.startswith("## ")] == ["## nsq", "## tcp", "## growth", "## Notes"]


def test_notes_are_taken_anew_and_never_twice() -> None:
    notes = "## How the floors are made\n\nnew notes"
    once = page(sections(OLD), ORDER, notes)
    assert page(sections(once), ORDER, notes) == once
    assert "old notes" not in once


def test_a_curve_in_proportion_to_size_is_drawn_as_one_straight_line_of_escaped_names() -> None:
    chart = Chart("x", "a < b", "s", {"SQLite & more": [(10, 1), (100, 10), (1_000, 100)], "flat": [(10, 1), (1_000, 1)]})
    root = ElementTree.fromstring(chart.svg())  # raises when names are not escaped
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    x, y = ([float(e.attrib[name]) for e in circles[:3]] for name in ("cx", "cy"))
    assert abs((y[0] - y[1]) / (x[1] - x[0]) - (y[1] - y[2]) / (x[2] - x[1])) < 0.01
    assert len(circles) == 5


def test_a_part_with_curves_is_written_with_its_pictures_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in (("PAGE", "page.md"), ("NOTES", "notes.md"), ("IMAGES", "images")):
        monkeypatch.setattr(report, name, tmp_path / path)
    (tmp_path / "images").mkdir()
    (tmp_path / "notes.md").write_text("## Notes\n", encoding="utf-8")
    chart = Chart("bench-x", "x over size", "s", {"SQLite": [(10, 1), (100, 10)], "PostgreSQL": [(10, 2), (100, 20)]})
    text = report.section("growth", [Row("x", "1 s", "-", None, "-", None)], [chart], "Measured today.")
    report.put("growth", text, [chart], ORDER)
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "![x over size](images/bench-x.svg)" in written
    assert "PostgreSQL" in (tmp_path / "images" / "bench-x.svg").read_text(encoding="utf-8")
