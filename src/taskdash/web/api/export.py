"""Exports of the task list: CSV and JSON lines, streamed a page of 500 at a time by keyset. SPEC 8, R111, R147, R157.

Law: no query stays open while bytes travel; at most four exports run at once; a client that reads nothing for 60 s is left.
"""

import asyncio
import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from io import StringIO
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from taskdash.clock import Clock
from taskdash.errors import TooMany
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.store import task_page
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import TaskRow
from taskdash.telemetry import log
from taskdash.web import shapes
from taskdash.web.api.tasks import FILTERS, filters_of
from taskdash.web.auth import identify
from taskdash.web.bounds import abort
from taskdash.web.context import Web
from taskdash.web.query import Query
from taskdash.web.shapes import TaskShape
from taskdash.web.stream import CHECK_EVERY_S, gone

AT_ONCE = 4
PAGE = 500
SEND_WITHIN_S = 60.0
COLUMNS = tuple(name for name in TaskShape.__struct_fields__ if name != "why")
_FORMULA = tuple("=+-@\t\r\0\uff1d\uff0b\uff0d\uff20")
TYPES = {"csv": b"text/csv; charset=utf-8; header=present", "jsonl": b"application/x-ndjson; charset=utf-8"}
JsonRequest = Request[Any, Any, Any]
_encoder = msgspec.json.Encoder()


def safe_cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula: such a first character gets a leading apostrophe."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """RFC 4180: CRLF, quotes where needed."""
    out = StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([safe_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def _csv(rows: Sequence[TaskRow]) -> bytes:
    return csv_lines([getattr(shown, name) for name in COLUMNS] for shown in map(shapes.task, rows))


def _jsonl(rows: Sequence[TaskRow]) -> bytes:
    return _encoder.encode_lines([shapes.task(row) for row in rows])


class Slots:
    """How many exports run."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        """Raises TooMany when all are taken."""
        if self.taken >= AT_ONCE:
            raise TooMany(f"{AT_ONCE} exports are running; try again when one has ended", retry_after_s=5)
        self.taken += 1


class Export(msgspec.Struct, frozen=True):
    """One export, as an ASGI application that gives its slot back. `pieces`: none is read while bytes travel."""

    name: str
    format: str
    pieces: AsyncIterator[bytes]
    slots: Slots
    may_go_on: Callable[[], Awaitable[bool]]
    clock: Clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send piece after piece; cut short, with all that is on its way, when the caller lost the right or does not read."""
        self.slots.take()
        parts = [asyncio.ensure_future(part) for part in (self._run(send), self._lost(), gone(receive))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.slots.taken -= 1
            for part in parts:
                part.cancel()
            ended, *_others = await asyncio.gather(*parts, return_exceptions=True)
        if ended is None:
            return
        if not isinstance(ended, asyncio.CancelledError | TimeoutError):
            log.error("an export failed", name=self.name, error=repr(ended), exc_info=ended)
        abort(scope)
        await gone(receive)

    async def _run(self, send: Send) -> None:
        disposition = f'attachment; filename="{self.name}.{self.format}"'.encode()
        headers = [(b"content-type", TYPES[self.format]), (b"content-disposition", disposition)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for piece in self.pieces:
            await _send(send, piece, more=True)
            if not await self.may_go_on():
                raise asyncio.CancelledError
        await _send(send, b"", more=False)

    async def _lost(self) -> None:
        """Returns once the caller may not see this any more: what is on its way may be a while (RELIABILITY R147)."""
        while await self.may_go_on():
            await self.clock.sleep(CHECK_EVERY_S)


async def _pieces(web: Web, wanted: Filters, kind: str) -> AsyncIterator[bytes]:
    after, now = 0, web.clock.now()
    if kind == "csv":
        yield csv_lines([COLUMNS])
    while rows := await web.db.read(partial(task_page.walk, wanted=wanted, now=now, after_pk=after, limit=PAGE)):
        after = rows[-1].task.pk
        yield _csv(rows) if kind == "csv" else _jsonl(rows)


async def _send(send: Send, piece: bytes, *, more: bool) -> None:
    async with asyncio.timeout(SEND_WITHIN_S):
        await send({"type": "http.response.body", "body": piece, "more_body": more})


@get(
    "/api/v1/tasks/export",
    opt={"action": "see", "query": ("format", *FILTERS), "media_types": ("text/csv", "application/x-ndjson")},
    sync_to_thread=False,
)
def export(request: JsonRequest, web: Web, actor: Actor) -> ASGIApp:
    """All tasks under the same filters: `format=csv` or `jsonl` (exact)."""
    query = Query.of_pairs(request.query_params.multi_items())
    wanted, kind = filters_of(query, actor, web.visibility), query.choice("format", TYPES, "csv")
    return of_pieces(request, web, actor, "tasks", kind, _pieces(web, wanted, kind))


def of_pieces(request: JsonRequest, web: Web, actor: Actor, name: str, kind: str, pieces: AsyncIterator[bytes]) -> Export:
    """The answer to this request: it ends when the caller may not see any more."""
    slots: Slots = request.app.state.setdefault("export_slots", Slots())

    async def may_go_on() -> bool:
        identity = await identify(web, request)
        return identity is not None and roles.may(identity.actor, "see") and _as_before(identity.actor, actor)

    return Export(name, kind, pieces, slots, may_go_on, web.clock)


def _as_before(now: Actor, then: Actor) -> bool:
    return (now.role, now.groups) == (then.role, then.groups)


ROUTES: list[HTTPRouteHandler] = [export]
