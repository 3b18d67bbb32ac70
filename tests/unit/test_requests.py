"""What Register and Update make of a task (SPEC 5)."""

from datetime import UTC
from typing import Any

from taskdash.model.instants import seconds
from taskdash.model.records import Actor, NewEvent, Task, TaskFields
from taskdash.rules import requests
from taskdash.rules.binding import Refused
from taskdash.rules.requests import Told
from tests.support import NOW, a_task

PEER = Actor(type="connection", id="127.0.0.1:5000", channel="tcp")
EARLIER = NOW - seconds(60)


def known(**fields: Any) -> Task:
    return a_task(**{"updated_at": EARLIER, "status_at": EARLIER, "pk": 1, **fields})


def register(task: Task | None, **sent: Any) -> Told:
    told = requests.register(task, TaskFields(id="133", **sent), PEER, NOW, UTC)
    assert isinstance(told, Told)
    return told


def update(task: Task, **sent: Any) -> Told:
    told = requests.update(task, TaskFields(id="133", **sent), PEER, NOW, UTC)
    assert isinstance(told, Told)
    return told


def kinds(told: Told) -> list[str]:
    return [event.kind for event in told.events]


def only_event(told: Told) -> NewEvent:
    (event,) = told.events
    return event


def test_a_task_that_was_not_known_is_created_with_what_was_sent() -> None:
    told = register(None, name="abc", user="wsg", group_id="mx", status="running")
    task = told.task
    assert (task.name, task.user, task.user_since, task.group_id, task.version) == ("abc", "wsg", NOW, "mx", 1)
    assert (task.url, task.service_id, task.created_at, task.status_at) == ("", "", NOW, NOW)
    event = only_event(told)
    assert (event.kind, event.actor_type, event.actor_id, event.channel) == (
        "task.registered", "connection", "127.0.0.1:5000", "tcp",
    )  # fmt: skip
    assert event.after == {"name": "abc", "user": "wsg", "group_id": "mx", "status": "running"}


def test_a_new_task_without_user_is_held_by_nobody_since_never() -> None:
    assert register(None, user="").task.user_since is None


def test_the_window_of_a_new_task_counts_at_once() -> None:
    assert register(None, start_time="00:00", stop_time="00:00", status="waiting").task.schedule == "should_run"


def test_the_same_again_changes_nothing_and_leaves_no_event() -> None:
    task = known(name="abc", status="running")
    assert register(task, name="abc", status="running") == Told(task)
    assert update(task, name="abc") == Told(task)


def test_an_update_changes_only_what_was_sent() -> None:
    told = update(known(name="abc", description="old"), description="new")
    assert (told.task.name, told.task.description, told.task.updated_at, told.task.status_at) == ("abc", "new", NOW, EARLIER)
    event = only_event(told)
    assert (event.kind, event.before, event.after) == ("task.changed", {"description": "old"}, {"description": "new"})


def test_a_change_of_status_is_dated_and_moves_the_schedule_but_not_the_version() -> None:
    told = update(known(status="waiting", start_time="00:00", stop_time="00:00", schedule="should_run"), status="running")
    assert (told.task.status_at, told.task.schedule, told.task.version) == (NOW, "ok", 1)


def test_register_revives_a_gone_task_and_update_does_not() -> None:
    gone = known(gone_at=EARLIER)
    told = register(gone, status="waiting")
    assert told.task.gone_at is None
    event = only_event(told)
    assert (event.kind, event.before, event.after) == (
        "task.back", {"gone": True, "status": "running"}, {"gone": False, "status": "waiting"},
    )  # fmt: skip
    assert update(gone, status="waiting").task.gone_at == EARLIER


def test_registers_user_binds_only_an_unbound_task() -> None:
    assert register(known(user="ann"), user="wsg").task.user == "ann"
    told = register(known(), user="wsg")
    assert (told.task.user, told.task.user_since, told.task.version) == ("wsg", NOW, 2)
    assert kinds(told) == ["task.assigned"]


def test_updates_user_rebinds_and_the_other_fields_are_a_line_of_their_own() -> None:
    told = update(known(user="ann"), user="wsg", status="failed")
    assert (told.task.user, told.task.status) == ("wsg", "failed")
    assert kinds(told) == ["task.changed", "task.assigned"]


def test_a_refused_rebinding_keeps_nothing_of_the_request() -> None:
    refused = requests.update(known(user="ann", pinned=True), TaskFields(id="133", user="wsg", status="failed"), PEER, NOW, UTC)
    assert isinstance(refused, Refused)
    assert refused.sentence == "user cannot change: the binding of this task is pinned"


def test_a_lost_connection_sets_its_tasks_adrift_once() -> None:
    told = requests.lost_voucher(known(), PEER, NOW)
    assert told.task.adrift
    event = only_event(told)
    assert (event.kind, event.after, event.evidence) == (
        "task.changed", {"stale": True}, "the connection 127.0.0.1:5000 that vouched for it is gone",
    )  # fmt: skip
    assert requests.lost_voucher(told.task, PEER, NOW) == Told(told.task)


def test_register_and_update_take_a_task_out_of_adrift_even_when_they_change_nothing_else() -> None:
    for told in (register(known(adrift=True), name="zxf"), update(known(adrift=True))):
        assert not told.task.adrift
        assert only_event(told).after == {"stale": False}
