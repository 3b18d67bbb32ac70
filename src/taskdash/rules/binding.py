"""Every change of who a task belongs to is decided here: Accepted or Refused (SPEC 6). Pure.

Law: `version` counts changes of user, group_id, pinned and until, and of nothing else; each Accepted that changes the task
moves it by one and carries one event with before, after, actor and channel. A refusal is a value, with the one sentence
that a person reads; `holder` is who won instead.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, structs

from taskdash.model.instants import Instant, to_rfc3339_or_none
from taskdash.model.records import SYSTEM, Actor, NewEvent, Task, TaskFields, User
from taskdash.rules import roles

BOUND = ("user", "group_id", "pinned", "until", "version")
BulkAction = Literal["claim", "release", "assign", "pin", "unpin"]
RefusedKind = Literal["lost", "old", "version_missing", "forbidden", "field"]


class Accepted(Struct, frozen=True):
    """It is done so; `event` is None when nothing had to change."""

    task: Task
    event: NewEvent | None = None


class Refused(Struct, frozen=True):
    """It is not done: `lost` and `old` name the holder; `field` names what was wrong."""

    kind: RefusedKind
    sentence: str
    holder: str = ""
    since: Instant | None = None
    field: str = ""


Decision = Accepted | Refused


class Wish(Struct, frozen=True, kw_only=True):
    """What an assign asks for; what is UNSET stays (SPEC 6). `seen`: the version the caller saw; None: not told."""

    user: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    until: Instant | UnsetType | None = UNSET
    pin: bool | UnsetType = UNSET
    note: str = ""
    seen: int | None = None


class Names(Struct, frozen=True):
    """Which of the wished user and group are accounts."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


def claim(task: Task, actor: Actor, now: Instant, *, seen: int | None = None, until: Instant | None = None) -> Decision:
    """A free task becomes the actor's; holding it already is fine; another's stays theirs."""
    if sentence := roles.refusal(actor, "claim", task):
        return Refused("forbidden", sentence)
    if task.user and task.user != actor.id:
        return _lost(task)
    if until is not None and until <= now:
        return _past("until")
    if task.user == actor.id:
        return _changed(task, actor, now, "task.claimed", until=task.until if until is None else until)
    return _if_current(task, seen) or _changed(task, actor, now, "task.claimed", user=actor.id, until=until)


def release(task: Task, actor: Actor, now: Instant, *, seen: int | None = None, note: str = "") -> Decision:
    """The user is cleared, the group stays. What nobody holds is released already."""
    if sentence := roles.refusal(actor, "release", task):
        return Refused("forbidden", sentence)
    if not task.user:
        return Accepted(task)
    return _if_current(task, seen) or _changed(task, actor, now, "task.released", note, user="")


def assign(task: Task, actor: Actor, wish: Wish, names: Names, now: Instant, *, by_version: bool = True) -> Decision:
    """Set user and group, each independently. `by_version` False: the caller named a filter and its count instead."""
    wanted = _wished(task, wish)
    refused = (
        _may_assign(task, actor, wish)
        or (_version_refused(task, wish) if by_version else None)
        or _names_refused(wish, names)
        or _until_refused(task, wanted, wish, now)
    )
    return refused or _changed(task, actor, now, _assign_kind(task, wanted), wish.note, **wanted)


def pin(task: Task, actor: Actor, now: Instant, *, pinned: bool, seen: int | None = None, note: str = "") -> Decision:
    """Whether machines (TCP, collector) may change the binding."""
    action: Literal["pin", "unpin"] = "pin" if pinned else "unpin"
    if sentence := roles.refusal(actor, action, task):
        return Refused("forbidden", sentence)
    return _if_current(task, seen) or _changed(task, actor, now, f"task.{action}ned", note, pinned=pinned)


def hand_over(task: Task, actor: Actor, to: User, now: Instant, *, note: str = "") -> Decision:
    """The task moves to `to`; its group and pin stay, the end of the shift before does not."""
    if sentence := roles.refusal(actor, "hand_over", task) or roles.handed_to_refusal(actor, to):
        return Refused("forbidden", sentence)
    if task.user == to.name:
        return Accepted(task)
    return _changed(task, actor, now, "task.handed_over", note, user=to.name, until=None)


def set_end(task: Task, actor: Actor, until: Instant | None, now: Instant) -> Decision:
    """Whoever holds the task says when their shift ends; None: it does not."""
    if sentence := roles.refusal(actor, "claim", task):
        return Refused("forbidden", sentence)
    if task.user != actor.id:
        return _lost(task) if task.user else Refused("old", "nobody holds this task any more")
    if until is not None and until <= now:
        return _past("until")
    return _changed(task, actor, now, "task.assigned", until=until)


def end_shift(task: Task, now: Instant) -> Accepted:
    """The moment `until` has come: the user is cleared, the group keeps the task and is told by the event."""
    if task.until is None:
        return Accepted(task)
    sentence = f"the shift of {task.user} ended"
    return _changed(task, SYSTEM, now, "task.released", sentence, at=task.until, user="", until=None)


def told(task: Task, sent: TaskFields, actor: Actor, now: Instant, *, fills_only: bool) -> Decision:
    """A machine tells user or group: it fills what is empty (Register, collector), or rebinds unless pinned (Update)."""
    wanted = {n: v for n in ("user", "group_id") if (v := getattr(sent, n)) is not UNSET and v != getattr(task, n)}
    if fills_only:
        wanted = {} if task.pinned else {n: v for n, v in wanted.items() if not getattr(task, n)}
    if wanted and task.pinned:
        return Refused(
            "field", f"{next(iter(wanted))} cannot change: the binding of this task is pinned", field=next(iter(wanted))
        )
    kind = _assign_kind(task, {"user": task.user, "group_id": task.group_id, "pinned": task.pinned} | wanted)
    return _changed(task, actor, now, kind, **wanted)


def _lost(task: Task) -> Refused:
    return Refused("lost", f"{task.user} holds this task", holder=task.user, since=task.user_since)


def _past(name: str) -> Refused:
    return Refused("field", f"{name} must lie in the future", field=name)


def _if_current(task: Task, seen: int | None) -> Refused | None:
    if seen is None or seen == task.version:
        return None
    return Refused(
        "old",
        f"the binding has changed: you saw version {seen}, it is {task.version}",
        holder=task.user,
        since=task.user_since,
    )


def _may_assign(task: Task, actor: Actor, wish: Wish) -> Refused | None:
    """A lead needs the task and the place it goes to within their groups; a task without group may come into one."""
    group_id = task.group_id if wish.group_id is UNSET else wish.group_id
    sentence = roles.refusal(actor, "assign", task) or roles.assigned_into_refusal(actor, group_id)
    if not sentence and wish.pin not in (UNSET, task.pinned):
        sentence = roles.refusal(actor, "pin", structs.replace(task, group_id=group_id))
    return Refused("forbidden", sentence) if sentence else None


def _version_refused(task: Task, wish: Wish) -> Refused | None:
    if wish.seen is None:
        return Refused("version_missing", "assign needs the version that you saw", field="version")
    return _if_current(task, wish.seen)


def _until_refused(task: Task, wanted: dict[str, Any], wish: Wish, now: Instant) -> Refused | None:
    until = wanted["until"]
    if until is None or wish.until is UNSET:
        return None
    if not wanted["user"]:
        return Refused("field", "until ends somebody's shift, so it needs a user", field="until")
    return _past("until") if until <= now and until != task.until else None


def _names_refused(wish: Wish, names: Names) -> Refused | None:
    if wish.user and wish.user not in names.users:
        return Refused("field", f"user: there is no account named {wish.user}", field="user")
    if wish.group_id and wish.group_id not in names.groups:
        return Refused("field", f"group_id: there is no group {wish.group_id}", field="group_id")
    return None


def _wished(task: Task, wish: Wish) -> dict[str, Any]:
    user = task.user if wish.user is UNSET else wish.user
    kept_until = task.until if user == task.user else None
    return {
        "user": user,
        "group_id": task.group_id if wish.group_id is UNSET else wish.group_id,
        "until": kept_until if wish.until is UNSET else wish.until,
        "pinned": task.pinned if wish.pin is UNSET else wish.pin,
    }


def _assign_kind(task: Task, wanted: dict[str, Any]) -> str:
    """The one word for history when an assignment says less than that."""
    if wanted["user"] != task.user:
        return "task.assigned" if wanted["user"] else "task.released"
    if wanted["group_id"] == task.group_id and wanted["pinned"] != task.pinned:
        return "task.pinned" if wanted["pinned"] else "task.unpinned"
    return "task.assigned"


def _changed(
    task: Task, actor: Actor, now: Instant, kind: str, note: str = "", *, at: Instant | None = None, **wanted: Any
) -> Accepted:
    """The task as wanted, one version on, with its event; as it is when that changes nothing."""
    if wanted.get("user", task.user) != task.user:
        wanted = {"until": None, "user_since": now} | wanted
    if all(getattr(task, name) == value for name, value in wanted.items()):
        return Accepted(task)
    after = structs.replace(task, **wanted, version=task.version + 1, updated_at=now)
    return Accepted(after, _event(task, after, actor, kind, note, now if at is None else at))


def _event(before: Task, after: Task, actor: Actor, kind: str, note: str, at: Instant) -> NewEvent:
    names = [name for name in BOUND if getattr(before, name) != getattr(after, name)]
    return NewEvent(
        at=at,
        kind=kind,
        subject_type="task",
        subject_id=after.id,
        actor_type=actor.type,
        actor_id=actor.id,
        channel=actor.channel,
        before={name: shown(before, name) for name in names},
        after={name: shown(after, name) for name in names},
        evidence=note,
    )


def shown(task: Task, name: str) -> Any:
    """A field as events and answers show it: instants as RFC 3339."""
    value = getattr(task, name)
    return to_rfc3339_or_none(value) if name == "until" else value
