"""One peer of the endpoint's HTTP side: h11 over a bounded protocol. Requests one after the other, answers in order.

A head that is not whole within 10 s, or a body that is not within 30 s, is answered 408; bytes that are no HTTP get an answer
that begins with `HTTP`, so that an NSQ client learns that it took the wrong port.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import h11
from msgspec import Struct

from taskdash.clock import Clock
from taskdash.model.instants import Instant, seconds
from taskdash.turns import Turns

if TYPE_CHECKING:
    from taskdash.ingest.nsqd_http import NsqdHttp

HEAD_S, BODY_S, IDLE_S, LINGER_S = 10.0, 30.0, 60.0, 2.0
HEAD_BYTES = 32 * 1024
PORTION_BYTES = 4 * 1024
"""Chunks of one byte each cost so much that a turn reads only so many."""


class Request(Struct, frozen=True):
    """A whole request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str


class Response(Struct, frozen=True):
    """What goes back."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class HttpPeer(asyncio.Protocol):
    """A connected peer."""

    def __init__(self, endpoint: "NsqdHttp", clock: Clock, most_body_bytes: int) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._most = most_body_bytes
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._turns = Turns(self._receive, lambda: self._answering is not None, PORTION_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._transport: Any = None
        self._answering: asyncio.Task[None] | None = None
        self._ending = self._closed = False
        self._lingers_since: Instant | None = None
        self._quiet_since: Instant = clock.now()
        self._began_at: Instant | None = None
        self.address = self.peer = ""

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Admit the peer, or tell it that there is no room."""
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.address, self.peer = (str(name[0]), f"{name[0]}:{name[1]}") if name else ("?", "?")
        if refusal := self._endpoint.admit(self):
            self._last_word(503, b'{"message":"%b"}' % refusal.encode())
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone; what it sent is stored all the same."""
        self._closed = True
        self._endpoint.gone(self)

    def eof_received(self) -> bool:
        """The peer has said all; it still gets its answer."""
        self._ending = True
        return self._answering is not None

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._ending or self._closed:
            return
        self._turns.receive(data)
        self._turns.adjust(self._transport)

    def _receive(self, portion: bytes) -> None:
        if self._ending or self._closed:
            self._turns.stop()
            return
        self._began_at = self._began_at or self._clock.now()
        try:
            self._http.receive_data(portion)
        except h11.RemoteProtocolError:
            self._last_word(400, b'{"message":"BAD_REQUEST"}')
        else:
            self._read()
        self._turns.adjust(self._transport)

    def _read(self) -> None:
        try:
            while self._answering is None and not self._ending:
                event = self._http.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED):
                    return
                self._on_event(event)
        except h11.RemoteProtocolError as error:
            self._last_word(error.error_status_hint, b'{"message":"BAD_REQUEST"}')

    def _on_event(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self._request = event
            self._body.clear()
            self._welcome(event)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._most:
                self._last_word(413, b'{"message":"BODY_TOO_BIG"}')
            elif no_room := self._endpoint.unfinished.keep(self, len(self._body)):
                self._last_word(503, b'{"message":"%b"}' % no_room.encode())
        elif isinstance(event, h11.EndOfMessage):
            self._answering = asyncio.get_running_loop().create_task(self._answer())
        elif isinstance(event, h11.ConnectionClosed):
            self.end()

    def _welcome(self, request: h11.Request) -> None:
        length = dict(request.headers).get(b"content-length", b"0")
        if int(length) > self._most:
            self._last_word(413, b'{"message":"BODY_TOO_BIG"}')
        elif self._http.they_are_waiting_for_100_continue:
            self._transport.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))

    # answers

    async def _answer(self) -> None:
        head = self._request
        if head is None:
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        request = Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(self._body), self.peer)
        self._drop_body()
        response = await self._endpoint.answer(request)
        if not self._closed:
            self._send(response, has_body=head.method != b"HEAD")
        self._answering = None
        self._quiet_since, self._began_at = self._clock.now(), None
        if self._ending or self._http.our_state is not h11.DONE:
            self._close()
        elif not self._closed:
            self._http.start_next_cycle()
            self._read()
            self._turns.adjust(self._transport)

    def _send(self, response: Response, *, has_body: bool) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("X-NSQ-Content-Type", "nsq; version=1.0"),
            *([("Connection", "close")] if self._ending else []),
        ]
        parts = (
            h11.Response(status_code=response.status, headers=headers),
            h11.Data(data=response.body if has_body else b""),
            h11.EndOfMessage(),
        )
        self._transport.write(b"".join(self._http.send(part) or b"" for part in parts))

    def _last_word(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json; charset=utf-8\r\n"
        rest = f"X-NSQ-Content-Type: nsq; version=1.0\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        if self._closed or self._lingers_since is not None:
            return
        self._transport.write((head + rest).encode() + body)
        self._linger()

    def _linger(self) -> None:
        """Close so that the peer can read the last word: a close over unread bytes would reset the connection."""
        self._drop_body()
        self._turns.stop()
        self._ending = True
        self._lingers_since = self._clock.now()
        self._transport.write_eof()

    def _drop_body(self) -> None:
        self._body.clear()
        self._endpoint.unfinished.gone(self)

    # time

    def look(self, now: Instant) -> None:
        """End a peer that is too slow or idle for too long."""
        if self._lingers_since is not None and now - self._lingers_since > seconds(LINGER_S):
            self.abort()
        if self._answering is not None or self._ending:
            return
        if self._began_at is not None:
            allowed = HEAD_S if self._http.their_state is h11.IDLE else BODY_S
            if now - self._began_at > seconds(allowed):
                self._last_word(408, b'{"message":"REQUEST_TIMEOUT"}')
        elif now - self._quiet_since > seconds(IDLE_S):
            self._close()

    def forgive(self, stall: Instant) -> None:
        """TaskDash itself stood still for so long: that is not the peer's slowness (RELIABILITY R41)."""
        self._quiet_since += stall
        self._began_at = self._began_at and self._began_at + stall

    def end(self) -> None:
        """Answer what is under way, then close."""
        self._ending = True
        if self._answering is None:
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if not self._closed:
            self._transport.abort()
