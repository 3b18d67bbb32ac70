"""Forms that change whose a task is: claim, release, assign, pin; for one task, or for those selected. SPEC 6; UI 8.7.

Law: a lost race is said with the name of who was faster; a claim can be taken back with one button.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET
from sqlalchemy import Connection

from taskdash.actions import bulk, claims
from taskdash.actions.bulk import BulkAction, Item
from taskdash.errors import BadField, TaskDashError
from taskdash.model.instants import Instant, from_datetime
from taskdash.model.records import Actor, Task, User
from taskdash.rules import roles
from taskdash.rules.binding import Wish
from taskdash.store import accounts, tasks
from taskdash.web.api.claims import check_note
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, sentences
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.render import Flash, View

Fields = dict[str, list[str]]
_AS_IT_IS = "="
_MOST_PICKED = 200


@page_post("/tasks/claim", opt={"action": "claim"})
async def claim(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Claim one task, or those selected."""

    async def one(view: View, task_id: str, seen: int | None) -> Flash:
        task = await claims.claim(web.db, identity.actor, task_id, view.now, seen=seen, visibility=web.visibility)
        return Flash("ok", view.texts("You claimed %(id)s %(name)s", id=task.id, name=task.name), (task.id, task.version))

    return await _act(request, web, identity, "claim", one)


@page_post("/tasks/release", opt={"action": "release"})
async def release(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Release one task, or those selected."""

    async def one(view: View, task_id: str, seen: int | None) -> Flash:
        task = await claims.release(web.db, identity.actor, task_id, view.now, seen=seen, visibility=web.visibility)
        return Flash("ok", view.texts("You released %(id)s %(name)s", id=task.id, name=task.name))

    return await _act(request, web, identity, "release", one)


@page_post("/tasks/pin", opt={"action": "pin"})
async def pin(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Pin or unpin one task."""
    pinned = _one(await fields_of(request), "pinned") == "yes"

    async def one(view: View, task_id: str, seen: int | None) -> Flash:
        await claims.pin(web.db, identity.actor, task_id, view.now, pinned=pinned, seen=seen, visibility=web.visibility)
        said = view.texts("%(id)s is pinned: no machine changes its owner", id=task_id)
        return Flash("ok", said if pinned else view.texts("%(id)s is not pinned any more", id=task_id))

    return await _act(request, web, identity, "pin" if pinned else "unpin", one)


OneTask = Callable[[View, str, int | None], Awaitable[Flash]]


async def _act(request: HtmlRequest, web: Web, identity: Identity, action: BulkAction, one: OneTask) -> Html:
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back = _one(fields, "next") or "/tasks"
    if task_id := _one(fields, "id"):
        try:
            return go(request, back, await one(view, task_id, _number(_one(fields, "version"))))
        except TaskDashError as error:
            return go(request, back, Flash("er", sentences.sentence(view, error, task_id)))
    items = [Item(task_id) for task_id in fields.get("ids", ())]
    return go(request, back, await _many(web, view, identity.actor, action, items))


async def _many(web: Web, view: View, actor: Actor, action: BulkAction, items: Sequence[Item]) -> Flash:
    if not items:
        return Flash("er", view.texts("Select at least one task first."))
    try:
        results = await bulk.bulk(web.db, actor, action, items, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return Flash("er", sentences.sentence(view, error))
    return sentences.of_many(view, _done(view, action, sum(r.error is None for r in results)), results)


def _done(view: View, action: BulkAction, n: int) -> str:
    plural = view.texts.plural
    if action == "claim":
        return plural("%(n)s task claimed.", "%(n)s tasks claimed.", n)
    if action == "release":
        return plural("%(n)s task released.", "%(n)s tasks released.", n)
    return plural("%(n)s task changed.", "%(n)s tasks changed.", n)


@page_post("/tasks/assign/choose", opt={"action": "assign"})
async def choose(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """From the selected tasks to the page on which they are assigned."""
    fields = await fields_of(request)
    back = _one(fields, "next") or "/tasks"
    if not (chosen := fields.get("ids", [])[:_MOST_PICKED]):
        view = await view_of(request, web, identity)
        return go(request, back, Flash("er", view.texts("Select at least one task first.")))
    return go(request, links.with_query("/tasks/assign", [*(("ids", key) for key in chosen), ("next", back)]))


@page_get("/tasks/assign", opt={"action": "assign"})
async def assign_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form that assigns the tasks named by `ids`."""
    view, pairs = await view_of(request, web, identity), request.query_params.multi_items()
    chosen = [value for name, value in pairs if name == "ids"][:_MOST_PICKED]
    back = links.same_origin(request.query_params.get("next", ""))
    return await _form(request, web, view, identity.actor, chosen, {"next": [back]}, "")


@page_post("/tasks/assign", opt={"action": "assign"})
async def assign(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Assign them; what was not done is said for each."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    chosen, versions = fields.get("ids", []), [_number(text) for text in fields.get("versions", [])]
    try:
        items = [Item(task_id, version) for task_id, version in zip(chosen, versions, strict=True)]
        wish = _wish(fields, web.zone)
        results = await bulk.bulk(web.db, identity.actor, "assign", items, view.now, wish=wish, visibility=web.visibility)
    except (TaskDashError, ValueError) as error:
        said = sentences.sentence(view, error) if isinstance(error, TaskDashError) else view.texts("That did not work")
        return await _form(request, web, view, identity.actor, chosen, fields, said)
    done = sum(result.error is None for result in results)
    if not done and len(results) == 1 and isinstance(wrong := results[0].error, BadField):
        return await _form(request, web, view, identity.actor, chosen, fields, wrong.detail)
    said = view.texts.plural("%(n)s task assigned.", "%(n)s tasks assigned.", done)
    return go(request, _one(fields, "next"), sentences.of_many(view, said, results))


def _wish(fields: Fields, zone: tzinfo) -> Wish:
    """What the form asks for; "=" leaves a thing as it is."""
    user, group = _one(fields, "user"), _one(fields, "group_id")
    until = _one(fields, "until")
    return Wish(
        user=UNSET if user == _AS_IT_IS else user,
        group_id=UNSET if group == _AS_IT_IS else group,
        until=local_instant(until, zone) if until else UNSET,
        pin=True if _one(fields, "pin") == "yes" else UNSET,
        note=check_note(_one(fields, "note")),
    )


def local_instant(text: str, zone: tzinfo) -> Instant:
    """The instant of a date and time as a form sends it, in the configured zone. Raises BadField."""
    try:
        return from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))
    except ValueError:
        raise BadField("until must be a date and a time", field="until") from None


async def _form(
    request: HtmlRequest, web: Web, view: View, actor: Actor, chosen: Sequence[str], fields: Fields, error: str
) -> Html:
    def read(conn: Connection) -> tuple[list[Task], list[User], list[str]]:
        known = tasks.load_many(conn, chosen)
        picked = [task for key in chosen if (task := known.get(key)) and roles.may_see(actor, task, web.visibility)]
        return picked, accounts.all_users(conn), [group.id for group in accounts.all_groups(conn)]

    picked, users, groups = await web.db.read(read)
    if not picked:
        return go(request, _one(fields, "next"), Flash("er", view.texts("Select at least one task first.")))
    mine = groups if actor.role == "admin" else [group for group in groups if group in actor.groups]
    values: dict[str, Any] = {
        "title": view.texts.plural("Assign %(n)s task", "Assign %(n)s tasks", len(picked)),
        "next": _one(fields, "next") or "/tasks",
        "error": error,
        "picked": picked,
        "users": [_person(view, user) for user in sorted(users, key=_last_the_absent(view)) if user.role != "viewer"],
        "groups": mine,
        "may_ungroup": actor.role == "admin",
        **{name: _one(fields, name, _AS_IT_IS) for name in ("user", "group_id")},
        **{name: _one(fields, name) for name in ("until", "note")},
        "pin": _one(fields, "pin") == "yes",
    }
    return html(request, view, "assign.html", values, 422 if error else 200)


def _last_the_absent(view: View) -> Callable[[User], tuple[bool, str]]:
    return lambda user: (_is_absent(view, user), user.name)


def _is_absent(view: View, user: User) -> bool:
    return user.disabled or (user.away_until is not None and user.away_until > view.now)


def _person(view: View, user: User) -> dict[str, Any]:
    absent = _is_absent(view, user)
    parts = [user.name, *user.groups, *([view.texts("away")] if absent else [])]
    return {"value": user.name, "text": " · ".join(parts), "away": absent}


def _one(fields: Fields, name: str, default: str = "") -> str:
    return fields.get(name, [default])[0]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


ROUTES: list[HTTPRouteHandler] = [claim, release, pin, choose, assign_page, assign]
