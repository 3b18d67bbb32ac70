"""Claim, release, assign, pin, hand-over and what machines tell (SPEC 6)."""

from typing import Any

import pytest
from msgspec import UNSET, structs

from taskdash.model.instants import Instant, seconds, to_rfc3339
from taskdash.model.records import Actor, Role, Task, TaskFields, User
from taskdash.rules import binding
from taskdash.rules.binding import Accepted, Decision, Names, Refused, Wish
from tests.support import NOW, a_task

NAMES = Names(users=frozenset({"ann", "bob"}), groups=frozenset({"mx", "ops"}))
LATER = NOW + seconds(3_600)
PEER = Actor(type="connection", id="127.0.0.1:5000", channel="tcp")

BOB = User(name="bob", role="member", groups=("mx",))


def a_person(name: str = "ann", role: Role = "member", *groups: str) -> Actor:
    return Actor(type="user", id=name, channel="web", role=role, groups=groups or ("mx",))


LEAD, ADMIN = a_person("lea", "lead"), a_person("root", "admin")


def accepted(decision: Decision) -> Accepted:
    assert isinstance(decision, Accepted), decision
    return decision


def refused(decision: Decision, kind: str) -> Refused:
    assert isinstance(decision, Refused), decision
    assert decision.kind == kind
    return decision


def one_story(before: Task, decision: Decision, kind: str) -> Task:
    """The change has one event that says what the version says."""
    after, event = accepted(decision).task, accepted(decision).event
    assert event is not None
    assert (event.kind, event.subject_id) == (kind, before.id)
    assert after.version == before.version + 1 == event.after["version"]
    assert set(event.before) == set(event.after)
    for name, value in event.after.items():
        assert value == binding.shown(after, name)
        assert event.before[name] == binding.shown(before, name)
    return after


def unchanged(task: Task, decision: Decision) -> None:
    assert accepted(decision).task is task
    assert accepted(decision).event is None


# claim


def test_a_free_task_becomes_the_claimers() -> None:
    task = a_task(group_id="mx")
    after = one_story(task, binding.claim(task, a_person(), NOW, seen=1), "task.claimed")
    assert (after.user, after.user_since, after.group_id, after.until) == ("ann", NOW, "mx", None)


def test_an_event_says_who_and_by_which_way() -> None:
    event = accepted(binding.claim(a_task(), a_person(), NOW)).event
    assert event is not None
    assert (event.actor_type, event.actor_id, event.channel, event.at) == ("user", "ann", "web", NOW)


def test_a_claim_may_end_by_itself() -> None:
    task = a_task()
    after = one_story(task, binding.claim(task, a_person(), NOW, until=LATER), "task.claimed")
    assert after.until == LATER
    assert accepted(binding.claim(task, a_person(), NOW, until=LATER)).event.after["until"] == to_rfc3339(LATER)  # type: ignore[union-attr]


def test_claiming_what_one_holds_is_fine_whatever_version_was_seen() -> None:
    task = a_task(user="ann", version=7, until=LATER)
    unchanged(task, binding.claim(task, a_person(), NOW, seen=6))


def test_claiming_what_one_holds_with_another_end_changes_the_shift() -> None:
    task = a_task(user="ann", user_since=NOW - 9, until=LATER)
    after = one_story(task, binding.claim(task, a_person(), NOW, until=LATER + 1_000_000), "task.claimed")
    assert (after.until, after.user_since) == (LATER + 1_000_000, NOW - 9)


def test_whoever_loses_a_claim_is_told_who_holds_it_since_when() -> None:
    lost = refused(binding.claim(a_task(user="bob", user_since=NOW - 5), a_person(), NOW), "lost")
    assert (lost.sentence, lost.holder, lost.since) == ("bob holds this task", "bob", NOW - 5)


def test_a_claim_of_a_free_task_whose_binding_has_changed_since_is_told_so() -> None:
    old = refused(binding.claim(a_task(version=3), a_person(), NOW, seen=2), "old")
    assert old.sentence == "the binding has changed: you saw version 2, it is 3"


def test_a_viewer_claims_nothing_and_nobody_claims_in_another_group() -> None:
    refused(binding.claim(a_task(), a_person(role="viewer"), NOW), "forbidden")
    refused(binding.claim(a_task(group_id="ops"), a_person(), NOW), "forbidden")


@pytest.mark.parametrize("until", [NOW, NOW - 1])
def test_a_shift_ends_in_the_future(until: Instant) -> None:
    assert refused(binding.claim(a_task(), a_person(), NOW, until=until), "field").field == "until"


# release


def test_a_release_clears_the_user_and_the_end_and_keeps_the_group_and_the_pin() -> None:
    task = a_task(user="ann", user_since=NOW - 9, group_id="mx", until=LATER, pinned=True)
    after = one_story(task, binding.release(task, a_person(), NOW, seen=1, note="done"), "task.released")
    assert (after.user, after.user_since, after.group_id, after.until, after.pinned) == ("", NOW, "mx", None, True)


def test_what_nobody_holds_is_released_already() -> None:
    task = a_task(version=4)
    unchanged(task, binding.release(task, a_person(), NOW, seen=3))


def test_a_member_releases_only_what_is_their_own() -> None:
    refused(binding.release(a_task(user="bob", group_id="mx"), a_person(), NOW), "forbidden")


def test_a_release_with_an_old_version_changes_nothing() -> None:
    refused(binding.release(a_task(user="ann", version=4), a_person(), NOW, seen=3), "old")


# assign


def assign(task: Task, actor: Actor = ADMIN, **wish: Any) -> Decision:
    return binding.assign(task, actor, Wish(**{"seen": task.version, **wish}), NAMES, NOW)


def test_user_and_group_are_set_independently() -> None:
    task = a_task(user="ann", group_id="ops", user_since=NOW - 5)
    moved = one_story(task, assign(task, user="bob"), "task.assigned")
    assert (moved.user, moved.group_id, moved.user_since) == ("bob", "ops", NOW)
    regrouped = one_story(task, assign(task, group_id="mx"), "task.assigned")
    assert (regrouped.user, regrouped.group_id, regrouped.user_since) == ("ann", "mx", NOW - 5)


def test_an_empty_user_clears_and_that_is_a_release() -> None:
    task = a_task(user="ann", until=LATER)
    after = one_story(task, assign(task, user=""), "task.released")
    assert (after.user, after.until) == ("", None)


def test_an_assignment_carries_its_note() -> None:
    event = accepted(assign(a_task(), user="bob", note="please look")).event
    assert event is not None
    assert event.evidence == "please look"


def test_an_assignment_needs_the_version_that_was_seen() -> None:
    refused(assign(a_task(), user="bob", seen=None), "version_missing")
    task = a_task(user="ann", user_since=NOW - 5, version=2)
    old = refused(assign(task, user="bob", seen=1), "old")
    assert (old.holder, old.since) == ("ann", NOW - 5)


def test_a_filter_and_its_count_stand_for_the_versions() -> None:
    task = a_task(version=9)
    decision = binding.assign(task, ADMIN, Wish(user="bob"), NAMES, NOW, by_version=False)
    assert one_story(task, decision, "task.assigned").user == "bob"


@pytest.mark.parametrize(("field", "wish"), [("user", {"user": "nobody"}), ("group_id", {"group_id": "none"})])
def test_a_user_or_group_that_is_no_account_is_refused_by_name(field: str, wish: dict[str, str]) -> None:
    assert refused(assign(a_task(), **wish), "field").field == field


def test_a_lead_assigns_within_their_groups_and_brings_tasks_without_group_into_one() -> None:
    free, ours, theirs = a_task(), a_task(group_id="mx"), a_task(group_id="ops")
    assert one_story(ours, assign(ours, LEAD, user="bob"), "task.assigned").user == "bob"
    assert one_story(free, assign(free, LEAD, user="bob", group_id="mx"), "task.assigned").group_id == "mx"
    refused(assign(free, LEAD, user="bob"), "forbidden")
    refused(assign(ours, LEAD, group_id="ops"), "forbidden")
    refused(assign(ours, LEAD, group_id=""), "forbidden")
    refused(assign(theirs, LEAD, group_id="mx"), "forbidden")


def test_who_may_not_is_told_so_before_any_version_or_name() -> None:
    refused(assign(a_task(), a_person(), user="nobody", seen=None), "forbidden")


def test_an_assignment_may_pin_in_the_same_change() -> None:
    free = a_task()
    after = one_story(free, assign(free, LEAD, group_id="mx", pin=True), "task.assigned")
    assert (after.pinned, after.group_id) == (True, "mx")


def test_an_assignment_that_only_pins_is_called_a_pin() -> None:
    loose, fast = a_task(group_id="mx"), a_task(group_id="mx", pinned=True)
    one_story(loose, assign(loose, pin=True), "task.pinned")
    one_story(fast, assign(fast, pin=False), "task.unpinned")


def test_a_new_holder_does_not_inherit_the_end_of_the_shift() -> None:
    task = a_task(user="ann", until=LATER)
    assert one_story(task, assign(task, user="bob"), "task.assigned").until is None
    assert one_story(task, assign(task, user="bob", until=LATER + 1), "task.assigned").until == LATER + 1
    assert one_story(task, assign(task, group_id="mx"), "task.assigned").until == LATER
    assert one_story(task, assign(task, until=None), "task.assigned").until is None


def test_an_end_needs_a_holder_and_the_future() -> None:
    assert refused(assign(a_task(), until=LATER), "field").field == "until"
    assert refused(assign(a_task(), user="bob", until=NOW), "field").field == "until"


def test_an_assignment_to_what_is_already_so_changes_nothing() -> None:
    task = a_task(user="ann", group_id="mx", until=NOW - 1)
    unchanged(task, assign(task, user="ann", group_id="mx", until=NOW - 1, pin=False))


def test_a_lead_may_pin_what_they_assign_into_their_group_but_only_that() -> None:
    refused(binding.assign(a_task(group_id="ops"), LEAD, Wish(pin=True, seen=1), NAMES, NOW), "forbidden")


# pin, hand-over, shifts


def test_a_lead_pins_and_unpins_within_their_groups() -> None:
    task = a_task(group_id="mx")
    pinned = one_story(task, binding.pin(task, LEAD, NOW, pinned=True), "task.pinned")
    one_story(pinned, binding.pin(pinned, LEAD, NOW, pinned=False, seen=2), "task.unpinned")
    unchanged(pinned, binding.pin(pinned, LEAD, NOW, pinned=True))
    refused(binding.pin(pinned, LEAD, NOW, pinned=False, seen=1), "old")
    refused(binding.pin(a_task(), LEAD, NOW, pinned=True), "forbidden")


def test_a_hand_over_keeps_group_and_pin_and_tells_the_note() -> None:
    task = a_task(user="ann", group_id="mx", pinned=True, until=LATER)
    decision = binding.hand_over(task, a_person(), BOB, NOW, note="night shift")
    after = one_story(task, decision, "task.handed_over")
    assert (after.user, after.user_since, after.group_id, after.pinned, after.until) == ("bob", NOW, "mx", True, None)
    assert accepted(decision).event.evidence == "night shift"  # type: ignore[union-attr]


def test_a_member_hands_over_to_nobody_who_may_only_see() -> None:
    task, viewer = a_task(user="ann", group_id="mx"), structs.replace(BOB, role="viewer")
    refused(binding.hand_over(task, a_person(), viewer, NOW), "forbidden")
    accepted(binding.hand_over(task, LEAD, viewer, NOW))
    accepted(binding.hand_over(task, a_person(), structs.replace(BOB, groups=()), NOW))


def test_a_hand_over_to_its_holder_changes_nothing_and_a_member_hands_over_only_their_own() -> None:
    task = a_task(user="bob", group_id="mx")
    unchanged(task, binding.hand_over(task, LEAD, BOB, NOW))
    refused(binding.hand_over(task, a_person(), User(name="ann", role="member"), NOW), "forbidden")


def test_a_shift_that_ends_leaves_the_task_to_its_group_at_that_moment() -> None:
    task = a_task(user="ann", group_id="mx", until=NOW - 5)
    decision = binding.end_shift(task, NOW)
    after = one_story(task, decision, "task.released")
    assert (after.user, after.until, after.group_id) == ("", None, "mx")
    event = accepted(decision).event
    assert event is not None
    assert (event.at, event.actor_type, event.evidence) == (NOW - 5, "system", "the shift of ann ended")


def test_an_end_without_a_holder_is_only_taken_away() -> None:
    task = a_task(until=NOW - 5)
    assert accepted(binding.end_shift(task, NOW)).task.until is None


def test_a_task_without_an_end_has_no_shift_to_end() -> None:
    task = a_task(user="ann")
    unchanged(task, binding.end_shift(task, NOW))


# what machines tell


def told(task: Task, *, fills_only: bool, **sent: Any) -> Decision:
    return binding.told(task, TaskFields(id=task.id, **sent), PEER, NOW, fills_only=fills_only)


def test_a_machine_fills_only_what_is_empty() -> None:
    task = a_task(group_id="mx")
    assert one_story(task, told(task, fills_only=True, user="wsg", group_id="ops"), "task.assigned").group_id == "mx"
    held = a_task(user="ann")
    unchanged(held, told(held, fills_only=True, user="wsg"))


def test_a_machine_never_fills_a_pinned_binding() -> None:
    task = a_task(pinned=True)
    unchanged(task, told(task, fills_only=True, user="wsg"))


def test_an_update_rebinds_explicitly_and_history_says_by_which_connection() -> None:
    task = a_task(user="ann", until=LATER)
    decision = told(task, fills_only=False, user="any text", group_id="mx")
    after = one_story(task, decision, "task.assigned")
    assert (after.user, after.group_id, after.until) == ("any text", "mx", None)
    event = accepted(decision).event
    assert event is not None
    assert (event.actor_type, event.actor_id, event.channel) == ("connection", "127.0.0.1:5000", "tcp")
    one_story(task, told(task, fills_only=False, user=""), "task.released")


def test_an_update_of_a_pinned_binding_is_refused_unless_it_changes_nothing() -> None:
    task = a_task(user="ann", group_id="mx", pinned=True)
    unchanged(task, told(task, fills_only=False, user="ann", group_id="mx", status=UNSET))
    assert refused(told(task, fills_only=False, user="ann", group_id="ops"), "field").field == "group_id"
