"""Adding and changing one account: role, groups, absence, password, disabling with a successor. UI 6 (Admin).

Law: a password that was made here is in the one answer that made it and nowhere else; the account must choose its own next.
"""

import secrets
from collections.abc import Mapping
from typing import Any, cast, get_args

from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.actions import bulk
from taskdash.actions.accounts import UserChange
from taskdash.actions.bulk import Result
from taskdash.errors import BadField, NotFound, TaskDashError
from taskdash.model.records import Role, User
from taskdash.rules import roles
from taskdash.rules.passwords import check_password
from taskdash.store import account_pages, accounts, loads
from taskdash.store.accounts import Group
from taskdash.store.loads import Load
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import account_sentences, admin, links, sentences, times
from taskdash.web.pages.account_sentences import why_not
from taskdash.web.pages.admin_people import user_page
from taskdash.web.pages.claiming import local_instant
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, page_get, page_post, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.paths import opened

ADD_USER = "/admin/add-user"
_USER = f"{admin.USERS}/{{name:str}}"
_CHANGE = {"action": "change_accounts"}
Fields = dict[str, list[str]]


class Made(Struct, frozen=True):
    """A password that was made just now."""

    name: str
    password: str


class About(Struct, frozen=True):
    """What the page of an account shows."""

    user: User
    groups: list[Group]
    held: int
    at_risk: int
    people: list[Load]
    admins: int


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


def _role(fields: Fields) -> Role:
    role = _one(fields, "role")
    if role not in get_args(Role):
        raise BadField("role must be viewer, member, lead or admin", field="role")
    return cast("Role", role)


# adding


@page_get(ADD_USER, opt={"action": "see"})
async def add_user_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form for a new account."""
    admin.check_seen(identity.actor, "change_accounts")
    return await _add_form(request, web, await view_of(request, web, identity), {})


@page_post(ADD_USER, opt=_CHANGE)
async def add_user(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """A new account; a password that was made for it is shown once."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    name, typed = _one(fields, "name").strip(), _one(fields, "password")
    try:
        password, stored = await _password(request, typed, name)
        new = User(
            name=name,
            role=_role(fields),
            groups=tuple(fields.get("groups", ())),
            password_hash=stored,
            must_change=True,
        )
        await web.db.write(lambda conn: account_actions.add_user(conn, identity.actor, new, view.now))
    except TaskDashError as error:
        return await _add_form(request, web, view, fields, why_not(view, error))
    if typed:
        return go(request, admin.USERS, Flash("ok", view.texts("%(name)s is added.", name=name)))
    return await _add_form(request, web, view, {}, made=Made(name, password))


async def _password(request: HtmlRequest, typed: str, name: str) -> tuple[str, str]:
    """(the password that was typed, or a new one; what is stored of it)."""
    password = check_password(typed, name) if typed else secrets.token_urlsafe(16)
    return password, await request.app.state.hasher.hash(password)


async def _add_form(
    request: HtmlRequest, web: Web, view: View, fields: Fields, error: str = "", made: Made | None = None
) -> Html:
    values: dict[str, Any] = {
        "groups": await web.db.read(accounts.all_groups),
        "roles": roles.ROLES,
        "typed": {"name": _one(fields, "name"), "role": _one(fields, "role") or "member", "groups": fields.get("groups", [])},
        "error": error,
        "made": made,
    }
    return await admin.page(request, web, view, "admin_add_user.html", values, 422 if error else 200)


# changing


@page_get(_USER, opt={"action": "see"})
async def user(request: HtmlRequest, web: Web, identity: Identity, name: str) -> Html:
    """One account."""
    admin.check_seen(identity.actor, "see_accounts")
    return await _show(request, web, await view_of(request, web, identity), opened(name))


async def _show(request: HtmlRequest, web: Web, view: View, name: str, **said: Any) -> Html:
    """The page of an account. `said`: `error` and the `form` it is of; or the password that was `made`."""
    about = await web.db.read(lambda conn: _read(conn, view, name))
    known = about.user
    values: Mapping[str, Any] = {
        "about": about,
        "user": known,
        "path": user_page(known.name),
        "roles": roles.ROLES,
        "is_me": view.actor is not None and view.actor.id == known.name,
        "last_admin": account_sentences.last_admin(view) if _is_last_admin(about) else "",
        "away_text": times.form_text(known.away_until, view.zone) if known.away_until and known.away_until > view.now else "",
        "held_text": view.texts.plural("%(n)s task", "%(n)s tasks", about.held),
        "held_href": links.with_query("/tasks", [("user", known.name)]),
        "at_risk_href": links.with_query("/tasks", [("user", known.name), ("at_risk", "true")]),
        "error": "",
        "form": "",
        "made": None,
        **said,
    }
    return await admin.page(request, web, view, "admin_user.html", values, 422 if said.get("error") else 200)


def _read(conn: Connection, view: View, name: str) -> About:
    known = accounts.user(conn, name)
    if known is None:
        raise NotFound("there is no such user")
    others = [load for load in loads.people(conn, view.now, groups=known.groups) if load.user.name != name]
    return About(
        known,
        accounts.all_groups(conn),
        *account_pages.holdings(conn, [name], view.now)[name],
        others,
        accounts.active_admins(conn),
    )


def _is_last_admin(about: About) -> bool:
    return about.user.role == "admin" and not about.user.disabled and about.admins == 1


@page_post(_USER, opt=_CHANGE)
async def change_user(request: HtmlRequest, web: Web, identity: Identity, name: str) -> Html:
    """Role, groups and absence."""
    fields, view, whose = await fields_of(request), await view_of(request, web, identity), opened(name)
    away = _one(fields, "away_until")
    try:
        change = UserChange(
            role=_role(fields) if "role" in fields else UNSET,
            groups=fields.get("groups", []),
            away_until=local_instant(away, web.zone) if away else None,
        )
        await web.db.write(lambda conn: account_actions.change_user(conn, identity.actor, whose, change, view.now))
    except TaskDashError as error:
        return await _show(request, web, view, whose, error=why_not(view, error), form="change")
    request.app.state.identities.forget()
    return go(request, user_page(whose), Flash("ok", view.texts("%(name)s is changed.", name=whose)))


@page_post(f"{_USER}/password", opt=_CHANGE)
async def set_password(request: HtmlRequest, web: Web, identity: Identity, name: str) -> Html:
    """Another password; every session of the account ends, and it must choose its own next."""
    fields, view, whose = await fields_of(request), await view_of(request, web, identity), opened(name)
    typed = _one(fields, "password")
    try:
        password, stored = await _password(request, typed, whose)
        await web.db.write(lambda conn: account_actions.change_password(conn, identity.actor, whose, stored, view.now))
    except TaskDashError as error:
        return await _show(request, web, view, whose, error=why_not(view, error), form="password")
    request.app.state.identities.forget()
    if typed:
        said = view.texts("%(name)s has a new password; every session has ended.", name=whose)
        return go(request, user_page(whose), Flash("ok", said))
    return await _show(request, web, view, whose, made=Made(whose, password))


@page_post(f"{_USER}/disable", opt=_CHANGE)
async def disable(request: HtmlRequest, web: Web, identity: Identity, name: str) -> Html:
    """End an account's access, after its tasks were given to the successor."""
    fields, view, whose = await fields_of(request), await view_of(request, web, identity), opened(name)
    to = _one(fields, "to").strip()
    try:
        about = await web.db.read(lambda conn: _read(conn, view, whose))
        if _is_last_admin(about):
            return await _show(request, web, view, whose, error=account_sentences.last_admin(view), form="disable")
        results: list[Result] = []
        if to:
            note = view.texts("%(name)s was disabled", name=whose)
            results = await bulk.hand_over(web.db, identity.actor, whose, to, view.now, note=note)
        change = UserChange(disabled=True)
        await web.db.write(lambda conn: account_actions.change_user(conn, identity.actor, whose, change, view.now))
    except TaskDashError as error:
        return await _show(request, web, view, whose, error=why_not(view, error), form="disable")
    request.app.state.identities.forget()
    return go(request, user_page(whose), _disabled(view, whose, to, results))


def _disabled(view: View, whose: str, to: str, results: list[Result]) -> Flash:
    texts, done = view.texts, sum(result.error is None for result in results)
    if not to:
        return Flash("ok", texts("%(name)s is disabled; every session has ended.", name=whose))
    one = texts.plural(
        "%(name)s is disabled; %(to)s has %(n)s task more.",
        "%(name)s is disabled; %(to)s has %(n)s tasks more.",
        done,
        name=whose,
        to=to,
    )
    return sentences.of_many(view, one, results)


@page_post(f"{_USER}/enable", opt=_CHANGE)
async def enable(request: HtmlRequest, web: Web, identity: Identity, name: str) -> Html:
    """Give an account its access back."""
    view, whose = await view_of(request, web, identity), opened(name)
    change = UserChange(disabled=False)
    await web.db.write(lambda conn: account_actions.change_user(conn, identity.actor, whose, change, view.now))
    return go(request, user_page(whose), Flash("ok", view.texts("%(name)s may sign in again.", name=whose)))


ROUTES: list[HTTPRouteHandler] = [add_user_page, add_user, user, change_user, set_password, disable, enable]
