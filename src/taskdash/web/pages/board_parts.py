"""Parts of the board for its script: rows by id, and counts with the order that the list would have. UI 8.2 to 8.4.

Reads only; one renderer and one query for the page and its parts, so that no number can differ.
"""

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import BadField
from taskdash.rules import roles
from taskdash.store import task_page, tasks
from taskdash.store.task_page import TaskRow
from taskdash.web.api.tasks import filters_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import columns, links
from taskdash.web.pages.board import values_of
from taskdash.web.pages.choices import PATH
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, page_post, view_of
from taskdash.web.pages.render import View
from taskdash.web.pages.task_rows import of_list
from taskdash.web.problems import body_of
from taskdash.web.query import Query

MOST_IDS = 200


class Wanted(Struct):
    """POST /ui/rows."""

    ids: list[str]


_wanted = msgspec.json.Decoder(Wanted)


async def _view_of_the_page(request: HtmlRequest, web: Web, identity: Identity) -> View:
    """Forms inside a part lead back to the page that it is a part of."""
    view = await view_of(request, web, identity)
    return structs.replace(view, here=links.with_query(PATH, links.pairs_of(request.scope["query_string"])))


@page_post("/ui/rows", opt={"action": "see"}, status_code=200)
async def rows(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The rows of these tasks, under the filters of the page; those that the caller may not see are left out."""
    body: Wanted = await body_of(request, _wanted)
    if len(body.ids) > MOST_IDS:
        raise BadField(f"ids must be at most {MOST_IDS}", field="ids")
    view, actor = await _view_of_the_page(request, web, identity), identity.actor
    wanted = filters_of(Query.of_pairs(links.pairs_of(request.scope["query_string"])), actor, web.visibility)

    def read(conn: Connection) -> tuple[list[TaskRow], set[int]]:
        known = [task for task in tasks.load_many(conn, body.ids).values() if roles.may_see(actor, task, web.visibility)]
        pks = [task.pk for task in known]
        return task_page.rows_of(conn, known, view.now), task_page.matching(conn, wanted, pks, view.now)

    found, matching = await web.db.read(read)
    marked = [structs.replace(of_list(view, row), unmatched=row.task.pk not in matching) for row in found]
    return html(request, view, "board_rows.html", {"rows": marked, "column_names": columns.names(columns.chosen(request))})


@page_get("/ui/facets", opt={"action": "see"})
async def facets(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The side and the count bar of the board, and the ids that its list would have now."""
    view, pairs = await _view_of_the_page(request, web, identity), links.pairs_of(request.scope["query_string"])
    values = await values_of(web, identity.actor, view, pairs, columns.chosen(request))
    return html(request, view, "board_facets.html", values)


ROUTES: list[HTTPRouteHandler] = [rows, facets]
