"""One TCP connection of SPEC 5: packs in, answers out in their order, never more in hand than allowed.

Law: a request is dispatched only when the ones before it of the other kind are answered, so that a pipelined Find sees the
Register before it. Reading pauses while the peer does not read (RELIABILITY R70) or too much is unanswered.
"""

import asyncio
import hmac
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from taskdash import telemetry
from taskdash.actions.tasks import TaskRequest
from taskdash.clock import Clock
from taskdash.errors import Busy, TaskDashError, Unauthorized
from taskdash.model.admission import AN_ADDRESS, CONNECTIONS, Network, Tell, unheard
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor
from taskdash.tcp import replies
from taskdash.tcp.batches import Find
from taskdash.turns import Turns
from taskdash.wire import pack

if TYPE_CHECKING:
    from taskdash.tcp.server import TcpServer

MOST_UNANSWERED, MOST_UNANSWERED_BYTES = 1_024, 256 * 1024
MOST_UNSENT_BYTES = 64 * 1024
MOST_WRONG_TOKENS = 10
"""After so many the connection ends: who guesses is slower, and is seen."""
MOST_FOUND_BYTES, A_FIND_BYTES = 128 * 1024, 4 * 1024
"""So much a connection's Finds under way may bring, judged by the largest of the last answers; what one is taken for at first
(RELIABILITY R105)."""


class Limits(Struct, frozen=True):
    """Settings of the listener; seconds and bytes."""

    frame_bytes: int = 1_048_576
    frame_s: float = 10.0
    """A pack must be whole this long after its first byte (RELIABILITY R68)."""
    heartbeat_silence_s: float = 30.0
    idle_s: float = 600.0
    connections: int = CONNECTIONS
    connections_an_address: int = AN_ADDRESS
    allow: tuple[Network, ...] = ()
    """Networks that may connect; empty: all."""
    on_refused: Tell = unheard


class Waiting:
    """One request between its pack and its answer."""

    __slots__ = ("body", "connection", "dispatched", "request", "size")

    def __init__(self, connection: "Connection", request: pack.Request, size: int = 0) -> None:
        self.connection = connection
        self.request = request
        self.size = size
        self.body: bytes | None = None
        self.dispatched = False

    @property
    def is_find(self) -> bool:
        """Finds and writes are dispatched in turns."""
        return self.request.request_id == "Find"

    def answer(self, body: bytes) -> None:
        """Keep the body until the answers before it are sent."""
        self.body = body

    def flush(self) -> None:
        """Let the connection send what is answered."""
        self.connection.flush()


class Connection(asyncio.Protocol):
    """A peer. `server` gathers its requests with everybody's."""

    def __init__(self, server: "TcpServer", clock: Clock, limits: Limits, token: str) -> None:
        self._server = server
        self._clock = clock
        self._limits = limits
        self._token = token
        self._reader = pack.PackReader(limits.frame_bytes)
        self._turns = Turns(self._read, self._is_full)
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self._wrong_tokens = 0
        self._largest_bytes = A_FIND_BYTES
        self._transport: Any = None
        self._peer_is_slow = False
        self._ending = False
        self._closed = False
        self.actor = Actor(type="connection", id="", channel="tcp")
        self.address = ""
        self.vouches = False
        """It sent a heartbeat notice: its tasks are stale when it is gone (SPEC 5)."""
        self.registered: set[str] = set()
        self.last_heard_at: Instant = clock.now()
        self.partial_since: Instant | None = None

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Admit the peer, or tell it in one line why not."""
        self._transport = transport
        transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        self.actor = Actor(type="connection", id=f"{peer[0]}:{peer[1]}" if peer else "?", channel="tcp")
        refusal = self._server.admit(self)
        if refusal:
            self._refuse_all(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or was ended by us."""
        self._closed = True
        self._server.gone(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: stop reading its requests."""
        self._peer_is_slow = True
        self._adjust_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._peer_is_slow = False
        self._dispatch()
        self._adjust_reading()

    def eof_received(self) -> bool:
        """The peer has said all (`printf ... | nc`): it still gets its answers."""
        self.end()
        return True

    def data_received(self, data: bytes) -> None:
        """A peer that is refused or has said all is not heard any more."""
        if not self._ending:
            self._turns.receive(data)

    def _read(self, portion: bytes) -> None:
        """Cut the bytes into packs and put each where it belongs."""
        if self._ending or self._closed:
            self._turns.stop()
            return
        now = self._clock.now()
        self.last_heard_at = now
        packs = self._reader.feed(portion)
        for raw in packs:
            if self._ending:
                break
            self._take(pack.decode(raw), len(raw))
        began = None if packs else self.partial_since
        self.partial_since = (began or now) if self._reader.partial_bytes else None
        no_room = self._server.unfinished.keep(self, self._reader.partial_bytes)
        if error := self._reader.lost or (Busy(no_room) if no_room else None):
            self._refuse_all(error)
        self._dispatch()
        self.flush()

    # requests

    def _take(self, request: pack.Request, size: int) -> None:
        if request.is_heartbeat and request.error is None:
            self._server.beats(self)
            return
        waiting = Waiting(self, request, size)
        self._queue.append(waiting)
        self._queued_bytes += size
        error = request.error or self._unauthorized(request)
        if error:
            waiting.dispatched = True
            waiting.answer(replies.refused(request.id, error))

    def _unauthorized(self, request: pack.Request) -> TaskDashError | None:
        if not self._token or hmac.compare_digest(request.token.encode(), self._token.encode()):
            return None
        telemetry.secrets_refused.inc()
        self._limits.on_refused(f"a wrong token on the TCP interface, from {self.address}")
        self._wrong_tokens += 1
        self._ending = self._ending or self._wrong_tokens >= MOST_WRONG_TOKENS
        return Unauthorized("Header.Token is missing or not the token of this listener")

    def _dispatch(self) -> None:
        """Hand over the next requests of one kind; the other kind waits for their answers, a Find for room too."""
        under_way: bool | None = None
        room = 0 if self._peer_is_slow else max(1, MOST_FOUND_BYTES // self._largest_bytes)
        for waiting in self._queue:
            if waiting.body is not None:
                continue
            if under_way is not None and waiting.is_find != under_way:
                break
            under_way = waiting.is_find
            if waiting.is_find and (room := room - 1) < 0:
                break
            if not waiting.dispatched:
                waiting.dispatched = True
                self._hand_over(waiting)

    def _hand_over(self, waiting: Waiting) -> None:
        request = waiting.request
        if request.fields is None:
            raise AssertionError("a request without an error has its fields")
        if waiting.is_find:
            self._server.finds.put(Find(request.id), waiting)
            return
        kind: Literal["register", "update"] = "register" if request.request_id == "Register" else "update"
        self._server.writes.put(TaskRequest(kind=kind, fields=request.fields, actor=self.actor), waiting)
        if kind == "register":
            self._server.registers(self, request.id)

    # answers

    def flush(self) -> None:
        """Send what is answered, in the order of the requests, as one write."""
        framing = self._reader.framing or pack.Framing.LINES
        ready: list[bytes] = []
        while self._queue and (body := self._queue[0].body) is not None:
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            ready.append(pack.encode(framing, waiting.request, body))
        if ready:
            self._largest_bytes = max(map(len, ready))
            telemetry.tcp_requests.inc(len(ready))
        if ready and not self._closed:
            self._transport.write(b"".join(ready))
        if self._queue:
            self._dispatch()
        elif self._ending and not self._closed:
            self._transport.close()
        self._adjust_reading()

    def _refuse_all(self, error: TaskDashError) -> None:
        """One last answer after those still owed, then the end; what it began to send is not kept for it."""
        self._reader.drop()
        self._server.unfinished.gone(self)
        waiting = Waiting(self, pack.Request(pack.REQUEST))
        waiting.dispatched = True
        waiting.answer(replies.refused("", error))
        self._queue.append(waiting)
        self._ending = True
        self.flush()

    def _is_full(self) -> bool:
        too_much = len(self._queue) >= MOST_UNANSWERED or self._queued_bytes >= MOST_UNANSWERED_BYTES
        return self._peer_is_slow or too_much

    def _adjust_reading(self) -> None:
        if self._turns.adjust(self._transport):
            self.last_heard_at = self._clock.now()

    # time

    def is_overdue(self, now: Instant) -> bool:
        """Silent for too long (SPEC 5), or a pack that does not end (R68). What waits for us is not its silence."""
        if self._queue or self._turns.is_paused:
            return self._peer_is_slow and now - self.last_heard_at > seconds(self._limits.idle_s)
        silence_s = self._limits.heartbeat_silence_s if self.vouches else self._limits.idle_s
        if self.partial_since is not None and now - self.partial_since > seconds(self._limits.frame_s):
            return True
        return now - self.last_heard_at > seconds(silence_s)

    def end(self) -> None:
        """Stop reading, send what is owed, close."""
        self._ending = True
        if not self._queue and not self._closed:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if not self._closed:
            self._transport.abort()
