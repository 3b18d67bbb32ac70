"""SPEC 4: collected records against stored tasks."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from taskdash.model.instants import seconds
from taskdash.model.records import Task, TaskFields
from taskdash.rules.reconcile import Outcome, collected, vanished
from tests.support import NOW, a_task

LATER = NOW + seconds(60)


def owned(**fields: Any) -> Task:
    return a_task(**{"pk": 1, "service_id": "billing", **fields})


def after(known: Task | None, released_by: frozenset[str] = frozenset(), **sent: Any) -> Outcome:
    """`billing` reports one record for the id 133."""
    stored = {known.id: known} if known else {}
    return collected("billing", [TaskFields(id="133", **sent)], stored, released_by, LATER, UTC)


def one(outcome: Outcome) -> Task:
    assert len(outcome.changes) == 1
    return outcome.changes[0][1]


def kinds(outcome: Outcome) -> list[str]:
    return [event.kind for event in outcome.events]


def test_a_new_task_belongs_to_its_service_and_is_told_once() -> None:
    outcome = after(None, name="zxf", status="running")
    task = one(outcome)
    assert (task.service_id, task.name, task.status, task.version, task.user) == ("billing", "zxf", "running", 1, "")
    assert (task.created_at, task.updated_at, task.status_at) == (LATER, LATER, LATER)
    assert kinds(outcome) == ["task.registered"]
    event = outcome.events[0]
    assert (event.actor_type, event.actor_id, event.channel) == ("service", "billing", "collector")
    assert event.after == {"name": "zxf", "status": "running", "service_id": "billing"}


def test_a_new_task_may_come_with_its_user_and_group() -> None:
    outcome = after(None, user="wsg", group_id="mx")
    task = one(outcome)
    assert (task.user, task.group_id, task.user_since, task.version) == ("wsg", "mx", LATER, 1)
    assert kinds(outcome) == ["task.registered"]


def test_a_repeated_record_changes_nothing() -> None:
    assert after(owned(), name="zxf", status="running") == Outcome()


def test_a_field_that_was_not_sent_is_left_as_it_is_and_an_empty_one_is_cleared() -> None:
    task = one(after(owned(description="old", url="http://a/"), description=""))
    assert (task.description, task.url, task.status) == ("", "http://a/", "running")


def test_a_changed_status_is_one_event_and_moves_both_times() -> None:
    outcome = after(owned(), status="failed", name="new name")
    task = one(outcome)
    assert (task.status, task.name, task.status_at, task.updated_at) == ("failed", "new name", LATER, LATER)
    assert kinds(outcome) == ["task.changed"]
    assert (outcome.events[0].before, outcome.events[0].after) == ({"status": "running"}, {"status": "failed"})
    assert task.version == 1


@pytest.mark.parametrize("field", ["name", "url", "description", "start_time", "stop_time", "reserved"])
def test_a_changed_text_is_stored_without_an_event(field: str) -> None:
    outcome = after(owned(), **{field: "12:00"})
    task = one(outcome)
    assert (getattr(task, field), task.updated_at, task.status_at) == ("12:00", LATER, NOW)
    assert outcome.events == []


def test_a_gone_task_that_is_named_again_is_back() -> None:
    outcome = after(owned(gone_at=NOW), status="failed")
    task = one(outcome)
    assert (task.gone_at, task.status, task.updated_at) == (None, "failed", LATER)
    assert kinds(outcome) == ["task.back"]
    assert outcome.events[0].after == {"status": "failed", "gone": False}


def test_a_user_binds_only_an_unbound_task() -> None:
    outcome = after(owned(), user="wsg")
    task = one(outcome)
    assert (task.user, task.version, task.user_since) == ("wsg", 2, LATER)
    assert kinds(outcome) == ["task.assigned"]
    assert outcome.events[0].channel == "collector"


def test_a_persons_claim_is_never_overwritten() -> None:
    assert after(owned(user="alice", version=5), user="wsg") == Outcome()
    assert one(after(owned(user="alice", version=5), user="wsg", status="failed")).user == "alice"
    assert after(owned(user="alice"), user="") == Outcome()


def test_a_pinned_task_is_not_bound() -> None:
    assert after(owned(pinned=True), user="wsg", group_id="mx") == Outcome()


def test_status_and_binding_in_one_record_are_two_events() -> None:
    outcome = after(owned(), user="wsg", status="failed")
    assert kinds(outcome) == ["task.changed", "task.assigned"]
    assert one(outcome).version == 2


def test_a_task_registered_over_tcp_gets_its_owner_and_is_no_longer_adrift() -> None:
    outcome = after(a_task(pk=1, adrift=True), status="running")
    task = one(outcome)
    assert (task.service_id, task.adrift, task.updated_at) == ("billing", False, LATER)
    assert outcome.events == []
    assert outcome.clashes == {}


def test_an_id_of_another_service_is_a_clash_and_is_not_overwritten() -> None:
    outcome = after(owned(service_id="etl"), status="failed", user="wsg")
    assert outcome == Outcome(clashes={"133": "etl"})


def test_an_id_of_an_archived_service_passes_to_the_one_that_reports_it() -> None:
    outcome = after(owned(service_id="etl"), frozenset({"etl"}), status="running")
    assert one(outcome).service_id == "billing"
    assert kinds(outcome) == ["task.transferred"]
    assert (outcome.events[0].before, outcome.events[0].after) == ({"service_id": "etl"}, {"service_id": "billing"})


def test_the_schedule_follows_status_and_times() -> None:
    task = one(after(owned(status="running"), start_time="00:00", stop_time="00:00", status="failed"))
    assert task.schedule == "should_run"
    assert task.schedule_at is not None


def test_of_two_records_with_one_id_the_last_counts() -> None:
    records = [TaskFields(id="133", status="failed"), TaskFields(id="133", status="finish")]
    assert one(collected("billing", records, {}, frozenset(), LATER, UTC)).status == "finish"


def test_a_task_that_is_no_longer_named_is_gone_with_its_last_status() -> None:
    outcome = vanished("billing", [owned()], LATER)
    task = one(outcome)
    assert (task.gone_at, task.updated_at, task.status, task.status_at, task.version) == (LATER, LATER, "running", NOW, 1)
    assert kinds(outcome) == ["task.gone"]


def test_what_is_gone_already_or_belongs_to_others_does_not_vanish() -> None:
    assert vanished("billing", [owned(gone_at=NOW), owned(service_id="etl"), a_task()], LATER) == Outcome()


TEXT = st.sampled_from(["", "a", "b", "running", "12:00"])
TIME = st.sampled_from(["", "12:00", "2030-01-01T00:00:00Z"])
SENT = st.builds(
    TaskFields,
    id=st.sampled_from(["1", "2", "3"]),
    **{name: TEXT | st.just(UNSET) for name in ("name", "url", "description", "status", "reserved", "user", "group_id")},
    **{name: TIME | st.just(UNSET) for name in ("start_time", "stop_time")},
)
STORED = st.builds(
    Task,
    pk=st.just(1),
    id=st.sampled_from(["1", "2", "3"]),
    name=TEXT,
    status=TEXT,
    user=TEXT,
    group_id=TEXT,
    pinned=st.booleans(),
    adrift=st.booleans(),
    service_id=st.sampled_from(["", "billing", "etl", "old"]),
    gone_at=st.sampled_from([None, NOW]),
    version=st.integers(1, 3),
)
CASE = st.tuples(st.lists(SENT, max_size=6), st.lists(STORED, max_size=4).map(lambda tasks: {task.id: task for task in tasks}))


def apply(stored: dict[str, Task], outcome: Outcome) -> dict[str, Task]:
    return stored | {task.id: structs.replace(task, pk=1) for _, task in outcome.changes}


@given(CASE)
def test_an_answer_applied_twice_changes_nothing_the_second_time(case: tuple[list[TaskFields], dict[str, Task]]) -> None:
    sent, stored = case
    first = collected("billing", sent, stored, {"old"}, LATER, UTC)
    again = collected("billing", sent, apply(stored, first), {"old"}, LATER + 1, UTC)
    assert (again.changes, again.events, again.clashes) == ([], [], first.clashes)


@given(CASE)
def test_every_record_is_stored_or_a_clash_and_no_binding_is_overwritten(
    case: tuple[list[TaskFields], dict[str, Task]],
) -> None:
    sent, stored = case
    outcome = collected("billing", sent, stored, {"old"}, LATER, UTC)
    now = apply(stored, outcome)
    for record in {record.id: record for record in sent}.values():
        known, task = stored.get(record.id), now[record.id]
        if record.id in outcome.clashes:
            assert task == known
            assert task.service_id == "etl"
            continue
        assert (task.service_id, task.gone_at, task.adrift) == ("billing", None, False)
        assert record.status in (UNSET, task.status)
        if known and (known.pinned or known.user):
            assert task.user == known.user
        if known:
            assert (task.version != known.version) == ((task.user, task.group_id) != (known.user, known.group_id))


@given(CASE)
def test_one_event_for_history_and_one_for_the_binding_at_most(case: tuple[list[TaskFields], dict[str, Task]]) -> None:
    sent, stored = case
    events = collected("billing", sent, stored, {"old"}, LATER, UTC).events
    for task_id in {event.subject_id for event in events}:
        told = [event.kind for event in events if event.subject_id == task_id]
        assert len([kind for kind in told if kind != "task.assigned"]) <= 1
        assert told.count("task.assigned") <= 1
