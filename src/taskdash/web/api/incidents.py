"""Incidents: what is wrong now and was, and who looks after it. SPEC 7, 8."""

from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from taskdash.actions import incidents as actions
from taskdash.errors import NotFound
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Incident
from taskdash.rules.roles import Visibility
from taskdash.store import incidents
from taskdash.web import cursor, kept, shapes, visible
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.query import Query
from taskdash.web.shapes import Incidents, IncidentShape

STATES = ("open", "acknowledged", "resolved")
KINDS = ("down", "flapping", "clash", "collect", "input", "dead_letters", "store")
_ORDER = "incidents"
JsonRequest = Request[Any, Any, Any]


def shape_of(conn: Connection, incident: Incident) -> IncidentShape:
    """The incident with how many tasks it touches, and how many of them nobody holds."""
    tasks, unowned = incidents.effects(conn, incident)
    return shapes.incident(incident, tasks, unowned)


def find(conn: Connection, incident_id: str, actor: Actor, visibility: Visibility) -> Incident:
    """The incident of that id, if the caller may see it. Raises NotFound."""
    known = incidents.load(conn, incident_id)
    if known is None or not visible.of_incidents(conn, [known], actor, visibility):
        raise NotFound(f"no incident has the id {incident_id}")
    return known


@get("/api/v1/incidents", opt={"action": "see", "query": ("state", "kind", "service", "limit", "cursor")})
async def listed(request: JsonRequest, web: Web, actor: Actor) -> Incidents:
    """Newest first; filters state, kind, service."""
    query = Query.of_pairs(request.query_params.multi_items())
    states = query.choices("state", STATES)
    kinds = query.choices("kind", KINDS)
    service_id, limit, before = query.text("service"), query.limit(), _before(query.one("cursor"))

    def read(conn: Connection) -> Incidents:
        found = incidents.page(conn, states=states, kinds=kinds, service_id=service_id, before=before, limit=limit)
        last = (found[-1].opened_at, found[-1].id) if len(found) == limit else None
        seen = visible.of_incidents(conn, found, actor, web.visibility)
        return Incidents([shape_of(conn, incident) for incident in seen], cursor.encode_or_none(_ORDER, last))

    return await web.db.read(read)


def _before(text: str) -> tuple[Instant, str] | None:
    if not text:
        return None
    at, key = cursor.decode(text, _ORDER, (int, str))
    return int(at or 0), str(key)


@get("/api/v1/incidents/{incident_id:str}", opt={"action": "see"})
async def one(web: Web, actor: Actor, incident_id: str) -> IncidentShape:
    """One incident."""
    wanted = opened(incident_id)
    return await web.db.read(lambda conn: shape_of(conn, find(conn, wanted, actor, web.visibility)))


@post("/api/v1/incidents/{incident_id:str}/acknowledge", opt={"action": "acknowledge"}, status_code=200)
async def acknowledge(web: Web, actor: Actor, incident_id: str) -> IncidentShape:
    """Say that I look after it; no more reminders."""
    wanted = opened(incident_id)
    await web.db.read(lambda conn: find(conn, wanted, actor, web.visibility))
    incident = await actions.acknowledge(web.db, actor, wanted, web.clock.now())
    with kept.shown():
        return await web.db.read(lambda conn: shape_of(conn, incident))


ROUTES: list[HTTPRouteHandler] = [listed, one, acknowledge]
