"""Now: what is wrong, since when, the evidence, and what to do. UI 6 (Now)."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import bulk
from taskdash.actions import incidents as incident_actions
from taskdash.actions.bulk import Item
from taskdash.errors import TaskDashError
from taskdash.model.records import Event
from taskdash.store import events, task_page
from taskdash.store.task_filters import NONE
from taskdash.store.task_page import CAP
from taskdash.web import visible
from taskdash.web.api.incidents import find
from taskdash.web.api.tasks import filters_of
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.hearing import inputs_of
from taskdash.web.pages import activity, first_run, incident_cards, lanes, links, recent, sentences, situation, watching
from taskdash.web.pages.activity import Names
from taskdash.web.pages.board import capped
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.recent import Recent
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.situation import Reader, Situation
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.query import Query

_LINES = 12
_UNOWNED, _AT_RISK = ("user", NONE), ("at_risk", "true")
_COUNTERS = (
    (mark("At risk"), "er", _AT_RISK, _UNOWNED),
    (mark("Unowned"), "er", _UNOWNED, _AT_RISK),
    (mark("Failed"), "er", ("status", "failed"), _UNOWNED),
    (mark("Stale"), "wa", ("stale", "true"), _UNOWNED),
    (mark("Should run"), "wa", ("schedule", "should_run"), _UNOWNED),
)
"""Text, colour, the filter that is counted, and the one of its fact: how many of these."""


class Seen(Struct, frozen=True):
    """What the page is made of. `counted`: each counter and its fact."""

    situation: Situation
    recent: Recent
    counted: list[tuple[int, int]]
    events: list[Event]
    names: Names


@page_get("/", opt={"action": "see"})
async def now(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """What is wrong now."""
    if (first := await first_run.instead(request, web, identity)) is not None:
        return first
    view = await view_of(request, web, identity)
    reader = Reader(identity.actor, web.visibility, view.now)
    seen = await web.db.read(lambda conn: _read(conn, reader))
    return html(request, view, "now.html", _values(view, seen, web))


def _read(conn: Connection, reader: Reader) -> Seen:
    told = visible.of_events(conn, events.page(conn, limit=_LINES), reader.actor, reader.visibility)
    return Seen(
        situation.read(conn, reader),
        recent.read(conn, reader),
        [_counted(conn, reader, pair, narrowed) for _text, _tone, pair, narrowed in _COUNTERS],
        told,
        activity.names(conn, told),
    )


def _counted(conn: Connection, reader: Reader, *pairs: tuple[str, str]) -> tuple[int, int]:
    """The counter and its fact, by the query of the rows behind their links."""
    whole, part = (filters_of(Query.of_pairs(pairs[:n]), reader.actor, reader.visibility) for n in (1, 2))
    count = task_page.count(conn, whole, reader.now)
    return count, task_page.count(conn, part, reader.now) if count else 0


def _values(view: View, seen: Seen, web: Web) -> dict[str, Any]:
    told, texts = seen.situation, view.texts
    inputs = list(inputs_of(web).values())
    return {
        "headline": headline(view, told),
        "totals": texts(
            "%(up)s of %(services)s services are up; %(owned)s of %(tasks)s tasks have an owner.",
            up=f"{told.states.get('up', 0):,}",
            services=f"{told.services:,}",
            owned=_number(max(0, told.counts.total - told.counts.unowned)),
            tasks=_number(told.counts.total),
        ),
        "incidents": [incident_cards.card(view, each, web.limits) for each in told.incidents],
        "more": _more(texts, told),
        "watching": [watching.watched(view, service, inputs, web.limits) for service in told.watched],
        "lanes": recent.lanes_of(view, seen.recent, told.services),
        "axis": lanes.axis(recent.frame_of(view, seen.recent)),
        "ended": recent.ended_text(view, seen.recent.ended),
        "ended_href": recent.ended_href(view.now),
        "counters": [_counter(texts, row, n) for row, n in zip(_COUNTERS, seen.counted, strict=True)],
        "events": activity.shorts(texts, seen.events, seen.names, view.zone),
    }


def _more(texts: Texts, told: Situation) -> str:
    more = told.wrong - len(told.incidents)
    return texts.plural("%(n)s more incident", "%(n)s more incidents", more) if more else ""


def headline(view: View, told: Situation) -> str:
    """What is wrong, in one sentence with both numbers."""
    texts, wrong = view.texts, told.wrong
    if not wrong and told.counts.at_risk:
        at_risk = min(told.counts.at_risk, CAP)
        said = texts.plural(
            "No incident is open; %(n)s task is at risk", "No incident is open; %(n)s tasks are at risk", at_risk
        )
        return capped(told.counts.at_risk, said)
    if not wrong:
        services = texts.plural("%(n)s service", "%(n)s services", told.services)
        tasks = texts.plural("%(n)s task", "%(n)s tasks", min(told.counts.total, CAP))
        return texts("All well · %(services)s, %(tasks)s", services=services, tasks=capped(told.counts.total, tasks) or tasks)
    said = texts.plural("%(n)s thing is wrong", "%(n)s things are wrong", wrong)
    unseen = told.unacknowledged
    return said + (texts("; %(n)s not acknowledged", n=unseen) if unseen else texts("; somebody looks after each"))


def _number(n: int) -> str:
    return capped(n, f"{min(n, CAP):,}") or "0"


def _counter(texts: Texts, row: Any, counted: tuple[int, int]) -> dict[str, Any]:
    text, tone, pair, narrowed = row
    n, fact = counted
    if narrowed == _UNOWNED:
        said = texts.plural("%(n)s unowned", "%(n)s unowned", min(fact, CAP))
    else:
        said = texts.plural("%(n)s at risk", "%(n)s at risk", min(fact, CAP))
    return {
        "text": text,
        "count": _number(n),
        "tone": tone if n else "mu",
        "href": links.with_query("/tasks", [pair]),
        "fact": capped(fact, said) if fact else "",
        "fact_href": links.with_query("/tasks", [pair, narrowed]),
    }


@page_post("/incidents/acknowledge", opt={"action": "acknowledge"})
async def acknowledge(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Say that I look after it."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back, wanted, actor = fields.get("next", ["/"])[0], fields.get("id", [""])[0], identity.actor
    try:
        await web.db.read(lambda conn: find(conn, wanted, actor, web.visibility))
        incident = await incident_actions.acknowledge(web.db, actor, wanted, view.now)
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    return go(request, back, Flash("ok", view.texts("Acknowledged: %(what)s", what=view.texts.told(incident.sentence))))


@page_post("/incidents/claim", opt={"action": "claim"})
async def claim(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Claim the tasks of an incident that nobody holds."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back, wanted, actor = fields.get("next", ["/"])[0], fields.get("id", [""])[0], identity.actor
    reader = Reader(actor, web.visibility, view.now)

    def free(conn: Connection) -> list[Item]:
        incident = find(conn, wanted, actor, web.visibility)
        if not incident.services:
            return []
        return [Item(key) for key in task_page.ids(conn, situation.claimable(incident, reader), view.now, bulk.MOST_ITEMS)]

    try:
        items = await web.db.read(free)
        results = await bulk.bulk(web.db, actor, "claim", items, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    done = sum(result.error is None for result in results)
    said = view.texts.plural("%(n)s task claimed.", "%(n)s tasks claimed.", done)
    return go(request, back, sentences.of_many(view, said, results))


ROUTES: list[HTTPRouteHandler] = [now, acknowledge, claim]
