"""The board: filters, facets, sort, pages, rows; the same names and queries as the API, so no count differs. UI 6 (Board)."""

from collections.abc import Sequence
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import structs
from sqlalchemy import Connection

from taskdash.errors import TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, SavedView
from taskdash.rules import roles
from taskdash.store import facets, task_page, views
from taskdash.store.facets import Facets
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP, Page
from taskdash.web.api.tasks import FILTERS, RISK, Order, filters_of, order_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import choices, links, tokens
from taskdash.web.pages.frame import Html, HtmlRequest, go, html, page_get, view_of
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.task_rows import row_view
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.query import Query

PATH = "/tasks"
SORTS = (
    (RISK, mark("Risk first")),
    ("-updated_at", mark("Newest first")),
    ("name", mark("By name")),
    ("id", mark("By id")),
    ("status", mark("By status")),
)
_HEADS = (
    ("", mark("Status"), "status"),
    ("", "ID", "id"),
    ("", mark("Name"), "name"),
    ("col-url", "URL", ""),
    ("col-desc", mark("Description"), ""),
    ("col-res", mark("Reserved"), ""),
    ("", mark("Owner"), ""),
    ("col-group", mark("Group"), ""),
    ("", mark("Service"), ""),
    ("", mark("Why"), ""),
    ("col-upd", mark("Updated"), "-updated_at"),
)


@page_get(PATH, opt={"action": "see"})
async def board(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The task list."""
    pairs = links.pairs_of(request.scope["query_string"])
    if (plain := tokens.spread(pairs)) != pairs:
        return go(request, links.with_query(PATH, plain))
    view = await view_of(request, web, identity)
    values = await values_of(web, identity.actor, view, pairs)
    return html(request, view, "tasks.html", values, 422 if values["error"] else 200)


async def values_of(web: Web, actor: Actor, view: View, pairs: Pairs) -> dict[str, Any]:
    """All that the template shows; a filter that breaks a rule is said, and the list shown without filters."""
    error = ""
    try:
        query = Query.of_pairs(pairs)
        wanted, order, limit = filters_of(query, actor, web.visibility), order_of(query, RISK), query.limit()
    except TaskDashError as wrong:
        query, pairs, error = Query({}), [], wrong.detail
        wanted, order, limit = filters_of(query, actor, web.visibility), Order(RISK), 50

    def read(conn: Connection) -> tuple[Page, Facets, list[SavedView], list[tuple[str, str, int]]]:
        page, counted = order.page(conn, wanted, limit, view.now), facets.facets(conn, wanted, view.now)
        without = [] if page.rows else _without(conn, wanted, pairs, view.now)
        return page, counted, views.seen_by(conn, actor.id, actor.groups), without

    page, counted, saved, without = await web.db.read(read)
    return _shown(view, actor, pairs, order, page, counted) | {
        "error": error,
        "limit": limit,
        "facets": choices.facets(view, pairs, counted, saved),
        "without": _emptied(view.texts, pairs, without),
    }


def _shown(view: View, actor: Actor, pairs: Pairs, order: Order, page: Page, counted: Facets) -> dict[str, Any]:
    texts, plural, query = view.texts, view.texts.plural, Query.of_pairs(pairs)
    total = plural("%(n)s task", "%(n)s tasks", min(counted.total, CAP))
    following = order.following(page)
    filters = [(name, value) for name, value in pairs if name in FILTERS]
    return {
        "rows": [row_view(view, row.task, row.liveness, stale=row.stale, why=row.why) for row in page.rows],
        "order": [row.task.id for row in page.rows],
        "heads": [_head(pairs, order.sort, *head) for head in _HEADS],
        "tokens": tokens.shown(pairs, PATH),
        "kept": [(name, value) for name, value in filters if name != "q"],
        "q": query.one("q"),
        "sorts": SORTS,
        "sort": order.sort,
        "total": capped(counted.total, total) or total,
        "at_risk": capped(counted.at_risk, plural("%(n)s at risk", "%(n)s at risk", min(counted.at_risk, CAP))),
        "at_risk_href": links.with_query(PATH, links.changed(pairs, "at_risk", "true")),
        "unowned": capped(counted.unowned, plural("%(n)s unowned", "%(n)s unowned", min(counted.unowned, CAP))),
        "unowned_href": links.with_query(PATH, links.changed(pairs, "user", "none")),
        "export": links.with_query("", filters).replace("?", "&", 1),
        "may_claim": roles.may(actor, "claim"),
        "may_assign": roles.may(actor, "assign"),
        "shown": texts("%(n)s of %(total)s", n=len(page.rows), total=number(counted.total)),
        "first_href": links.with_query(PATH, links.changed(pairs, "cursor", "")) if query.one("cursor") else "",
        "next_href": links.with_query(PATH, links.changed(pairs, "cursor", following)) if following else "",
    }


def number(n: int) -> str:
    """Counts are exact to 10,000 (SPEC 8)."""
    return f"{n:,}" if n <= CAP else f"{CAP:,}+"


def capped(n: int, text: str) -> str:
    """A text that says min(n, 10,000), with a plus when there are more; nothing for none."""
    if n > CAP:
        return text.replace(f"{CAP:,}", f"{CAP:,}+")
    return text if n else ""


def _head(pairs: Pairs, sort: str, cls: str, text: str, by: str) -> dict[str, str]:
    if not by:
        return {"cls": cls, "text": text, "href": "", "direction": ""}
    back = by.removeprefix("-") if by.startswith("-") else f"-{by}"
    current = {
        by: "descending" if by.startswith("-") else "ascending",
        back: "ascending" if by.startswith("-") else "descending",
    }
    href = links.with_query(PATH, links.changed(pairs, "sort", back if sort == by else by))
    return {"cls": cls, "text": text, "href": href, "direction": current.get(sort, "")}


def _without(conn: Connection, wanted: Filters, pairs: Pairs, now: Instant) -> list[tuple[str, str, int]]:
    """For an empty list: each filter that is set, its first value, and how many tasks there are without it."""
    plain: dict[str, Any] = {"q": "", "stale": None, "at_risk": None, "gone": False}
    found = []
    for name in dict.fromkeys(name for name, _value in pairs if name in FILTERS):
        value = next(value for key, value in pairs if key == name)
        without = structs.replace(wanted, **{name: plain.get(name, ())})
        found.append((name, value, task_page.count(conn, without, now)))
    return found


def _emptied(texts: Texts, pairs: Pairs, without: Sequence[tuple[str, str, int]]) -> dict[str, str] | None:
    """Which one filter to take away, and how many tasks that gives."""
    best = max(without, key=lambda each: each[2], default=None)
    if best is None or not best[2]:
        return None
    name, value, n = best
    said = tokens.text(name, value)
    return {
        "text": texts.plural("Without %(filter)s there is %(n)s.", "Without %(filter)s there are %(n)s.", n, filter=said),
        "act": texts("Take away %(filter)s", filter=said),
        "href": links.with_query(PATH, links.changed(pairs, name, "")),
    }


ROUTES: list[HTTPRouteHandler] = [board]
