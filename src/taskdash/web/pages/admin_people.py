"""Users, groups, and what each role may do. UI 6 (Admin)."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.errors import NotFound, TaskDashError
from taskdash.model.records import User
from taskdash.store import account_pages, accounts, counters
from taskdash.store.account_pages import Presence
from taskdash.store.accounts import Group
from taskdash.store.task_page import CAP
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import admin, links
from taskdash.web.pages.account_sentences import why_not
from taskdash.web.pages.board import capped
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, page_get, page_post, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.role_table import role_table
from taskdash.web.paths import opened

PAGE = 50
ADD_GROUP = "/admin/add-group"
_NAMED = 8


class People(Struct, frozen=True):
    """A page of users with (held, at risk) each, and a page of groups with (members, tasks) each; one more than is shown."""

    presence: Presence
    users: list[tuple[User, int, int]]
    admins: int
    groups: list[tuple[Group, list[User], int]]
    group_count: int


@page_get(admin.USERS, opt={"action": "see"})
async def people(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Users and groups."""
    admin.check_seen(identity.actor, "see_accounts")
    view, query = await view_of(request, web, identity), request.query_params
    q, after, group_after = (query.get(name, "")[:256] for name in ("q", "after", "group_after"))
    found = await web.db.read(lambda conn: _read(conn, view, q, after, group_after))
    values: dict[str, Any] = {
        "q": q,
        "presence": found.presence,
        "users": [_user(view, found.admins, *each) for each in found.users[:PAGE]],
        "groups": [_group(*each) for each in found.groups[:PAGE]],
        "group_count": found.group_count,
        "next_href": _next(found.users, [("q", q), ("group_after", group_after)], "after"),
        "first_href": links.with_query(admin.USERS, [("q", q)]) if after else "",
        "next_groups_href": _next(found.groups, [("q", q), ("after", after)], "group_after"),
        "role_rows": role_table(),
    }
    return await admin.page(request, web, view, "admin_users.html", values)


def _read(conn: Connection, view: View, q: str, after: str, group_after: str) -> People:
    found = account_pages.users_after(conn, after, PAGE + 1, q)
    held = account_pages.holdings(conn, [user.name for user in found], view.now)
    groups = account_pages.groups_after(conn, group_after, PAGE + 1)
    members = account_pages.members(conn, [group.id for group in groups])
    return People(
        account_pages.presence(conn, view.now, q),
        [(user, *held[user.name]) for user in found],
        accounts.active_admins(conn),
        [(group, members[group.id], counters.count(conn, "group", [group.id])) for group in groups],
        account_pages.count_of_groups(conn),
    )


def _next(found: list[Any], pairs: list[tuple[str, str]], name: str) -> str:
    if len(found) <= PAGE:
        return ""
    last = found[PAGE - 1][0]
    return links.with_query(admin.USERS, [*pairs, (name, last.name if isinstance(last, User) else last.id)])


def _user(view: View, admins: int, user: User, held: int, at_risk: int) -> dict[str, Any]:
    return {
        "user": user,
        "href": user_page(user.name),
        "held": f"{held:,}" if held else "",
        "held_href": links.with_query("/tasks", [("user", user.name)]),
        "at_risk": capped(at_risk, view.texts.plural("%(n)s at risk", "%(n)s at risk", min(at_risk, CAP))),
        "at_risk_href": links.with_query("/tasks", [("user", user.name), ("at_risk", "true")]),
        "away": user.away_until is not None and user.away_until > view.now,
        "last_admin": user.role == "admin" and not user.disabled and admins == 1,
    }


def user_page(name: str) -> str:
    """Where an account is changed."""
    return admin.below(admin.USERS, name)


def _group(group: Group, members: list[User], tasks: int) -> dict[str, Any]:
    return {
        "group": group,
        "href": admin.below(admin.GROUPS, group.id),
        "members": [user.name for user in members[:_NAMED]],
        "more": max(0, len(members) - _NAMED),
        "count": len(members),
        "leads": [user.name for user in members if user.role == "lead"],
        "tasks": f"{tasks:,}" if tasks else "",
        "tasks_href": links.with_query("/tasks", [("group", group.id)]),
    }


@page_get(ADD_GROUP, opt={"action": "see"})
async def add_group_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form for a new group."""
    admin.check_seen(identity.actor, "change_accounts")
    return await _group_form(request, web, await view_of(request, web, identity), ADD_GROUP, Group(id=""))


@page_post(ADD_GROUP, opt={"action": "change_accounts"})
async def add_group(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """A new group."""
    fields = await fields_of(request)
    group_id = fields.get("id", [""])[0].strip()
    return await _save(request, web, identity, ADD_GROUP, Group(id=group_id, name=fields.get("name", [""])[0].strip()))


@page_get(f"{admin.GROUPS}/{{group_id:str}}", opt={"action": "see"})
async def group_page(request: HtmlRequest, web: Web, identity: Identity, group_id: str) -> Html:
    """The form for another title."""
    admin.check_seen(identity.actor, "change_accounts")
    known = await web.db.read(lambda conn: accounts.group(conn, opened(group_id)))
    if known is None:
        raise NotFound("there is no such group")
    view = await view_of(request, web, identity)
    return await _group_form(request, web, view, admin.below(admin.GROUPS, known.id), known)


@page_post(f"{admin.GROUPS}/{{group_id:str}}", opt={"action": "change_accounts"})
async def rename_group(request: HtmlRequest, web: Web, identity: Identity, group_id: str) -> Html:
    """Another title for a group."""
    fields = await fields_of(request)
    group = Group(id=opened(group_id), name=fields.get("name", [""])[0].strip())
    return await _save(request, web, identity, admin.below(admin.GROUPS, group.id), group)


async def _save(request: HtmlRequest, web: Web, identity: Identity, path: str, group: Group) -> Html:
    view, is_new = await view_of(request, web, identity), path == ADD_GROUP
    wanted = Group(id=group.id, name=group.name or group.id)
    try:
        await web.db.write(lambda conn: account_actions.save_group(conn, identity.actor, wanted, view.now, is_new=is_new))
    except TaskDashError as error:
        return await _group_form(request, web, view, path, group, why_not(view, error))
    said = view.texts("The group %(id)s is added.", id=group.id)
    return go(request, admin.USERS, Flash("ok", said if is_new else view.texts("The group %(id)s is renamed.", id=group.id)))


async def _group_form(request: HtmlRequest, web: Web, view: View, path: str, group: Group, error: str = "") -> Html:
    values = {"path": path, "group": group, "is_new": path == ADD_GROUP, "error": error}
    return await admin.page(request, web, view, "admin_group.html", values, 422 if error else 200)


ROUTES: list[HTTPRouteHandler] = [people, add_group_page, add_group, group_page, rename_group]
