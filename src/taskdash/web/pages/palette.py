"""The command palette and the list of keys, each also a page of its own for who has no JavaScript. UI 6 (Palette), 7."""

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from taskdash.model.records import Actor, Service
from taskdash.rules import roles
from taskdash.store import account_pages, counters, events, service_page, services, task_page, tasks
from taskdash.store.service_page import ServiceFilters
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import TaskRow
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.palette_list import COUNTED, MOST, Asked, Found, Part, asked_of, listed
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark
from taskdash.web.query import TEXT_CHARACTERS
from taskdash.web.visible import visible_to

_TOLD = 3
_LOOKED_AT = 200
KEYS = (
    ("Ctrl K", mark("Search, or run a command")),
    ("/", mark("Search this list")),
    ("J K", mark("Next row, row before; on a task's page next task, task before")),
    ("Enter", mark("Open")),
    ("X", mark("Select the row")),
    ("Shift J K", mark("Select on to the next row, to the row before")),
    ("C", mark("Claim")),
    ("A", mark("Assign…")),
    ("R", mark("Release")),
    ("P", mark("Pin, unpin")),
    ("Z", mark("Undo")),
    ("Y", mark("Copy the id")),
    ("U", mark("Apply the updates")),
    ("G N", mark("Now")),
    ("G T", mark("Tasks")),
    ("G M", mark("Mine")),
    ("G S", mark("Services")),
    ("G H", mark("History")),
    ("?", mark("This list")),
    ("Esc", mark("Close, then clear the selection")),
)


@page_get("/palette", opt={"action": "see"})
async def page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The palette as a page."""
    view, q = await view_of(request, web, identity), _q(request)
    return html(request, view, "palette.html", {"q": q, "parts": await _parts(web, view, identity.actor, q)})


@page_get("/ui/palette", opt={"action": "see"})
async def answer(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The lines for what is typed."""
    view = await view_of(request, web, identity)
    return html(request, view, "palette_list.html", {"parts": await _parts(web, view, identity.actor, _q(request))})


@page_get("/keys", opt={"action": "see"})
async def keys_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The keys as a page."""
    return html(request, await view_of(request, web, identity), "keys.html", {"keys": KEYS})


@page_get("/ui/keys", opt={"action": "see"})
async def keys(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The keys, for a dialog."""
    return html(request, await view_of(request, web, identity), "keys_list.html", {"keys": KEYS, "is_dialog": True})


def _q(request: HtmlRequest) -> str:
    return request.query_params.get("q", "")[:TEXT_CHARACTERS]


async def _parts(web: Web, view: View, actor: Actor, q: str) -> list[Part]:
    asked = asked_of(q)
    found = await web.db.read(lambda conn: _read(conn, web, view, actor, asked))
    return listed(view, asked, found)


def _read(conn: Connection, web: Web, view: View, actor: Actor, asked: Asked) -> Found:
    if asked.only == ">" or not (asked.text or asked.only):
        return Found()
    if asked.only:
        return _people(conn, web, actor, asked)
    wanted = Filters(q=asked.text, visible_to=visible_to(actor, web.visibility))
    rows, people = _tasks(conn, web, view, actor, wanted), _people(conn, web, actor, asked)
    top = rows[0].task if rows else None
    return Found(
        tasks=rows,
        total=task_page.count(conn, wanted, view.now, COUNTED),
        services=_services(conn, wanted),
        above=services.load(conn, top.service_id) if top and top.service_id else None,
        users=people.users,
        held=people.held,
        groups=people.groups,
        group_sizes=people.group_sizes,
        events=events.page(conn, subject=("task", top.id), limit=_TOLD) if top else [],
    )


def _tasks(conn: Connection, web: Web, view: View, actor: Actor, wanted: Filters) -> list[TaskRow]:
    """The one whose id was typed, then the newest that match."""
    named = tasks.load(conn, wanted.q)
    rows = task_page.page(conn, wanted, "-updated_at", MOST, view.now).rows
    if named is None or not roles.may_see(actor, named, web.visibility):
        return rows
    return [*task_page.rows_of(conn, [named], view.now), *(row for row in rows if row.task.id != named.id)][:MOST]


def _services(conn: Connection, wanted: Filters) -> list[Service]:
    found = service_page.page(conn, ServiceFilters(q=wanted.q, visible_to=wanted.visible_to), MOST).services
    return sorted(found, key=lambda service: service.id != wanted.q)


def _people(conn: Connection, web: Web, actor: Actor, asked: Asked) -> Found:
    """People and groups; who does not see everything sees those of their own groups."""
    sees_all = roles.sees_everything(actor, web.visibility)
    users = account_pages.users_after(conn, "", MOST if sees_all else _LOOKED_AT, asked.text) if asked.only != "#" else []
    groups = account_pages.groups_after(conn, "", MOST if sees_all else _LOOKED_AT, asked.text) if asked.only != "@" else []
    if not sees_all:
        users = [user for user in users if user.name == actor.id or set(user.groups) & set(actor.groups)]
        groups = [group for group in groups if group.id in actor.groups]
    users, groups = users[:MOST], groups[:MOST]
    held = [counters.count(conn, "user", [user.name]) for user in users]
    return Found(users=users, held=held, groups=groups, group_sizes=[counters.count(conn, "group", [g.id]) for g in groups])


ROUTES: list[HTTPRouteHandler] = [page, answer, keys_page, keys]
