"""What TaskDash can see of its inputs, and when it doubts itself (rules.sight, rules.outage)."""

from typing import Any

import pytest
from msgspec import structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service
from taskdash.rules.deadlines import Limits
from taskdash.rules.outage import CLEAR, View, suspect, view
from taskdash.rules.sight import (
    MOST_SPANS,
    MOST_STALLS,
    Crowd,
    Sight,
    Skew,
    Source,
    Span,
    crowd_of,
    follow,
    stalled,
    with_stall,
)
from tests.support import NOW, a_service

LIMITS = Limits()


def after(s: float) -> Instant:
    return NOW + seconds(s)


def source(**fields: Any) -> Source:
    return Source(**{"name": "nsq", "healthy": True, "since": after(-3_600), **fields})


def sight(*sources: Source, **fields: Any) -> Sight:
    return Sight(**{"started_at": after(-7_200), "sources": {one.name: one for one in sources}, **fields})


def seen(service: Service, now_s: float, *sources: Source, **fields: Any) -> View:
    return view(service, NOW, after(now_s), sight(*sources, **fields), LIMITS)


BEATEN = a_service(source="nsq")


def test_an_input_that_has_been_heard_all_along_lets_taskdash_see() -> None:
    assert seen(BEATEN, 31, source()) == CLEAR
    assert not CLEAR.is_blind(NOW)


def test_an_input_is_judged_a_source_at_a_time() -> None:
    deaf = source(name="nsqd:b:4150", healthy=False)
    assert seen(BEATEN, 31, source(), deaf) == CLEAR
    assert seen(a_service(source="nsqd:b:4150"), 31, source(), deaf).is_blind(after(1_000_000))


@pytest.mark.parametrize(("was_lost", "reason"), [(False, "startup"), (True, "input")])
def test_an_input_that_cannot_be_heard_blinds_for_as_long_as_it_lasts(was_lost: bool, reason: str) -> None:
    blind = seen(BEATEN, 31, source(healthy=False, was_lost=was_lost))
    assert (blind.until, blind.reason, blind.key) == (None, reason, "unknown_input")
    assert blind.facts["error"] == "not connected"


@pytest.mark.parametrize(("was_lost", "reason"), [(False, "startup"), (True, "input")])
@pytest.mark.parametrize(("interval_s", "until_s"), [(1, 115), (10, 130), (60, 280)])
def test_an_input_must_be_heard_for_three_intervals_and_the_redelivery_time(
    was_lost: bool, reason: str, interval_s: float, until_s: float
) -> None:
    service = a_service(source="nsq", interval_s=interval_s)
    blind = seen(service, 101, source(since=after(100), was_lost=was_lost))
    assert (blind.until, blind.reason) == (after(until_s), reason)
    assert blind.is_blind(after(until_s - 0.1))
    assert not blind.is_blind(after(until_s))


def test_a_service_that_beat_since_its_input_is_heard_is_judged_as_ever() -> None:
    assert seen(BEATEN, 31, source(since=after(-1))) == CLEAR


def test_a_node_that_lookupd_no_longer_names_stops_counting_after_three_intervals() -> None:
    gone = source(healthy=False, withdrawn_at=after(50), was_lost=True)
    other = source(name="nsqd:b:4150")
    blind = seen(BEATEN, 60, gone, other)
    assert (blind.until, blind.reason, blind.key) == (after(80), "input", "unknown_withdrawn")
    later = seen(BEATEN, 80, gone, other)
    assert (later.until, later.is_blind(after(80))) == (after(80), False)
    alone = seen(BEATEN, 80, gone)
    assert (alone.until, alone.key) == (None, "unknown_withdrawn"), "nobody else hears"
    newer = seen(BEATEN, 81, gone, source(name="nsqd:c:4150", since=after(79)))
    assert newer.until == after(109)


def test_a_node_that_is_withdrawn_and_still_heard_counts() -> None:
    assert seen(BEATEN, 60, source(withdrawn_at=after(50))) == CLEAR


def test_an_input_that_is_none_of_ours_since_the_start_stops_counting_likewise() -> None:
    blind = seen(BEATEN, 70, source(name="http", since=after(50)), started_at=after(50))
    assert (blind.until, blind.reason) == (after(80), "startup")
    assert seen(BEATEN, 81, source(name="http", since=after(-60)), started_at=after(50)).is_blind(after(81)) is False


# follow


def test_an_input_that_was_lost_is_remembered_as_such() -> None:
    first = follow(None, source(healthy=False))
    assert not first.was_lost, "it was never heard, so it is the start"
    heard = follow(first, source(since=after(1)))
    assert not heard.was_lost
    lost = follow(heard, source(healthy=False, since=after(2)))
    assert lost.was_lost
    assert follow(lost, source(since=after(3))).was_lost
    assert follow(heard, source(since=after(5))).was_lost, "lost and back between two looks"


def test_silences_that_ended_are_remembered_the_longer_ones_longest() -> None:
    followed = follow(None, source())
    for at_s in (0, 1, 11, 12, 17, 40):
        followed = follow(followed, source(last_message_at=after(at_s)))
    assert followed.silences == (Span(after(17), after(40)),)
    followed = follow(followed, source(last_message_at=after(45)))
    assert followed.silences == (Span(after(17), after(40)), Span(after(40), after(45)))
    at_s = 45.0
    for n in range(60, 2, -1):
        at_s += n
        followed = follow(followed, source(last_message_at=after(at_s)))
    assert len(followed.silences) == MOST_SPANS


def messages(ages_s: list[float], every_s: float = 5.0, from_s: float = 0.0) -> list[tuple[Instant, int]]:
    return [(after(from_s + n * every_s), seconds(age)) for n, age in enumerate(ages_s)]


CLOCKS = [
    ("right", [0.1, 0.2, 0.1], None),
    ("one old message", [3_600.0], (0, 0)),
    ("equally old for half a minute", [3_600.0, 3_600.4, 3_599.8, 3_600.0, 3_600.0, 3_600.0, 3_600.0], (0, 30)),
    ("a young one among them", [3_600.0, 3_600.0, 0.5, 3_600.0], (15, 15)),
    ("a backlog, ever younger", [180.0, 150.0, 120.0], (10, 10)),
]


@pytest.mark.parametrize(("kind", "ages_s", "expected"), CLOCKS, ids=[row[0] for row in CLOCKS])
def test_a_wrong_clock_shows_in_messages_that_are_all_equally_old(
    kind: str, ages_s: list[float], expected: tuple[float, float] | None
) -> None:
    skew = follow(None, source(), messages(ages_s)).skew
    assert (skew and (skew.since, skew.last)) == (expected and (after(expected[0]), after(expected[1]))), kind


def test_messages_that_were_read_already_are_not_read_again() -> None:
    told = messages([3_600.0, 0.1])
    once = follow(None, source(), told)
    assert follow(once, source(), told) == once


def test_R42_the_services_of_a_node_with_a_wrong_clock_are_unknown() -> None:
    skew = Skew(NOW, after(29), seconds(3_600), seconds(3_601))
    blind = seen(BEATEN, 31, source(skew=skew))
    assert (blind.until, blind.reason, blind.key, blind.is_held) == (None, "input", "unknown_clock", False)
    assert blind.facts == {"source": "nsq", "offset": "1 h"}
    assert seen(BEATEN, 61, source(skew=skew)) == CLEAR, "it has been silent for long, so its clock says nothing"


def test_R42_while_a_wrong_clock_is_not_certain_only_the_verdict_waits() -> None:
    skew = Skew(after(15), after(25), seconds(3_600), seconds(3_600))
    held = seen(BEATEN, 31, source(skew=skew))
    assert (held.until, held.is_held) == (after(46), True)
    assert seen(BEATEN, 46, source(skew=skew)) == CLEAR
    within_slack = Skew(after(15), after(25), seconds(1.0), seconds(1.0))
    assert seen(BEATEN, 31, source(skew=within_slack)) == CLEAR


def test_R42_after_a_clock_was_set_right_its_services_have_three_intervals() -> None:
    ended = follow(follow(None, source(), messages([3_600.0] * 20)), source(), messages([0.1], from_s=100))
    assert ended.skews == (Span(NOW, after(100)),)
    blind = seen(BEATEN, 101, ended)
    assert (blind.until, blind.reason, blind.key) == (after(130), "input", "unknown_back")
    short = follow(follow(None, source(), messages([3_600.0])), source(), messages([0.1], from_s=5))
    assert seen(BEATEN, 31, short) == CLEAR


# stalls


def test_stalls_count_as_far_as_they_overlap() -> None:
    stalls = (Span(after(0), after(10)), Span(after(20), after(25)))
    for since_s, now_s, expected_s in ((-5, 100, 15), (5, 100, 10), (5, 22, 7), (30, 100, 0)):
        assert stalled(stalls, after(since_s), after(now_s)) == seconds(expected_s)


def test_stalls_that_touch_are_one_and_only_so_many_are_kept() -> None:
    stalls = with_stall((), after(0), after(10))
    assert with_stall(stalls, after(8), after(12)) == (Span(after(0), after(12)),)
    for n in range(2, 2 * MOST_STALLS):
        stalls = with_stall(stalls, after(20 * n), after(20 * n + 1))
    assert len(stalls) == MOST_STALLS


# mass

QUIET = a_service(source="nsq")


CROWDS = [
    ("nobody asked", None, False),
    ("too few", Crowd(4, 4, NOW), False),
    ("five of five", Crowd(5, 5, NOW), True),
    ("too small a share", Crowd(14, 100, NOW), False),
    ("fifteen of a hundred", Crowd(15, 100, NOW), True),
    ("nobody ever beat", Crowd(5, 5, None), True),
    ("the newest is no witness yet", Crowd(5, 5, after(20)), True),
    ("a witness", Crowd(5, 5, after(20.1)), False),
]


@pytest.mark.parametrize(("kind", "crowd", "expected"), CROWDS, ids=[row[0] for row in CROWDS])
def test_many_that_fall_silent_without_a_witness_make_their_input_suspect(
    kind: str, crowd: Crowd | None, expected: bool
) -> None:
    crowds = {"nsq": crowd} if crowd else {}
    assert (suspect(QUIET, NOW, sight(source(), crowds=crowds), LIMITS) is not None) is expected, kind


def test_a_witness_right_after_a_long_silence_gives_the_others_an_interval() -> None:
    crowds = {"nsq": Crowd(10, 20, after(90))}
    back = sight(source(silences=(Span(after(5), after(90)),)), crowds=crowds)
    suspicion = suspect(QUIET, NOW, back, LIMITS)
    assert suspicion
    assert suspicion.until == after(101)
    for silence in (Span(after(75), after(90)), Span(after(-90), after(-5))):
        assert suspect(QUIET, NOW, sight(source(silences=(silence,)), crowds=crowds), LIMITS) is None
    assert suspect(QUIET, NOW, sight(crowds=crowds), LIMITS) is None


def test_a_crowd_counts_who_missed_a_beat_among_those_that_were_up() -> None:
    members = [
        a_service(id="silent", last_beat_at=after(-20), registered_at=0),
        a_service(id="up", last_beat_at=after(-5)),
        a_service(id="never beat", state="new", last_beat_at=None, registered_at=after(-30)),
        a_service(id="fell with them", state="down", since=after(-1), last_beat_at=after(-40)),
        a_service(id="down before", state="down", since=after(-100), last_beat_at=after(-140)),
        a_service(id="left", state="left", last_beat_at=after(-1)),
        a_service(id="paused", state="paused"),
        a_service(id="archived", archived_at=NOW),
    ]
    assert crowd_of(members, NOW) == Crowd(3, 4, after(-5), None)
    assert crowd_of([], NOW) == Crowd(0, 0)
    answering = structs.replace(members[4], last_beat_at=None, collect_ok_at=after(-3))
    assert crowd_of([answering], NOW) == Crowd(1, 1, None, after(-3))
