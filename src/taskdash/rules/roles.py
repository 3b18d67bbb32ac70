"""Who may do what to what: the one place (SPEC 6, RELIABILITY R146). Pure. What is not allowed here is refused.

A role includes the ones before it; a token's scopes narrow it further. `refusal` answers "" or one sentence; whether the
caller may even know of the object is `may_see`, asked first: 404 for what one may not see, 403 for the rest.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from taskdash.model.records import Actor, Role, Scope, Service, Task, User

Visibility = Literal["all", "groups"]
Action = Literal[
    "see", "claim", "release", "assign", "pin", "unpin", "hand_over", "transfer", "delete", "acknowledge",
    "collect", "pause", "resume", "archive", "ingest", "save_view", "see_intake",
    "see_accounts", "change_accounts", "change_own_account",
]  # fmt: skip
Subject = Task | Service | None
ROLES: tuple[Role, ...] = ("viewer", "member", "lead", "admin")


class Need(NamedTuple):
    """The least role, the scopes of which a token needs one, and what must hold between actor and task."""

    role: Role
    scopes: tuple[Scope, ...]
    holds: Callable[[Actor, Task], str] = lambda _actor, _task: ""


def _in_reach(actor: Actor, task: Task) -> str:
    if not task.group_id or task.group_id in actor.groups or task.user == actor.id:
        return ""
    return f"the task belongs to the group {task.group_id}, which is not one of yours"


def _held_or_led(actor: Actor, task: Task) -> str:
    if task.user in {"", actor.id} or (actor.role == "lead" and not _led(actor, task)):
        return ""
    return f"only {task.user}, a lead of its group or an admin may do this"


def _own_or_led(actor: Actor, task: Task) -> str:
    if task.user == actor.id:
        return ""
    return _led(actor, task) if actor.role == "lead" else "only a lead hands over what others hold"


def _led(actor: Actor, task: Task) -> str:
    if task.group_id and task.group_id in actor.groups:
        return ""
    return "a lead does this only within their own groups"


def _assignable(actor: Actor, task: Task) -> str:
    return "" if not task.group_id else _led(actor, task)


_WORK: tuple[Scope, ...] = ("claim", "admin")
_ADMIN: tuple[Scope, ...] = ("admin",)
_READ: tuple[Scope, ...] = ("read", "claim", "admin")
NEEDS: dict[Action, Need] = {
    "see": Need("viewer", _READ),
    "see_intake": Need("viewer", _READ),
    "save_view": Need("viewer", _WORK),
    "change_own_account": Need("viewer", _ADMIN),
    "claim": Need("member", _WORK, _in_reach),
    "release": Need("member", _WORK, _held_or_led),
    "acknowledge": Need("member", _WORK),
    "hand_over": Need("member", _WORK, _own_or_led),
    "assign": Need("lead", _WORK, _assignable),
    "pin": Need("lead", _WORK, _led),
    "unpin": Need("lead", _WORK, _led),
    "collect": Need("lead", _ADMIN),
    "pause": Need("lead", _ADMIN),
    "resume": Need("lead", _ADMIN),
    "archive": Need("lead", _ADMIN),
    "transfer": Need("admin", _ADMIN),
    "delete": Need("admin", _ADMIN),
    "see_accounts": Need("admin", _ADMIN),
    "change_accounts": Need("admin", _ADMIN),
}


def refusal(actor: Actor, action: Action, subject: Subject = None) -> str:
    """One sentence why `actor` may not do `action` to `subject`; empty when they may."""
    if actor.type == "system":
        return ""
    if action == "ingest":
        return _ingest_refusal(actor)
    need = NEEDS[action]
    if actor.scopes and not set(actor.scopes) & set(need.scopes):
        return f"this token has not the scope {need.scopes[0]}"
    if not at_least(actor.role, need.role):
        return f"this needs the role {need.role}, and you are {actor.role}"
    if actor.role == "admin" or not isinstance(subject, Task):
        return ""
    return need.holds(actor, subject)


def may(actor: Actor, action: Action, subject: Subject = None) -> bool:
    """True when `refusal` has nothing to say."""
    return not refusal(actor, action, subject)


def handed_to_refusal(actor: Actor, to: User) -> str:
    """Why a member may not leave what they hold to this person: a viewer can neither claim nor release."""
    if actor.type == "system" or at_least(actor.role, "lead") or at_least(to.role, "member"):
        return ""
    return f"{to.name} may only see, and holds no tasks"


def assigned_into_refusal(actor: Actor, group_id: str) -> str:
    """Why the actor may not leave a task in `group_id` when they assign it; a lead keeps it within their groups."""
    if actor.type == "system" or actor.role == "admin" or (group_id and group_id in actor.groups):
        return ""
    return "a lead assigns a task only into their own groups"


def at_least(role: Role, wanted: Role) -> bool:
    """True when `role` includes `wanted`."""
    return ROLES.index(role) >= ROLES.index(wanted)


def _ingest_refusal(actor: Actor) -> str:
    """Registrations and beats by HTTP come from programs: a token with that scope, or an admin (SPEC 8)."""
    if "ingest" in actor.scopes or (actor.role == "admin" and (not actor.scopes or "admin" in actor.scopes)):
        return ""
    return "this needs a token with the scope ingest"


def sees_everything(actor: Actor, visibility: Visibility) -> bool:
    """True when no object is hidden from this caller."""
    return visibility == "all" or actor.type != "user" or at_least(actor.role, "lead")


def may_see(actor: Actor, task: Task, visibility: Visibility) -> bool:
    """With `access.visibility = "groups"` a viewer or member sees the tasks of their groups, without group, or their own.

    A service is seen by who sees one of its tasks: the store asks that with the same three conditions.
    """
    return sees_everything(actor, visibility) or task.user == actor.id or not task.group_id or task.group_id in actor.groups
