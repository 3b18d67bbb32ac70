"""Services, worst first; the page of one, with why it is in its state; what a lead does to it. UI 6 (Services, Service)."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import structs
from sqlalchemy import Connection

from taskdash.actions import liveness
from taskdash.errors import TaskDashError
from taskdash.model.records import Actor, Service
from taskdash.rules import roles
from taskdash.store import clash_problems, events, facets, incidents, risk_order, senders, service_page
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP
from taskdash.web import visible
from taskdash.web.api.services import after_of, filters_of, following
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, now, sentences, times, words
from taskdash.web.pages.board import capped, number
from taskdash.web.pages.claiming import local_instant
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.lines import lines
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.service_rows import page_values, service_row
from taskdash.web.pages.task import pretty
from taskdash.web.pages.task_rows import row_view
from taskdash.web.paths import opened
from taskdash.web.query import Query
from taskdash.web.visible import visible_to

PATH = "/services"
_TASKS, _LINES, _SENDERS = 20, 20, 50
_SHOWN = ("down", "late", "unknown", "new", "paused", "left", "up")


@page_get(PATH, opt={"action": "see"})
async def listed(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """All services."""
    view, actor = await view_of(request, web, identity), identity.actor
    pairs = links.pairs_of(request.scope["query_string"])
    try:
        query = Query.of_pairs(pairs)
        wanted, after, limit = filters_of(query, actor, web.visibility), after_of(query), query.limit()
    except TaskDashError:
        return go(request, PATH)

    def read(conn: Connection) -> tuple[Any, ...]:
        heard = senders.page(conn, limit=_SENDERS) if roles.sees_everything(actor, web.visibility) else []
        return service_page.page(conn, wanted, limit, after), service_page.counts(conn, wanted), heard

    page, counts, heard = await web.db.read(read)
    values = {
        "total": number(sum(counts.values())),
        "chips": [_chip(pairs, state, counts.get(state, 0)) for state in _SHOWN if counts.get(state) or state in wanted.state],
        "q": wanted.q,
        "state_on": bool(wanted.state),
        "archived_on": wanted.archived,
        "archived_href": links.with_query(PATH, links.toggled(pairs, "archived", "true")),
        "rows": [service_row(view, service) for service in page.services],
        "next_href": links.with_query(PATH, links.changed(pairs, "cursor", cursor)) if (cursor := following(page)) else "",
        "senders": [_sender(view, sender) for sender in heard],
    }
    return html(request, view, "services.html", values)


def _chip(pairs: links.Pairs, state: str, n: int) -> dict[str, Any]:
    href = links.with_query(PATH, links.toggled(pairs, "state", state))
    return {"href": href, "current": ("state", state) in pairs, "word": words.word(words.STATES, state), "count": n}


def _sender(view: View, sender: Any) -> dict[str, Any]:
    count = view.texts.plural("%(n)s beat", "%(n)s beats", sender.count)
    return {**structs.asdict(sender), "count_text": count}


@page_get("/services/{service_id:str}", opt={"action": "see"})
async def one(request: HtmlRequest, web: Web, identity: Identity, service_id: str) -> Html:
    """One service."""
    wanted, view, actor = opened(service_id), await view_of(request, web, identity), identity.actor
    values = await web.db.read(lambda conn: _values(conn, view, actor, web, wanted))
    return html(request, view, "service.html", values)


def _values(conn: Connection, view: View, actor: Actor, web: Web, service_id: str) -> dict[str, Any]:
    texts = view.texts
    service = visible.service(conn, service_id, actor, web.visibility)
    filters = Filters(service=(service.id,), visible_to=visible_to(actor, web.visibility))
    page = risk_order.page(conn, filters, _TASKS, view.now)
    counts = facets.facets(conn, filters, view.now)
    found = incidents.page(conn, states=("open", "acknowledged"), service_id=service.id, limit=5)
    history = events.page(conn, subject=("service", service.id), limit=_LINES)
    return page_values(view, service) | {
        "total": number(counts.total),
        "unowned": capped(counts.unowned, texts.plural("%(n)s unowned", "%(n)s unowned", min(counts.unowned, CAP))),
        "tasks": [row_view(view, row.task, None, stale=row.stale, why=row.why) for row in page.rows],
        "events": lines(texts, history, view.zone),
        "history_href": links.history("service", service.id),
        "incidents": [_incident(view, incident) for incident in found],
        "problems": _problems(conn, service),
        "may_operate": roles.may(actor, "pause"),
        "may_acknowledge": roles.may(actor, "acknowledge"),
        "reserved": pretty(service.reserved),
    }


def _incident(view: View, incident: Any) -> dict[str, Any]:
    return {
        "id": incident.id,
        "open": incident.state == "open",
        "sentence": view.texts.told(incident.sentence),
        "evidence": view.texts.told(incident.evidence),
        "state_text": now.acknowledged(view, incident),
    }


def _problems(conn: Connection, service: Service) -> list[dict[str, str]]:
    clashing = clash_problems.of_services(conn, [service.id]).get(service.id, [])
    return [*service.collect_problems, *({"id": key, "problem": sentence} for key, sentence in clashing)]


Operation = Callable[[Actor, str, dict[str, str], View], Awaitable[str]]


async def _operate(request: HtmlRequest, web: Web, identity: Identity, operation: Operation) -> Html:
    """Do it to the service named by the form, and say so on the page one came from."""
    fields, view = (
        {name: values[0] for name, values in (await fields_of(request)).items()},
        await view_of(request, web, identity),
    )
    back, wanted, actor = fields.get("next", PATH), fields.get("id", ""), identity.actor
    try:
        await web.db.read(lambda conn: visible.service(conn, wanted, actor, web.visibility))
        return go(request, back, Flash("ok", await operation(actor, wanted, fields, view)))
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))


@page_post("/services/collect", opt={"action": "collect"})
async def collect(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Ask its url now."""

    async def operation(_actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await web.collect_now([wanted])
        return view.texts("%(id)s was asked now", id=wanted)

    return await _operate(request, web, identity, operation)


@page_post("/services/pause", opt={"action": "pause"})
async def pause(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Mute it, with a reason and, if wanted, an end."""

    async def operation(actor: Actor, wanted: str, fields: dict[str, str], view: View) -> str:
        text = fields.get("until", "")
        until = local_instant(text, web.zone) if text else None
        await liveness.pause(web.db, actor, wanted, fields.get("reason", ""), until, view.now)
        ends = "" if until is None else view.texts("until %(time)s", time=times.short(until, view.now, view.zone))
        return " ".join([view.texts("%(id)s is muted", id=wanted), ends]).strip()

    return await _operate(request, web, identity, operation)


@page_post("/services/resume", opt={"action": "resume"})
async def resume(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """End the pause."""

    async def operation(actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await liveness.resume(web.db, actor, wanted, view.now, web.limits)
        return view.texts("%(id)s is judged again from now", id=wanted)

    return await _operate(request, web, identity, operation)


@page_post("/services/archive", opt={"action": "archive"})
async def archive(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Hide it until it is heard again."""

    async def operation(actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await liveness.archive(web.db, actor, wanted, view.now)
        return view.texts("%(id)s is archived; a beat or a registration brings it back", id=wanted)

    return await _operate(request, web, identity, operation)


ROUTES: list[HTTPRouteHandler] = [listed, one, collect, pause, resume, archive]
