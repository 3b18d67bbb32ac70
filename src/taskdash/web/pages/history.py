"""History: everything that happened, newest first, by filters that are an address. UI 6 (History)."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from taskdash.errors import TaskDashError
from taskdash.web.api import events
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, words
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.lines import CHANNELS, lines
from taskdash.web.pages.render import View
from taskdash.web.query import Query

PATH = "/history"


@page_get(PATH, opt={"action": "see"})
async def history(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The events that the filters find."""
    view, actor = await view_of(request, web, identity), identity.actor
    pairs = links.pairs_of(request.scope["query_string"])
    query, error = Query.of_pairs(pairs), ""
    try:
        filters, place, limit = events.filters_of(query), events.place_of(query), query.limit()
    except TaskDashError as wrong:
        error, pairs, filters, place, limit = wrong.detail, [], events.EventFilters(), events.Place(), 50
    found, following = await web.db.read(lambda conn: events.page(conn, filters, place, limit, actor, web.visibility))
    values: dict[str, Any] = {
        "error": error,
        "items": lines(view.texts, found, view.zone),
        "next_href": links.with_query(PATH, links.changed(pairs, "cursor", following)) if following else "",
        "first_href": links.with_query(PATH, links.changed(pairs, "cursor", "")) if dict(pairs).get("cursor") else "",
        **{name: dict(pairs).get(name, "") for name in ("subject", "actor", "kind", "channel")},
        **_choices(view),
    }
    return html(request, view, "history.html", values, 422 if error else 200)


def _choices(view: View) -> dict[str, Any]:
    texts = view.texts
    groups = [(f"{noun}.*", texts(text)) for noun, text in words.SUBJECTS.items() if noun != "system"]
    kinds = [
        (kind, f"{texts(words.SUBJECTS[kind.partition('.')[0]])} · {texts(word.text)}") for kind, word in words.KINDS.items()
    ]
    return {
        "kinds": [("", texts("Everything")), *groups, *kinds],
        "channels": [("", texts("All channels")), *((key, texts(text)) for key, text in CHANNELS.items())],
    }


ROUTES: list[HTTPRouteHandler] = [history]
