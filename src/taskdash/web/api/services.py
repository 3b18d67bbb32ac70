"""Services: one of them, what operators do to it, and registration and beat by plain HTTP. SPEC 3, 8."""

from typing import Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection

from taskdash.actions import liveness, services
from taskdash.errors import BadField
from taskdash.model import fields
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Heartbeat, Registration, Service
from taskdash.rules.roles import Visibility
from taskdash.store import clash_problems, service_page
from taskdash.store.service_page import ServiceFilters, ServicePage
from taskdash.web import auth, cursor, kept, shapes, visible
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import Query, parse_instant
from taskdash.web.shapes import Services, ServiceShape
from taskdash.web.visible import visible_to
from taskdash.wire import messages

JsonRequest = Request[Any, Any, Any]


class BeatBody(Struct):
    """PUT /services/{id}/heartbeat."""

    id: str | UnsetType = UNSET
    reserved: str | UnsetType = UNSET


class PauseBody(Struct):
    """POST /services/{id}/pause."""

    reason: str
    until: str | None = None


_beats = msgspec.json.Decoder(BeatBody)
_pauses = msgspec.json.Decoder(PauseBody)


def shape_of(conn: Connection, service: Service, now: Instant) -> ServiceShape:
    """The service with its id clashes among its problems."""
    return shapes.service(service, now, clash_problems.of_services(conn, [service.id]).get(service.id, ()))


async def _answer(web: Web, service: Service) -> ServiceShape:
    return await web.db.read(lambda conn: shape_of(conn, service, web.clock.now()))


async def _seen(web: Web, actor: Actor, service_id: str) -> Service:
    """The service of a path parameter, if the caller may see it."""
    wanted = opened(service_id)
    return await web.db.read(lambda conn: visible.service(conn, wanted, actor, web.visibility))


LIST_QUERY = ("state", "type", "q", "archived", "limit", "cursor")
_ORDER = "services"


def filters_of(query: Query, actor: Actor, visibility: Visibility) -> ServiceFilters:
    """What of the services is wanted; `liveness` says the same as `state`."""
    return ServiceFilters(
        state=query.choices("state", service_page.WORST_FIRST) or query.choices("liveness", service_page.WORST_FIRST),
        type=query.several("type"),
        q=query.text("q"),
        archived=query.truth("archived") or False,
        visible_to=visible_to(actor, visibility),
    )


def after_of(query: Query) -> tuple[int, str] | None:
    """Where the page begins. Raises BadCursor."""
    if not (text := query.one("cursor")):
        return None
    rank, key = cursor.decode(text, _ORDER, service_page.KINDS)
    return int(rank or 0), str(key)


def following(page: ServicePage) -> str | None:
    """The cursor of the next page."""
    return cursor.encode_or_none(_ORDER, page.next_key)


@get("/api/v1/services", opt={"action": "see", "query": LIST_QUERY})
async def listed(request: JsonRequest, web: Web, actor: Actor) -> Services:
    """Services, worst first, then by id; archived ones only when asked for."""
    query = Query.of_pairs(request.query_params.multi_items())
    wanted, limit, after = filters_of(query, actor, web.visibility), query.limit(), after_of(query)
    now = web.clock.now()

    def read(conn: Connection) -> Services:
        page = service_page.page(conn, wanted, limit, after)
        problems = clash_problems.of_services(conn, [service.id for service in page.services])
        items = [shapes.service(service, now, problems.get(service.id, ())) for service in page.services]
        return Services(items, following(page))

    return await web.db.read(read)


@get("/api/v1/services/{service_id:str}", opt={"action": "see"})
async def one(web: Web, actor: Actor, service_id: str) -> ServiceShape:
    """One service."""
    return await _answer(web, await _seen(web, actor, service_id))


@post("/api/v1/services", opt={"action": "ingest", "body": Registration}, status_code=200)
async def register(request: JsonRequest, web: Web, actor: Actor) -> ServiceShape:
    """The same as a TaskService message over NSQ: register, or register again."""
    registration = messages.decode_registration(await request.body())
    now = web.clock.now()
    service = await services.register_service(web.db, actor, registration, now, limits=web.limits)
    return await _answer_kept(web, service)


@put("/api/v1/services/{service_id:str}/heartbeat", opt={"action": "ingest", "body": BeatBody}, status_code=204)
async def beat(request: JsonRequest, web: Web, actor: Actor, service_id: str) -> None:
    """The same as a HeartBeat message over NSQ; an unknown id is 404 and listed as a sender."""
    body: BeatBody = await body_of(request, _beats, optional=True)
    wanted = fields.check_id(opened(service_id))
    if body.id not in (UNSET, wanted):
        raise BadField("id must be that of the path, or left out", field="id")
    if body.reserved is not UNSET:
        fields.check_long(body.reserved, "reserved")
    told, sender = Heartbeat(id=wanted, reserved=body.reserved), auth.address_of(request)
    await services.heartbeat(web.db, actor, told, web.clock.now(), limits=web.limits, sender=sender)


@post("/api/v1/services/{service_id:str}/collect", opt={"action": "collect"}, status_code=200)
async def collect(web: Web, actor: Actor, service_id: str) -> ServiceShape:
    """Ask the service's url now; answers with the service after that."""
    service = await _seen(web, actor, service_id)
    if not service.url:
        raise BadField("this service has no url that could be asked", field="url")
    await web.collect_now([service.id])
    return await _answer(web, await _seen(web, actor, service_id))


@post("/api/v1/services/{service_id:str}/pause", opt={"action": "pause", "body": PauseBody}, status_code=200)
async def pause(request: JsonRequest, web: Web, actor: Actor, service_id: str) -> ServiceShape:
    """Mute it, with a reason and, if wanted, an end."""
    body: PauseBody = await body_of(request, _pauses)
    service, until = await _seen(web, actor, service_id), parse_instant(body.until, "until")
    return await _answer_kept(web, await liveness.pause(web.db, actor, service.id, body.reason, until, web.clock.now()))


@post("/api/v1/services/{service_id:str}/resume", opt={"action": "resume"}, status_code=200)
async def resume(web: Web, actor: Actor, service_id: str) -> ServiceShape:
    """End the pause; it is judged from now."""
    service = await _seen(web, actor, service_id)
    return await _answer_kept(web, await liveness.resume(web.db, actor, service.id, web.clock.now(), web.limits))


@post("/api/v1/services/{service_id:str}/archive", opt={"action": "archive"}, status_code=200)
async def archive(web: Web, actor: Actor, service_id: str) -> ServiceShape:
    """Hide it until it is heard again."""
    service = await _seen(web, actor, service_id)
    return await _answer_kept(web, await liveness.archive(web.db, actor, service.id, web.clock.now()))


@delete("/api/v1/services/{service_id:str}", opt={"action": "delete"}, status_code=204)
async def remove(web: Web, actor: Actor, service_id: str) -> None:
    """Remove it for good; its tasks become gone."""
    await services.delete_service(web.db, actor, opened(service_id), web.clock.now())


async def _answer_kept(web: Web, service: Service) -> ServiceShape:
    with kept.shown():
        return await _answer(web, service)


ROUTES: list[HTTPRouteHandler] = [listed, one, register, beat, collect, pause, resume, archive, remove]
