"""The lanes of the last 30 minutes, from hand-made histories. UI 6 (Now)."""

from datetime import UTC
from itertools import pairwise
from typing import Any

from taskdash.model.instants import Instant, parse_rfc3339, seconds
from taskdash.model.records import Event, Incident, Service, State
from taskdash.web.pages import lanes, texts
from taskdash.web.pages.lanes import LOST, WIDTH, Frame, Stretch

NOW = parse_rfc3339("2026-07-30T14:32:00Z")
START = NOW - lanes.WINDOW
FRAME = Frame(texts.load("en"), UTC, NOW, START)


def at(minute: float) -> Instant:
    """So many minutes after the window began."""
    return START + seconds(60 * minute)


def a_service(state: State = "up", **fields: Any) -> Service:
    return Service(id="billing", name="Billing", state=state, **fields)


def became(minute: float, before: str, after: str) -> Event:
    return Event(
        seq=round(minute * 100),
        at=at(minute),
        kind="service.state",
        subject_type="service",
        subject_id="billing",
        before={"state": before},
        after={"state": after},
    )


def test_without_an_event_a_service_was_all_the_time_what_it_is() -> None:
    assert lanes.stretches(a_service(), [], FRAME) == [Stretch("up", START, NOW)]


def test_each_event_ends_one_state_and_begins_another() -> None:
    told = [became(25, "up", "late"), became(26, "late", "down")]
    assert lanes.stretches(a_service("down"), told, FRAME) == [
        Stretch("up", START, at(25)),
        Stretch("late", at(25), at(26)),
        Stretch("down", at(26), NOW),
    ]


def test_the_last_stretch_is_what_the_service_is_even_when_no_event_tells_it() -> None:
    found = lanes.stretches(a_service("down", since=at(29)), [became(10, "up", "late")], FRAME)
    assert found[1:] == [Stretch("late", at(10), at(29)), Stretch("down", at(29), NOW)]


def test_stretches_follow_one_another_without_gap_or_overlap_however_often_it_changes() -> None:
    told = [became(n, *(("up", "down") if n % 2 else ("down", "up"))) for n in range(1, 30)]
    found = lanes.stretches(a_service("down"), told, FRAME)
    assert (found[0].began, found[-1].ended) == (START, NOW)
    assert all(one.ended == other.began for one, other in pairwise(found))


def test_nothing_is_drawn_before_a_service_existed_or_before_events_were_read() -> None:
    young = a_service("new", created_at=at(20), registered_at=at(20), since=at(20))
    assert lanes.stretches(young, [], FRAME) == [Stretch("new", at(20), NOW)]
    cut = FRAME._replace(known_from=at(10))
    assert lanes.stretches(a_service("down"), [became(5, "up", "late"), became(12, "late", "down")], cut) == [
        Stretch("late", at(10), at(12)),
        Stretch("down", at(12), NOW),
    ]


def test_an_event_that_says_no_state_changes_nothing() -> None:
    flagged = became(5, "up", "up")
    silent = Event(
        seq=1, at=at(4), kind="service.state", subject_type="service", subject_id="billing", after={"flapping": True}
    )
    assert lanes.stretches(a_service(), [silent, flagged], FRAME) == [
        Stretch("up", START, at(5)),
        Stretch("up", at(5), NOW),
    ]


def test_down_is_tall_late_is_low_and_up_a_thin_line() -> None:
    told = [became(10, "up", "late"), became(20, "late", "down")]
    up, late, down = lanes.marks(lanes.stretches(a_service("down"), told, FRAME), FRAME)
    assert up.height < late.height < down.height
    assert (up.x, up.width, late.x, late.width, down.x, down.width) == (0, 200, 200, 200, 400, 200)
    assert all(mark.y + mark.height / 2 == 12 for mark in (up, late, down))


def test_trouble_of_a_second_is_still_to_be_seen_and_stays_inside_the_picture() -> None:
    told = [became(29.99, "up", "down")]
    mark = lanes.marks(lanes.stretches(a_service("down"), told, FRAME), FRAME)[-1]
    assert mark.width >= 3
    assert mark.x + mark.width <= WIDTH


def test_the_row_ends_with_the_state_in_words_and_the_picture_is_a_sentence() -> None:
    lane = lanes.of_service(a_service("down", since=at(26)), [became(26, "up", "down")], FRAME)
    assert (lane.text, lane.since, lane.tone) == ("Down", at(26), "er")
    assert lane.sentence == "Billing: up from 14:02:00, down from 14:28:00"
    flapping = lanes.of_service(a_service(flapping=True), [], FRAME)
    assert (flapping.text, flapping.since) == ("flapping, up", None)
    assert lanes.of_service(a_service("late", since=0), [], FRAME._replace(texts=texts.load("zh-CN"))).text == "迟到"


def lost(began: float, ended: float | None, cause: str = "nsq") -> Incident:
    resolved = None if ended is None else at(ended)
    return Incident(id=f"{cause}{began}", kind="input", cause=cause, opened_at=at(began), resolved_at=resolved)


def test_the_inputs_share_a_lane_and_losses_that_overlap_are_one() -> None:
    found = lanes.lost_stretches([lost(10, 20), lost(15, 25, "b"), lost(-5, 2)], FRAME)
    assert [(each.state, each.began, each.ended) for each in found] == [
        (LOST, START, at(2)),
        ("up", at(2), at(10)),
        (LOST, at(10), at(20)),
        (LOST, at(20), at(25)),
        ("up", at(25), NOW),
    ]


def test_the_lane_of_the_inputs_says_lost_or_back_and_since_when() -> None:
    back, gone, calm = (lanes.of_input(each, FRAME) for each in ([lost(10, 20)], [lost(28, None)], []))
    assert (back.name, back.text, back.since) == ("Input nsq", "back", at(20))
    assert (gone.text, gone.since, gone.tone) == ("lost", at(28), "un")
    assert (calm.name, calm.text, calm.since) == ("Input", "no change", None)


def test_each_dead_letter_is_a_mark_and_their_number_leads_to_them() -> None:
    lane = lanes.of_letters([at(1), at(15), at(30)], FRAME, "/letters")
    assert [mark.x for mark in lane.marks if mark.state == "letter"] == [20, 300, 597]
    assert (lane.text, lane.text_href) == ("3 messages", "/letters")
    assert lanes.of_letters([], FRAME, "/letters").text_href == ""


def test_all_others_share_one_lane() -> None:
    assert lanes.of_others(10, 0, FRAME).text == "no change"
    assert lanes.of_others(1_200, 3, FRAME)[0] == "Other 1,200"
    assert lanes.of_others(1_200, 3, FRAME).text == "3 changed"


def test_the_axis_has_a_time_each_ten_minutes() -> None:
    assert lanes.axis(FRAME) == ["14:02", "14:12", "14:22", "14:32"]
