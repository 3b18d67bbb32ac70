"""The page of one service: why it is in its state, how it did, its tasks, its history, and what can be done. UI 6 (Service)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, Event, Incident, Service, Task
from taskdash.rules import roles
from taskdash.rules.deadlines import heard_at
from taskdash.rules.risk import ILL
from taskdash.store import clash_problems, events, facets, incidents, risk_order, state_history, task_page, tasks
from taskdash.store.facets import Facets
from taskdash.store.state_history import StateChange
from taskdash.store.task_filters import NONE, Filters
from taskdash.store.task_page import CAP, TaskRow
from taskdash.web import visible
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.hearing import inputs_of
from taskdash.web.pages import incident_cards, links, times
from taskdash.web.pages.board import capped
from taskdash.web.pages.choices import number
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.lines import lines
from taskdash.web.pages.render import View
from taskdash.web.pages.service_acts import ENDS
from taskdash.web.pages.service_charts import charts
from taskdash.web.pages.service_rows import service_row
from taskdash.web.pages.service_why import Surroundings, why
from taskdash.web.pages.task import pretty
from taskdash.web.pages.task_rows import row_view
from taskdash.web.pages.told import told
from taskdash.web.paths import opened
from taskdash.web.visible import visible_to

_TASKS, _LINES, _INCIDENTS, _CLAIMED = 20, 20, 5, 200
_PAST_S = 91 * 86_400.0
_CARDS = {"down": "bad", "late": "watch", "unknown": "blind"}


class Seen(Struct, frozen=True):
    """What the page is made of. `free`: ids of tasks that nobody holds and this person may claim."""

    service: Service
    tasks: list[TaskRow]
    counts: Facets
    free: list[str]
    incidents: list[Incident]
    problems: list[dict[str, str]]
    events: list[Event]
    changes: list[StateChange]
    kept_from: Instant
    others: int


@page_get("/services/{service_id:str}", opt={"action": "see"})
async def one(request: HtmlRequest, web: Web, identity: Identity, service_id: str) -> Html:
    """One service."""
    wanted, view, actor = opened(service_id), await view_of(request, web, identity), identity.actor
    seen = await web.db.read(lambda conn: _read(conn, view, actor, web, wanted))
    return html(request, view, "service.html", _values(view, web, actor, seen))


def _read(conn: Connection, view: View, actor: Actor, web: Web, service_id: str) -> Seen:
    service = visible.service(conn, service_id, actor, web.visibility)
    filters = Filters(service=(service.id,), visible_to=visible_to(actor, web.visibility))
    return Seen(
        service=service,
        tasks=risk_order.page(conn, filters, _TASKS, view.now).rows,
        counts=facets.facets(conn, filters, view.now),
        free=_free(conn, view, actor, filters),
        incidents=incidents.page(conn, states=("open", "acknowledged"), service_id=service.id, limit=_INCIDENTS),
        problems=_problems(conn, actor, service),
        events=events.page(conn, subject=("service", service.id), limit=_LINES),
        changes=state_history.changes(conn, service.id, view.now - seconds(_PAST_S)),
        kept_from=state_history.kept_from(conn),
        others=state_history.others_heard(conn, service, heard_at(service)) if service.state in ILL else 0,
    )


def _free(conn: Connection, view: View, actor: Actor, filters: Filters) -> list[str]:
    if not roles.may(actor, "claim"):
        return []
    unowned = Filters(service=filters.service, visible_to=filters.visible_to, user=(NONE,))
    ids = task_page.ids(conn, unowned, view.now, _CLAIMED)
    known: dict[str, Task] = tasks.load_many(conn, ids)
    return [key for key in ids if key in known and roles.may(actor, "claim", known[key])]


def _problems(conn: Connection, actor: Actor, service: Service) -> list[dict[str, str]]:
    """What its answers had wrong, and the ids that it and another service both report, which an admin may give to it."""
    clashing = clash_problems.of_services(conn, [service.id]).get(service.id, [])
    owners = {key: task.service_id for key, task in tasks.load_many(conn, [key for key, _sentence in clashing]).items()}
    may = roles.may(actor, "transfer")
    disputed = [
        {"id": key, "problem": sentence, "from": owners.get(key, "") if may and owners.get(key) != service.id else ""}
        for key, sentence in clashing
    ]
    return [
        *({"id": each.get("id", ""), "problem": each["problem"], "from": ""} for each in service.collect_problems),
        *disputed,
    ]


def _values(view: View, web: Web, actor: Actor, seen: Seen) -> dict[str, Any]:
    service = seen.service
    around = Surroundings(seen.others, inputs_of(web).get(service.source))
    return {
        "row": service_row(view, service),
        "service": service,
        "card": _CARDS.get(service.state, ""),
        "why": why(view, service, web.limits, around),
        "live": _live(service, seen.tasks),
        "history_href": links.history("service", service.id),
        "states_href": links.with_query("/history", [("subject", f"service:{service.id}"), ("kind", "service.state")]),
        "ends": ENDS,
        "events": lines(view.texts, seen.events, view.zone),
        "incidents": [_incident(view, incident) for incident in seen.incidents],
        "problems": [each | {"problem": view.texts.told(each["problem"])} for each in seen.problems],
        "may_operate": roles.may(actor, "pause"),
        "may_acknowledge": roles.may(actor, "acknowledge"),
        "reserved": pretty(service.reserved),
        **charts(view, service, seen.changes, seen.kept_from),
        **_tasks(view, seen),
    }


def _live(service: Service, shown: Sequence[TaskRow]) -> str:
    """Whose events concern the page, as scripts write subjects."""
    ids = [f"service:{_as_script(service.id)}", *(f"task:{_as_script(row.task.id)}" for row in shown)]
    return " ".join([*ids, "incident:*"])


def _as_script(text: str) -> str:
    """As encodeURIComponent says it."""
    return quote(text, safe="!'()*~")


def _tasks(view: View, seen: Seen) -> dict[str, Any]:
    plural, service = view.texts.plural, ("service", seen.service.id)
    unowned, at_risk = seen.counts.unowned, seen.counts.at_risk
    return {
        "total": number(seen.counts.total),
        "tasks": [row_view(view, row.task, None, stale=row.stale, why=row.why) for row in seen.tasks],
        "unowned": capped(unowned, plural("%(n)s unowned", "%(n)s unowned", min(unowned, CAP))),
        "unowned_href": links.with_query("/tasks", [service, ("user", NONE)]),
        "at_risk": capped(at_risk, plural("%(n)s at risk", "%(n)s at risk", min(at_risk, CAP))),
        "at_risk_href": links.with_query("/tasks", [service, ("at_risk", "true")]),
        "free": seen.free,
        "claim_text": plural("Claim %(n)s task", "Claim %(n)s tasks", len(seen.free)) if seen.free else "",
    }


def _incident(view: View, incident: Incident) -> dict[str, Any]:
    reminder = incident.next_reminder_at if incident.state == "open" else None
    at = times.short(reminder, view.now, view.zone) if reminder else ""
    return {
        "id": incident.id,
        "open": incident.state == "open",
        "sentence": view.texts.told(incident.sentence),
        "evidence": told(view.texts, incident.evidence, view.now, view.zone),
        "state_text": incident_cards.acknowledged(view, incident) or view.texts("Not acknowledged"),
        "opened_at": incident.opened_at,
        "reminder": view.texts("reminder at %(time)s", time=at) if at else "",
        "others": len(incident.services) - 1,
    }


ROUTES: list[HTTPRouteHandler] = [one]
