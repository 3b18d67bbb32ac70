"""What people do with the selected rows of the board, by one form: claim, release, assign. SPEC 6; UI 6 (Board, lost race).

Law: either the ids are named, or the filter with the count that the page showed: another count is refused and changes nothing.
What became of each is told as lists of ids: done, lost and to whom, refused and why.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.actions import bulk
from taskdash.actions.bulk import MOST_ITEMS, Filtered, Item, Result
from taskdash.errors import BadField, Conflict, Forbidden, TaskDashError
from taskdash.model.records import Actor
from taskdash.store import task_page
from taskdash.web.api.tasks import filters_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, render, sentences
from taskdash.web.pages.choices import PATH
from taskdash.web.pages.frame import FRAGMENT, Html, HtmlRequest, fields_of, go, html, page_post, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.query import Query

Act = Literal["claim", "release", "assign"]
_MOST_ASSIGNED = 200
"""They are named in the address of the form that assigns."""
_MOST_UNDONE = 200
Fields = dict[str, list[str]]


class Group(Struct, frozen=True):
    """Some tasks with the same end, as one sentence and their ids."""

    said: str
    ids: list[str]


class Outcome(Struct, frozen=True):
    """What became of each task. `undo`: (id, version) of the claims that one button takes back."""

    done: Group
    lost: list[Group]
    refused: list[Group]
    undo: list[tuple[str, int]]


@page_post("/tasks/many", opt={"action": "claim"})
async def many(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """One action on the selected tasks, or on all that the filter finds."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back, act = _one(fields, "next") or PATH, _one(fields, "action")
    try:
        if act not in get_args(Act):
            raise BadField(f"action must be one of {', '.join(get_args(Act))}", field="action")
        chosen = _chosen(fields, view, web, identity.actor)
        if act == "assign":
            return await _to_assign(request, web, view, chosen, back)
        results = await bulk.bulk(web.db, identity.actor, act, chosen, view.now, visibility=web.visibility)  # type: ignore[arg-type]
    except TaskDashError as error:
        return go(request, back, Flash("er", _sentence(view, error)))
    return _told(request, view, back, _outcome(view, act, results))


@page_post("/tasks/undo", opt={"action": "release"})
async def undo(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Take back claims: release each that nobody has changed since."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back = _one(fields, "next") or PATH
    pairs = zip(fields.get("ids", []), fields.get("versions", []), strict=False)
    items = [Item(task_id, int(text)) for task_id, text in pairs if text.isascii() and text.isdigit() and len(text) < 19]
    try:
        results = await bulk.bulk(web.db, identity.actor, "release", items, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    return _told(request, view, back, _outcome(view, "release", results))


def _chosen(fields: Fields, view: View, web: Web, actor: Actor) -> list[Item] | Filtered:
    if not (expected := _one(fields, "expected")):
        if items := [Item(task_id) for task_id in dict.fromkeys(fields.get("ids", []))]:
            return items
        raise BadField(view.texts("Select at least one task first."), field="ids")
    query = Query.of_pairs(links.pairs_of(_one(fields, "filter").encode("ascii", "replace")))
    count = Query.of_pairs([("expected", expected)]).number("expected") or 0
    wanted = filters_of(query, actor, web.visibility)
    return Filtered(lambda conn, limit: task_page.ids(conn, wanted, view.now, limit), count)


async def _to_assign(request: HtmlRequest, web: Web, view: View, chosen: list[Item] | Filtered, back: str) -> Html:
    """On to the form that assigns, with the ids; what the filter finds is counted first."""

    def read(conn: Connection) -> list[str]:
        if isinstance(chosen, list):
            return [item.id for item in chosen]
        found = list(chosen.ids(conn, MOST_ITEMS + 1))
        if len(found) != chosen.expected:
            raise Conflict("the filter finds another number of tasks", found=len(found))
        return found

    ids = await web.db.read(read)
    if len(ids) > _MOST_ASSIGNED:
        raise BadField(view.texts("At most %(n)s tasks are assigned at once.", n=_MOST_ASSIGNED), field="ids")
    return go(request, links.with_query("/tasks/assign", [*(("ids", task_id) for task_id in ids), ("next", back)]))


def _sentence(view: View, error: TaskDashError) -> str:
    if isinstance(error, Conflict) and "found" in error.extra:
        return view.texts.plural(
            "The filter finds %(n)s task now, not as many as you saw; nothing was changed.",
            "The filter finds %(n)s tasks now, not as many as you saw; nothing was changed.",
            int(error.extra["found"]),
        )
    return sentences.sentence(view, error)


def _outcome(view: View, act: str, results: Sequence[Result]) -> Outcome:
    done = [(result.id, result.version) for result in results if result.error is None]
    lost: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for result in results:
        if result.error is not None:
            holder = (result.error.extra.get("holder") or {}).get("user")
            place, said = (lost, holder) if holder else (refused, _refusal(view, result.error))
            place.setdefault(said, []).append(result.id)
    undo = [(task_id, version) for task_id, version in done if version is not None and act == "claim"]
    return Outcome(
        Group(_done(view, act, len(done)), [task_id for task_id, _version in done]),
        [Group(view.texts("Lost to %(who)s", who=who), ids) for who, ids in lost.items()],
        [Group(said, ids) for said, ids in refused.items()],
        undo if len(undo) <= _MOST_UNDONE else [],
    )


def _refusal(view: View, error: TaskDashError) -> str:
    is_forbidden = isinstance(error, Forbidden)
    return view.texts("You may see this, but not do it.") if is_forbidden else sentences.sentence(view, error)


def _done(view: View, act: str, n: int) -> str:
    plural = view.texts.plural
    if act == "claim":
        return plural("%(n)s task claimed.", "%(n)s tasks claimed.", n)
    return plural("%(n)s task released.", "%(n)s tasks released.", n)


def _told(request: HtmlRequest, view: View, back: str, outcome: Outcome) -> Html:
    """To a script a toast with the lists; to a browser without one a page of them, or one sentence when all went well."""
    if FRAGMENT in request.headers:
        here = structs.replace(view, here=links.same_origin(request.headers[FRAGMENT]))
        return Response(render.page("board_outcome.html", here, {"outcome": outcome}), status_code=200, media_type="text/html")
    if not outcome.lost and not outcome.refused:
        return go(request, back, Flash("ok", outcome.done.said))
    return html(request, view, "outcome.html", {"outcome": outcome, "return_to": links.same_origin(back)}, 200)


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


ROUTES: list[HTTPRouteHandler] = [many, undo]
