"""Assign tasks: the form, over the page or as one of its own, and what became of each task. SPEC 6; UI 6 (Assign).

Law: each task is assigned at the version that the form showed. Whoever was faster is named, and the others are done.
"""

from collections.abc import Sequence
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct
from sqlalchemy import Connection

from taskdash.actions import bulk
from taskdash.actions.bulk import Item, Result
from taskdash.errors import BadField, TaskDashError
from taskdash.model.records import Actor, Service, Task
from taskdash.rules.binding import Wish
from taskdash.store import accounts, loads, services
from taskdash.web.api.claims import check_note
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import ends, links, picking, sentences, words
from taskdash.web.pages.claiming import Fields, first, number_of
from taskdash.web.pages.ends import KEEP
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.load import Person
from taskdash.web.pages.picking import MOST_PICKED
from taskdash.web.pages.render import Flash, View

PATH = "/tasks/assign"
_LONGEST_URL = 6_000


class _Form(Struct, frozen=True):
    picked: list[Task]
    people: list[Person]
    groups: list[tuple[str, str]]
    services: list[Service]


@page_post("/tasks/assign/choose", opt={"action": "assign"})
async def choose(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """From the selected tasks to the form that assigns them."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back = first(fields, "next") or "/tasks"
    if not (chosen := fields.get("ids", [])[:MOST_PICKED]):
        return go(request, back, Flash("er", view.texts("Select at least one task first.")))
    href = links.with_query(PATH, [*(("ids", key) for key in chosen), ("next", back)])
    if len(href) > _LONGEST_URL:  # more ids than an address may hold: the form comes at once
        return await _form(request, web, view, identity.actor, {"ids": chosen, "next": [back]}, "")
    return go(request, href)


@page_get(PATH, opt={"action": "assign"})
async def assign_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form that assigns the tasks named by `ids`."""
    view, pairs = await view_of(request, web, identity), request.query_params.multi_items()
    back = links.same_origin(request.query_params.get("next", ""))
    chosen = [value for name, value in pairs if name == "ids"][:MOST_PICKED]
    return await _form(request, web, view, identity.actor, {"ids": chosen, "next": [back]}, "")


@page_post(PATH, opt={"action": "assign"})
async def assign(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Assign them; what was not done is said for each."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    versions = [number_of(text) for text in fields.get("versions", [])]
    try:
        items = [Item(task_id, version) for task_id, version in zip(fields.get("ids", []), versions, strict=True)]
        wish = _wish(view, fields)
        results = await bulk.bulk(web.db, identity.actor, "assign", items, view.now, wish=wish, visibility=web.visibility)
    except (TaskDashError, ValueError) as error:
        said = sentences.sentence(view, error) if isinstance(error, TaskDashError) else view.texts("That did not work")
        return await _form(request, web, view, identity.actor, fields, said)
    if wrong := _wrong_for_all(view, results):
        return await _form(request, web, view, identity.actor, fields, wrong)
    if any(result.error for result in results):
        return _told(request, view, results, first(fields, "next"))
    return go(request, first(fields, "next"), Flash("ok", _done(view, wish, len(results))))


def _wish(view: View, fields: Fields) -> Wish:
    """What the form asks for; "=" leaves a thing as it is. A typed name goes before a chosen one."""
    user, group = first(fields, "name").strip() or first(fields, "user", KEEP), first(fields, "group_id", KEEP)
    return Wish(
        user=UNSET if user == KEEP else user,
        group_id=UNSET if group == KEEP else group,
        until=ends.wished(view, fields),
        pin=True if first(fields, "pin") == "yes" else UNSET,
        note=check_note(first(fields, "note")),
    )


def _wrong_for_all(view: View, results: Sequence[Result]) -> str:
    """The one sentence when the form itself is wrong, and so nothing was done."""
    wrong = [result.error for result in results if isinstance(result.error, BadField)]
    return sentences.sentence(view, wrong[0]) if wrong and len(wrong) == len(results) else ""


def _done(view: View, wish: Wish, n: int) -> str:
    plural = view.texts.plural
    if isinstance(wish.user, str) and wish.user:
        return plural("%(n)s task assigned to %(who)s.", "%(n)s tasks assigned to %(who)s.", n, who=wish.user)
    return plural("%(n)s task assigned.", "%(n)s tasks assigned.", n)


def _told(request: HtmlRequest, view: View, results: Sequence[Result], back: str) -> Html:
    """What became of each, when somebody was faster or something was refused."""
    lost = [(result.id, sentences.sentence(view, result.error, result.id)) for result in results if result.error]
    done = [result.id for result in results if result.error is None]
    plural = view.texts.plural
    again = links.with_query(PATH, [*(("ids", key) for key, _said in lost), ("next", links.same_origin(back))])
    values = {
        "title": plural("%(n)s task assigned.", "%(n)s tasks assigned.", len(done)),
        "rest": plural("%(n)s was not:", "%(n)s were not:", len(lost)),
        "done": done,
        "lost": lost,
        "next": links.same_origin(back),
        "again": again if len(again) <= _LONGEST_URL else "",
    }
    return html(request, view, "assigned.html", values)


async def _form(request: HtmlRequest, web: Web, view: View, actor: Actor, fields: Fields, error: str) -> Html:
    def read(conn: Connection) -> _Form:
        picked = picking.picked_of(conn, fields.get("ids", []), actor, web.visibility)
        found = picking.people_of(conn, view, picking.given_tasks(picked), fields, web.visibility)
        of_services = {task.service_id for task in picked}
        known = [owner for key in of_services if key and (owner := services.load(conn, key))] if len(of_services) == 1 else []
        return _Form(picked, found, _groups(conn, view, actor), known)

    form = await web.db.read(read)
    if not form.picked:
        return go(request, first(fields, "next"), Flash("er", view.texts("Select at least one task first.")))
    values: dict[str, Any] = {
        "title": view.texts.plural("Assign %(n)s task", "Assign %(n)s tasks", len(form.picked)),
        "next": first(fields, "next") or "/tasks",
        "error": error,
        "picked": form.picked,
        "shared": _shared(view, form),
        "people": form.people,
        "others": True,
        "find": "",
        "groups": form.groups,
        "ends": ends.ends(view),
        "may_ungroup": actor.role == "admin",
        **{name: first(fields, name, KEEP) for name in ("user", "group_id", "end")},
        **{name: first(fields, name) for name in ("until", "note", "name")},
        "pin": first(fields, "pin") == "yes",
    }
    return html(request, view, "assign.html", values, 422 if error else 200)


def _groups(conn: Connection, view: View, actor: Actor) -> list[tuple[str, str]]:
    """The groups that the actor may assign into: (id, its name with who is there)."""
    known = [group.id for group in accounts.all_groups(conn)]
    mine = known if actor.role == "admin" else [group for group in known if group in actor.groups]
    counts, texts = loads.members(conn, view.now), view.texts
    found = []
    for group in mine:
        of_it, there = counts.get(group, (0, 0))
        people = texts.plural("%(n)s person", "%(n)s people", of_it)
        found.append((group, texts("%(group)s · %(people)s, %(there)s on duty", group=group, people=people, there=there)))
    return found


def _shared(view: View, form: _Form) -> str:
    """What the tasks have in common, in one line; of one task there is nothing to say."""
    texts, picked = view.texts, form.picked
    owners, groups = {task.user for task in picked}, {task.group_id for task in picked}
    said = [_service(view, service) for service in form.services]
    if owners == {""}:
        said.append(texts("all unowned"))
    elif len(owners) == 1:
        said.append(texts("all held by %(who)s", who=next(iter(owners))))
    if len(groups) == 1 and (group := next(iter(groups))):
        said.append(texts("all of group %(group)s", group=group))
    return " · ".join(said) if len(picked) > 1 else ""


def _service(view: View, service: Service) -> str:
    state = words.word(words.STATES, service.state)
    shown = view.texts(state.text) if state.known else state.text
    return view.texts("all of service %(service)s (%(state)s)", service=service.name or service.id, state=shown)


ROUTES: list[HTTPRouteHandler] = [choose, assign_page, assign]
