"""All history, newest first, or ascending after a seq; and the history of one task or service. SPEC 8."""

from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Event
from taskdash.rules.roles import Visibility
from taskdash.store import events
from taskdash.web import cursor, shapes, visible
from taskdash.web.api import one_task
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.query import Query
from taskdash.web.shapes import Events

ACTOR_TYPES = ("user", "service", "connection", "system")
SUBJECT_TYPES = ("task", "service", "incident", "user", "group", "token", "session", "system")
QUERY = ("after", "kind", "subject", "actor", "channel", "since", "until", "limit", "cursor")
_NEWEST, _OLDEST = "events", "events-after"
JsonRequest = Request[Any, Any, Any]


class Bearing(Struct, frozen=True):
    """What a text stands for: the subjects whose id or name bears it, or evidence that holds every text of one of these."""

    subjects: tuple[tuple[str, str], ...]
    evidence: tuple[tuple[str, ...], ...]


class EventFilters(Struct, frozen=True, kw_only=True):
    """What of the history is asked for. `subjects` empty: all; several: the same id as several types."""

    bearing: Bearing | None = None
    subjects: tuple[tuple[str, str], ...] = ()
    kind: str = ""
    actor: tuple[str, str] = ("", "")
    """Type and id; each empty: any."""
    channel: str = ""
    since: Instant | None = None
    until: Instant | None = None


class Place(Struct, frozen=True):
    """Where a page begins: after a seq (ascending), or before one (newest first)."""

    after: int | None = None
    before: int | None = None


def filters_of(query: Query) -> EventFilters:
    """kind (`task.*`: all of a noun), subject (`task:133`, or an id alone), actor (as subject), channel, since, until."""
    return EventFilters(
        subjects=_subjects(query.text("subject")),
        kind=query.text("kind"),
        actor=_actor(query.text("actor")),
        channel=query.text("channel"),
        since=query.instant("since"),
        until=query.instant("until"),
    )


def _subjects(text: str) -> tuple[tuple[str, str], ...]:
    kind, colon, key = text.partition(":")
    if colon and kind in SUBJECT_TYPES:
        return ((kind, key),)
    return tuple((each, text) for each in SUBJECT_TYPES) if text else ()


def _actor(text: str) -> tuple[str, str]:
    kind, colon, key = text.partition(":")
    return (kind, key) if colon and kind in ACTOR_TYPES else ("", text)


def place_of(query: Query) -> Place:
    """Where the page begins. Raises BadCursor, BadField."""
    text, after = query.one("cursor"), query.number("after")
    if not text:
        return Place(after=after)
    position = cursor.decode(text, _NEWEST if after is None else _OLDEST, (int,))[0]
    return Place(before=int(position or 0)) if after is None else Place(after=int(position or 0))


def read(conn: Connection, filters: EventFilters, place: Place, limit: int) -> list[Event]:
    """One page of the history, in its order."""
    found: dict[int, Event] = {}
    for subject, evidence in _asked(filters):
        part = events.page(
            conn,
            after_seq=place.after,
            before_seq=place.before,
            limit=limit,
            kind=filters.kind,
            subject=subject,
            actor=filters.actor,
            channel=filters.channel,
            since=filters.since,
            until=filters.until,
            evidence=evidence,
        )
        found.update({event.seq: event for event in part})
    return [found[seq] for seq in sorted(found, reverse=place.after is None)[:limit]]


def _asked(filters: EventFilters) -> list[tuple[tuple[str, str] | None, tuple[tuple[str, ...], ...]]]:
    """(subject, evidence) of the questions whose answers are the page together, each by its own index."""
    asked, bearing = filters.subjects or (None,), filters.bearing
    if bearing is None:
        return [(subject, ()) for subject in asked]
    named = [(subject, ()) for subject in bearing.subjects if not filters.subjects or subject in filters.subjects]
    return [*named, *((subject, bearing.evidence) for subject in asked)]


def page(
    conn: Connection, filters: EventFilters, place: Place, limit: int, actor: Actor, visibility: Visibility
) -> tuple[list[Event], str | None]:
    """(what the caller sees of one page, the cursor of the next)."""
    found = read(conn, filters, place, limit)
    order = _NEWEST if place.after is None else _OLDEST
    following = cursor.encode(order, (found[-1].seq,)) if len(found) == limit else None
    return visible.of_events(conn, found, actor, visibility), following


async def _answer(request: JsonRequest, web: Web, actor: Actor, subject: tuple[str, str] | None = None) -> Events:
    query = Query.of_pairs(request.query_params.multi_items())
    filters, place, limit = filters_of(query), place_of(query), query.limit()
    if subject:
        filters = structs.replace(filters, subjects=(subject,))
    found, following = await web.db.read(lambda conn: page(conn, filters, place, limit, actor, web.visibility))
    return Events([shapes.event(event) for event in found], following)


@get("/api/v1/events", opt={"action": "see", "query": QUERY})
async def history(request: JsonRequest, web: Web, actor: Actor) -> Events:
    """All history: newest first, or ascending with `after=<seq>`."""
    return await _answer(request, web, actor)


@get("/api/v1/tasks/{task_id:str}/events", opt={"action": "see", "query": QUERY})
async def of_task(request: JsonRequest, web: Web, actor: Actor, task_id: str) -> Events:
    """The history of one task."""
    wanted = opened(task_id)
    await web.db.read(lambda conn: one_task.find(conn, wanted, actor, web.visibility))
    return await _answer(request, web, actor, ("task", wanted))


@get("/api/v1/services/{service_id:str}/events", opt={"action": "see", "query": QUERY})
async def of_service(request: JsonRequest, web: Web, actor: Actor, service_id: str) -> Events:
    """The history of one service."""
    wanted = opened(service_id)
    await web.db.read(lambda conn: visible.service(conn, wanted, actor, web.visibility))
    return await _answer(request, web, actor, ("service", wanted))


ROUTES: list[HTTPRouteHandler] = [history, of_task, of_service]
