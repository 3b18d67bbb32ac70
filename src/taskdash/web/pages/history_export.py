"""The history as CSV or JSON lines under the filters of the page, newest first, streamed a page at a time. UI 6 (History)."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from sqlalchemy import Connection

from taskdash.model.records import Actor, Event
from taskdash.store.rows import to_json
from taskdash.web import shapes, visible
from taskdash.web.api import events, export
from taskdash.web.api.events import EventFilters, Place
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages.frame import HtmlRequest, language_of
from taskdash.web.pages.history import asked_of, resolved
from taskdash.web.pages.texts import load
from taskdash.web.query import Query

COLUMNS = (
    "seq", "at", "kind", "subject_type", "subject_id", "actor_type", "actor_id", "channel", "before", "after", "evidence",
)  # fmt: skip
_encoder = msgspec.json.Encoder()


@get("/history/export", opt={"action": "see"}, include_in_schema=False)
async def exported(request: HtmlRequest, web: Web, identity: Identity) -> ASGIApp:
    """All events that the filters find: `format=csv` or `jsonl`."""
    query, now, actor = Query.of_pairs(request.query_params.multi_items()), web.clock.now(), identity.actor
    kind, asked = query.choice("format", export.TYPES, "csv"), asked_of(query, now, web.zone)
    texts = load(language_of(request, identity.user.language))
    filters, _cut = await web.db.read(lambda conn: resolved(conn, asked, actor, web.visibility, now, texts))
    return export.of_pieces(request, web, actor, "history", kind, _pieces(web, actor, filters, kind))


async def _pieces(web: Web, actor: Actor, filters: EventFilters, kind: str) -> AsyncIterator[bytes]:
    if kind == "csv":
        yield export.csv_lines([COLUMNS])
    before: int | None = None
    while True:
        shown, before = await web.db.read(partial(_page, web=web, actor=actor, filters=filters, before=before))
        if shown:
            yield _csv(shown) if kind == "csv" else _encoder.encode_lines([shapes.event(event) for event in shown])
        if before is None:
            return


def _page(
    conn: Connection, web: Web, actor: Actor, filters: EventFilters, before: int | None
) -> tuple[list[Event], int | None]:
    """(what the caller sees of one page, the seq before which the next begins)."""
    found = events.read(conn, filters, Place(before=before), export.PAGE)
    following = found[-1].seq if len(found) == export.PAGE else None
    return visible.of_events(conn, found, actor, web.visibility), following


def _csv(shown: Sequence[Event]) -> bytes:
    return export.csv_lines(_row(event) for event in shown)


def _row(event: Event) -> list[object]:
    told = shapes.event(event)
    subject, actor = (event.subject_type, event.subject_id), (event.actor_type, event.actor_id)
    return [
        told.seq,
        told.at,
        told.kind,
        *subject,
        *actor,
        told.channel,
        to_json(told.before),
        to_json(told.after),
        told.evidence,
    ]


ROUTES: list[HTTPRouteHandler] = [exported]
