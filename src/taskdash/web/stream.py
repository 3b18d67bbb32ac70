"""Server-Sent Events of the feed. Law: nothing skipped, repeated or out of order; a gap is told by `reset`. SPEC 8, R6.

A listener first reads what it missed from the store, page by page, then follows the feed. It holds at most one batch and
one piece of at most 64 KiB in flight; one that does not read is ended and resumes by its id (RELIABILITY R52, R105).
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from taskdash.clock import Clock
from taskdash.errors import TaskDashError
from taskdash.feed import Feed
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Event
from taskdash.store import events
from taskdash.store.database import Database
from taskdash.web import shapes
from taskdash.web.bounds import abort

COMMENT_EVERY_S = 15.0
CHECK_EVERY_S = 1.0
SEND_WITHIN_S = 20.0
PIECE_BYTES = 65_536
FRAMES_KEPT = 2_000
_RETRY_MS = (1_000, 5_000)
_PAGE = 200
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encoder = msgspec.json.Encoder()


class Listener(Protocol):
    """Whose stream it is, as far as a stream must know."""

    async def may_listen(self) -> bool:
        """False once the session, the token or the account has ended or lost the right."""
        ...

    async def visible(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Those of the batch that the listener may see."""
        ...


class Frames:
    """Encoded events, shared by all listeners: one encoding an event, however many listen."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def of(self, event: Event) -> bytes:
        """`id:` and `data:` lines of one event."""
        known = self._kept.get(event.seq)
        if known is None:
            known = b"id: %d\ndata: %s\n\n" % (event.seq, _encoder.encode(shapes.event(event)))
            self._kept[event.seq] = known
            if len(self._kept) > FRAMES_KEPT:
                self._kept.popitem(last=False)
        return known


class Source(Struct, frozen=True):
    """What every listener needs."""

    db: Database
    feed: Feed
    clock: Clock
    frames: Frames


def pieces(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames joined into pieces of at most 64 KiB; a single larger frame is a piece of its own."""
    held: list[bytes] = []
    size = 0
    for frame in frames:
        if held and size + len(frame) > PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
        held.append(frame)
        size += len(frame)
    if held:
        yield b"".join(held)


def is_gap(after: int, oldest: int, newest: int) -> bool:
    """True when events after `after` are gone, or `after` was never given out."""
    return after > newest or after < oldest - 1


class EventStream:
    """One listener, as an ASGI application. `after`: its last id; None: from now on."""

    def __init__(self, source: Source, listener: Listener, after: int | None) -> None:
        self._source = source
        self._listener = listener
        self._last = after
        self._one_at_a_time = asyncio.Lock()
        self._is_stalled = False
        self._sending_since: Instant | None = None
        self._send: Send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the client goes, may not listen any more, does not read, or the feed closes."""
        self._send = send
        if self._last is None:  # before the head goes out: what happens after the client sees it must not be missed
            _oldest, self._last = await self._source.db.read(events.bounds)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        parts = [asyncio.ensure_future(part) for part in (self._deliver(), self._watch(), self._comment(), gone(receive))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        if self._is_stalled:
            abort(scope)
            await gone(receive)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._write(b"", more=False)

    async def _deliver(self) -> None:
        with suppress(TaskDashError):
            await self._write(b"retry: %d\n\n" % random.randint(*_RETRY_MS))  # noqa: S311  (spreads reconnects)
            last = await self._catch_up(await self._resume_point())
            await self._follow(last)

    async def _resume_point(self) -> int:
        oldest, newest = await self._source.db.read(events.bounds)
        if self._last is not None and not is_gap(self._last, oldest, newest):
            return self._last
        await self._write(b'event: reset\ndata: {"oldest":%d,"newest":%d}\n\n' % (oldest, newest))
        return newest

    async def _catch_up(self, last: int) -> int:
        """Tell what the store has after `last` until the feed knows no more; returns the last seq told.

        There is no await between the last look at `feed.seq` and the subscription in `_follow`: nothing falls between.
        """
        feed = self._source.feed
        batch = await self._page(last)
        while batch or feed.seq > last:
            if batch:
                last = await self._tell(batch)
            before_reading = feed.seq
            batch = await self._page(last)
            if not batch:
                last = max(last, before_reading)
        return last

    async def _page(self, last: int) -> list[Event]:
        return await self._source.db.read(lambda conn: events.after(conn, last, _PAGE))

    async def _follow(self, last: int) -> None:
        subscription = self._source.feed.subscribe(last)
        try:
            async for batch in subscription:
                new = [event for event in batch if event.seq > last]
                last = await self._tell(new) if new else last
        finally:
            self._source.feed.unsubscribe(subscription)

    async def _tell(self, batch: Sequence[Event]) -> int:
        visible = await self._listener.visible(batch)
        for piece in pieces(self._source.frames.of(event) for event in visible):
            await self._write(piece)
        return batch[-1].seq

    async def _watch(self) -> None:
        """Ends once the listener may not listen any more (RELIABILITY R147), or has not read for too long (R52)."""
        while not self._is_stalled and await self._listener.may_listen():
            await self._source.clock.sleep(CHECK_EVERY_S)
            since, now = self._sending_since, self._source.clock.now()
            self._is_stalled = since is not None and now - since > seconds(SEND_WITHIN_S)

    async def _comment(self) -> None:
        while True:
            await self._source.clock.sleep(COMMENT_EVERY_S)
            await self._write(b": still here\n\n")

    async def _write(self, piece: bytes, *, more: bool = True) -> None:
        """How long it takes is looked at by `_watch`: a timer of its own would cost as much as the write."""
        async with self._one_at_a_time:
            self._sending_since = self._source.clock.now()
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
            self._sending_since = None


async def gone(receive: Receive) -> None:
    """Returns once the client is no longer there."""
    while (await receive())["type"] != "http.disconnect":
        pass
