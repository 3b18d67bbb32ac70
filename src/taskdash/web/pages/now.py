"""Now: what is wrong, since when, the evidence, and what to do. UI 6 (Now)."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import bulk
from taskdash.actions import incidents as incident_actions
from taskdash.actions.bulk import Item
from taskdash.errors import TaskDashError
from taskdash.model.records import Actor, Event, Incident, Service
from taskdash.rules import roles
from taskdash.store import events, facets, incidents, service_page, task_page
from taskdash.store.facets import Facets
from taskdash.store.service_page import ServiceFilters
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP
from taskdash.web import visible
from taskdash.web.api.incidents import find
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, sentences, times, words
from taskdash.web.pages.board import capped, number
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.lines import lines
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.visible import visible_to

_INCIDENTS, _WATCHED, _LINES, _NAMED = 50, 20, 14, 12
_WATCHED_STATES = ("late", "unknown")


class Seen(Struct, frozen=True):
    """What the page is made of. `incidents`: with (tasks, unowned) each."""

    incidents: list[tuple[Incident, int, int]]
    watched: list[Service]
    states: dict[str, int]
    counts: Facets
    events: list[Event]


@page_get("/", opt={"action": "see"})
async def now(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """What is wrong now."""
    view, actor = await view_of(request, web, identity), identity.actor
    seen = await web.db.read(lambda conn: _read(conn, view, actor, web))
    return html(request, view, "now.html", _values(view, actor, seen))


def _read(conn: Connection, view: View, actor: Actor, web: Web) -> Seen:
    opened = incidents.page(conn, states=("open", "acknowledged"), limit=_INCIDENTS)
    mine = visible.of_incidents(conn, opened, actor, web.visibility)
    mine.sort(key=lambda incident: (incident.state != "open", -incident.opened_at))
    restriction = visible_to(actor, web.visibility)
    watched = service_page.page(conn, ServiceFilters(state=_WATCHED_STATES, visible_to=restriction), _WATCHED).services
    told = {service_id for incident in mine for service_id in incident.services}
    return Seen(
        [(incident, *incidents.effects(conn, incident)) for incident in mine],
        [service for service in watched if service.id not in told],
        service_page.counts(conn, ServiceFilters(visible_to=restriction)),
        facets.facets(conn, Filters(visible_to=restriction), view.now),
        visible.of_events(conn, events.page(conn, limit=_LINES), actor, web.visibility),
    )


def _values(view: View, actor: Actor, seen: Seen) -> dict[str, Any]:
    texts, services = view.texts, sum(seen.states.values())
    return {
        "headline": _headline(view, seen, services),
        "totals": texts(
            "%(up)s of %(services)s services are up; %(owned)s of %(tasks)s tasks have an owner.",
            up=seen.states.get("up", 0),
            services=services,
            owned=number(max(0, seen.counts.total - seen.counts.unowned)),
            tasks=number(seen.counts.total),
        ),
        "incidents": [_incident(view, actor, *each) for each in seen.incidents],
        "watching": [_watched(view.texts, service) for service in seen.watched],
        "counters": _counters(seen.counts),
        "events": lines(texts, seen.events, view.zone),
        "may_acknowledge": roles.may(actor, "acknowledge"),
    }


def _headline(view: View, seen: Seen, services: int) -> str:
    texts, wrong = view.texts, len(seen.incidents)
    if not wrong and seen.counts.at_risk:
        at_risk = min(seen.counts.at_risk, CAP)
        said = texts.plural(
            "No incident is open; %(n)s task is at risk", "No incident is open; %(n)s tasks are at risk", at_risk
        )
        return capped(seen.counts.at_risk, said)
    if not wrong:
        return texts("All well · %(services)s services, %(tasks)s tasks", services=services, tasks=number(seen.counts.total))
    unseen = sum(incident.state == "open" for incident, _, _ in seen.incidents)
    said = texts.plural("%(n)s thing is wrong", "%(n)s things are wrong", wrong)
    return said + (texts("; %(n)s not acknowledged", n=unseen) if unseen else texts("; somebody looks after each"))


def _incident(view: View, actor: Actor, incident: Incident, tasks: int, unowned: int) -> dict[str, Any]:
    texts = view.texts
    affected = texts.plural("%(n)s task affected", "%(n)s tasks affected", tasks) if tasks else ""
    nobodys = texts.plural("%(n)s unowned", "%(n)s unowned", unowned) if unowned else ""
    may_claim = unowned and roles.may(actor, "claim")
    reminder = incident.next_reminder_at if incident.state == "open" else None
    return {
        "id": incident.id,
        "word": words.word(words.INCIDENTS, incident.kind),
        "sentence": texts.told(incident.sentence),
        "evidence": texts.told(incident.evidence),
        "open": incident.state == "open",
        "state_text": acknowledged(view, incident),
        "since": texts("for %(time)s", time=times.alarming(texts, incident.opened_at, view.now)),
        "effect": ", ".join(part for part in (affected, nobodys) if part),
        "reminder": texts("reminder at %(time)s", time=times.short(reminder, view.now, view.zone)) if reminder else "",
        "services": [{"id": key, "href": links.service(key)} for key in incident.services[:_NAMED]],
        "more": texts("and %(n)s more", n=len(incident.services) - _NAMED) if len(incident.services) > _NAMED else "",
        "claim_text": texts.plural("Claim %(n)s task", "Claim %(n)s tasks", unowned) if may_claim else "",
    }


def acknowledged(view: View, incident: Incident) -> str:
    """Who looks after it since when; or that nobody does."""
    if incident.state == "open" or incident.acknowledged_at is None:
        return view.texts("Not acknowledged")
    at = times.short(incident.acknowledged_at, view.now, view.zone)
    return view.texts("Acknowledged by %(who)s at %(time)s", who=incident.acknowledged_by, time=at)


def _watched(texts: Texts, service: Service) -> dict[str, Any]:
    return {
        "word": words.word(words.STATES, service.state),
        "href": links.service(service.id),
        "name": service.name or service.id,
        "evidence": texts.told(service.evidence),
    }


def _counters(counts: Facets) -> list[dict[str, Any]]:
    failed = next((bucket.count for bucket in counts.status if bucket.value == "failed"), 0)
    rows = (
        (mark("At risk"), counts.at_risk, "er", ("at_risk", "true")),
        (mark("Unowned"), counts.unowned, "er", ("user", "none")),
        (mark("Failed"), failed, "er", ("status", "failed")),
        (mark("Stale"), counts.stale, "wa", ("stale", "true")),
        (mark("Should run"), counts.should_run, "wa", ("schedule", "should_run")),
    )
    return [
        {"text": text, "count": number(n), "tone": tone if n else "mu", "href": links.with_query("/tasks", [pair])}
        for text, n, tone, pair in rows
    ]


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

    def free(conn: Connection) -> list[Item]:
        services = find(conn, wanted, actor, web.visibility).services[:500]
        filters = Filters(service=services, user=("none",), visible_to=visible_to(actor, web.visibility))
        return [Item(key) for key in task_page.ids(conn, filters, view.now, bulk.MOST_ITEMS)] if services else []

    try:
        items = await web.db.read(free)
        results = await bulk.bulk(web.db, actor, "claim", items, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    done = sum(result.error is None for result in results)
    said = view.texts.plural("%(n)s task claimed.", "%(n)s tasks claimed.", done)
    return go(request, back, sentences.of_many(view, said, results))


ROUTES: list[HTTPRouteHandler] = [now, acknowledge, claim]
