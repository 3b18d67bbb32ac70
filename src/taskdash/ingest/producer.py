"""One producer's connection to the embedded endpoint: commands in, answers out in their order (NSQ.md C, traps 9 to 16).

Law: `OK` leaves only after the transaction that holds the message; an error frame that ends the connection leaves after the
answers still owed. Reading pauses while too much is unanswered or the peer does not read.
"""

import asyncio
import hmac
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from taskdash import telemetry
from taskdash.clock import Clock
from taskdash.errors import StoreRefused
from taskdash.model.admission import AN_ADDRESS, CONNECTIONS, Network, Tell, unheard
from taskdash.model.fields import safe_text
from taskdash.model.instants import Instant, seconds
from taskdash.turns import Turns
from taskdash.wire import nsq

if TYPE_CHECKING:
    from taskdash.ingest.nsqd_tcp import NsqdTcp

VERSION = "1.3.0"
"""What clients and nsqadmin take us for: the nsqd whose protocol this is."""
MOST_UNANSWERED, MOST_UNANSWERED_BYTES = 1_024, 8 * 1024 * 1024
MOST_UNSENT_BYTES = 64 * 1024
PORTION_BYTES = 32 * 1024
"""What a turn reads goes into the inbox as one entry: cut smaller, what came together would be two commits."""
HEARTBEAT_S, LINGER_S, HANDSHAKE_S = 30.0, 2.0, 10.0
COMMAND_S, UNREAD_S = 30.0, 600.0
"""A command must be whole so long after its first byte, also for a peer that wants no heartbeats; and so long may answers stay
unread."""


class Limits(Struct, frozen=True):
    """Settings of the listener."""

    message_bytes: int = 1_048_576
    connections: int = CONNECTIONS
    connections_an_address: int = AN_ADDRESS
    allow: tuple[Network, ...] = ()
    """Networks that may connect; empty: all."""
    on_refused: Tell = unheard


class _Owed:
    """An answer in its turn: None until it is known."""

    __slots__ = ("frame", "size")

    def __init__(self, frame: bytes | None, size: int = 0) -> None:
        self.frame = frame
        self.size = size


class Producer(asyncio.Protocol):
    """A connected producer."""

    def __init__(self, endpoint: "NsqdTcp", clock: Clock, limits: Limits, auth: str, tls: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._auth = auth
        self._on_refused = limits.on_refused
        self._tls = tls
        self._reader = nsq.CommandReader(limits.message_bytes)
        self._turns = Turns(self._read, self._is_full, PORTION_BYTES)
        self._owed: deque[_Owed] = deque()
        self._owed_bytes = 0
        self._transport: Any = None
        self._ending = False
        self._closed = False
        self._lingers_since: Instant | None = None
        self._peer_is_slow = False
        self._said_all = False
        self._wants_tls = self._is_handshaking = False
        self._is_secure = False
        self._is_known = not auth
        self.address = self.peer = ""
        self.heartbeat_s = HEARTBEAT_S
        self._partial_since: Instant | None = None
        self.last_heard_at: Instant = clock.now()
        self.last_beat_at: Instant = clock.now()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Admit the peer, or tell it why not."""
        self._transport = transport
        transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        name = transport.get_extra_info("peername")
        self.address, self.peer = (str(name[0]), f"{name[0]}:{name[1]}") if name else ("?", "?")
        if refusal := self._endpoint.admit(self):
            self._owe(nsq.frame(nsq.ERROR, refusal.encode()))
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or was ended by us; what it sent is stored all the same. May come twice (a failed handshake)."""
        if not self._closed:
            self._closed = True
            self._endpoint.gone(self)

    def eof_received(self) -> bool:
        """The peer has said all; it still gets its answers."""
        if self._lingers_since is not None:
            return False
        self.end()
        return not self._is_secure

    def pause_writing(self) -> None:
        """The peer does not read its answers."""
        self._peer_is_slow = True
        self._adjust_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._peer_is_slow = False
        self._adjust_reading()

    def data_received(self, data: bytes) -> None:
        """A peer that is refused or has said all is not heard any more."""
        if not self._ending:
            self._turns.receive(data)

    def _read(self, portion: bytes) -> None:
        """Obey the commands that are whole now."""
        if self._ending or self._closed:
            self._turns.stop()
            return
        commands = self._reader.feed(portion)
        now = self._clock.now()
        if commands:
            self.last_heard_at, self._partial_since = now, None
        self._partial_since = (self._partial_since or now) if self._reader.partial_bytes else None
        for command in commands:
            if self._wants_tls:
                self._fail("E_INVALID nothing may come between IDENTIFY and the TLS handshake")
            else:
                self._obey(command)
            if self._ending:
                break
        if no_room := self._endpoint.unfinished.keep(self, self._reader.partial_bytes):
            self._fail(f"E_BAD_BODY {no_room}")
        self._endpoint.flush_puts()
        self.flush()

    # commands

    def _obey(self, command: nsq.Command) -> None:
        if isinstance(command, nsq.Publish):
            self._publish(command)
        elif isinstance(command, nsq.Identify):
            self._identify(command)
        elif isinstance(command, nsq.Auth):
            self._authenticate(command)
        elif isinstance(command, nsq.Fatal):
            self._fail(command.text)

    def _publish(self, command: nsq.Publish) -> None:
        if self._must_be_secure():
            self._fail(f"E_INVALID cannot {command.command} in current state (TLS required)")
        elif not self._is_known:
            self._fail(f"E_AUTH_FIRST AUTH required before {command.command}")
        elif command.topic not in self._endpoint.topics:
            self._endpoint.saw_strange_topic(command.topic, self)
            wanted = " and ".join(self._endpoint.topics)
            text = f'E_BAD_TOPIC {command.command} topic name "{command.topic}" is not one of TaskDash\'s: {wanted}'
            self._owe(nsq.frame(nsq.ERROR, text.encode()))
        else:
            owed = _Owed(None, sum(map(len, command.bodies)))
            self._owed.append(owed)
            self._owed_bytes += owed.size
            self._endpoint.take(self, command, owed)

    def _must_be_secure(self) -> bool:
        """A secret is never told in the clear where TLS is offered (trap 30)."""
        return self._tls is not None and bool(self._auth) and not self._is_secure

    def answer(self, owed: _Owed, command: str, refused: StoreRefused | None) -> None:
        """Its transaction returned. A failed one ends the connection, as nsqd does."""
        if refused is None:
            owed.frame = nsq.OK
            return
        owed.frame = nsq.frame(nsq.ERROR, f"E_{command}_FAILED {command} failed {refused.detail}".encode())
        self._ending = True

    def _identify(self, wish: nsq.Identify) -> None:
        if wish.heartbeat_interval:
            self.heartbeat_s = 0.0 if wish.heartbeat_interval == -1 else wish.heartbeat_interval / 1_000
        if not wish.feature_negotiation:
            self._owe(nsq.OK)
            return
        self._wants_tls = wish.tls_v1 and self._tls is not None and not self._is_secure
        self._owe(nsq.frame(nsq.RESPONSE, self._features(wish, self._wants_tls)))

    def _features(self, wish: nsq.Identify, goes_secure: bool) -> bytes:
        return msgspec.json.encode(
            {
                "max_rdy_count": 2_500,
                "version": VERSION,
                "max_msg_timeout": 900_000,
                "msg_timeout": wish.msg_timeout or 60_000,
                "tls_v1": goes_secure,
                "deflate": False,
                "deflate_level": 6,
                "max_deflate_level": 6,
                "snappy": False,
                "sample_rate": 0,
                "auth_required": bool(self._auth),
                "output_buffer_size": wish.output_buffer_size or 16_384,
                "output_buffer_timeout": wish.output_buffer_timeout or 250,
            }
        )

    async def secure(self) -> None:
        """Take TLS up in place; the second answer of IDENTIFY goes inside it. Raises OSError when the peer cannot."""
        transport, loop = self._transport, asyncio.get_running_loop()
        self._transport = await loop.start_tls(
            transport,
            self,
            self._tls,  # type: ignore[arg-type]
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        self._transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        self._is_secure = True
        self._wants_tls = self._is_handshaking = self._turns.is_paused = False
        self._owe(nsq.OK)
        self.flush()

    def _authenticate(self, command: nsq.Auth) -> None:
        if not self._auth:
            self._fail("E_AUTH_DISABLED AUTH disabled")
        elif self._is_known:
            self._fail("E_INVALID AUTH already set")
        elif self._must_be_secure():
            self._fail("E_INVALID cannot AUTH in current state (TLS required)")
        elif not hmac.compare_digest(command.secret, self._auth.encode()):
            telemetry.secrets_refused.inc()
            self._on_refused(f"a wrong secret on NSQ, from {self.address}")
            self._fail("E_UNAUTHORIZED AUTH no authorizations found")
        else:
            self._is_known = True
            body = msgspec.json.encode({"identity": "producer", "identity_url": "", "permission_count": 1})
            self._owe(nsq.frame(nsq.RESPONSE, body))

    # answers

    def _owe(self, frame: bytes) -> None:
        self._owed.append(_Owed(frame))

    def _fail(self, text: str) -> None:
        self._owe(nsq.frame(nsq.ERROR, safe_text(text).encode()))
        self._ending = True
        self._reader.drop()
        self._endpoint.unfinished.gone(self)

    def flush(self) -> None:
        """Send what is answered, in the order of the commands, as one write."""
        ready: list[bytes] = []
        while self._owed and self._owed[0].frame is not None:
            owed = self._owed.popleft()
            self._owed_bytes -= owed.size
            ready.append(owed.frame or b"")
            if ready[-1][7:8] == b"\x01" and b"_FAILED" in ready[-1][:32]:
                self._owed.clear()
        if self._closed or self._lingers_since is not None or self._is_handshaking:
            return
        if ready:
            self._transport.write(b"".join(ready))
        if not self._owed and self._ending:
            self._leave()
        elif not self._owed and self._wants_tls:
            self._start_tls()
        else:
            self._adjust_reading()

    def _start_tls(self) -> None:
        """Only when every earlier answer has left in the clear; from here on the bytes belong to the handshake."""
        if self._reader.partial_bytes or self._turns.is_behind:
            self.abort()
            return
        self._is_handshaking = True
        self._transport.pause_reading()
        self._endpoint.start_tls(self)

    def _leave(self) -> None:
        """Close so that the peer can read the last word: a close over unread bytes would reset the connection."""
        if self._is_secure or self._endpoint.is_draining or self._said_all:
            self._transport.close()
            return
        self._lingers_since = self._clock.now()
        self._transport.write_eof()
        if self._turns.is_paused:
            self._transport.resume_reading()

    def _is_full(self) -> bool:
        too_much = len(self._owed) >= MOST_UNANSWERED or self._owed_bytes >= MOST_UNANSWERED_BYTES
        return self._peer_is_slow or too_much or self._endpoint.is_crowded

    def _adjust_reading(self) -> None:
        if self._turns.adjust(self._transport):
            self.last_heard_at = self._clock.now()

    # time

    def beat(self, now: Instant) -> None:
        """Send `_heartbeat_` when it is time; end a peer from which nothing came for two intervals (R77)."""
        if self._lingers_since is not None and now - self._lingers_since > seconds(LINGER_S):
            self.abort()
        if self._ending or self._is_handshaking:
            return
        self._adjust_reading()
        if self._is_too_slow(now):
            self.abort()
        if self._closed or not self.heartbeat_s:
            return
        interval = seconds(self.heartbeat_s)
        if not self._turns.is_paused and now - self.last_heard_at > 2 * interval:
            self.abort()
        elif now - self.last_beat_at >= interval:
            self.last_beat_at = now
            self._transport.write(nsq.HEARTBEAT)

    def _is_too_slow(self, now: Instant) -> bool:
        """A command that does not end, or answers that nobody reads. While we do not read, no rest can come."""
        if self._peer_is_slow and now - self.last_heard_at > seconds(UNREAD_S):
            return True
        began = None if self._turns.is_paused else self._partial_since
        return began is not None and now - began > seconds(COMMAND_S)

    def forgive(self, stall: Instant) -> None:
        """TaskDash itself stood still for so long: that is not the peer's silence (RELIABILITY R41)."""
        self.last_heard_at += stall
        self._partial_since = self._partial_since and self._partial_since + stall

    def end(self) -> None:
        """Read no more, send what is owed, close."""
        self._ending = self._said_all = True
        self.flush()

    def abort(self) -> None:
        """Close at once."""
        if not self._closed:
            self._transport.abort()
            self.connection_lost(None)
