"""Users, groups, tokens, sessions: who may change them, what each change ends, and its event. SPEC 6, RELIABILITY R140-R160.

Plain functions over a connection, so that the command line can use them beside a running server; an entrance wraps one call
in `db.write`. Law: the last admin cannot be removed, disabled or demoted; a change of role or password or a disabling ends
the user's sessions; no secret is ever in an event.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, Conflict, Forbidden, NotFound
from taskdash.model import fields
from taskdash.model.instants import Instant, seconds, to_rfc3339_or_none
from taskdash.model.records import SYSTEM, Actor, NewEvent, Role, Scope, Token, User
from taskdash.rules import roles
from taskdash.rules import secrets as forms
from taskdash.store import accounts, events
from taskdash.store.accounts import Group

TOKEN_DAYS = 90
SCOPES: tuple[Scope, ...] = ("read", "ingest", "claim", "admin")


class UserChange(Struct, frozen=True, kw_only=True):
    """What is to change of an account; what is UNSET stays."""

    role: Role | UnsetType = UNSET
    groups: Sequence[str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    away_until: Instant | UnsetType | None = UNSET
    language: str | UnsetType = UNSET
    password_hash: str | UnsetType = UNSET
    must_change: bool | UnsetType = UNSET


_OWN = {"away_until", "language"}
_WORDS_OF_FILTERS = {"me", "none"}
LONGEST_DAYS = 36_500


def add_user(conn: Connection, actor: Actor, new: User, now: Instant, *, make_groups: bool = False) -> User:
    """A new account. Raises Conflict when the name is taken, BadField for a wrong name or (unless `make_groups`) group."""
    _allow(actor, "change_accounts")
    if make_groups:
        _make_groups(conn, actor, new.groups, now)
    fields.check_account_name(new.name)
    if new.name in _WORDS_OF_FILTERS:
        raise BadField(f"name must not be {new.name}, which filters use for another meaning", field="name")
    _check_groups(conn, new.groups)
    if accounts.user(conn, new.name):
        raise Conflict(f"there is a user {new.name} already", field="name")
    made = structs.replace(new, created_at=now)
    accounts.add_user(conn, made)
    after = {"role": made.role, "groups": list(made.groups)}
    events.append(conn, [_event(actor, "user.added", "user", made.name, now, after=after)])
    return made


def add_first(conn: Connection, admin: User, now: Instant) -> bool:
    """The first account; False when somebody, perhaps another instance, was first."""
    if not accounts.is_empty(conn):
        return False
    add_user(conn, SYSTEM, admin, now)
    return True


def change_user(conn: Connection, actor: Actor, name: str, change: UserChange, now: Instant) -> User:
    """Change an account: an admin anyone's, everyone their own absence and language."""
    wanted = {n: v for n in change.__struct_fields__ if (v := getattr(change, n)) is not UNSET}
    own = actor.id == name and set(wanted) <= _OWN
    _allow(actor, "change_own_account" if own else "change_accounts")
    known = _user(conn, name)
    if "groups" in wanted:
        wanted["groups"] = tuple(dict.fromkeys(wanted["groups"]))
        _check_groups(conn, wanted["groups"])
    changed = structs.replace(known, **wanted)
    if changed == known:
        return known
    _keep_an_admin(conn, known, changed)
    accounts.save_user(conn, changed)
    if changed.disabled or changed.role != known.role or changed.password_hash != known.password_hash:
        accounts.end_sessions_of(conn, name)
    events.append(conn, [_changed(actor, known, changed, now)])
    return changed


def change_password(conn: Connection, actor: Actor, name: str, password_hash: str, now: Instant) -> None:
    """Set a password hash; ends every session of the user. Who did not choose it themselves is asked for a new one."""
    if actor.id != name:
        _allow(actor, "change_accounts")
    known = _user(conn, name)
    accounts.save_user(conn, structs.replace(known, password_hash=password_hash, must_change=actor.id != name))
    accounts.end_sessions_of(conn, name)
    events.append(conn, [_event(actor, "user.password_changed", "user", name, now)])


def save_group(conn: Connection, actor: Actor, group: Group, now: Instant, *, is_new: bool) -> Group:
    """Add or rename a group. Raises Conflict for a taken id, NotFound for an unknown one."""
    _allow(actor, "change_accounts")
    fields.check_account_name(group.id, "id")
    fields.check_short(group.name, "name")
    known = accounts.group(conn, group.id)
    if is_new and known:
        raise Conflict(f"there is a group {group.id} already", field="id")
    if not is_new and not known:
        raise NotFound(f"no group has the id {group.id}")
    made = structs.replace(group, created_at=known.created_at if known else now)
    accounts.save_group(conn, made)
    kind = "group.added" if is_new else "group.changed"
    events.append(conn, [_event(actor, kind, "group", group.id, now, after={"name": group.name})])
    return made


class TokenWish(Struct, frozen=True, kw_only=True):
    """A token to be made. `days` None: ingest tokens never expire, others after 90 days; 0: never.

    `id`: chosen by a form when it is shown, so that sending it twice makes one token.
    """

    user: str
    name: str
    role: Role | None = None
    scopes: tuple[Scope, ...] = ()
    days: int | None = None
    id: str = ""


def create_token(conn: Connection, actor: Actor, wish: TokenWish, now: Instant) -> tuple[str, Token]:
    """(the token's text, which is stored nowhere; its record)."""
    _allow(actor, "change_own_account" if actor.id == wish.user else "change_accounts")
    owner = _user(conn, wish.user)
    if "ingest" in wish.scopes and actor.type == "user" and not roles.at_least(actor.role, "lead"):
        raise Forbidden("a token with the scope ingest registers any service: a lead or an admin makes it")
    fields.check_account_name(wish.name)
    if wish.days is not None and not 0 <= wish.days <= LONGEST_DAYS:
        raise BadField(f"days must be a whole number from 0 to {LONGEST_DAYS:,}; 0 is never", field="days")
    role = wish.role or owner.role
    if not roles.at_least(owner.role, role) or (actor.type == "user" and not roles.at_least(actor.role, role)):
        raise BadField(f"role: a token cannot have more than its user's role, {owner.role}", field="role")
    if wish.id and (len(wish.id) != 16 or not wish.id.isalnum()):
        raise BadField("id must have 16 letters and digits", field="id")
    if wish.id and accounts.token(conn, wish.id):
        raise Conflict("this token was made already; its text is shown only once", field="token")
    text = forms.token_text(secrets.token_bytes(forms.RANDOM_BYTES))
    made = Token(
        id=wish.id or secrets.token_hex(8),
        user=owner.name,
        name=wish.name,
        role=role,
        scopes=tuple(dict.fromkeys(wish.scopes)),
        created_at=now,
        expires_at=_expiry(wish, now),
    )
    accounts.add_token(conn, made, forms.digest(text))
    after = {"user": made.user, "name": made.name, "role": made.role, "scopes": list(made.scopes)}
    events.append(conn, [_event(actor, "token.created", "token", made.id, now, after=after)])
    return text, made


def _expiry(wish: TokenWish, now: Instant) -> Instant | None:
    usual = 0 if set(wish.scopes) == {"ingest"} else TOKEN_DAYS
    days = usual if wish.days is None else wish.days
    return now + seconds(days * 86_400) if days else None


def revoke_token(conn: Connection, actor: Actor, token_id: str, now: Instant) -> Token:
    """End a token for good. Somebody else's is NotFound to who is no admin."""
    known = accounts.token(conn, token_id)
    if known is None or (known.user != actor.id and not roles.may(actor, "change_accounts")):
        raise NotFound(f"no token has the id {token_id}")
    _allow(actor, "change_own_account")
    if known.revoked_at is not None:
        return known
    revoked = structs.replace(known, revoked_at=now)
    accounts.save_token(conn, revoked)
    events.append(conn, [_event(actor, "token.revoked", "token", token_id, now)])
    return revoked


def _allow(actor: Actor, action: roles.Action) -> None:
    if refusal := roles.refusal(actor, action):
        raise Forbidden(refusal)


def _user(conn: Connection, name: str) -> User:
    known = accounts.user(conn, name)
    if known is None:
        raise NotFound(f"there is no user {fields.safe_text(name)}", field="user")
    return known


def _check_groups(conn: Connection, wanted: Sequence[str]) -> None:
    known = {group.id for group in accounts.all_groups(conn)}
    for group in wanted:
        if group not in known:
            raise BadField(f"groups: there is no group {fields.safe_text(group)}", field="groups")


def _make_groups(conn: Connection, actor: Actor, wanted: Sequence[str], now: Instant) -> None:
    for group in wanted:
        if accounts.group(conn, group) is None:
            save_group(conn, actor, Group(id=group, name=group), now, is_new=True)


def _keep_an_admin(conn: Connection, known: User, changed: User) -> None:
    was, stays = (u.role == "admin" and not u.disabled for u in (known, changed))
    if was and not stays and accounts.active_admins(conn) <= 1:
        raise Conflict(f"{known.name} is the last admin and cannot be disabled or demoted", field="last_admin")


def _changed(actor: Actor, known: User, changed: User, now: Instant) -> NewEvent:
    shown = ("role", "groups", "disabled", "away_until", "language")
    differ = [name for name in shown if getattr(known, name) != getattr(changed, name)]
    kind = "user.disabled" if changed.disabled and not known.disabled else "user.changed"
    before, after = ({n: _plain(n, getattr(u, n)) for n in differ} for u in (known, changed))
    return _event(actor, kind, "user", known.name, now, before=before, after=after)


def _plain(name: str, value: Any) -> Any:
    return to_rfc3339_or_none(value) if name == "away_until" else value


def _event(
    actor: Actor,
    kind: str,
    subject_type: Any,
    subject_id: str,
    now: Instant,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> NewEvent:
    return NewEvent(
        at=now,
        kind=kind,
        subject_type=subject_type,
        subject_id=subject_id,
        actor_type=actor.type,
        actor_id=actor.id,
        channel=actor.channel,
        before=before or {},
        after={**(after or {}), **({"address": actor.address} if actor.address else {})},
    )
