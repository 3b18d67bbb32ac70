"""Windows, midnight and the clocks' changes (SPEC 6, RELIABILITY R42)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.model.instants import Instant, from_datetime, seconds, to_datetime
from taskdash.rules.schedule import placed, schedule
from tests.support import NOW, a_task

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(text: str, zone: ZoneInfo = SHANGHAI) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))


@pytest.mark.parametrize(
    ("status", "local", "value", "changes"),
    [
        ("waiting", "2026-03-03 12:00", "should_run", "2026-03-03 18:00"),
        ("failed", "2026-03-03 17:59", "should_run", "2026-03-03 18:00"),
        ("shutdown", "2026-03-03 11:59", "ok", "2026-03-03 12:00"),
        ("running", "2026-03-03 12:00", "ok", "2026-03-03 18:00"),
        ("running", "2026-03-03 18:00", "should_stop", "2026-03-04 12:00"),
        ("running", "2026-03-03 00:10", "should_stop", "2026-03-03 12:00"),
        ("finish", "2026-03-03 13:00", "ok", None),
        ("finish", "2026-03-03 23:00", "ok", None),
    ],
)
def test_a_daily_window_says_what_should_be_and_when_that_changes(
    status: str, local: str, value: str, changes: str | None
) -> None:
    expected = (value, at(changes) if changes else None)
    assert schedule("12:00", "18:00", status, at(local), SHANGHAI) == expected


@pytest.mark.parametrize(
    ("local", "value", "changes"),
    [
        ("2026-03-03 21:59", "ok", "2026-03-03 22:00"),
        ("2026-03-03 22:00", "should_run", "2026-03-04 06:00"),
        ("2026-03-04 05:59", "should_run", "2026-03-04 06:00"),
        ("2026-03-04 06:00", "ok", "2026-03-04 22:00"),
    ],
)
def test_a_window_whose_stop_is_before_its_start_crosses_midnight(local: str, value: str, changes: str) -> None:
    assert schedule("22:00", "06:00", "waiting", at(local), SHANGHAI) == (value, at(changes))


def test_equal_ends_are_the_whole_day() -> None:
    assert schedule("08:00", "08:00", "waiting", at("2026-03-03 08:00"), SHANGHAI)[0] == "should_run"
    assert schedule("08:00", "08:00", "waiting", at("2026-03-03 07:59"), SHANGHAI)[0] == "should_run"


@pytest.mark.parametrize("ends", [("", ""), ("12:00", ""), ("", "18:00"), ("12:00", "2026-03-03T18:00:00Z")])
def test_there_is_no_schedule_unless_both_ends_are_given_in_one_form(ends: tuple[str, str]) -> None:
    assert schedule(*ends, "running", NOW, SHANGHAI) == ("none", None)


def test_a_window_between_two_instants_opens_once() -> None:
    start, stop = "2026-03-03T12:00:00Z", "2026-03-05T12:00:00+08:00"
    begins, ends = at("2026-03-03 20:00"), at("2026-03-05 12:00")
    assert schedule(start, stop, "waiting", begins - 1, UTC) == ("ok", begins)
    assert schedule(start, stop, "waiting", begins, UTC) == ("should_run", ends)
    assert schedule(start, stop, "running", ends, UTC) == ("should_stop", None)


def test_a_window_that_ends_before_it_begins_is_never_open_and_never_looked_at_again() -> None:
    start, stop = "2026-03-05T00:00:00Z", "2026-03-03T00:00:00Z"
    assert schedule(start, stop, "waiting", at("2026-03-01 00:00"), UTC) == ("ok", None)


def test_R42_a_start_that_the_clocks_skip_counts_as_the_moment_after_the_gap() -> None:
    opens = from_datetime(datetime(2026, 3, 29, 1, 30, tzinfo=UTC))  # 02:30 does not exist; 03:30 CEST
    assert schedule("02:30", "05:00", "waiting", opens - 1, BERLIN) == ("ok", opens)
    assert schedule("02:30", "05:00", "waiting", opens, BERLIN) == ("should_run", at("2026-03-29 05:00", BERLIN))


def test_R42_a_time_that_the_clocks_repeat_counts_once() -> None:
    opens = from_datetime(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))  # the first 02:30, still CEST
    closes = from_datetime(datetime(2026, 10, 25, 2, 30, tzinfo=UTC))  # 03:30 CET
    assert schedule("02:30", "03:30", "waiting", opens, BERLIN) == ("should_run", closes)
    assert schedule("02:30", "03:30", "waiting", opens + seconds(3_600), BERLIN) == ("should_run", closes)


hours = st.integers(0, 23).map(lambda hour: f"{hour:02d}:00")


@given(hours, hours, st.sampled_from(["waiting", "running"]), st.integers(0, 366 * 24 * 60))
def test_R42_the_value_holds_until_the_instant_that_is_told_on_every_day_of_a_year(
    start: str, stop: str, status: str, minute: int
) -> None:
    now = at("2026-01-01 00:00", BERLIN) + seconds(minute * 60)
    value, changes = schedule(start, stop, status, now, BERLIN)
    assert changes is not None
    assert schedule(start, stop, status, changes - 1, BERLIN)[0] == value
    if start != stop:
        assert schedule(start, stop, status, changes, BERLIN)[0] != value, to_datetime(changes)


def test_a_task_is_placed_only_when_that_changes_it() -> None:
    task = a_task(start_time="00:00", stop_time="12:00", status="waiting")
    once = placed(task, NOW, SHANGHAI)
    assert once.schedule == "ok"
    assert once.schedule_at is not None
    assert placed(once, NOW, SHANGHAI) is once
