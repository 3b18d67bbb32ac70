"""Whose deadline has passed: paused, left, startup, input, mass, then its own deadlines (rules.judgement)."""

from typing import Any

import pytest
from msgspec import structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import NewEvent, Service
from taskdash.rules.deadlines import Limits
from taskdash.rules.judgement import faces_verdict, needs_answer, next_state
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import URLS, Crowd, Sight, Skew, Source, Span
from tests.support import NOW, a_service

LIMITS = Limits()
URL = "http://billing.example/tasks"
WEEK_S = 7 * 86_400


def after(s: float) -> Instant:
    return NOW + seconds(s)


def heard(**fields: Any) -> Service:
    """A service that beat at NOW, through an input that has been healthy for an hour."""
    return a_service(**{"source": "nsq", "due_at": after(21), **fields})


def source(**fields: Any) -> Source:
    return Source(**{"name": "nsq", "healthy": True, "since": after(-3_600), **fields})


def sight(*sources: Source, **fields: Any) -> Sight:
    named = {one.name: one for one in (sources or (source(),))}
    return Sight(**{"started_at": after(-7_200), "sources": named, **fields})


SEES = sight()
SILENT = Crowd(silent=20, all=20, newest_at=NOW)


def judged(service: Service, now_s: float, seen: Sight = SEES, url: UrlAnswer | None = None) -> tuple[Service, list[NewEvent]]:
    return next_state(service, after(now_s), seen, url, LIMITS)


def refused(at_s: float) -> UrlAnswer:
    return UrlAnswer(False, after(at_s), 3.0, "connection refused")


def answered(at_s: float) -> UrlAnswer:
    return UrlAnswer(True, after(at_s), 12.0)


OWN_DEADLINES = [
    (20.9, "up", 21.0, []),
    (21.0, "late", 31.0, [21.0]),
    (22.7, "late", 31.0, [21.0]),
    (30.9, "late", 31.0, [21.0]),
    (31.0, "down", 31.0 + WEEK_S, [31.0]),
    (300.0, "down", 31.0 + WEEK_S, [31.0]),
]


@pytest.mark.parametrize(("now_s", "state", "due_s", "dated_s"), OWN_DEADLINES)
def test_R9_a_change_is_dated_when_the_deadline_passed_not_when_the_tick_saw_it(
    now_s: float, state: str, due_s: float, dated_s: list[float]
) -> None:
    service, events = judged(heard(), now_s)
    assert (service.state, service.due_at) == (state, after(due_s))
    assert [event.at for event in events] == [after(s) for s in dated_s]


def test_a_change_is_one_event_with_its_evidence() -> None:
    late, events = judged(heard(), 22)
    assert [(e.kind, e.before, e.after) for e in events] == [
        ("service.state", {"state": "up"}, {"state": "late", "reason": ""})
    ]
    assert late.evidence == "No beat for 22 s, the last was sent at 2027-01-15T08:00:00.000Z; after 21 s it is late."
    again, events = judged(late, 25)
    assert (again.evidence, events) == (late.evidence, [])
    down, _ = judged(late, 31.4)
    assert down.evidence == (
        "No beat for 31 s, the last was sent at 2027-01-15T08:00:00.000Z, past the limit of 31 s for down, "
        "and it has no url to ask."
    )


def test_evidence_names_the_limit_of_the_rule_and_not_the_time_in_which_taskdash_could_not_see() -> None:
    seen = sight(source(since=after(100)), started_at=after(99))
    unknown, _ = judged(heard(), 105, seen)
    assert unknown.reason == "startup"
    down, _ = judged(unknown, 150, seen)
    assert down.state == "down"
    assert "No beat for 2 min 30 s" in down.evidence
    assert "past the limit of 31 s for down" in down.evidence


SINCE = [
    ({"last_beat_at": None, "state": "new"}, "since it registered at 2027-01-15T08:00:00.000Z"),
    ({"judge_from": after(5)}, "since its pause ended at 2027-01-15T08:00:05.000Z"),
]


@pytest.mark.parametrize(("fields", "expected"), SINCE)
def test_evidence_says_from_when_the_silence_counts(fields: dict[str, Any], expected: str) -> None:
    assert expected in judged(heard(**fields), 28)[0].evidence


# its url


def test_R9_the_url_is_asked_when_it_is_late_and_again_shortly_before_the_verdict() -> None:
    service = heard(url=URL)
    assert not needs_answer(service, after(20.9), LIMITS)
    late, _ = judged(service, 21)
    assert needs_answer(late, after(21), LIMITS)
    assert late.due_at == after(25)
    waiting, _ = judged(late, 25, url=refused(21))
    assert (waiting.state, waiting.due_at) == ("late", after(31))
    down, events = judged(waiting, 31.2, url=refused(25))
    assert (down.state, down.since, len(events)) == ("down", after(31), 1)
    assert "its url, asked at 2027-01-15T08:00:25.000Z, did not answer: connection refused." in down.evidence


def test_a_url_that_answers_keeps_it_late_for_however_long() -> None:
    service, events = judged(heard(url=URL, state="late", since=after(21)), 240, url=answered(239))
    assert (service.state, service.since, events) == ("late", after(21), [])
    assert service.evidence == (
        "No beat for 4 min, the last was sent at 2027-01-15T08:00:00.000Z, "
        "but its url answered in 12 ms at 2027-01-15T08:03:59.000Z."
    )
    assert service.due_at == after(248)


def test_no_verdict_before_the_url_was_asked() -> None:
    for state in ("late", "unknown"):
        service, events = judged(heard(url=URL, state=state, since=after(21)), 40)
        assert (service.state, service.due_at, events) == (state, after(41), [])
    service, events = judged(heard(url=URL), 40)
    assert (service.state, service.due_at, len(events)) == ("late", after(41), 1)


def test_an_answer_of_long_ago_is_no_answer() -> None:
    for old in (answered(25), refused(25)):
        assert judged(heard(url=URL, state="late"), 36, url=old)[0].state == "late"
    assert judged(heard(url="", state="late"), 36, url=answered(35))[0].state == "down", "an answer of a url it gave up"


def test_an_unknown_service_whose_url_answers_is_late_since_then() -> None:
    service, events = judged(heard(url=URL, state="unknown", reason="input", since=after(21)), 60, url=answered(59))
    assert (service.state, service.since, len(events)) == ("late", after(59), 1)


def test_who_is_not_waited_for_needs_no_answer() -> None:
    for fields in ({"url": ""}, {"state": "paused"}, {"state": "down"}, {"state": "left"}, {"archived_at": NOW}):
        service = heard(**{"url": URL, **fields})
        assert not needs_answer(service, after(100), LIMITS)
    for fields in ({"state": "paused"}, {"state": "down"}, {"state": "left"}, {"archived_at": NOW}):
        assert not faces_verdict(heard(**fields), after(100), LIMITS)
    assert (faces_verdict(heard(), after(30), LIMITS), faces_verdict(heard(), after(31), LIMITS)) == (False, True)


# paused, left, down, archived


def test_a_paused_service_is_not_judged_until_its_pause_ends() -> None:
    paused = heard(state="paused", paused_until=after(500), last_known="up")
    for until in (after(500), None):
        service, events = judged(structs.replace(paused, paused_until=until), 400)
        assert (service.state, service.due_at, events) == ("paused", until, [])
    service, events = judged(paused, 501)
    assert (service.state, service.since, service.due_at, len(events)) == ("new", after(500), after(521), 1)


@pytest.mark.parametrize("state", ["left", "down"])
def test_after_a_week_it_is_archived(state: str) -> None:
    service = heard(state=state, since=after(31))
    assert judged(service, WEEK_S)[0].due_at == after(31 + WEEK_S)
    archived, events = judged(service, 32 + WEEK_S)
    assert (archived.archived_at, archived.due_at) == (after(31 + WEEK_S), None)
    assert [(e.kind, e.at) for e in events] == [("service.archived", after(31 + WEEK_S))]
    assert judged(archived, 40 + WEEK_S) == (archived, [])


def test_a_service_that_is_down_and_whose_url_answers_again_is_late() -> None:
    down = heard(url=URL, state="down", since=after(31), collect_ok_at=after(20))
    assert judged(down, 100)[0].due_at == after(115), "looked at for a good collection"
    service, events = judged(structs.replace(down, collect_ok_at=after(90), collect_took_ms=5.0), 100)
    assert (service.state, service.since, len(events)) == ("late", after(90), 1)
    assert "its url answered in 5 ms" in service.evidence


# no beats expected


SILENT_BY_DESIGN: dict[str, Any] = {"interval_s": 0.0, "url": URL, "last_beat_at": None, "collect_interval_s": 15.0}
"""Late after 31.5 s without an answer, down after 46.5 s."""


def test_a_service_without_beats_and_without_url_waits_for_nothing() -> None:
    service, events = judged(heard(**SILENT_BY_DESIGN | {"url": "", "state": "new"}), 100)
    assert (service.state, service.due_at, events) == ("new", None, [])


URL_ALONE = [
    ("not asked yet", "new", {}, None, 6, "new"),
    ("it answers", "new", {}, answered(6), 7, "up"),
    ("it was collected", "new", {"collect_ok_at": after(5), "collect_took_ms": 1.0}, None, 6, "up"),
    ("it answered lately", "up", {"collect_ok_at": after(5)}, None, 30, "up"),
    ("not for two intervals", "up", {"collect_ok_at": after(5)}, None, 40, "late"),
    ("not for three intervals", "late", {"collect_ok_at": after(5)}, refused(52), 53, "down"),
    ("it answers late", "late", {"collect_ok_at": after(5)}, answered(52), 53, "up"),
    ("registered anew, answered long ago", "new", {"collect_ok_at": after(-500)}, None, 6, "new"),
]


@pytest.mark.parametrize(("kind", "state", "fields", "url", "now_s", "expected"), URL_ALONE, ids=[row[0] for row in URL_ALONE])
def test_a_service_without_beats_is_judged_by_its_url_alone(
    kind: str, state: str, fields: dict[str, Any], url: UrlAnswer | None, now_s: float, expected: str
) -> None:
    service, events = judged(heard(**SILENT_BY_DESIGN | {"state": state} | fields), now_s, url=url)
    assert service.state == expected, kind
    assert len(events) == (state != expected)


def test_a_service_without_beats_is_up_when_its_url_answers_again() -> None:
    down = heard(**SILENT_BY_DESIGN, state="down", since=after(50), collect_ok_at=after(90))
    service, events = judged(down, 95)
    assert (service.state, service.since, service.due_at, len(events)) == ("up", after(90), after(90 + 31.5), 1)


def test_the_evidence_of_a_service_without_beats_speaks_of_its_url() -> None:
    down, _ = judged(heard(**SILENT_BY_DESIGN, state="late", since=after(31)), 50, url=refused(49))
    assert down.evidence.startswith("Its url has not answered for 50 s, since 2027-01-15T08:00:00.000Z")


def test_a_service_without_beats_is_asked_first_when_it_is_new() -> None:
    new = heard(**SILENT_BY_DESIGN, state="new")
    assert needs_answer(new, after(6), LIMITS)
    assert not needs_answer(structs.replace(new, collect_ok_at=after(5)), after(6), LIMITS)


def test_urls_that_all_fail_together_are_suspected_too() -> None:
    service = heard(**SILENT_BY_DESIGN, state="late", since=after(31))
    seen = sight(crowds={URLS: Crowd(6, 6, NOW)})
    unknown, _ = judged(service, 50, seen, refused(49))
    assert (unknown.state, unknown.reason) == ("unknown", "mass")


def test_a_service_without_beats_has_its_time_after_a_start() -> None:
    service = heard(**SILENT_BY_DESIGN, state="up", collect_ok_at=NOW)
    seen = sight(started_at=after(600))
    assert judged(service, 601, seen)[0].reason == "startup"
    assert judged(service, 601, seen, answered(600.5))[0].state == "up"
    assert judged(service, 646, seen, refused(645))[0].state == "down"


# TaskDash's own stalls


def test_R45_a_stall_of_taskdash_is_added_to_every_deadline() -> None:
    seen = sight(stalls=(Span(after(10), after(70)),))
    for now_s, state, due_s in ((71, "up", 81), (81, "late", 91), (91, "down", 91 + WEEK_S)):
        service, _ = judged(heard(), now_s, seen)
        assert (service.state, service.due_at) == (state, after(due_s))


def test_R45_a_stall_is_added_to_the_hold_after_a_start_too() -> None:
    seen = sight(source(since=after(100)), started_at=after(100), stalls=(Span(after(110), after(130)),))
    assert judged(heard(), 149, seen)[0].state == "unknown"
    assert judged(heard(), 150, seen)[0].state == "down"


# flapping


def test_the_flapping_mark_goes_after_ten_quiet_minutes() -> None:
    flapping = heard(flapping=True, flaps=(NOW,), last_beat_at=after(595), registered_at=after(-1))
    service, events = judged(flapping, 599)
    assert (service.flapping, service.due_at, events) == (True, after(600), [])
    service, events = judged(flapping, 600)
    assert (service.flapping, service.flaps, service.due_at, events) == (False, (), after(616), [])
    assert judged(heard(flapping=True, flaps=()), 1)[0].flapping is False


def test_going_down_for_the_third_time_in_ten_minutes_is_flapping() -> None:
    service, _ = judged(heard(state="late", flaps=(after(-100), after(-50))), 31)
    assert (service.flapping, service.flaps) == (True, (after(-100), after(-50), after(31)))


# startup and input: the views are tested in test_outage


def test_R10_an_overdue_service_is_unknown_while_its_input_is_lost_and_keeps_its_last_state() -> None:
    seen = sight(source(healthy=False, since=after(5), reason="connection refused", was_lost=True))
    assert judged(heard(), 20, seen)[0].state == "up", "not overdue, so nothing is in doubt yet"
    service, events = judged(heard(), 25, seen)
    assert (service.state, service.reason, service.last_known, service.since) == ("unknown", "input", "up", after(21))
    assert service.due_at == after(55)
    assert events[0].after == {"state": "unknown", "reason": "input"}
    assert service.evidence == (
        "No beat for 25 s, the last was sent at 2027-01-15T08:00:00.000Z; "
        "nsq cannot be heard since 2027-01-15T08:00:05.000Z: connection refused."
    )
    again, events = judged(service, 55, seen)
    assert (again.since, events) == (after(21), [])


def test_after_a_start_it_is_unknown_for_three_intervals_and_then_judged() -> None:
    seen = sight(source(since=after(100)), started_at=after(99))
    service, _ = judged(heard(url=URL), 101, seen)
    assert (service.state, service.reason, service.since) == ("unknown", "startup", after(99))
    assert service.due_at == after(124), "its url is asked shortly before the hold ends"
    assert judged(service, 124, seen)[0].due_at == after(130)
    down, events = judged(service, 130.5, seen, refused(124))
    assert (down.state, down.since, len(events)) == ("down", after(130), 1)


def test_a_verdict_waits_while_a_wrong_clock_is_not_yet_certain() -> None:
    seen = sight(source(skew=Skew(after(15), after(30), seconds(3_600), seconds(3_600))))
    late, _ = judged(heard(), 31, seen)
    assert (late.state, late.due_at) == ("late", after(46))
    assert judged(late, 46, seen)[0].state == "down"


# mass


def test_a_witness_names_the_dead_at_once() -> None:
    seen = sight(crowds={"nsq": Crowd(10, 20, after(25))})
    assert judged(heard(state="late"), 31, seen)[0].state == "down"


MASS = [
    ("no url", {}, None, None, "unknown"),
    ("its url answers", {"url": URL}, answered(30), None, "late"),
    ("its url does not, another one's does", {"url": URL}, refused(30), after(29), "down"),
    ("no url answers anywhere", {"url": URL}, refused(30), None, "unknown"),
    ("another one's url answered before the silence", {"url": URL}, refused(30), after(5), "unknown"),
]


@pytest.mark.parametrize(("kind", "fields", "url", "others_at", "expected"), MASS, ids=[row[0] for row in MASS])
def test_without_a_witness_each_is_judged_by_its_url_alone(
    kind: str, fields: dict[str, Any], url: UrlAnswer | None, others_at: Instant | None, expected: str
) -> None:
    seen = sight(crowds={"nsq": structs.replace(SILENT, answered_at=others_at)})
    service, _ = judged(heard(state="late", since=after(21), **fields), 31, seen, url)
    assert service.state == expected, kind
    assert service.reason == ("mass" if expected == "unknown" else "")


def test_the_mass_hold_ends_after_120_s() -> None:
    seen = sight(crowds={"nsq": SILENT})
    service, _ = judged(heard(state="late", since=after(21)), 32, seen)
    assert (service.reason, service.since, service.due_at) == ("mass", after(31), after(62))
    assert "20 of 20 services on nsq fell silent together" in service.evidence
    for now_s in (62, 100, 150.9):
        service, events = judged(service, now_s, seen)
        assert (service.state, events) == ("unknown", [])
    down, events = judged(service, 151.5, seen)
    assert (down.state, down.since, len(events)) == ("down", after(151), 1)
    assert "held as unknown for 2 min" in down.evidence


def test_when_the_input_comes_back_the_silent_have_an_interval_to_be_heard() -> None:
    back = sight(source(silences=(Span(after(1), after(90)),)), crowds={"nsq": Crowd(18, 20, after(90))})
    held = heard(state="unknown", reason="mass", since=after(31))
    assert judged(held, 91, back)[0].state == "unknown"
    down, _ = judged(held, 101.5, back)
    assert (down.state, down.since) == ("down", after(101))


def test_a_held_service_is_down_at_once_when_the_suspicion_is_gone() -> None:
    seen = sight(crowds={"nsq": Crowd(2, 20, after(90))})
    down, _ = judged(heard(state="unknown", reason="mass", since=after(31)), 95, seen)
    assert (down.state, down.since) == ("down", after(95))
