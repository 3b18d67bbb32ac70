"""The last 30 intervals (rules.beat_strip)."""

from msgspec import structs

from taskdash.model.instants import seconds
from taskdash.rules.beat_strip import SLOTS, shifted, shown
from tests.support import NOW, a_service


def beaten(*ats_s: float, interval_s: float = 10.0, seen: bool = True) -> str:
    """The strip after beats at these seconds, oldest first: # a beat, . none, ? nobody knows."""
    service = a_service(last_beat_at=None, interval_s=interval_s)
    for at_s in ats_s:
        at = NOW + seconds(at_s)
        bits, known = shifted(service, at, seen=seen)
        service = structs.replace(service, last_beat_at=at, beat_bits=bits, beat_known=known)
    return strip_of(service, ats_s[-1])


def strip_of(service: object, now_s: float) -> str:
    marks = {True: "#", False: ".", None: "?"}
    return "".join(marks[slot] for slot in shown(service, NOW + seconds(now_s))).lstrip("?")  # type: ignore[arg-type]


def test_each_beat_fills_a_slot() -> None:
    assert beaten(0, 10, 20, 30) == "####"


def test_jitter_makes_no_holes() -> None:
    assert beaten(0, 10.9, 19.1, 30.9, 39.2) == "#####"


def test_a_missed_beat_is_a_hole() -> None:
    assert beaten(0, 10, 40) == "##..#"


def test_what_came_while_nobody_could_see_is_not_called_missed() -> None:
    assert beaten(0, 40, seen=False) == "#???#"
    service = a_service(beat_bits=1, beat_known=1, last_beat_at=NOW)
    bits, known = shifted(service, NOW + seconds(30), seen=False)
    assert (bits, known) == (0b1001, 0b1001)


def test_a_beat_sent_twice_shares_its_slot() -> None:
    assert beaten(1, 1.2, 11, 11.1) == "##"


def test_a_service_that_beats_too_often_still_moves_along() -> None:
    assert len(beaten(*range(1, 61, 2))) == 6


def test_a_long_silence_empties_the_strip() -> None:
    assert beaten(0, 10, 100_000) == "." * (SLOTS - 1) + "#"


def test_time_since_the_last_beat_is_shown_as_missed_unless_taskdash_is_blind() -> None:
    service = a_service(beat_bits=0b11, beat_known=0b11, last_beat_at=NOW)
    assert strip_of(service, 25) == "##.."
    assert strip_of(structs.replace(service, state="unknown"), 25).rstrip("?") == "##"
    assert strip_of(service, -5) == "##", "a beat a moment ahead of this reader"
    assert strip_of(service, 1_000_000) == "." * SLOTS


def test_without_beats_there_is_nothing_to_show() -> None:
    assert shown(a_service(last_beat_at=None), NOW) == [None] * SLOTS
    assert shown(a_service(interval_s=0.0), NOW) == [None] * SLOTS
    assert shifted(a_service(interval_s=0.0), NOW, seen=True) == (1, 1)


def test_a_beat_within_the_slack_for_jitter_is_not_missed_yet() -> None:
    service = a_service(beat_bits=0b11, beat_known=0b11, last_beat_at=NOW)
    assert strip_of(service, 10.9) == "##"
    assert strip_of(service, 11.1) == "##."
