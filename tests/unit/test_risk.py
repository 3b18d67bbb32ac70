"""Why a task is at risk (SPEC 6), and when what is shown of it is stale (SPEC 3)."""

from typing import Any

import pytest

from taskdash.model.records import User
from taskdash.rules.risk import Reason, Staleness, reasons, staleness
from tests.support import NOW, a_service, a_task

ILL_SINCE = NOW - 50


def a_user(**fields: Any) -> User:
    return User(**{"name": "ann", "role": "member", **fields})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("new", []), ("up", []), ("paused", []), ("late", ["late"]), ("down", ["down", "stale"]),
        ("unknown", ["unknown", "stale"]), ("left", ["stale"]),
    ],
)  # fmt: skip
def test_the_state_of_its_service_puts_a_task_at_risk(state: str, words: list[str]) -> None:
    found = reasons(a_task(), a_service(state=state, since=ILL_SINCE), None, NOW)
    assert [reason.reason for reason in found] == words
    assert {reason.since for reason in found} <= {ILL_SINCE}


def test_a_task_whose_service_was_not_collected_for_three_intervals_is_stale() -> None:
    assert staleness(a_task(), a_service(fresh_until=NOW - 1), NOW) == Staleness(NOW - 1)
    assert staleness(a_task(), a_service(fresh_until=NOW), NOW) is None


def test_a_task_whose_voucher_is_gone_is_stale() -> None:
    assert staleness(a_task(adrift=True), None, NOW) == Staleness()
    assert reasons(a_task(adrift=True), a_service(), None, NOW) == (Reason("stale"),)


def test_failed_and_should_run_are_risks_whoever_holds_the_task() -> None:
    task = a_task(status="failed", schedule="should_run", status_at=NOW - 7, user="ann")
    assert reasons(task, None, a_user(), NOW) == (Reason("failed", NOW - 7), Reason("should_run"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ()),
        ({"disabled": True, "away_until": NOW + 1}, (Reason("disabled"),)),
        ({"away_until": NOW + 1}, (Reason("away"),)),
        ({"away_until": NOW}, ()),
    ],
)
def test_a_holder_who_is_disabled_or_away_is_a_risk(fields: dict[str, Any], expected: tuple[Reason, ...]) -> None:
    assert reasons(a_task(user="ann"), None, a_user(**fields), NOW) == expected


def test_to_be_unowned_alone_is_no_risk_and_a_gone_task_has_none() -> None:
    assert reasons(a_task(), a_service(), None, NOW) == ()
    assert reasons(a_task(status="failed", gone_at=NOW), a_service(state="down"), a_user(disabled=True), NOW) == ()
