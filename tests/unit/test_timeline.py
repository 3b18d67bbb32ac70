"""The last half hour of a service on one axis (web.pages.timeline): only what is stored is drawn."""

from typing import Any

from msgspec import structs

from taskdash.model.instants import seconds
from taskdash.model.records import Service
from taskdash.rules.evidence import duration, moment, say
from taskdash.store.state_history import StateChange
from taskdash.web.pages import timeline
from tests.support import NOW, a_service

ALL = (1 << 30) - 1
MARKS = {"came": "#", "missed": ".", "blind": "?", "was-up": "u", "was-late": "l", "muted": "m", "none": " "}


def known(**fields: Any) -> Service:
    """A service that has beaten every 10 s for hours, the last time just now."""
    since = NOW - seconds(9_000)
    return a_service(**{"created_at": since, "since": since, "beat_bits": ALL, "beat_known": ALL, **fields})


def strip(service: Service, now_s: float = 0.0, changes: tuple[StateChange, ...] = ()) -> str:
    line = timeline.timeline(service, changes, NOW + seconds(now_s))
    return "".join(MARKS[slot.kind] for slot in line.slots)


def change(at_s: float, before: str, after: str, evidence: str = "") -> StateChange:
    return StateChange(NOW + seconds(at_s), before, after, evidence)


def test_single_beats_are_drawn_as_far_as_they_are_kept_and_the_state_before_that() -> None:
    assert strip(known()) == "u" * 75 + "#" * 15


def test_silence_after_the_last_beat_is_missed_once_the_slack_for_jitter_is_over() -> None:
    assert strip(known(), 20.5).rstrip().endswith("##")
    assert strip(known(), 21.5).rstrip().endswith("##.")
    assert strip(known(state="down"), 250).rstrip().endswith("#" + "." * 12)


def test_what_taskdash_could_not_see_is_not_called_missed() -> None:
    assert strip(known(state="unknown"), 60).endswith("#???")
    assert strip(known(state="paused"), 60).endswith("#mmm")
    assert strip(known(state="left"), 60).rstrip().endswith("#")


def test_a_hole_among_the_kept_beats_is_missed_and_a_blind_one_is_told_by_the_state() -> None:
    holed = known(beat_bits=ALL & ~0b1100)
    assert strip(holed).endswith("#.#")
    blind = known(beat_known=ALL & ~0b1100, beat_bits=ALL & ~0b1100)
    changes = (change(-39, "up", "unknown"), change(-15, "unknown", "up"))
    assert strip(blind, changes=changes).endswith("#?#")


def test_before_it_registered_there_is_nothing() -> None:
    young = known(created_at=NOW - seconds(600), beat_known=0b111, beat_bits=0b111)
    assert strip(young).startswith(" " * 58)
    assert not strip(young).startswith(" " * 62)


def test_older_trouble_is_told_by_the_state_of_that_time() -> None:
    changes = (change(-1_000, "up", "down"), change(-800, "down", "up"))
    assert strip(known(), changes=changes).count(".") == 10
    late = (change(-1_000, "up", "late"), change(-800, "late", "up"))
    assert strip(known(), changes=late).count("l") == 10


def test_a_service_that_beats_seldom_has_slots_and_an_axis_of_its_own() -> None:
    line = timeline.timeline(known(interval_s=600.0), [], NOW)
    assert line.slot_s == 600
    assert line.ended - line.began == seconds(18_000)
    assert [slot.kind for slot in line.slots] == ["came"] * 30


def test_slots_fill_the_axis_without_gaps() -> None:
    line = timeline.timeline(known(), [], NOW + seconds(7))
    assert line.slots[0].x == 0
    last = line.slots[-1]
    assert round(last.x + last.width, 1) == 100
    for one, following in zip(line.slots, line.slots[1:], strict=False):
        assert abs(one.x + one.width - following.x) < 0.05
    assert line.last_x is not None
    assert 99 < line.last_x < 100


def test_the_answers_are_those_that_are_stored_and_those_that_evidence_names() -> None:
    answered = say("url_answered", took=duration(seconds(0.012)), at=moment(NOW - seconds(700)))
    refused = say("url_refused", error="the connection was refused", at=moment(NOW - seconds(300)))
    changes = [
        change(-690, "down", "late", f"No beat, but {answered}."),
        change(-290, "late", "down", f"No beat, and {refused}."),
    ]
    service = known(
        url="http://10.0.0.1/",
        collect_ok=False,
        collected_at=NOW - seconds(5),
        collect_error_at=NOW - seconds(320),
        collect_ok_at=NOW - seconds(335),
        collect_took_ms=2_000.0,
    )
    found = timeline.timeline(service, changes, NOW).answers
    told = [(round((each.at - NOW) / seconds(1)), each.ok, each.took_ms) for each in found]
    assert told == [(-700, True, 12.0), (-335, True, None), (-320, False, None), (-300, False, None), (-5, False, None)]


def test_the_longest_answer_is_the_highest_bar() -> None:
    answered = say("url_answered", took=duration(seconds(0.5)), at=moment(NOW - seconds(700)))
    service = known(collect_ok=True, collected_at=NOW, collect_ok_at=NOW, collect_took_ms=1_000.0)
    found = timeline.timeline(service, [change(-690, "down", "late", answered)], NOW).answers
    assert [each.height for each in found] == [10.0, 20.0]


def test_a_service_that_sends_no_beats_has_answers_alone() -> None:
    line = timeline.timeline(structs.replace(known(), interval_s=0.0, collected_at=NOW, collect_ok=True), [], NOW)
    assert line.slots == []
    assert line.last_x is None
    assert len(line.answers) == 1
