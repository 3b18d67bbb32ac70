"""Forms that change whose a task is: claim, release, pin; for one task, or for those selected. SPEC 6; UI 8.7.

Law: a lost race is said with the name of who was faster; a claim can be taken back with one button.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo

from litestar.handlers import HTTPRouteHandler

from taskdash.actions import bulk, claims
from taskdash.actions.bulk import BulkAction, Item
from taskdash.errors import BadField, TaskDashError
from taskdash.model.instants import Instant, from_datetime
from taskdash.model.records import Actor
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import sentences
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, page_post, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.query import keepable

Fields = dict[str, list[str]]


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
    pinned = first(await fields_of(request), "pinned") == "yes"

    async def one(view: View, task_id: str, seen: int | None) -> Flash:
        await claims.pin(web.db, identity.actor, task_id, view.now, pinned=pinned, seen=seen, visibility=web.visibility)
        said = view.texts("%(id)s is pinned: no machine changes its owner", id=task_id)
        return Flash("ok", said if pinned else view.texts("%(id)s is not pinned any more", id=task_id))

    return await _act(request, web, identity, "pin" if pinned else "unpin", one)


OneTask = Callable[[View, str, int | None], Awaitable[Flash]]


async def _act(request: HtmlRequest, web: Web, identity: Identity, action: BulkAction, one: OneTask) -> Html:
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back = first(fields, "next") or "/tasks"
    if task_id := first(fields, "id"):
        try:
            return go(request, back, await one(view, task_id, number_of(first(fields, "version"))))
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


def other_count(view: View, error: TaskDashError, seen: int) -> str:
    """What to say when there are more or fewer tasks by now than a button said; of any other error its sentence."""
    if not isinstance(found := error.extra.get("found"), int):
        return sentences.sentence(view, error)
    plural = view.texts.plural
    return plural(
        "%(n)s task is there now, not %(seen)s; nothing was done.",
        "%(n)s tasks are there now, not %(seen)s; nothing was done.",
        found,
        seen=seen,
    )


def local_instant(text: str, zone: tzinfo) -> Instant:
    """The instant of a date and time as a form sends it, in the configured zone. Raises BadField."""
    try:
        at = from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise BadField("until must be a date and a time", field="until") from None
    return keepable(at, "until")


def first(fields: Fields, name: str, default: str = "") -> str:
    """The first value of a field."""
    return fields.get(name, [default])[0]


def number_of(text: str) -> int | None:
    """A whole number that a form sent; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


ROUTES: list[HTTPRouteHandler] = [claim, release, pin]
