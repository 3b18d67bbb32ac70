"""Beats, goodbyes, registrations, pauses and the archive (rules.liveness, rules.transitions, rules.deadlines)."""

from typing import get_args

import pytest
from msgspec import structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import SYSTEM, Actor, NewEvent, Service, State
from taskdash.rules import liveness
from taskdash.rules.deadlines import Limits, Pulse, is_fresh, slack_s
from taskdash.rules.liveness import beat, goodbye, next_deadlines, pause, plain_beat, registered, resume
from tests.support import NOW, a_service

LIMITS = Limits()
LEAD = Actor(type="user", id="lea", channel="web", role="lead")
WEEK = seconds(7 * 86_400)


def after(s: float) -> Instant:
    return NOW + seconds(s)


def kinds(events: list[NewEvent]) -> list[str]:
    return [event.kind for event in events]


def down(**fields: object) -> Service:
    return a_service(**{"state": "down", "since": after(31), **fields})


@pytest.mark.parametrize(
    ("interval_s", "late_s", "down_s"),
    [(1, 3, 4), (5, 11, 16), (10, 21, 31), (20, 42, 62), (60, 126, 186), (86_400, 181_440, 267_840)],
)
def test_deadlines_are_two_and_three_intervals_and_the_slack(interval_s: float, late_s: float, down_s: float) -> None:
    deadlines = next_deadlines(NOW, interval_s)
    assert (deadlines.late_at, deadlines.down_at) == (after(late_s), after(down_s))


@pytest.mark.parametrize(("interval_s", "expected_s"), [(1, 1), (10, 1), (11, 1.1), (100, 10)])
def test_the_slack_is_a_tenth_of_the_interval_and_at_least_a_second(interval_s: float, expected_s: float) -> None:
    assert slack_s(interval_s) == pytest.approx(expected_s)


FRESH = [
    ("in time", {}, 10, 10, True),
    ("late by less than the limit", {}, 10, 31, True),
    ("older than two intervals and the slack", {}, 10, 31.1, False),
    ("the same beat again", {}, 0, 5, False),
    ("before the last beat", {"last_beat_at": after(20)}, 15, 25, False),
    ("before the goodbye", {"left_at": after(12)}, 11, 13, False),
    ("before the registration", {"registered_at": after(12)}, 11, 13, False),
    ("after the goodbye", {"left_at": after(12)}, 13, 14, True),
]


@pytest.mark.parametrize(("kind", "fields", "sent_s", "now_s", "expected"), FRESH, ids=[row[0] for row in FRESH])
def test_a_beat_is_fresh_when_it_is_news_and_not_too_old(
    kind: str, fields: dict[str, Instant], sent_s: float, now_s: float, expected: bool
) -> None:
    service = a_service(**fields)
    assert is_fresh(service, after(sent_s), after(now_s)) is expected, kind
    assert (beat(down(**fields), after(sent_s), after(now_s), "nsq")[0].state == "up") is expected


def test_R8_a_backlog_of_old_beats_does_not_make_a_dead_service_look_alive() -> None:
    service, now = down(), after(700)
    for sent_s in range(40, 640, 10):
        service, events = beat(service, after(sent_s), now, "nsq")
        assert events == []
    assert service.state == "down"
    assert service.last_beat_at == after(630), "it is shown all the same"


def test_R8_a_beat_from_the_future_counts_as_now() -> None:
    service, _ = beat(a_service(), after(3_600), after(10), "nsq")
    assert service.last_beat_at == after(10)
    assert service.due_at == after(31)


@pytest.mark.parametrize("state", ["new", "late", "down", "left", "unknown"])
def test_a_fresh_beat_makes_it_up_in_any_state_but_paused(state: str) -> None:
    service, events = beat(a_service(state=state, reason="mass" if state == "unknown" else ""), after(40), after(41), "http")
    assert (service.state, service.reason, service.since, service.source) == ("up", "", after(40), "http")
    assert service.due_at == after(61)
    assert [(e.kind, e.at, e.before, e.after) for e in events] == [
        ("service.state", after(40), {"state": state}, {"state": "up", "reason": ""})
    ]
    assert events[0].evidence == "A beat sent at 2027-01-15T08:00:40.000Z arrived."


def test_a_paused_service_records_the_beat_and_stays_paused() -> None:
    paused = a_service(state="paused", due_at=after(500), paused_until=after(500))
    service, events = beat(paused, after(10), after(10), "nsq")
    assert (service.state, service.last_beat_at, service.due_at, events) == ("paused", after(10), after(500), [])


def test_an_older_beat_changes_nothing() -> None:
    service = a_service()
    assert beat(service, NOW, after(1), "nsq") == (service, [])


def test_a_beat_brings_an_archived_service_back() -> None:
    service, events = beat(down(archived_at=after(60)), after(70), after(70), "nsq")
    assert service.archived_at is None
    assert kinds(events) == ["service.back", "service.state"]
    same, events = beat(a_service(archived_at=after(1)), after(10), after(10), "nsq")
    assert (same.archived_at, kinds(events)) == (None, ["service.back"])


def test_a_plain_beat_moves_what_the_whole_rule_moves() -> None:
    service = a_service(beat_bits=0b101, beat_known=0b111, source="nsq")
    pulse = Pulse(**{name: getattr(service, name) for name in Pulse.__struct_fields__})
    columns = structs.asdict(plain_beat(service, after(10), after(11), "http"))
    assert columns == structs.asdict(plain_beat(pulse, after(10), after(11), "http"))
    whole, events = beat(service, after(10), after(11), "http")
    assert events == []
    assert structs.replace(service, **columns) == structs.replace(whole, evidence=service.evidence)


@pytest.mark.parametrize(
    "fields",
    [{"state": "late"}, {"flapping": True}, {"archived_at": NOW}, {"last_beat_at": after(10)}],
)
def test_whatever_is_not_plain_takes_the_whole_rule(fields: dict[str, object]) -> None:
    assert plain_beat(a_service(**fields), after(10), after(11), "nsq") is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"left_at": after(90)},
        {"registered_at": after(90)},
        {"flapping": True, "due_at": after(99)},
        {"archived_at": after(80), "due_at": None},
        {"interval_s": 0.0, "collect_interval_s": 15.0},
        *({"state": state, "beat_bits": 0b101} for state in get_args(State)),
    ],
)
def test_a_beat_too_old_to_count_moves_what_the_whole_rule_moves(fields: dict[str, object]) -> None:
    service = a_service(**fields)
    columns = structs.asdict(plain_beat(service, after(60), after(120), "http"))
    assert (structs.replace(service, **columns), []) == beat(service, after(60), after(120), "http")


def test_a_service_of_which_no_beats_are_expected_may_beat_all_the_same() -> None:
    silent = a_service(interval_s=0.0, state="new", last_beat_at=None)
    assert beat(silent, after(10), after(10), "nsq")[0].due_at is None, "no url: nothing to wait for"
    with_url = structs.replace(silent, url="http://a.example/", collect_ok_at=after(12))
    assert beat(with_url, after(10), after(12), "nsq")[0].due_at == after(12 + 31.5)


# goodbyes


def test_a_goodbye_makes_it_left_whatever_its_age() -> None:
    service, events = goodbye(a_service(), after(5), after(3_600))
    assert (service.state, service.since, service.left_at) == ("left", after(5), after(5))
    assert service.due_at == after(5) + WEEK
    assert kinds(events) == ["service.state"]


GOODBYES = [
    ("older than the last beat", {"last_beat_at": after(10)}),
    ("older than the registration", {"registered_at": after(10)}),
    ("told already", {"left_at": after(5)}),
]


@pytest.mark.parametrize(("kind", "fields"), GOODBYES, ids=[row[0] for row in GOODBYES])
def test_a_goodbye_older_than_other_news_changes_nothing(kind: str, fields: dict[str, Instant]) -> None:
    service = a_service(**fields)
    assert goodbye(service, after(5), after(20)) == (service, []), kind


def test_a_goodbye_while_paused_is_known_when_the_pause_ends() -> None:
    paused, events = goodbye(a_service(state="paused", last_known="up", paused_until=after(60)), after(5), after(6))
    assert (paused.state, paused.last_known, events) == ("paused", "left", [])
    ended, events = resume(paused, SYSTEM, after(60), after(61))
    assert (ended.state, ended.due_at, len(events)) == ("left", after(60) + WEEK, 1)


def test_a_goodbye_of_an_archived_service_leaves_it_in_the_archive() -> None:
    service, _ = goodbye(down(archived_at=after(60)), after(70), after(70))
    assert (service.state, service.archived_at, service.due_at) == ("left", after(60), None)


def test_a_second_goodbye_is_no_second_event() -> None:
    left, _ = goodbye(a_service(), after(5), after(5))
    again, events = goodbye(left, after(6), after(6))
    assert (again.left_at, again.since, events) == (after(6), after(5), [])


# registrations


def test_the_first_registration_sets_the_deadline_and_writes_no_state_event() -> None:
    new = Service(id="a", since=NOW, registered_at=NOW)
    service, events = registered(new, NOW, after(1))
    assert (service.state, service.due_at, events) == ("new", after(21), [])
    assert service.evidence == "It registered at 2027-01-15T08:00:00.000Z."


def test_a_first_registration_out_of_a_backlog_is_judged_from_its_own_time() -> None:
    service, _ = registered(Service(id="a", since=NOW, registered_at=NOW), NOW, after(3_600))
    assert (service.state, service.due_at) == ("new", after(21))


def test_a_service_without_beats_is_asked_soon_after_it_registered() -> None:
    new = Service(id="a", interval_s=0.0, url="http://a.example/", registered_at=NOW)
    assert registered(new, NOW, NOW)[0].due_at == after(6)
    assert registered(structs.replace(new, url=""), NOW, NOW)[0].due_at is None
    up = structs.replace(new, state="up", collect_ok_at=after(5))
    assert registered(up, after(10), after(10))[0].due_at == after(10 + 31.5)


@pytest.mark.parametrize("state", ["down", "left", "late", "unknown"])
def test_a_registration_makes_it_new(state: str) -> None:
    service, events = registered(a_service(state=state), after(40), after(41))
    assert (service.state, service.since, service.due_at) == ("new", after(40), after(61))
    assert kinds(events) == ["service.state"]


def test_a_registration_of_an_archived_service_brings_it_back() -> None:
    service, events = registered(down(archived_at=after(60)), after(70), after(70))
    assert (service.state, service.archived_at, kinds(events)) == ("new", None, ["service.back", "service.state"])


def test_a_registration_moves_the_deadline_of_one_that_is_up() -> None:
    service, events = registered(a_service(evidence="why"), after(5), after(5))
    assert (service.state, service.due_at, service.evidence, events) == ("up", after(26), "why", [])


REGISTRATIONS = [
    ("an older one", down(registered_at=after(50)), 40, 51, "down"),
    ("a backlog", down(), 40, 100, "down"),
    ("before the goodbye", a_service(state="left", left_at=after(45)), 40, 50, "left"),
    ("before the last beat", a_service(last_beat_at=after(45)), 40, 50, "up"),
    ("of a paused one", a_service(state="paused"), 40, 41, "paused"),
]


@pytest.mark.parametrize(("kind", "known", "at_s", "now_s", "state"), REGISTRATIONS, ids=[row[0] for row in REGISTRATIONS])
def test_a_registration_that_is_no_news_changes_no_state(
    kind: str, known: Service, at_s: float, now_s: float, state: str
) -> None:
    service, events = registered(known, after(at_s), after(now_s))
    assert (service.state, events) == (state, []), kind
    assert service.registered_at == max(known.registered_at, after(at_s))


# pauses


def test_a_pause_keeps_who_why_until_when_and_the_state_before() -> None:
    service, events = pause(a_service(state="late"), LEAD, "moving house", after(60), after(1))
    assert (service.state, service.last_known, service.due_at) == ("paused", "late", after(60))
    assert (service.paused_by, service.pause_reason, service.paused_until) == ("lea", "moving house", after(60))
    told = {"state": "paused", "reason": "moving house", "until": "2027-01-15T08:01:00.000Z"}
    assert [(e.kind, e.before, e.after, e.actor_id, e.evidence) for e in events] == [
        ("service.paused", {"state": "late"}, told, "lea", "lea paused it: moving house")
    ]


def test_a_pause_of_an_unknown_service_remembers_what_was_known_before() -> None:
    service, _ = pause(a_service(state="unknown", reason="input", last_known="up"), LEAD, "", None, after(1))
    assert (service.last_known, service.due_at, service.evidence) == ("up", None, "lea paused it.")
    again, events = pause(service, LEAD, "longer", after(90), after(2))
    assert (again.last_known, again.since, again.due_at, len(events)) == ("up", after(1), after(90), 1)


def test_when_a_pause_ends_the_service_is_judged_from_that_moment() -> None:
    paused, _ = pause(down(), LEAD, "repair", after(100), after(40))
    service, events = resume(paused, SYSTEM, after(100), after(101))
    assert (service.state, service.since, service.due_at) == ("new", after(100), after(121))
    assert (service.paused_until, service.paused_by, service.pause_reason) == (None, "", "")
    assert events[0].evidence == "Its pause ended at 2027-01-15T08:01:40.000Z."


def test_a_pause_ended_by_an_operator_names_them_and_a_fresh_beat_makes_it_up() -> None:
    paused = a_service(state="paused", last_known="up", last_beat_at=after(40))
    service, events = resume(paused, LEAD, after(50), after(50))
    assert (service.state, service.due_at) == ("up", after(71))
    assert (events[0].actor_id, events[0].evidence) == ("lea", "lea ended its pause.")


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    service = a_service()
    assert resume(service, LEAD, after(1), after(1)) == (service, [])
    never_beat = a_service(state="paused", last_beat_at=None)
    assert resume(never_beat, LEAD, after(1), after(1))[0].state == "new"


# archive


def test_archiving_hides_it_once() -> None:
    service, events = liveness.archive(down(), LEAD, after(60))
    assert (service.archived_at, service.due_at, service.state) == (after(60), None, "down")
    assert [(e.kind, e.evidence) for e in events] == [("service.archived", "lea archived it.")]
    assert liveness.archive(service, LEAD, after(61)) == (service, [])


# flapping


def test_three_changes_between_up_and_down_in_ten_minutes_are_flapping() -> None:
    service = a_service(state="down", since=after(31), flaps=(after(31),))
    service, _ = beat(service, after(40), after(40), "nsq")
    assert not service.flapping
    service = structs.replace(service, state="down", since=after(80), flaps=(*service.flaps, after(80)), due_at=None)
    service, events = beat(service, after(90), after(90), "nsq")
    assert service.flapping
    assert service.due_at == after(90), "looked at at once, so that its incident opens"
    assert events[0].after == {"state": "up", "reason": "", "flapping": True}


def test_a_flapping_service_is_looked_at_again_when_it_may_be_quiet() -> None:
    service = a_service(flapping=True, flaps=(after(-590),), due_at=after(21))
    assert beat(service, after(1), after(1), "nsq")[0].due_at == after(10)
    waiting = structs.replace(service, due_at=after(0))
    assert beat(waiting, after(1), after(1), "nsq")[0].due_at == after(0), "the look that is due is not pushed away"


def test_changes_long_ago_are_not_flapping() -> None:
    service, _ = beat(down(flaps=(after(-700), after(-650))), after(40), after(40), "nsq")
    assert (service.flapping, service.flaps) == (False, (after(40),))
