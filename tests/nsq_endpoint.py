"""What the suites of the embedded endpoint share: a store in memory that can fail or stand still, a peer of raw bytes."""

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any

from taskdash.clock import Clock, SystemClock
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.nsqd_http import NsqdHttp
from taskdash.ingest.nsqd_tcp import NsqdTcp
from taskdash.ingest.producer import Limits
from taskdash.model.records import Message
from taskdash.wire import nsq

SERVICES, HEARTBEATS = TOPICS = ("taskdash.services", "taskdash.heartbeats")
OK = (nsq.RESPONSE, b"OK")


class MemoryStore:
    """Keeps batches. `refusal`: what it raises; `open` cleared: a transaction stands still until it is set."""

    def __init__(self) -> None:
        self.batches: list[list[Message]] = []
        self.refusal = ""
        self.open = asyncio.Event()
        self.open.set()
        self.under_way = self.most_under_way = self.tries = 0

    async def __call__(self, messages: Sequence[Message]) -> None:
        self.tries += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            if self.refusal:
                raise StoreRefused(self.refusal)
            self.batches.append(list(messages))
        finally:
            self.under_way -= 1

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]


def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def pub(body: bytes, topic: str = HEARTBEATS) -> bytes:
    return f"PUB {topic}\n".encode() + sized(body)


def many(*bodies: bytes) -> bytes:
    return struct.pack(">i", len(bodies)) + b"".join(map(sized, bodies))


def mpub(*bodies: bytes, topic: str = HEARTBEATS) -> bytes:
    return f"MPUB {topic}\n".encode() + sized(many(*bodies))


def identify(**wishes: object) -> bytes:
    return b"IDENTIFY\n" + sized(json.dumps({"feature_negotiation": True, **wishes}).encode())


class Wire:
    """A peer that writes bytes and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self, deadline_s: float = 10.0) -> tuple[int, bytes]:
        """The next frame (kind, body)."""
        async with asyncio.timeout(deadline_s):
            size, kind = struct.unpack(">ii", await self.reader.readexactly(8))
            return kind, await self.reader.readexactly(size - 4)

    async def frames(self, count: int) -> list[tuple[int, bytes]]:
        return [await self.frame() for _ in range(count)]

    async def error(self) -> str:
        """The text of the error frame that comes next."""
        kind, body = await self.frame()
        assert kind == nsq.ERROR, body
        return body.decode()

    async def features(self) -> dict[str, Any]:
        kind, body = await self.frame()
        assert kind == nsq.RESPONSE
        found: dict[str, Any] = json.loads(body)
        return found

    async def ended(self, deadline_s: float = 10.0) -> bytes:
        """What still comes until the other side closes."""
        async with asyncio.timeout(deadline_s):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""

    async def upgrade(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname="localhost")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


class Endpoint:
    """The embedded endpoint over a store in memory."""

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        self.clock = clock or SystemClock()
        self.store = MemoryStore()
        self.inputs, self.parts = Inputs(self.clock), Parts(self.clock)
        self.inbox = Inbox(self.store, self.clock)
        limits = options.pop("limits", Limits())
        ground = (self.inbox, self.clock, self.inputs, self.parts, TOPICS, limits)
        self.http = NsqdHttp(*ground, auth=options.get("auth", ""))
        self.tcp = NsqdTcp(*ground, **options)
        self.host, self.port, self.http_port = "", 0, 0
        self._wires: list[Wire] = []

    async def dial(self, greeting: bytes = nsq.MAGIC, *, port: int = 0) -> Wire:
        """A connected peer that has said `greeting`."""
        wire = Wire(*await asyncio.open_connection(self.host, port or self.port))
        wire.send(greeting)
        self._wires.append(wire)
        return wire

    async def close(self) -> None:
        for wire in self._wires:
            await wire.close()
        self.store.open.set()
        await asyncio.gather(self.tcp.drain(2.0), self.http.drain(2.0))


@contextlib.asynccontextmanager
async def endpoint(clock: Clock | None = None, **options: Any) -> AsyncIterator[Endpoint]:
    """A listening endpoint on free ports."""
    running = Endpoint(clock, **options)
    running.host, running.port = await running.tcp.start("127.0.0.1", 0)
    _, running.http_port = await running.http.start("127.0.0.1", 0)
    runs = [asyncio.create_task(run()) for run in (running.inbox.run, running.tcp.run, running.http.run)]
    try:
        yield running
    finally:
        await running.close()
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
