"""Accounts: admins list, add and change them; everyone sets their own absence and language (SPEC 8)."""

import secrets
from typing import Any

import msgspec
from litestar import Request, get, patch, post
from msgspec import UNSET, Struct, UnsetType

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.errors import BadField
from taskdash.model.instants import Instant, to_rfc3339, to_rfc3339_or_none
from taskdash.model.records import Actor, Role, User
from taskdash.rules.passwords import check_password
from taskdash.store import account_pages
from taskdash.web import cursor as cursors
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import LIMIT, Limit, parse_instant


class UserShape(Struct):
    """An account as the API shows it."""

    name: str
    role: Role
    groups: list[str]
    disabled: bool
    away_until: str | None
    language: str
    created_at: str
    last_sign_in_at: str | None


class Users(Struct):
    """A page of them."""

    items: list[UserShape]
    next: str | None = None


class NewUser(Struct):
    """POST /users. Without a password one is made and told once in the answer."""

    name: str
    role: Role
    groups: list[str] = []
    password: str = ""


class MadeUser(UserShape):
    """The answer to it."""

    password: str | None = None


class ChangedUser(Struct):
    """PATCH /users/{name}: what is left out stays."""

    role: Role | UnsetType = UNSET
    groups: list[str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    away_until: str | UnsetType | None = UNSET
    language: str | UnsetType = UNSET
    password: str | UnsetType = UNSET


_new = msgspec.json.Decoder(NewUser)
_changed = msgspec.json.Decoder(ChangedUser)


def shape(user: User) -> UserShape:
    """An account without its secrets."""
    return UserShape(
        user.name,
        user.role,
        list(user.groups),
        user.disabled,
        to_rfc3339_or_none(user.away_until),
        user.language,
        to_rfc3339(user.created_at),
        to_rfc3339_or_none(user.last_sign_in_at),
    )


@get("/api/v1/users", opt={"action": "see_accounts"})
async def users(web: Web, limit: Limit = LIMIT, cursor: str = "") -> Users:
    """Every account, by name."""
    after = str(cursors.decode(cursor, "users", [str])[0]) if cursor else ""
    found = await web.db.read(lambda conn: account_pages.users_after(conn, after, limit + 1))
    next_ = cursors.encode("users", [found[limit - 1].name]) if len(found) > limit else None
    return Users([shape(user) for user in found[:limit]], next_)


@post("/api/v1/users", opt={"action": "change_accounts", "body": NewUser}, status_code=201)
async def add_user(request: Request[Any, Any, Any], web: Web, actor: Actor) -> MadeUser:
    """A new account."""
    wanted: NewUser = await body_of(request, _new)
    password = check_password(wanted.password, wanted.name) if wanted.password else secrets.token_urlsafe(16)
    stored = await request.app.state.hasher.hash(password)
    new = User(
        name=wanted.name,
        role=wanted.role,
        groups=tuple(dict.fromkeys(wanted.groups)),
        password_hash=stored,
        must_change=not wanted.password,
    )
    made = await web.db.write(lambda conn: account_actions.add_user(conn, actor, new, web.clock.now()))
    return MadeUser(**msgspec.structs.asdict(shape(made)), password=None if wanted.password else password)


@patch("/api/v1/users/{name:str}", opt={"action": "change_own_account", "body": ChangedUser})
async def change_user(request: Request[Any, Any, Any], web: Web, actor: Actor, name: str) -> UserShape:
    """Change an account; oneself only `away_until` and `language`."""
    wanted: ChangedUser = await body_of(request, _changed)
    whose = opened(name)
    stored: str | UnsetType = UNSET
    if wanted.password is not UNSET:
        stored = await request.app.state.hasher.hash(check_password(wanted.password, whose))
    change = UserChange(
        role=wanted.role,
        groups=wanted.groups,
        disabled=wanted.disabled,
        away_until=_instant(wanted.away_until),
        language=_language(wanted.language),
        password_hash=stored,
        must_change=UNSET if stored is UNSET else True,
    )
    changed = await web.db.write(lambda conn: account_actions.change_user(conn, actor, whose, change, web.clock.now()))
    request.app.state.identities.forget()
    return shape(changed)


def _instant(text: str | UnsetType | None) -> Instant | UnsetType | None:
    if text == "":
        raise BadField("away_until must be null or an RFC 3339 time", field="away_until")
    return text if text is UNSET else parse_instant(text, "away_until")


def _language(text: str | UnsetType) -> str | UnsetType:
    if text is not UNSET and text not in {"", "zh-CN", "en"}:
        raise BadField('language must be "zh-CN", "en" or ""', field="language")
    return text


ROUTES = [users, add_user, change_user]
