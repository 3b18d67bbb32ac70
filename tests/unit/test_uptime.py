"""The share of the last days that a service was up (web.pages.uptime)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from taskdash.model.instants import from_datetime, seconds
from taskdash.store.state_history import StateChange
from taskdash.web.pages import uptime

NOON = from_datetime(datetime(2026, 7, 30, 12, tzinfo=UTC))
HOUR = seconds(3_600)
LONG_AGO = NOON - 400 * 24 * HOUR


def change(hours_ago: float, before: str, after: str) -> StateChange:
    return StateChange(NOON - round(hours_ago * HOUR), before, after, "")


def hours(day: uptime.Day) -> dict[str, float]:
    return {name: getattr(day, name) / HOUR for name in ("up", "late", "down", "untold")}


def test_a_service_without_changes_was_all_the_time_what_it_is() -> None:
    found = uptime.days([], "up", LONG_AGO, NOON, UTC)
    assert len(found) == 90
    assert all(day.share == 1.0 for day in found)
    assert hours(found[0])["up"] == 24
    assert hours(found[-1])["up"] == 12, "today is half over"


def test_a_day_partly_down_counts_in_proportion() -> None:
    found = uptime.days([change(36, "up", "down"), change(30, "down", "up")], "up", LONG_AGO, NOON, UTC)
    yesterday = found[-2]
    assert hours(yesterday) == {"up": 18, "late": 0, "down": 6, "untold": 0}
    assert yesterday.share == 0.75
    assert yesterday.falls == 1
    assert found[-3].share == found[-1].share == 1.0


def test_being_down_over_midnight_is_told_on_both_days_and_fell_once() -> None:
    found = uptime.days([change(14, "late", "down"), change(10, "down", "up")], "up", LONG_AGO, NOON, UTC)
    assert [hours(day)["down"] for day in found[-2:]] == [2, 2]
    assert [day.falls for day in found[-2:]] == [1, 0]


@pytest.mark.parametrize("state", ["unknown", "paused", "left", "new"])
def test_time_in_which_nobody_could_tell_counts_for_nothing(state: str) -> None:
    changes = [change(36, "up", state), change(27, state, "down"), change(24, "down", "up")]
    yesterday = uptime.days(changes, "up", LONG_AGO, NOON, UTC)[-2]
    assert hours(yesterday) == {"up": 12, "late": 0, "down": 3, "untold": 9}
    assert yesterday.share == 12 / 15


def test_a_day_that_nobody_saw_has_no_share() -> None:
    found = uptime.days([change(80, "up", "unknown")], "unknown", LONG_AGO, NOON, UTC)
    assert [day.share for day in found[-2:]] == [None, None]
    assert found[-5].share == 1.0


def test_late_is_not_down() -> None:
    found = uptime.days([change(36, "up", "late")], "late", LONG_AGO, NOON, UTC)
    assert found[-1].share == 1.0
    assert hours(found[-1])["late"] == 12


def test_nothing_is_said_of_the_time_before_it_registered() -> None:
    found = uptime.days([change(30, "new", "up")], "up", NOON - 36 * HOUR, NOON, UTC)
    assert [day.share for day in found[:-2]] == [None] * 88
    assert hours(found[-2]) == {"up": 18, "late": 0, "down": 0, "untold": 6}


def test_the_first_change_that_is_known_tells_what_was_before_it() -> None:
    found = uptime.days([change(6, "down", "up")], "up", LONG_AGO, NOON, UTC)
    assert found[0].share == 0.0
    assert hours(found[-1]) == {"up": 6, "late": 0, "down": 6, "untold": 0}
    assert sum(day.falls for day in found) == 0


def test_changes_before_the_time_that_is_known_only_tell_the_state_it_began_with() -> None:
    changes = [change(50, "up", "down"), change(40, "down", "up")]
    found = uptime.days(changes, "up", NOON - 36 * HOUR, NOON, UTC)
    assert uptime.whole(found).down == 0
    assert uptime.whole(found).falls == 0


@pytest.mark.parametrize(("day", "length"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(day: tuple[int, int, int], length: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = from_datetime(datetime(day[0], day[1], day[2] + 1, 12, tzinfo=zone))
    assert hours(uptime.days([], "up", 0, now, zone)[-2])["up"] == length


def test_a_percentage_is_never_rounded_up_to_all() -> None:
    assert uptime.percent(0.99999) == "99.99 %"
    assert uptime.percent(1.0) == "100 %"
    assert uptime.percent(0.5) == "50 %"


def test_all_days_together_are_their_sum() -> None:
    found = uptime.days([change(36, "up", "down"), change(30, "down", "up")], "up", NOON - 48 * HOUR, NOON, UTC)
    assert uptime.whole(found).down == 6 * HOUR
    assert uptime.whole(found).share == pytest.approx(42 / 48)
