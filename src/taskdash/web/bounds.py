"""The httptools protocol under our own bounds: it has neither size nor deadline itself. RELIABILITY F14, F15, R81-R84, R103.

Law: what a client sends before it is understood is bounded in bytes and in time. A head: 32 KiB, 100 fields, 10 s. A body: at
least 1 KiB/s. After an answer that came before the end of the body, two more seconds to read it, then the connection closes.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from taskdash.model.admission import CONNECTIONS, Crowd
from taskdash.turns import Turns
from taskdash.web.headers import plain_problem

HEADER_BYTES, HEADERS, URL_BYTES = 32 * 1024, 100, 8 * 1024
HEADER_S = 10.0
BODY_WINDOW_S, BODY_WINDOW_BYTES = 10.0, 10 * 1024
PORTION_BYTES = 4 * 1024
"""A turn reads so much: a request may be 40 bytes, and each becomes a task."""
LINGER_S, THROWN_AWAY_BYTES = 2.0, 4 * 1024 * 1024
CHUNK_OVERHEAD_BYTES, CHUNK_OVERHEAD_FACTOR = 16 * 1024, 8
MOST_CONNECTIONS, MOST_PER_ADDRESS = CONNECTIONS, 256
_SENTENCES = {
    400: "the request is not valid HTTP",
    408: "the request was not whole in time",
    414: f"the url must have at most {URL_BYTES} bytes",
    431: f"the head must have at most {HEADER_BYTES} bytes and {HEADERS} fields",
    503: "too many connections",
}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CROWD = Crowd()


class Connections(ServerState):
    """The open connections, counted by address. Loopback and trusted proxies have no cap of their own."""

    def __init__(self, exempt: Sequence[Network] = (), crowd: Crowd = _CROWD) -> None:
        super().__init__()
        self._crowd = crowd
        self._exempt = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"), *exempt)
        self._of_address: Counter[str] = Counter()

    def entered(self, address: str) -> bool:
        """Count one more; False when it is one too many."""
        self._of_address[address] += 1
        full = len(self.connections) > min(self._crowd.most, MOST_CONNECTIONS)
        enters = not full and (self._of_address[address] <= MOST_PER_ADDRESS or self._is_exempt(address))
        if not enters:
            self._crowd.on_refused("the HTTP listener or an address has its connections")
        return enters

    def left(self, address: str) -> None:
        """One less."""
        self._of_address[address] -= 1
        if self._of_address[address] <= 0:
            del self._of_address[address]

    def _is_exempt(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._exempt)


ABORT = "taskdash.abort"
"""The ASGI extension by which a route ends a connection whose peer does not read."""


def abort(scope: Mapping[str, Any]) -> None:
    """Drop the connection of a request with all that it has not read (RELIABILITY R52)."""
    extensions: Mapping[str, Any] = scope.get("extensions") or {}
    if held := extensions.get(ABORT):
        held["transport"].abort()


class _Phase(Enum):
    IDLE = 1
    """Between requests: uvicorn's keep-alive timer runs, or ours before the first."""
    HEAD = 2
    BODY = 3
    OVER = 4
    """Refused: what still comes is thrown away, so that the client reads why before the connection is gone."""


class _Refused(Exception):
    """Ends parsing; httptools reports it as a parser error."""


class BoundedHttp(HttpToolsProtocol):
    """Counts and times what comes; ends what is too long or too slow."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        self._phase = _Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._refusal = 400
        self._raw_bytes = self._body_bytes = self._window_bytes = 0
        self._turns = Turns(self._read, lambda: bool(self.pipeline), PORTION_BYTES)
        self._is_reading_held = False
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if isinstance(self.server_state, Connections) and not self.server_state.entered(self._address):
            self._end(503)
        else:
            self._wait(HEADER_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and read nothing more of what came."""
        self._wait(None)
        self._turns.stop()
        if isinstance(self.server_state, Connections):
            self.server_state.left(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Requests that come before their turn wait unread."""
        self._turns.receive(data)
        self._hold_reading()

    def _hold_reading(self) -> None:
        """The transport reads no more while bytes wait for their turn; uvicorn's own flow control goes on beside it."""
        if self.transport.is_closing():
            return
        if self._turns.is_behind:
            self._is_reading_held = True
            self.transport.pause_reading()
        elif self._is_reading_held:
            self._is_reading_held = False
            if not self.flow.read_paused:
                self.transport.resume_reading()

    def _read(self, data: bytes) -> None:
        """Count, then parse."""
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD)
        self._raw_bytes += len(data)
        if self._phase is _Phase.OVER:
            if self._raw_bytes > THROWN_AWAY_BYTES:
                self.transport.abort()
            return
        super().data_received(data)
        self._hold_reading()
        if self._phase is _Phase.HEAD and self._raw_bytes > HEADER_BYTES + URL_BYTES:
            self._end(431)
        elif self._phase is _Phase.BODY and self._is_mostly_framing():
            self._end(400)

    def _is_mostly_framing(self) -> bool:
        """Chunk extensions and trailers, instead of a body."""
        framing = self._raw_bytes - self._body_bytes
        return framing > HEADER_BYTES + CHUNK_OVERHEAD_BYTES + CHUNK_OVERHEAD_FACTOR * self._body_bytes

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._phase is not _Phase.HEAD:
            self._enter(_Phase.HEAD)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Part of the url."""
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those after the body are no fields of the request."""
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)
            if len(self.headers) > HEADERS:
                self._refuse(431)

    def on_headers_complete(self) -> None:
        """A head is whole: is it within the bounds?"""
        if sum(len(name) + len(value) for name, value in self.headers) > HEADER_BYTES:
            self._refuse(431)
        self._enter(_Phase.BODY)
        self.scope["extensions"] = {ABORT: {"transport": self.transport}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the connection of one that was answered before is not kept."""
        self._enter(_Phase.IDLE)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.transport.close()

    def on_response_complete(self) -> None:
        """An answer before the end of the body ends the connection: nobody reads the rest (R84)."""
        super().on_response_complete()
        self._turns.resume()
        self._hold_reading()
        if self._phase is _Phase.BODY and not self.transport.is_closing():
            self._wait(LINGER_S, self.transport.close)

    def shutdown(self) -> None:
        """The server drains: a request that is not whole is not waited for (R16)."""
        if self._phase is _Phase.BODY:
            self._end(408)
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for all that the parser, or one of the bounds, refused."""
        del msg
        self._end(self._refusal)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._raw_bytes = self._body_bytes = self._window_bytes = 0
        if phase is _Phase.HEAD:
            self._wait(HEADER_S, self._end, 408)
        elif phase is _Phase.BODY:
            self._wait(BODY_WINDOW_S, self._look_at_body)
        elif phase is _Phase.OVER:
            self._wait(LINGER_S, self.transport.abort)
        else:
            self._wait(None)

    def _look_at_body(self) -> None:
        """Ten seconds of a body have passed: did enough come? While we do not read, the client cannot be blamed."""
        if self._raw_bytes - self._window_bytes < BODY_WINDOW_BYTES and not self.flow.read_paused:
            self._end(408)
            return
        self._window_bytes = self._raw_bytes
        self._wait(BODY_WINDOW_S, self._look_at_body)

    def _wait(self, duration_s: float | None, then: Any = None, *arguments: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if duration_s is None else self.loop.call_later(duration_s, then, *arguments)

    def _refuse(self, status: int) -> None:
        self._refusal = status
        raise _Refused

    def _end(self, status: int) -> None:
        """Answer and close; when an answer is under way already, close."""
        if self.transport.is_closing() or self._phase is _Phase.OVER:
            return
        running = self.cycle is not None and not self.cycle.response_complete
        if running and self.cycle.response_started:
            self.transport.close()
            return
        if running:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._enter(_Phase.OVER)
        self.transport.write(plain_problem(status, _SENTENCES[status]))
        self.transport.write_eof()
        self.flow.resume_reading()
