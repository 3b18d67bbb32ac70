"""My work: what needs me, what waits in my groups, what runs as it should; the end of my shift. UI 6 (Mine).

Law: each of the three lists is a list of the board, so that its number is that of the rows behind its link (UI 1.8).
"""

from typing import NamedTuple
from urllib.parse import urlencode

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.actions import bulk
from taskdash.actions.bulk import MOST_ITEMS, Filtered
from taskdash.errors import TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import loads, risk_order, task_page
from taskdash.store.loads import Held
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP
from taskdash.web.api.tasks import filters_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, sentences, task_day, times
from taskdash.web.pages.claiming import first, number_of, other_count
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.task_rows import RowView, row_view
from taskdash.web.pages.texts import mark
from taskdash.web.query import Query

PATH = "/mine"
_ROWS = 50


class Section(Struct, frozen=True, kw_only=True):
    """One list: its heading, how many tasks it has, where all of them are."""

    key: str
    title: str
    cls: str
    note: str
    total: int
    count: str
    href: str
    rows: list[RowView]
    none: str


class Shift(NamedTuple):
    """When what I hold ends, in words; empty where nothing does."""

    text: str
    ends_at: Instant | None


@page_get(PATH, opt={"action": "see"})
async def mine(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """What the reader holds and may take."""
    view, actor = await view_of(request, web, identity), identity.actor

    def read(conn: Connection) -> tuple[list[Section], Held]:
        return [_section(conn, view, actor, web.visibility, *each) for each in _lists(actor)], loads.held(conn, actor.id)

    sections, held = await web.db.read(read)
    waiting = sections[1].total
    values = {
        "total": f"{held.total:,}",
        "total_href": links.with_query("/tasks", [("user", "me")]),
        "holds": held.total > 0,
        "sections": sections,
        "shift": shift_of(view, held),
        "may_claim": roles.may(actor, "claim"),
        "claim_all": _claim_all(view, waiting) if 0 < waiting <= MOST_ITEMS and roles.may(actor, "claim") else "",
    }
    return html(request, view, "mine.html", values)


def _lists(actor: Actor) -> list[tuple[str, str, Pairs, str]]:
    waiting = [("user", "none"), *(("group", group) for group in actor.groups)]
    return [
        ("act", mark("Needs action"), [("user", "me"), ("at_risk", "true")], mark("Nothing of yours needs action")),
        ("wait", mark("Waiting in my groups"), waiting if actor.groups else [], mark("Nothing waits in your groups")),
        ("rest", mark("On schedule"), [("user", "me"), ("at_risk", "false")], mark("Nothing")),
    ]


def _section(
    conn: Connection, view: View, actor: Actor, visibility: Visibility, key: str, title: str, pairs: Pairs, none: str
) -> Section:
    total, rows = 0, []
    if pairs:
        wanted = filters_of(Query.of_pairs(pairs), actor, visibility)
        total, rows = task_page.count(conn, wanted, view.now), risk_order.page(conn, wanted, _ROWS, view.now).rows
    shown = [row_view(view, row.task, row.liveness, stale=row.stale, why=row.why) for row in rows]
    note = ", ".join(actor.groups) if key == "wait" else ""
    return Section(
        key=key,
        title=title,
        cls="bad" if key == "act" and total else "",
        note=note or (view.texts("you are in no group") if key == "wait" else ""),
        total=total,
        count=f"{total:,}" if total <= CAP else f"{CAP:,}+",
        href=links.with_query("/tasks", pairs),
        rows=[structs.replace(row, href=links.task(row.id, urlencode(pairs))) for row in shown],
        none=none,
    )


def shift_of(view: View, held: Held) -> Shift:
    """The next end among what is held."""
    ends = sorted(end for end in held.ends if end > view.now)
    if not ends:
        return Shift("", None)
    texts, at, n = view.texts, task_day.clock(view, ends[0]), held.ends[ends[0]]
    left = times.alarming(texts, view.now, ends[0])
    if n == held.total:
        said = texts(
            "Your shift ends at %(time)s, in %(left)s; what you have not handed over then waits in its group.",
            time=at,
            left=left,
        )
    else:
        said = texts.plural(
            "%(n)s of your tasks ends at %(time)s, in %(left)s.",
            "%(n)s of your tasks end at %(time)s, in %(left)s.",
            n,
            time=at,
            left=left,
        )
    return Shift(said, ends[0])


def _claim_all(view: View, n: int) -> str:
    return view.texts.plural("Claim the one task", "Claim all %(n)s tasks", n)


@page_post("/mine/claim", opt={"action": "claim"})
async def claim_all(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Claim all that waits in my groups; when it is another number than the button said, nothing is done."""
    fields, view, actor = await fields_of(request), await view_of(request, web, identity), identity.actor
    back, expected = first(fields, "next") or PATH, number_of(first(fields, "expected")) or 0
    pairs = _lists(actor)[1][2]
    if not pairs:
        return go(request, back, Flash("er", view.texts("you are in no group")))
    wanted: Filters = filters_of(Query.of_pairs(pairs), actor, web.visibility)
    chosen = Filtered(lambda conn, limit: task_page.ids(conn, wanted, view.now, limit), expected)
    try:
        results = await bulk.bulk(web.db, actor, "claim", chosen, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return go(request, back, Flash("er", other_count(view, error, expected)))
    done = sum(result.error is None for result in results)
    said = view.texts.plural("%(n)s task claimed.", "%(n)s tasks claimed.", done)
    return go(request, back, sentences.of_many(view, said, results))


ROUTES: list[HTTPRouteHandler] = [mine, claim_all]
