"""One connection of the cluster consumer to one nsqd for one topic (NSQ.md A, E).

Law: FIN leaves only after the transaction that holds the message; while the store refuses, RDY is 0, what is in hand is kept,
touched and put again. A connection that breaks with messages in hand stores them all the same, and only their FINs are lost.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from taskdash.clock import Clock
from taskdash.errors import StoreRefused
from taskdash.health import Inputs
from taskdash.ingest.inbox import Inbox
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Message
from taskdash.wire import nsq

CONNECT_S, ANSWER_S, CLOSE_WAIT_S = 5.0, 5.0, 1.0
HEARTBEAT_S = 5.0
TOUCH_AFTER_S, GIVE_BACK_AFTER_S, PUT_AGAIN_S = 10.0, 870.0, 1.0
LOOK_EVERY_S = 1.0
"""How often silence and overdue messages are looked for; more often when msg_timeout is short."""
MOST_UNASKED = 16
"""Frames kept that nobody asked for; nsqd sends one at most, the error before it hangs up."""
_CLOSE_WAIT = b"CLOSE_WAIT"
_KEEPS_THE_CONNECTION = (b"E_FIN_FAILED", b"E_REQ_FAILED", b"E_TOUCH_FAILED")


class Config(Struct, frozen=True):
    """Settings of the consumer; `output_buffer_ms` None: nothing waits in nsqd's output buffer (NSQ.md A.4)."""

    nsq_channel: str = "taskdash"
    max_in_flight: int = 2_500
    msg_timeout_s: float = 15.0
    output_buffer_ms: int | None = None
    auth: str = ""
    tls: ssl.SSLContext | None = None


class _Features(Struct, frozen=True):
    """What nsqd answers to IDENTIFY, as far as it matters here."""

    max_rdy_count: int
    tls_v1: bool = False
    auth_required: bool = False


_features = msgspec.json.Decoder(_Features)


class Broken(Exception):
    """The connection cannot go on; the sentence is for /readyz and the evidence of liveness."""


class _Hand(Struct):
    """Messages of one read, until they are finished."""

    ids: Sequence[bytes]
    messages: Sequence[Message]
    since: Instant
    touched_at: Instant


class Subscription(asyncio.Protocol):
    """Connects, subscribes, and takes messages until the connection ends."""

    def __init__(self, node: str, topic: str, config: Config, inbox: Inbox, clock: Clock, inputs: Inputs) -> None:
        self.node, self.topic = node, topic
        self._config = config
        self._inbox = inbox
        self._clock = clock
        self._inputs = inputs
        self._source = f"nsqd:{node}"
        self._reader = nsq.FrameReader()
        self._transport: Any = None
        self._answers: asyncio.Queue[nsq.Frame] = asyncio.Queue()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hands: list[_Hand] = []
        self._heard_at: Instant = clock.now()
        self._most_rdy = 1
        self._rdy = 0
        self._is_closing = False
        self.on_change: Callable[[], None] = lambda: None
        """Called when it begins or ceases to be subscribed."""
        self.is_subscribed = False

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Also called again when TLS is up."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """nsqd has gone."""
        if not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Frames: answers, heartbeats, messages."""
        self._heard_at = self._clock.now()
        try:
            frames = self._reader.feed(data)
            deliveries = [nsq.delivery(frame.body) for frame in frames if frame.kind == nsq.MESSAGE]
        except ValueError:
            self._transport.abort()
            return
        for frame in frames:
            if frame.kind != nsq.MESSAGE:
                self._on_frame(frame)
        if deliveries:
            self._take(deliveries)

    def _on_frame(self, frame: nsq.Frame) -> None:
        if frame.body == b"_heartbeat_":
            self._write(b"NOP\n")
        elif frame.kind == nsq.ERROR and frame.body.startswith(_KEEPS_THE_CONNECTION):
            return
        elif self._answers.qsize() < MOST_UNASKED:
            self._answers.put_nowait(frame)

    def _write(self, sent: bytes) -> None:
        """Nothing once the connection has gone: uvloop raises then, where asyncio is silent (R41)."""
        if not self._transport.is_closing():
            self._transport.write(sent)

    # the life of the connection

    async def run(self) -> None:
        """Connect and take messages until the connection ends. Raises Broken with the reason."""
        try:
            await self._begin()
            self.is_subscribed = True
            self.on_change()
            await self._stay()
        except TimeoutError:
            raise Broken("no answer in time") from None
        except (OSError, UnicodeError) as error:  # a host name that cannot be one is a UnicodeError
            raise Broken(f"{type(error).__name__}: {error}") from None
        finally:
            self.is_subscribed = False
            if self._transport is not None:
                self._transport.abort()
            self.on_change()

    async def _begin(self) -> None:
        host, _, port = self.node.rpartition(":")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S):
            await loop.create_connection(lambda: self, host.strip("[]"), int(port))
        self._write(nsq.MAGIC + nsq.with_body(b"IDENTIFY", self._wishes()))
        features = await self._features()
        self._most_rdy = max(1, features.max_rdy_count)
        if self._config.tls is not None:
            await self._take_up_tls(features)
        if features.auth_required:
            self._write(nsq.with_body(b"AUTH", self._config.auth.encode()))
            await self._answer("AUTH")
        self._write(f"SUB {self.topic} {self._config.nsq_channel}\n".encode())
        await self._answer("SUB")

    def _wishes(self) -> bytes:
        buffer = self._config.output_buffer_ms
        return msgspec.json.encode(
            {
                "client_id": "taskdash",
                "hostname": "taskdash",
                "user_agent": "taskdash",
                "feature_negotiation": True,
                "heartbeat_interval": int(HEARTBEAT_S * 1_000),
                "msg_timeout": int(self._config.msg_timeout_s * 1_000),
                "output_buffer_size": -1 if buffer is None else 65_536,
                "output_buffer_timeout": -1 if buffer is None else buffer,
                "tls_v1": self._config.tls is not None,
            }
        )

    async def _features(self) -> _Features:
        body = await self._answer("IDENTIFY")
        try:
            return _features.decode(body)
        except (msgspec.DecodeError, UnicodeError):
            raise Broken(f"nsqd answered IDENTIFY with {body[:40]!r}") from None

    async def _take_up_tls(self, features: _Features) -> None:
        if not features.tls_v1:
            raise Broken("TLS is wanted by nsq.tls_ca, but this nsqd does not offer it")
        loop = asyncio.get_running_loop()
        host = self.node.rpartition(":")[0].strip("[]")
        async with asyncio.timeout(CONNECT_S):
            tls = self._config.tls
            self._transport = await loop.start_tls(self._transport, self, tls, server_hostname=host)  # type: ignore[arg-type]
        await self._answer("TLS")

    async def _answer(self, what: str) -> bytes:
        """The next answer. Raises Broken when it is an error, or the connection ended."""
        waiting = asyncio.ensure_future(self._answers.get())
        either: list[asyncio.Future[Any]] = [waiting, self._closed]
        try:
            await asyncio.wait(either, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            has_come = waiting.done()
            waiting.cancel()
        if not has_come:
            raise Broken(f"nsqd did not answer {what}")
        frame = waiting.result()
        if frame.kind == nsq.ERROR:
            raise Broken(f"nsqd refused {what}: {frame.body[:200].decode('utf-8', 'replace')}")
        return frame.body

    async def _stay(self) -> None:
        while not self._closed.done():
            sleeping = asyncio.ensure_future(self._clock.sleep(min(LOOK_EVERY_S, self._config.msg_timeout_s / 6)))
            try:
                await asyncio.wait([sleeping, self._closed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
            self._look(self._clock.now())
        if not self._is_closing:
            raise Broken(self._last_error() or "nsqd closed the connection")

    def _last_error(self) -> str:
        while not self._answers.empty():
            frame = self._answers.get_nowait()
            if frame.kind == nsq.ERROR:
                return f"nsqd said {frame.body[:200].decode('utf-8', 'replace')}"
        return ""

    def _look(self, now: Instant) -> None:
        """Watchdog and TOUCH."""
        if now - self._heard_at > seconds(2 * HEARTBEAT_S):
            self._transport.abort()
            return
        for hand in list(self._hands):
            if now - hand.since > seconds(GIVE_BACK_AFTER_S):
                self._hands.remove(hand)
                self._write(b"".join(map(nsq.requeue, hand.ids)))
            elif now - hand.touched_at > seconds(min(TOUCH_AFTER_S, self._config.msg_timeout_s * 2 / 3)):
                hand.touched_at = now
                self._write(b"".join(nsq.settle(b"TOUCH", message_id) for message_id in hand.ids))

    # messages

    def _take(self, deliveries: Sequence[nsq.Delivery]) -> None:
        now = self._clock.now()
        messages = [Message(self.topic, d.body, min(d.at, now), self._source) for d in deliveries]
        lags = [now - d.at for d in deliveries]
        self._inputs.heard(self._source, max(lags), min(lags))
        hand = _Hand([d.id for d in deliveries], messages, now, now)
        self._hands.append(hand)
        self._put(hand)

    def _put(self, hand: _Hand) -> None:
        self._inbox.put(hand.messages, lambda refused: self._settled(hand, refused))

    def _settled(self, hand: _Hand, refused: StoreRefused | None) -> None:
        if refused is not None:
            asyncio.get_running_loop().call_later(PUT_AGAIN_S, self._put, hand)  # also when the connection has gone
        elif hand in self._hands:
            self._hands.remove(hand)
            if not self._closed.done():
                self._write(b"".join(nsq.settle(b"FIN", message_id) for message_id in hand.ids))

    def give_rdy(self, share: int) -> None:
        """How many messages this connection may have in flight; 0: none for now."""
        self._send_rdy(min(share, self._most_rdy))

    def _send_rdy(self, count: int) -> None:
        if self.is_subscribed and not self._is_closing and count != self._rdy:
            self._rdy = count
            self._write(f"RDY {count}\n".encode())

    # the end

    def stop_intake(self) -> None:
        """Ask for no more."""
        self._send_rdy(0)
        self._is_closing = True

    async def say_goodbye(self) -> None:
        """CLS, and wait for CLOSE_WAIT: after it nsqd sends no more messages."""
        self._is_closing = True
        if not self.is_subscribed or self._closed.done():
            return
        self._write(b"CLS\n")
        with contextlib.suppress(TimeoutError, Broken):
            async with asyncio.timeout(CLOSE_WAIT_S):
                while await self._answer("CLS") != _CLOSE_WAIT:
                    continue

    async def close(self) -> None:
        """Give back what is still in hand, so that nobody waits for it until msg_timeout (trap 3), and close.

        nsqd ends the connection once it has read all; to end it sooner could lose FINs that are still on their way.
        """
        if self._transport is None or self._closed.done():
            return
        self._write(b"".join(nsq.requeue(i) for hand in self._hands for i in hand.ids))
        if self._transport.can_write_eof():
            self._transport.write_eof()
            await asyncio.wait([self._closed], timeout=CLOSE_WAIT_S)
        self._transport.close()
        await asyncio.wait([self._closed], timeout=CLOSE_WAIT_S)
