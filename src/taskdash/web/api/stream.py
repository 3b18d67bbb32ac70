"""GET /stream: the feed as Server-Sent Events, resumable by `Last-Event-ID` or `?after=<seq>`. SPEC 8."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from taskdash.model.records import Actor, Event
from taskdash.rules import roles
from taskdash.web import visible
from taskdash.web.auth import identify
from taskdash.web.context import Web
from taskdash.web.query import Query
from taskdash.web.stream import EventStream, Frames, Source

JsonRequest = Request[Any, Any, Any]


class Caller:
    """The listener behind a request; looked up again while they listen."""

    def __init__(self, request: JsonRequest, web: Web, actor: Actor) -> None:
        self._request, self._web, self._actor = request, web, actor

    async def may_listen(self) -> bool:
        """False once the session, token or account has ended, or lost the right to see."""
        identity = await identify(self._web, self._request)
        if identity is None or not roles.may(identity.actor, "see"):
            return False
        self._actor = identity.actor
        return True

    async def visible(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Those of the batch that the caller may see."""
        if any((event.subject_type, event.subject_id) == ("user", self._actor.id) for event in batch):
            self._request.app.state.identities.forget()  # from here on by the groups that this change gave
            await self.may_listen()
        actor, visibility = self._actor, self._web.visibility
        if roles.sees_everything(actor, visibility):
            return visible.without_secrets(batch, actor)
        return await self._web.db.read(lambda conn: visible.of_events(conn, batch, actor, visibility))


def last_id(request: JsonRequest) -> int | None:
    """The seq to go on after: the header of a reconnecting browser, else `?after=`. An id that is none is a gap: -1."""
    header = request.headers.get("last-event-id", "").strip()
    if not header:
        return Query.of_pairs(request.query_params.multi_items()).number("after")
    return int(header) if header.isascii() and header.isdigit() and len(header) < 20 else -1


@get("/api/v1/stream", opt={"action": "see", "query": ("after",)}, media_type="text/event-stream", sync_to_thread=False)
def stream(request: JsonRequest, web: Web, actor: Actor) -> ASGIApp:
    """Every event as it happens, after those that were missed; `event: reset` tells a gap that cannot be filled."""
    frames: Frames = request.app.state.setdefault("frames", Frames())
    source = Source(web.db, web.feed, web.clock, frames)
    return EventStream(source, Caller(request, web, actor), last_id(request))


ROUTES: list[HTTPRouteHandler] = [stream]
