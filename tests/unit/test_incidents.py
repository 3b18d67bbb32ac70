"""Which changes and conditions are one incident, and when it is over (rules.incidents, rules.conditions)."""

from typing import Any

import pytest
from msgspec import structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, DeadLetter, Incident, NewEvent, Service
from taskdash.rules import conditions
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import (
    Condition,
    acknowledge,
    after_changes,
    is_over,
    opening,
    reconciled,
    reminded,
    resolve,
)
from taskdash.rules.sight import Skew, Source
from tests.support import NOW, a_service

LIMITS = Limits()
MEMBER = Actor(type="user", id="mia", channel="web", role="member")


def after(s: float) -> Instant:
    return NOW + seconds(s)


def fell(id: str, at_s: float, **fields: Any) -> tuple[Service, Service]:
    """A service that went down."""
    known = {"id": id, "name": id.title(), "source": "nsq", "evidence": "No beat."}
    down = a_service(**{**known, "state": "down", "since": after(at_s), **fields})
    return structs.replace(down, state="late", reason="", flapping=False), down


def opened(*changes: tuple[Service, Service], known: list[Incident] | None = None) -> tuple[list[Incident], list[NewEvent]]:
    return after_changes(known or [], changes, LIMITS)


def test_a_service_that_goes_down_opens_an_incident() -> None:
    [incident], [event] = opened(fell("billing", 31))
    assert (incident.kind, incident.cause, incident.state) == ("down", "nsq/billing", "open")
    assert (incident.opened_at, incident.next_reminder_at) == (after(31), after(31 + 900))
    assert (incident.sentence, incident.evidence, incident.services) == ("Billing is down.", "No beat.", ("billing",))
    assert (event.kind, event.at, event.subject_type, event.subject_id) == (
        "incident.opened",
        after(31),
        "incident",
        incident.id,
    )
    assert event.after == {"state": "open", "kind": "down", "sentence": "Billing is down.", "services": ["billing"]}


def test_all_that_go_down_within_one_window_are_one_incident() -> None:
    changes = [fell(f"service-{n}", 31 + n) for n in range(20)]
    [incident], [event] = opened(*reversed(changes))
    assert (len(incident.services), incident.sentence) == (20, "20 services fell silent together.")
    assert (incident.opened_at, incident.last_at) == (after(31), after(50))
    assert event.after["sentence"] == incident.sentence
    [longer], events = opened(fell("later", 80), known=[incident])
    assert (longer.id, len(longer.services), events) == (incident.id, 21, [])


APART = [
    ("outside the window", {}, 100),
    ("through another input", {"source": "http"}, 32),
]


@pytest.mark.parametrize(("kind", "fields", "at_s"), APART, ids=[row[0] for row in APART])
def test_what_falls_for_another_cause_is_another_incident(kind: str, fields: dict[str, Any], at_s: float) -> None:
    [first], _ = opened(fell("billing", 31))
    [second], [_] = opened(fell("mail", at_s, **fields), known=[first])
    assert first.id != second.id, kind


def test_services_held_by_the_mass_rule_and_named_later_are_one_incident() -> None:
    held = [fell(f"service-{n}", 31, state="unknown", reason="mass") for n in range(5)]
    [incident], _ = opened(*held)
    assert len(incident.services) == 5
    named = [(after_, structs.replace(after_, state="down", reason="", since=after(151))) for _, after_ in held]
    [same], events = opened(*named, known=[incident])
    assert (same.id, same.last_at, events) == (incident.id, after(151), [])
    assert opened(*[(a, a) for _, a in held], known=[incident]) == ([], []), "to be held still is no news"


def test_one_that_is_down_and_stays_down_is_no_news() -> None:
    down = fell("billing", 31)[1]
    assert opened((down, down)) == ([], [])


def test_a_flapping_service_has_one_incident_instead_of_many() -> None:
    flaps = (after(1), after(20), after(31))
    [incident], [event] = opened(fell("billing", 31, flapping=True, flaps=flaps))
    assert (incident.kind, incident.cause, incident.opened_at) == ("flapping", "billing", after(31))
    assert (incident.sentence, incident.evidence) == (
        "Billing keeps changing between up and down.",
        "3 changes within 30 s.",
    )
    assert event.kind == "incident.opened"
    assert opened(fell("billing", 90, flapping=True, flaps=flaps), known=[incident]) == ([], [])
    without_times = opened(fell("mail", 31, flapping=True, flaps=()))[0][0]
    assert without_times.opened_at == after(31)


def test_one_that_is_down_when_it_is_quiet_again_gets_its_incident() -> None:
    down = fell("billing", 31)[1]
    [incident], _ = opened((structs.replace(down, flapping=True), down))
    assert incident.kind == "down"


OVER = [
    ("up", {"state": "up"}, True),
    ("left", {"state": "left"}, True),
    ("paused", {"state": "paused"}, True),
    ("archived", {"state": "down", "archived_at": NOW}, True),
    ("down", {"state": "down"}, False),
    ("late", {"state": "late"}, False),
    ("new", {"state": "new"}, False),
    ("unknown", {"state": "unknown"}, False),
]


@pytest.mark.parametrize(("kind", "fields", "expected"), OVER, ids=[row[0] for row in OVER])
def test_it_is_over_when_its_services_are_up_left_or_archived(kind: str, fields: dict[str, Any], expected: bool) -> None:
    incident = Incident(id="1", kind="down", cause="nsq/a", services=("a", "b"))
    assert is_over(incident, [a_service(), a_service(**fields)]) is expected, kind
    assert is_over(incident, []), "none of them exists any more"


def test_flapping_is_over_when_the_mark_is_gone() -> None:
    incident = Incident(id="1", kind="flapping", cause="a", services=("a",))
    assert not is_over(incident, [a_service(flapping=True)])
    assert is_over(incident, [a_service(state="down")])
    assert is_over(incident, [a_service(flapping=True, archived_at=NOW)])


def test_it_resolves_by_itself_and_never_before_it_opened() -> None:
    incident = Incident(id="1", kind="down", cause="a", state="acknowledged", opened_at=after(10))
    over, event = resolve(incident, after(5))
    assert (over.state, over.resolved_at, over.next_reminder_at) == ("resolved", after(10), None)
    assert (event.kind, event.before, event.after) == (
        "incident.resolved",
        {"state": "acknowledged"},
        {"state": "resolved"},
    )


def test_somebody_acknowledges_it_once() -> None:
    incident = Incident(id="1", kind="down", cause="a", next_reminder_at=after(900), sentence="A is down.")
    known, [event] = acknowledge(incident, MEMBER, after(60))
    assert (known.state, known.acknowledged_by, known.acknowledged_at) == ("acknowledged", "mia", after(60))
    assert known.next_reminder_at is None
    assert (event.kind, event.actor_id, event.channel) == ("incident.acknowledged", "mia", "web")
    assert acknowledge(known, MEMBER, after(61)) == (known, [])


def test_the_next_reminder_is_ahead() -> None:
    assert reminded(Incident(id="1", kind="down", cause="a"), NOW, LIMITS).next_reminder_at == after(900)


# conditions


def a_condition(cause: str = "nsq", **fields: Any) -> Condition:
    return Condition(**{"kind": "input", "cause": cause, "at": NOW, "sentence": "s", "evidence": "e", **fields})


def test_one_open_incident_a_kind_and_cause() -> None:
    [incident], [event] = reconciled([], [a_condition(), a_condition()], after(9), LIMITS)
    assert (event.kind, event.at) == ("incident.opened", NOW)
    assert reconciled([incident], [a_condition()], after(10), LIMITS) == ([], [])
    [over], [event] = reconciled([incident], [], after(11), LIMITS)
    assert (over.state, over.resolved_at, event.kind) == ("resolved", after(11), "incident.resolved")


def test_more_services_with_the_same_cause_extend_it() -> None:
    incident, _ = opening(a_condition(services=("a",)), LIMITS)
    [longer], events = reconciled([incident], [a_condition(services=("a", "b"))], after(9), LIMITS)
    assert (longer.services, longer.last_at, events) == (("a", "b"), after(9), [])


def test_opening_the_same_thing_twice_is_opening_it_once() -> None:
    assert opening(a_condition(), LIMITS)[0].id == opening(a_condition(), LIMITS)[0].id


def source(**fields: Any) -> Source:
    return Source(**{"name": "nsq", "healthy": True, "since": after(-3_600), **fields})


LONG_WRONG = Skew(after(-60), NOW, seconds(3_600), seconds(3_600))
INPUTS = [
    ("healthy", source(), set(), ""),
    ("lost a moment ago", source(healthy=False, since=after(-4)), set(), ""),
    ("lost", source(healthy=False, since=after(-5), reason="refused"), set(), "The input nsq is lost."),
    ("withdrawn", source(healthy=False, withdrawn_at=after(-9)), set(), ""),
    ("back a moment ago", source(since=after(-4)), {"nsq"}, "The input nsq is lost."),
    ("back", source(since=after(-6)), {"nsq"}, ""),
    ("wrong clock", source(skew=LONG_WRONG), set(), "The clock of the input nsq is wrong."),
    ("wrong for a moment", source(skew=Skew(after(-10), NOW, seconds(60), seconds(60))), set(), ""),
    ("wrong and silent since", source(skew=Skew(after(-900), after(-800), seconds(60), seconds(60))), set(), ""),
]


@pytest.mark.parametrize(("kind", "told", "known", "sentence"), INPUTS, ids=[row[0] for row in INPUTS])
def test_an_input_is_an_incident_when_it_is_lost_or_its_clock_is_wrong(
    kind: str, told: Source, known: set[str], sentence: str
) -> None:
    found = conditions.of_inputs([told], NOW, LIMITS, known)
    assert [condition.sentence for condition in found] == ([sentence] if sentence else []), kind


def test_the_incident_of_a_wrong_clock_names_the_node_and_the_offset() -> None:
    [found] = conditions.of_inputs([source(name="nsqd:b:4150", skew=LONG_WRONG)], NOW, LIMITS, set())
    assert (found.cause, found.at) == ("nsqd:b:4150", after(-60))
    assert found.evidence == "All its messages arrive 1 h old since 2027-01-15T07:59:00.000Z."


COLLECTIONS = [
    ("for ten intervals", {}, True),
    ("for less", {"collect_error_at": after(-149)}, False),
    ("it works", {"collect_error_at": None}, False),
    ("it is down anyway", {"state": "down"}, False),
    ("it is paused", {"state": "paused"}, False),
    ("it is archived", {"archived_at": NOW}, False),
]


@pytest.mark.parametrize(("kind", "fields", "expected"), COLLECTIONS, ids=[row[0] for row in COLLECTIONS])
def test_a_service_that_cannot_be_collected_for_ten_intervals_is_an_incident(
    kind: str, fields: dict[str, Any], expected: bool
) -> None:
    service = a_service(**{"collect_error_at": after(-150), "collect_error": "timed out", **fields})
    found = conditions.of_collection([service], NOW, LIMITS)
    assert bool(found) is expected, kind
    for condition in found:
        assert (condition.cause, condition.services) == ("billing", ("billing",))
        assert condition.evidence == "It fails since 2027-01-15T07:57:30.000Z: timed out"


def test_a_clash_is_an_incident_of_the_service_that_reports_others_ids() -> None:
    [found] = conditions.of_clashes([(a_service(name=""), 3, "133", NOW)])
    assert (found.cause, found.sentence) == ("billing", "billing reports tasks that belong to another service.")
    assert found.evidence == "3 task ids, the first is 133."


def test_dead_letters_are_an_incident_until_ten_quiet_minutes() -> None:
    letter = DeadLetter(at=NOW, topic="taskdash.services", reason="not JSON", body=b"", size_bytes=0)
    assert len(conditions.of_dead_letters(letter, after(599), LIMITS)) == 1
    assert conditions.of_dead_letters(letter, after(600), LIMITS) == []
    assert conditions.of_dead_letters(None, NOW, LIMITS) == []


def test_a_store_that_refuses_is_an_incident() -> None:
    [found] = conditions.of_store(NOW, "the disk is full")
    assert (found.kind, found.at, found.evidence) == ("store", NOW, "Since 2027-01-15T08:00:00.000Z: the disk is full")
    assert conditions.of_store(None, "") == []
