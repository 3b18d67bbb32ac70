"""Older never wins, in any order (SPEC 2, RELIABILITY R4)."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

from taskdash.model.instants import seconds
from taskdash.model.records import Registration, Service
from taskdash.model.reserved import read_hints
from taskdash.rules.registration import changed_fields, heard_at, is_leaving, merge
from tests.support import NOW, a_service

EARLY, LATE = NOW - seconds(20), NOW - seconds(10)


def told(**fields: Any) -> Registration:
    return Registration(id="billing", **fields)


def heard(service: Service | None, registration: Registration, at: int = LATE, source: str = "nsq") -> Service:
    return merge(service, registration, at, NOW, source)


texts = st.sampled_from(["", "a", "b"])
sent = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "url": st.sampled_from(["", "http://a/", "http://b/"]),
        "reserved": st.sampled_from(
            ["", '{"heartbeat_interval": 5}', '{"method": "POST"}', '{"method": 1}', '{"collect_interval": 60}']
        ),
    },
)
message = st.tuples(sent, st.integers(NOW - 3, NOW + 1), st.sampled_from(["nsq", "nsqd:a:4150"]))


@settings(max_examples=120, deadline=None)
@given(st.lists(message, min_size=2, max_size=6))
def test_R4_every_order_of_the_same_registrations_ends_equal(messages: list[tuple[dict[str, str], int, str]]) -> None:
    ends = []
    for order in permutations(messages):
        service = None
        for fields, at, source in order:
            service = merge(service, told(**fields), heard_at(at, NOW), NOW, source)
        ends.append(service)
    assert all(end == ends[0] for end in ends)


def test_R4_an_older_registration_overwrites_nothing() -> None:
    newer = heard(None, told(name="new", url="http://new/"), LATE)
    assert heard(newer, told(name="old", url="http://old/", reserved=""), EARLY).name == "new"


def test_R4_an_older_registration_still_fills_what_no_newer_one_told() -> None:
    newer = heard(None, told(name="new"), LATE)
    after = heard(newer, told(name="old", description="of the old one"), EARLY)
    assert (after.name, after.description) == ("new", "of the old one")


def test_a_missing_field_is_empty_on_creation_and_stays_on_update() -> None:
    created = heard(None, told(name="Billing"))
    assert (created.name, created.url) == ("Billing", "")
    assert heard(created, told(url="http://a/"), LATE + 1).name == "Billing"


def test_an_empty_text_that_was_sent_clears_the_field() -> None:
    created = heard(None, told(name="Billing"))
    assert heard(created, told(name=""), LATE + 1).name == ""


def test_the_same_registration_twice_is_the_same_service() -> None:
    once = heard(None, told(name="Billing", url="http://a/"))
    assert heard(once, told(name="Billing", url="http://a/")) is once


def test_a_registration_again_later_moves_only_its_time() -> None:
    once = heard(None, told(name="Billing"))
    again = heard(once, told(name="Billing"), NOW)
    assert again.registered_at == NOW
    assert changed_fields(once, again) is None
    assert again.updated_at == once.updated_at


def test_what_changed_is_told_with_before_and_after() -> None:
    once = heard(None, told(name="Billing"))
    again = heard(once, told(name="Bills", reserved='{"heartbeat_interval": 60}'), NOW)
    before, after = changed_fields(once, again) or ({}, {})
    assert before == {"name": "Billing", "reserved": "", "interval_s": 10.0}
    assert after == {"name": "Bills", "reserved": '{"heartbeat_interval": 60}', "interval_s": 60.0}


def test_a_new_url_is_asked_at_once_and_without_the_old_validators() -> None:
    known = a_service(url="http://a/", collect_at=NOW + 9, collect_etag='"1"', collect_digest="d", method="POST")
    after = heard(known, told(url="http://b/"))
    assert (after.collect_at, after.collect_etag, after.collect_digest, after.method) == (NOW, "", "", "")


def test_a_url_that_is_taken_away_is_asked_no_more() -> None:
    assert heard(a_service(url="http://a/", collect_at=NOW), told(url="")).collect_at is None


def test_the_same_url_keeps_the_method_that_worked_and_its_turn() -> None:
    known = a_service(url="http://a/", collect_at=NOW + 9, method="POST")
    after = heard(known, told(url="http://a/", name="Bills"))
    assert (after.method, after.collect_at) == ("POST", NOW + 9)


def test_hints_in_reserved_take_effect_and_go_with_it() -> None:
    hinted = heard(None, told(reserved='{"heartbeat_interval": 0, "collect_interval": 60, "method": "POST"}'))
    assert (hinted.interval_s, hinted.collect_interval_s, hinted.method) == (0.0, 60.0, "POST")
    plain = heard(hinted, told(reserved="just text"), NOW)
    assert (plain.interval_s, plain.collect_interval_s, plain.method) == (10.0, 15.0, "")


def test_a_wrong_hint_is_listed_as_a_problem_until_it_is_right_and_others_stay() -> None:
    clash = {"id": "133", "problem": "belongs to another service"}
    wrong = heard(a_service(collect_problems=(clash,)), told(reserved='{"method": "PATCH"}'))
    assert wrong.collect_problems[0] == clash
    assert wrong.collect_problems[1]["problem"].startswith("reserved: method must be")
    assert heard(wrong, told(reserved="{}"), NOW).collect_problems == (clash,)


@pytest.mark.parametrize(("sent_at", "counts_as"), [(NOW + 5, NOW), (-3, 0), (EARLY, EARLY)])
def test_a_message_counts_at_its_own_time_but_never_later_than_now(sent_at: int, counts_as: int) -> None:
    assert heard_at(sent_at, NOW) == counts_as


def test_the_source_is_that_of_the_newest_message() -> None:
    known = a_service(source="nsq", last_beat_at=LATE, registered_at=EARLY)
    assert heard(known, told(), EARLY, "nsqd:a:4150").source == "nsq"
    assert heard(known, told(), NOW, "nsqd:a:4150").source == "nsqd:a:4150"


@pytest.mark.parametrize(
    ("reserved", "leaving"),
    [(UNSET, False), ("", False), ("leaving", False), ('{"leaving": false}', False), ('{"leaving": true}', True)],
)
def test_a_goodbye_is_read_from_the_messages_own_reserved(reserved: Any, leaving: bool) -> None:
    assert is_leaving(reserved) is leaving


def test_R4_what_a_service_says_of_itself_does_not_touch_its_liveness() -> None:
    known = a_service(state="down", evidence="why")
    after = heard(known, told(name="Bills"))
    assert structs.replace(after, name=known.name, told_at=(), registered_at=known.registered_at).state == "down"


def test_an_interval_of_hundreds_of_digits_is_clamped_as_any_other() -> None:
    hints = read_hints(f'{{"heartbeat_interval":{"9" * 400},"collect_interval":-{"9" * 400}}}')
    assert hints.heartbeat_interval_s == 86_400.0
    assert hints.problems == ("reserved: collect_interval must not be negative",)
