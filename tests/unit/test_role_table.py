"""The table of what each role may do says what the rules say, of every action. SPEC 6; UI 6 (Admin)."""

from typing import get_args

from taskdash.rules import roles
from taskdash.rules.roles import Action
from taskdash.web.pages.role_table import ACTIONS, OWN, OWN_GROUPS, YES, cell, role_table


def test_every_action_is_in_one_line_and_all_of_a_line_are_allowed_alike() -> None:
    told = [action for actions in ACTIONS for action in actions]
    assert sorted(told) == sorted(get_args(Action))
    for actions in ACTIONS:
        for role in roles.ROLES:
            assert len({cell(role, action) for action in actions}) == 1, (actions, role)


def test_a_role_may_at_least_what_the_one_before_it_may() -> None:
    order = ["", OWN, OWN_GROUPS, YES]
    for row in role_table():
        steps = [order.index(each) for each in row.cells]
        assert steps == sorted(steps), row


def test_the_restrictions_are_those_of_the_rules() -> None:
    assert [cell(role, "claim") for role in roles.ROLES] == ["", OWN_GROUPS, OWN_GROUPS, YES]
    assert [cell(role, "release") for role in roles.ROLES] == ["", OWN, OWN_GROUPS, YES]
    assert [cell(role, "assign") for role in roles.ROLES] == ["", "", OWN_GROUPS, YES]
    assert [cell(role, "see_accounts") for role in roles.ROLES] == ["", "", "", YES]
