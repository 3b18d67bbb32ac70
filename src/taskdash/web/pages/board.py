"""The board: filters, facets, sort, pages, rows; the same names and queries as the API, so no count differs. UI 6 (Board)."""

from collections.abc import Sequence
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.actions.bulk import MOST_ITEMS
from taskdash.errors import TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.store import counters, facets, task_page
from taskdash.store.facets import Bucket, Facets
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP, Page
from taskdash.web.api.tasks import FILTERS, RISK, Order, filters_of, order_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import choices, columns, first_run, links, tokens, view_list
from taskdash.web.pages.choices import PATH, Known
from taskdash.web.pages.frame import Html, HtmlRequest, go, html, page_get, view_of
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.task_rows import RowView, of_list
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.pages.view_list import Counted
from taskdash.web.query import Query

SORTS = (
    (RISK, mark("Risk first")),
    ("-updated_at", mark("Newest first")),
    ("name", mark("By name")),
    ("id", mark("By id")),
    ("status", mark("By status")),
)
SIZES = (50, 100, 200)


class Section(Struct, frozen=True):
    """Rows under one heading; without heading when the list is not sorted by risk."""

    rows: list[RowView]
    title: str = ""
    count: str = ""
    href: str = ""
    part: str = ""


class Read(Struct, frozen=True):
    """What the board asks the store for. `without`: of an empty list, each filter, its value, and the tasks without it."""

    page: Page
    counted: Facets
    views: Counted
    known: Known
    without: list[tuple[str, str, int]]


@page_get(PATH, opt={"action": "see"})
async def board(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The task list."""
    if (first := await first_run.instead(request, web, identity)) is not None:
        return first
    pairs = links.pairs_of(request.scope["query_string"])
    if (plain := tokens.spread(pairs)) != pairs:
        return go(request, links.with_query(PATH, plain))
    view = await view_of(request, web, identity)
    values = await values_of(web, identity.actor, view, pairs, columns.chosen(request))
    return html(request, view, "tasks.html", values, 422 if values["error"] else 200)


async def values_of(web: Web, actor: Actor, view: View, pairs: Pairs, shown: frozenset[str]) -> dict[str, Any]:
    """All that the template shows; a filter that breaks a rule is said, and the list shown without filters."""
    error = ""
    try:
        query = Query.of_pairs(pairs)
        wanted, order, limit = filters_of(query, actor, web.visibility), order_of(query, RISK), query.limit()
    except TaskDashError as wrong:
        query, pairs, error = Query({}), [], view.texts.told(wrong.detail)
        wanted, order, limit = filters_of(query, actor, web.visibility), Order(RISK), SIZES[0]

    def read(conn: Connection) -> Read:
        page, counted = order.page(conn, wanted, limit, view.now), facets.facets(conn, wanted, view.now)
        return Read(
            page,
            counted,
            view_list.count(conn, actor, web.visibility, view.now, pairs, counted),
            _known(conn, wanted, counted),
            [] if page.rows else _without(conn, wanted, pairs, view.now),
        )

    found = await web.db.read(read)
    listed = view_list.listed(view, actor, pairs, found.views)
    return {
        "error": error,
        "columns": shown,
        "column_names": columns.names(shown),
        **_list(view, pairs, order, found, shown, limit),
        **_counts(view, pairs, found.counted, found.views.numbers[0]),
        **_side(view, actor, pairs, found, listed),
        **_foot(view, actor, pairs, order, found, limit),
    }


def _list(view: View, pairs: Pairs, order: Order, found: Read, shown: frozenset[str], limit: int) -> dict[str, Any]:
    rows = [of_list(view, row) for row in found.page.rows]
    filters = [(name, value) for name, value in pairs if name in FILTERS]
    return {
        "sections": _sections(view, pairs, order, rows, found.counted),
        "order": [row.id for row in rows],
        "heads": columns.heads(pairs, PATH, order.sort, shown),
        "all_columns": columns.COLUMNS,
        "tokens": tokens.shown(pairs, PATH),
        "kept": [(name, value) for name, value in pairs if name not in {"q", "cursor"}],
        "q": Query.of_pairs(pairs).one("q"),
        "sorts": [(value, text, links.with_query(PATH, links.changed(pairs, "sort", value))) for value, text in SORTS],
        "sort": order.sort,
        "sizes": [(size, links.with_query(PATH, links.changed(pairs, "limit", str(size)))) for size in SIZES],
        "limit": limit,
        "export": links.with_query("", filters).replace("?", "&", 1),
        "without": _emptied(view.texts, pairs, found.without),
    }


def _sections(view: View, pairs: Pairs, order: Order, rows: Sequence[RowView], counted: Facets) -> list[Section]:
    """At risk and the rest, where the order keeps them apart; the counts are links to just these rows."""
    if order.sort != RISK or ("gone", "true") in pairs:
        return [Section(list(rows))] if rows else []
    texts, rest = view.texts, counted.total if ("at_risk", "false") in pairs else counted.total - counted.at_risk

    def section(title: str, n: int, value: str) -> Section:
        inside = [row for row in rows if row.at_risk == (value == "true")]
        href = links.with_query(PATH, links.changed(pairs, "at_risk", value))
        return Section(inside, texts(title), choices.number(n), href, f"n-risk-{value}")

    found = [
        section(mark("At risk"), counted.at_risk, "true"),
        section(mark("The rest"), rest if counted.total <= CAP else -1, "false"),
    ]
    return [each for each in found if each.rows]


def _counts(view: View, pairs: Pairs, counted: Facets, all_: int) -> dict[str, Any]:
    plural = view.texts.plural
    total = plural("%(n)s task", "%(n)s tasks", min(counted.total, CAP))
    return {
        "total": capped(counted.total, total) or total,
        "of_all": view.texts("of %(total)s in all", total=number(all_)) if all_ and not counted.total else "",
        "at_risk": capped(counted.at_risk, plural("%(n)s at risk", "%(n)s at risk", min(counted.at_risk, CAP))),
        "at_risk_href": links.with_query(PATH, links.changed(pairs, "at_risk", "true")),
        "unowned": capped(counted.unowned, plural("%(n)s unowned", "%(n)s unowned", min(counted.unowned, CAP))),
        "unowned_href": links.with_query(PATH, links.changed(pairs, "user", "none")),
    }


def _side(view: View, actor: Actor, pairs: Pairs, found: Read, listed: Sequence[view_list.ViewChoice]) -> dict[str, Any]:
    return {
        "views": listed,
        "current_view": view_list.current(listed),
        "view_query": view_list.query_of(pairs),
        "my_groups": actor.groups,
        "facets": choices.facets(view, pairs, found.counted, found.known),
        "plain_pairs": [(name, value) for name, value in pairs if name not in {"user", "cursor"}],
    }


def _foot(view: View, actor: Actor, pairs: Pairs, order: Order, found: Read, limit: int) -> dict[str, Any]:
    n, total, is_first = len(found.page.rows), found.counted.total, not order.after
    following = order.following(found.page)
    whole = total if n < total <= MOST_ITEMS else 0
    return {
        "may_claim": roles.may(actor, "claim"),
        "may_assign": roles.may(actor, "assign"),
        "range": f"1–{n:,}" if is_first and n else view.texts.plural("%(n)s row", "%(n)s rows", n),
        "of_total": number(total),
        "whole": whole,
        "whole_text": view.texts("Select all %(n)s", n=f"{whole:,}"),
        "filter_query": links.with_query("", [pair for pair in pairs if pair[0] in FILTERS]).lstrip("?"),
        "first_href": "" if is_first else links.with_query(PATH, links.changed(pairs, "cursor", "")),
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


def _known(conn: Connection, wanted: Filters, counted: Facets) -> Known:
    """Values to fill a facet up that is short. Who sees only some tasks learns no names beyond them."""

    def largest(kind: str, found: Sequence[Bucket]) -> list[str]:
        is_full = wanted.visible_to is not None or len(found) >= choices.LARGEST
        return [] if is_full else list(counters.by_value(conn, kind, choices.LARGEST))

    return Known(largest("group", counted.group), largest("user", counted.user))


def _without(conn: Connection, wanted: Filters, pairs: Pairs, now: Instant) -> list[tuple[str, str, int]]:
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
    all_ = " · ".join(tokens.text(*pair) for pair in pairs if pair[0] in FILTERS)
    return {
        "none": texts("No task passes %(filters)s.", filters=all_),
        "text": texts.plural("Without %(filter)s there is %(n)s.", "Without %(filter)s there are %(n)s.", n, filter=said),
        "act": texts("Take away %(filter)s", filter=said),
        "href": links.with_query(PATH, links.changed(pairs, name, "")),
    }


ROUTES: list[HTTPRouteHandler] = [board]
