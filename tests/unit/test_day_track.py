"""The day of a task as a picture: midnight, the clocks' changes, zones (UI 6, 12; RELIABILITY R42)."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.model.instants import Instant, from_datetime, seconds
from taskdash.rules.schedule import windows
from taskdash.web.pages.day_track import Change, Piece, Track, day_of, ran, track

BERLIN, SHANGHAI, KATHMANDU = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai"), ZoneInfo("Asia/Kathmandu")
LORD_HOWE, BEIRUT = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Beirut")
HOUR = seconds(3_600)


def at(text: str, zone: ZoneInfo) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))


def drawn(start: str, stop: str, now: Instant, zone: ZoneInfo) -> Track:
    return track(now, zone, windows(start, stop, now, zone), [], [])


@pytest.mark.parametrize("zone", [BERLIN, SHANGHAI, KATHMANDU])
def test_a_window_within_the_day_is_one_piece_wherever_one_lives(zone: ZoneInfo) -> None:
    found = drawn("12:00", "18:00", at("2026-07-30 14:24", zone), zone)
    assert found.hours == 24
    assert found.windows == [Piece(50.0, 25.0)]
    assert found.now == 60.0
    assert [(tick.x, tick.text) for tick in found.ticks][:3] == [(0.0, "00:00"), (12.5, "03:00"), (25.0, "06:00")]
    assert found.ticks[-1] == (100.0, "24:00", False)


@pytest.mark.parametrize("now", ["2026-07-30 00:30", "2026-07-30 12:00", "2026-07-30 23:30"])
def test_a_window_over_midnight_is_two_pieces_of_the_day(now: str) -> None:
    assert drawn("22:00", "06:00", at(now, SHANGHAI), SHANGHAI).windows == [Piece(0.0, 25.0), Piece(91.667, 8.333)]


def test_equal_ends_are_the_whole_day_in_two_pieces() -> None:
    assert drawn("06:00", "06:00", at("2026-07-30 12:00", SHANGHAI), SHANGHAI).windows == [Piece(0.0, 25.0), Piece(25.0, 75.0)]


def test_the_day_on_which_the_clocks_go_forward_has_23_hours() -> None:
    now = at("2026-03-29 12:00", BERLIN)
    found = drawn("01:00", "04:00", now, BERLIN)
    assert found.hours == 23
    assert found.windows == [Piece(round(100 / 23, 3), round(200 / 23, 3))]
    assert found.ticks[1].x == round(200 / 23, 3)
    assert found.now == round(1_100 / 23, 3)


def test_the_day_on_which_the_clocks_go_back_has_25_hours() -> None:
    found = drawn("01:00", "04:00", at("2026-10-25 12:00", BERLIN), BERLIN)
    assert found.hours == 25
    assert found.windows == [Piece(4.0, 16.0)]
    assert found.now == 52.0


def test_a_window_over_the_midnight_before_the_clocks_change_is_as_long_as_it_really_is() -> None:
    found = drawn("23:00", "03:00", at("2026-03-29 12:00", BERLIN), BERLIN)
    assert found.windows == [Piece(0.0, round(200 / 23, 3)), Piece(round(2_200 / 23, 3), round(100 / 23, 3))]


def test_clocks_that_change_by_half_an_hour_or_at_midnight_lose_nothing() -> None:
    half = drawn("00:00", "12:00", at("2026-10-04 12:00", LORD_HOWE), LORD_HOWE)
    assert half.windows == [Piece(0.0, round(1_150 / 23.5, 3))]
    begins, ends = day_of(at("2026-03-29 12:00", BEIRUT), BEIRUT)
    assert ends - begins == 23 * HOUR
    assert drawn("09:00", "10:00", at("2026-03-29 12:00", BEIRUT), BEIRUT).ticks[0].x == 0.0


def test_a_window_of_two_instants_is_cut_to_the_day() -> None:
    now = at("2026-07-30 12:00", SHANGHAI)
    assert drawn("2026-07-29T20:00:00+08:00", "2026-07-30T06:00:00+08:00", now, SHANGHAI).windows == [Piece(0.0, 25.0)]
    assert drawn("2026-07-28T20:00:00+08:00", "2026-07-29T06:00:00+08:00", now, SHANGHAI).windows == []
    assert drawn("12:00", "", now, SHANGHAI).windows == []


def test_the_label_of_now_stays_inside_the_picture() -> None:
    anchors = [drawn("", "", at(f"2026-07-30 {clock}", SHANGHAI), SHANGHAI).anchor for clock in ("00:10", "12:00", "23:50")]
    assert anchors == ["start", "middle", "end"]


def test_runs_are_read_from_the_changes_of_status() -> None:
    changes = [Change(10, "running", "finish"), Change(20, "waiting", "running"), Change(30, "running", "failed")]
    assert ran(changes, "failed", 30, 50) == [(0, 10), (20, 30)]
    assert ran(changes[:2], "running", 20, 50) == [(0, 10), (20, 50)]
    assert ran([], "running", 5, 50) == [(5, 50)]
    assert ran([], "waiting", 5, 50) == []
    assert ran([], "running", 60, 50) == []


def test_a_change_between_two_words_for_not_running_begins_nothing() -> None:
    assert ran([Change(10, "waiting", "restart"), Change(20, "restart", "running")], "running", 20, 30) == [(20, 30)]


@given(
    zone=st.sampled_from([BERLIN, SHANGHAI, KATHMANDU, LORD_HOWE, BEIRUT]),
    now=st.integers(at("2025-01-01 00:00", BERLIN), at("2027-12-31 00:00", BERLIN)),
    start=st.times(),
    stop=st.times(),
)
def test_every_piece_lies_on_the_track_and_now_is_in_a_window_exactly_when_it_is_drawn_in_one(
    zone: ZoneInfo, now: Instant, start: object, stop: object
) -> None:
    begins, ends = f"{start:%H:%M}", f"{stop:%H:%M}"
    found = drawn(begins, ends, now, zone)
    assert all(piece.x >= 0 and piece.width >= 0 and piece.x + piece.width <= 100.001 for piece in found.windows)
    day = day_of(now, zone)
    assert day[0] <= now < day[1]
    inside = any(begin <= now < end for begin, end in windows(begins, ends, now, zone))
    near = any(abs(found.now - edge) < 0.01 for piece in found.windows for edge in (piece.x, piece.x + piece.width))
    assert near or inside == any(piece.x <= found.now < piece.x + piece.width for piece in found.windows)
