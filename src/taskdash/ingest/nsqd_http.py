"""nsqd's HTTP as producers and nsqadmin use it: /pub, /mpub, /ping, /info, /stats, /topic/create (NSQ.md C, RELIABILITY R78).

Law: 200 `OK` leaves only after the transaction. A page of another site in a local browser may not publish. The listener is
the input `nsq-http`.
"""

import asyncio
import contextlib
import hmac
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from taskdash import telemetry
from taskdash.clock import Clock, every
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.ingest.http_peer import HttpPeer, Request, Response
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.producer import VERSION, Limits
from taskdash.model.admission import Admission, Unfinished
from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.model.records import Message
from taskdash.wire import nsq

INPUT = "nsq-http"
_LOOK_EVERY_S, _STALL_S = 1.0, 1.0
_DEFER_MOST_MS = 3_600_000


class Refused(Exception):
    """An answer other than 200: nsqd's own word for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = Response(status, msgspec.json.encode({"message": message}), "application/json; charset=utf-8")


class _Seen(Struct):
    messages: int = 0
    bytes: int = 0


class NsqdHttp:
    """Listens for producers by HTTP. `topics`: services, heartbeats. `tcp_port`: of the TCP side, for /info."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        inputs: Inputs,
        parts: Parts,
        topics: tuple[str, str],
        limits: Limits,
        *,
        auth: str = "",
        tcp_port: Callable[[], int] = lambda: 0,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._inputs = inputs
        self._parts = parts
        self._topics = topics
        self._limits = limits
        self._auth = auth
        self._tcp_port = tcp_port
        self._port = 0
        self._started_at = clock.now()
        self._looked_at: Instant = clock.now()
        self._is_draining = False
        self._last_at: Instant = 0
        self._seen = {topic: _Seen() for topic in topics}
        self._peers: set[HttpPeer] = set()
        self._admission = Admission(limits.allow, limits.connections, limits.connections_an_address, limits.on_refused)
        self.unfinished = Unfinished()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._routes = {
            "/ping": ({"GET"}, self._ping),
            "/info": ({"GET"}, self._info),
            "/stats": ({"GET"}, self._stats),
            "/pub": ({"POST"}, self._pub),
            "/mpub": ({"POST"}, self._mpub),
            "/topic/create": ({"POST"}, self._create),
        }

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address in use. Raises OSError when it is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: HttpPeer(self, self._clock, nsq.BODY_BYTES), host, port, backlog=1_024
        )
        self._parts.report("nsq-http")
        self._inputs.report(INPUT, healthy=True)
        name = self._server.sockets[0].getsockname()
        self._port, self._looked_at = int(name[1]), self._clock.now()
        return str(name[0]), self._port

    async def run(self) -> None:
        """End slow peers until cancelled."""
        await every(self._clock, _LOOK_EVERY_S, self._look)

    async def _look(self) -> None:
        now = self._clock.now()
        stall = now - self._looked_at - seconds(_LOOK_EVERY_S)
        self._looked_at = now
        for peer in list(self._peers):
            if stall > seconds(_STALL_S):
                peer.forgive(stall)
            peer.look(now)
        if not self._is_draining:
            reason = self._inbox.why_deaf(self._parts)
            self._inputs.report(INPUT, healthy=not reason, reason=reason)

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting, answer what was taken in, close."""
        self._is_draining = True
        self._inputs.report(INPUT, healthy=False, reason="TaskDash is stopping")
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers):
            peer.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
        for peer in list(self._peers):
            peer.abort()

    # called by peers

    def admit(self, peer: HttpPeer) -> str:
        """Why the peer is refused; empty: it is admitted (R103)."""
        self._peers.add(peer)
        self._empty.clear()
        return self._admission.admit(peer.address)

    def gone(self, peer: HttpPeer) -> None:
        """Forget the peer."""
        self._peers.discard(peer)
        self._admission.gone(peer.address)
        self.unfinished.gone(peer)
        if not self._peers:
            self._empty.set()

    async def answer(self, request: Request) -> Response:
        """The response to one request."""
        try:
            return await self._route(request)
        except Refused as refused:
            return refused.response

    async def _route(self, request: Request) -> Response:
        try:
            parts = urlsplit(request.target)
        except ValueError:
            raise Refused(400, "INVALID_REQUEST") from None
        if parts.path not in self._routes:
            raise Refused(404, "NOT_FOUND")
        methods, act = self._routes[parts.path]
        if request.method not in methods:
            raise Refused(405, "METHOD_NOT_ALLOWED")
        if request.method == "POST":
            self._check_sender(request)
        query = parse_qs(parts.query, keep_blank_values=True)
        return await act(request, {name: values[0] for name, values in query.items()})

    def _check_sender(self, request: Request) -> None:
        headers = request.headers
        site = headers.get("sec-fetch-site", "none")
        if site not in {"none", "same-origin"} or "origin" in headers:
            raise Refused(403, "FORBIDDEN")
        told = headers.get("authorization", "").encode("latin-1", "replace")
        if self._auth and not hmac.compare_digest(told, f"Bearer {self._auth}".encode()):
            telemetry.secrets_refused.inc()
            self._limits.on_refused(f"a wrong secret on NSQ by HTTP, from {request.peer}")
            raise Refused(403, "E_UNAUTHORIZED")

    # routes

    async def _ping(self, _request: Request, _query: Mapping[str, str]) -> Response:
        if reason := self._inbox.why_deaf(self._parts):
            return Response(500, f"NOK - {reason}".encode())
        return Response(200, b"OK")

    async def _info(self, _request: Request, _query: Mapping[str, str]) -> Response:
        host = socket.gethostname()
        return _json(
            {
                "version": VERSION,
                "broadcast_address": host,
                "hostname": host,
                "http_port": self._port,
                "tcp_port": self._tcp_port(),
                "start_time": int(in_seconds(self._started_at)),
                "max_heartbeat_interval": 60_000_000_000,
                "max_output_buffer_size": 65_536,
                "max_output_buffer_timeout": 30_000_000_000,
                "max_deflate_level": 6,
            }
        )

    async def _stats(self, _request: Request, query: Mapping[str, str]) -> Response:
        wanted = query.get("topic", "")
        topics = [_topic(name, seen) for name, seen in self._seen.items() if wanted in {"", name}]
        if query.get("format") != "json":
            lines = "".join(f"   [{t['topic_name']:<15}] depth: 0  be-depth: 0  msgs: {t['message_count']}\n" for t in topics)
            return Response(200, f"nsqd v{VERSION} (TaskDash)\n\nHealth: OK\n\nTopics:\n{lines}".encode())
        memory = {name: 0 for name in ("heap_objects", "heap_idle_bytes", "heap_in_use_bytes", "heap_released_bytes")}
        return _json(
            {
                "version": VERSION,
                "health": "OK",
                "start_time": int(in_seconds(self._started_at)),
                "topics": topics,
                "memory": memory,
                "producers": None,
            }
        )

    async def _create(self, _request: Request, query: Mapping[str, str]) -> Response:
        self._topic_of(query)
        return Response(200, b"")

    async def _pub(self, request: Request, query: Mapping[str, str]) -> Response:
        if len(request.body) > self._limits.message_bytes:
            raise Refused(413, "MSG_TOO_BIG")
        if not request.body:
            raise Refused(400, "MSG_EMPTY")
        topic = self._topic_of(query)
        defer = query.get("defer")
        if defer is not None and not (defer.isascii() and defer.isdigit() and int(defer[:12]) <= _DEFER_MOST_MS):
            raise Refused(400, "INVALID_DEFER")
        return await self._store(topic, [request.body], request.peer)

    async def _mpub(self, request: Request, query: Mapping[str, str]) -> Response:
        topic = self._topic_of(query)
        if query.get("binary", "false") not in {"false", "0"}:
            bodies = nsq.split_many(request.body, self._limits.message_bytes)
            if isinstance(bodies, nsq.Fatal):
                raise Refused(413, bodies.text.removeprefix("E_").partition(" ")[0])
            return await self._store(topic, list(bodies), request.peer)
        if request.body.count(b"\n") > nsq.MANY_MESSAGES:
            raise Refused(413, f"BODY_TOO_BIG: at most {nsq.MANY_MESSAGES} messages at once")
        lines = [line for line in request.body.split(b"\n") if line]
        if any(len(line) > self._limits.message_bytes for line in lines):
            raise Refused(413, "MSG_TOO_BIG")
        return await self._store(topic, lines, request.peer) if lines else Response(200, b"OK")

    def _topic_of(self, query: Mapping[str, str]) -> str:
        topic = query.get("topic")
        if not topic:
            raise Refused(400, "MISSING_ARG_TOPIC")
        if not nsq.is_name(topic.encode()):
            raise Refused(400, "INVALID_TOPIC")
        if topic not in self._topics:
            raise Refused(400, f"INVALID_TOPIC: TaskDash takes {' and '.join(self._topics)}")
        return topic

    async def _store(self, topic: str, bodies: list[bytes], peer: str) -> Response:
        if self._inbox.is_crowded:
            raise Refused(503, "too much waits to be stored; try again later")
        stored: asyncio.Future[StoreRefused | None] = asyncio.get_running_loop().create_future()
        messages = [Message(topic, body, self._stamp(), INPUT, peer) for body in bodies]
        self._inputs.heard(INPUT, 0, 0)
        self._inbox.put(messages, lambda refused: None if stored.done() else stored.set_result(refused))
        if (refused := await stored) is not None:
            raise Refused(503, f"the message was not stored: {refused.detail}")
        self._seen[topic].messages += len(bodies)
        self._seen[topic].bytes += sum(map(len, bodies))
        return Response(200, b"OK")

    def _stamp(self) -> Instant:
        self._last_at = max(self._clock.now(), self._last_at + 1)
        return self._last_at


def _json(value: Any) -> Response:
    return Response(200, msgspec.json.encode(value), "application/json; charset=utf-8")


def _topic(name: str, seen: _Seen) -> dict[str, Any]:
    return {
        "topic_name": name,
        "channels": [],
        "depth": 0,
        "backend_depth": 0,
        "message_count": seen.messages,
        "message_bytes": seen.bytes,
        "paused": False,
        "e2e_processing_latency": {"count": 0, "percentiles": None},
    }
