"""What each role may do, asked of the rules themselves, so that this table cannot say anything else. Pure. UI 6 (Admin)."""

from functools import cache
from typing import NamedTuple

from taskdash.model.records import Actor, Role, Task
from taskdash.rules import roles
from taskdash.rules.roles import Action
from taskdash.web.pages.texts import mark

YES, OWN_GROUPS, OWN = mark("may"), mark("in their groups"), mark("their own")
ACTIONS: dict[tuple[Action, ...], str] = {
    ("see", "see_intake"): mark("See tasks, services, history, dead letters"),
    ("save_view", "change_own_account"): mark("Own views, tokens, password, absence"),
    ("claim",): mark("Claim"),
    ("acknowledge",): mark("Acknowledge incidents"),
    ("release", "hand_over"): mark("Release, hand over"),
    ("assign", "pin", "unpin"): mark("Assign, pin"),
    ("collect", "pause", "resume", "archive"): mark("Mute and archive services, collect now"),
    ("transfer", "delete"): mark("Transfer between services, remove"),
    ("ingest",): mark("Register services and beat by HTTP; also a token with the scope ingest"),
    ("see_accounts", "change_accounts"): mark("Users, groups, everybody's tokens, settings"),
}
_ME, _GROUP = "me", "mine"
_TASKS = {
    "own": Task(id="1", user=_ME, group_id="other"),
    "led": Task(id="2", user="somebody", group_id=_GROUP),
    "other": Task(id="3", user="somebody", group_id="other"),
}


class RoleRow(NamedTuple):
    """One line: what, and for each role `yes`, a restriction, or nothing."""

    text: str
    cells: list[str]


@cache
def role_table() -> list[RoleRow]:
    """All lines."""
    return [RoleRow(text, [cell(role, actions[0]) for role in roles.ROLES]) for actions, text in ACTIONS.items()]


def cell(role: Role, action: Action) -> str:
    """How far a role may go."""
    actor = Actor(type="user", id=_ME, channel="web", role=role, groups=(_GROUP,))
    may = {name for name, task in _TASKS.items() if roles.may(actor, action, task)}
    if "other" in may:
        return YES
    return OWN_GROUPS if "led" in may else OWN if may else ""
