"""Who may do what to what, as one table (SPEC 6, RELIABILITY R146)."""

from typing import Any, get_args

import pytest

from taskdash.model.records import SYSTEM, Actor, Role
from taskdash.rules import roles
from taskdash.rules.roles import Action, assigned_into_refusal, may, may_see, refusal, sees_everything
from tests.support import a_service, a_task


def a_person(role: Role = "member", *groups: str, **fields: Any) -> Actor:
    return Actor(type="user", id="ann", channel="web", role=role, groups=groups or ("mx",), **fields)


PEOPLE: tuple[Role, ...] = ("viewer", "member", "lead", "admin")
TASKS = {
    "free": a_task(),
    "free in my group": a_task(group_id="mx"),
    "free elsewhere": a_task(group_id="ops"),
    "mine": a_task(user="ann"),
    "mine elsewhere": a_task(user="ann", group_id="ops"),
    "bob's": a_task(user="bob"),
    "bob's in my group": a_task(user="bob", group_id="mx"),
    "bob's elsewhere": a_task(user="bob", group_id="ops"),
}
# action, task: the roles that may, as first letters of viewer, member, lead, admin
MATRIX = {
    ("claim", "free"): "mla",
    ("claim", "free in my group"): "mla",
    ("claim", "free elsewhere"): "a",
    ("claim", "mine"): "mla",
    ("claim", "mine elsewhere"): "mla",
    ("claim", "bob's"): "mla",
    ("claim", "bob's in my group"): "mla",
    ("claim", "bob's elsewhere"): "a",
    ("release", "free"): "mla",
    ("release", "free in my group"): "mla",
    ("release", "free elsewhere"): "mla",
    ("release", "mine"): "mla",
    ("release", "mine elsewhere"): "mla",
    ("release", "bob's"): "a",
    ("release", "bob's in my group"): "la",
    ("release", "bob's elsewhere"): "a",
    ("assign", "free"): "la",
    ("assign", "free in my group"): "la",
    ("assign", "free elsewhere"): "a",
    ("assign", "mine"): "la",
    ("assign", "mine elsewhere"): "a",
    ("assign", "bob's"): "la",
    ("assign", "bob's in my group"): "la",
    ("assign", "bob's elsewhere"): "a",
    ("pin", "free"): "a",
    ("pin", "free in my group"): "la",
    ("pin", "free elsewhere"): "a",
    ("pin", "mine"): "a",
    ("pin", "mine elsewhere"): "a",
    ("pin", "bob's"): "a",
    ("pin", "bob's in my group"): "la",
    ("pin", "bob's elsewhere"): "a",
    ("hand_over", "free"): "a",
    ("hand_over", "free in my group"): "la",
    ("hand_over", "free elsewhere"): "a",
    ("hand_over", "mine"): "mla",
    ("hand_over", "mine elsewhere"): "mla",
    ("hand_over", "bob's"): "a",
    ("hand_over", "bob's in my group"): "la",
    ("hand_over", "bob's elsewhere"): "a",
}
WITHOUT_A_TASK = {
    "see": "vmla", "see_intake": "vmla", "save_view": "vmla", "change_own_account": "vmla", "acknowledge": "mla",
    "collect": "la", "pause": "la", "resume": "la", "archive": "la",
    "transfer": "a", "delete": "a", "see_accounts": "a", "change_accounts": "a", "ingest": "a",
}  # fmt: skip


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(("action", "which"), MATRIX)
def test_R146_role_by_action_by_own_and_other_group_by_claimed_and_free(role: Role, action: Action, which: str) -> None:
    assert may(a_person(role), action, TASKS[which]) == (role[0] in MATRIX[action, which])


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize("action", WITHOUT_A_TASK)
def test_R146_role_by_action_without_a_task(role: Role, action: Action) -> None:
    assert may(a_person(role), action, a_service()) == (role[0] in WITHOUT_A_TASK[action])


def test_R146_every_action_is_in_the_matrix_and_has_a_rule() -> None:
    shown = {action for action, _task in MATRIX} | set(WITHOUT_A_TASK)
    assert shown | {"unpin"} == set(get_args(Action)) == set(roles.NEEDS) | {"ingest"}


@pytest.mark.parametrize(
    ("scope", "actions"),
    [
        ("read", {"see", "see_intake"}),
        ("ingest", {"ingest"}),
        (
            "claim",
            {"see", "see_intake", "save_view", "claim", "release", "acknowledge", "hand_over", "assign", "pin", "unpin"},
        ),
        ("admin", set(get_args(Action))),
    ],
)
def test_R146_a_tokens_scope_narrows_even_an_admin(scope: Any, actions: set[str]) -> None:
    token = a_person("admin", scopes=(scope,))
    assert {action for action in get_args(Action) if may(token, action)} == actions


def test_R146_a_scope_gives_no_more_than_the_role() -> None:
    token = a_person("viewer", scopes=("admin", "claim"))
    assert not may(token, "claim", TASKS["free"])
    assert refusal(token, "transfer") == "this needs the role admin, and you are viewer"


def test_a_viewers_token_with_the_scope_ingest_may_register_services() -> None:
    assert may(a_person("viewer", scopes=("ingest",)), "ingest")
    assert refusal(a_person("member"), "ingest") == "this needs a token with the scope ingest"


def test_taskdash_itself_may() -> None:
    assert may(SYSTEM, "release", TASKS["bob's elsewhere"])
    assert assigned_into_refusal(SYSTEM, "ops") == ""


def test_a_refusal_is_one_sentence_that_says_what_is_missing() -> None:
    assert refusal(a_person("member", scopes=("read",)), "claim") == "this token has not the scope claim"
    assert refusal(a_person(), "claim", TASKS["free elsewhere"]).startswith("the task belongs to the group ops")
    assert refusal(a_person(), "release", TASKS["bob's"]) == "only bob, a lead of its group or an admin may do this"
    assert refusal(a_person(), "hand_over", TASKS["bob's"]) == "only a lead hands over what others hold"


@pytest.mark.parametrize(
    ("role", "group_id", "allowed"), [("lead", "mx", True), ("lead", "ops", False), ("lead", "", False), ("admin", "", True)]
)
def test_a_lead_assigns_only_into_their_own_groups(role: Role, group_id: str, allowed: bool) -> None:
    assert (assigned_into_refusal(a_person(role), group_id) == "") is allowed


@pytest.mark.parametrize("which", TASKS)
def test_everyone_signed_in_sees_every_task_by_default(which: str) -> None:
    assert may_see(a_person("viewer"), TASKS[which], "all")


@pytest.mark.parametrize("role", ["viewer", "member"])
@pytest.mark.parametrize("which", TASKS)
def test_with_visibility_groups_one_sees_ones_groups_ones_own_and_what_has_no_group(role: Role, which: str) -> None:
    assert may_see(a_person(role), TASKS[which], "groups") == (which not in {"free elsewhere", "bob's elsewhere"})


@pytest.mark.parametrize("role", ["lead", "admin"])
def test_with_visibility_groups_a_lead_still_sees_everything(role: Role) -> None:
    assert sees_everything(a_person(role), "groups")
