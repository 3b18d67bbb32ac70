"""Real nsqd and nsqlookupd on free ports, brokers that can be killed and come back, and a proxy that can be cut.

`tools/prepare` builds them into .tools.
"""

import asyncio
import contextlib
import json
import signal
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.support import eventually

HOST = "127.0.0.1"
SERVICES, BEATS = "taskdash.services", "taskdash.heartbeats"


def free_port() -> int:
    """A port that nobody listens on now; kept over restarts."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


def free_pair() -> int:
    """A port that nobody listens on now, nor on the next one."""
    while True:
        port = free_port()
        with socket.socket() as next_one, contextlib.suppress(OSError):
            next_one.bind((HOST, port + 1))
            return port


class Program:
    """One process of the nsqd family; `http` its HTTP port."""

    def __init__(self, name: str, http: int, *options: str) -> None:
        self.http = http
        self._command = (f".tools/{name}", *options)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Run it, and wait until it answers."""
        null = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(*self._command, stdout=null, stderr=null)
        await eventually(self._answers)

    async def _answers(self) -> bool:
        try:
            return bool(await self.call("GET", "/ping") == "OK")
        except (aiohttp.ClientError, OSError):
            return False

    def tell(self, what: signal.Signals) -> None:
        """SIGSTOP and the like."""
        assert self.process is not None
        self.process.send_signal(what)

    async def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            await asyncio.wait_for(self.process.wait(), 20)

    async def call(self, method: str, path: str, body: bytes = b"") -> Any:
        """What its HTTP answers: text, or decoded JSON."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://{HOST}:{self.http}{path}", data=body) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, text
            return json.loads(text) if answer.content_type == "application/json" else text


class Nsqd(Program):
    """One nsqd that promises what it can: nothing in memory, an fsync a message."""

    def __init__(self, folder: Path, *options: str, http: int = 0, tcp: int = 0) -> None:
        self.tcp = tcp or free_port()
        http = http or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "nsqd",
            http,
            f"-tcp-address={HOST}:{self.tcp}",
            f"-http-address={HOST}:{http}",
            f"-https-address={HOST}:0",  # only a node with a certificate listens there, and two of them may run at once
            f"-broadcast-address={HOST}",
            f"-data-path={folder}",
            "-mem-queue-size=0",
            "-sync-every=1",
            *options,
        )

    @property
    def address(self) -> str:
        """HOST:PORT as the consumer calls it."""
        return f"{HOST}:{self.tcp}"

    async def create(self) -> None:
        """Both topics with the channel, as operators do before the first publish."""
        for topic in (SERVICES, BEATS):
            await self.call("POST", f"/topic/create?topic={topic}")
            await self.call("POST", f"/channel/create?topic={topic}&channel=taskdash")

    async def publish(self, bodies: Sequence[bytes], topic: str = BEATS) -> None:
        """One MPUB of all of them."""
        body = struct.pack(">i", len(bodies)) + b"".join(struct.pack(">i", len(one)) + one for one in bodies)
        await self.call("POST", f"/mpub?topic={topic}&binary=true", body)

    async def channel(self, topic: str = BEATS) -> dict[str, Any]:
        """Counters of our channel; empty when there is none yet."""
        stats = await self.call("GET", f"/stats?format=json&topic={topic}&channel=taskdash")
        channels = [channel for found in stats["topics"] for channel in found["channels"]]
        return channels[0] if channels else {}

    async def is_drained(self, topic: str = BEATS) -> bool:
        """Nothing waits and nothing is in flight."""
        found = await self.channel(topic)
        return bool(found) and found["depth"] == found["in_flight_count"] == found["deferred_count"] == 0


class Lookupd(Program):
    """One nsqlookupd."""

    def __init__(self) -> None:
        self.tcp = free_port()
        http = free_port()
        super().__init__("nsqlookupd", http, f"-tcp-address={HOST}:{self.tcp}", f"-http-address={HOST}:{http}")

    @property
    def address(self) -> str:
        """HOST:PORT of its HTTP, as `--lookupd` wants it."""
        return f"{HOST}:{self.http}"


@contextlib.asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """All of them started in this order, and gone at the end."""
    try:
        for program in programs:
            await program.start()
        yield
    finally:
        for program in reversed(programs):
            await program.end()


class Proxy:
    """Passes bytes on to `port` while it is up; `cut` ends every connection and takes no new ones."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = free_port()
        self.connections = 0

    @property
    def address(self) -> str:
        """HOST:PORT that stands for the broker."""
        return f"{HOST}:{self._port}"

    async def start(self) -> None:
        """Pass on."""
        self._server = await asyncio.start_server(self._pass_on, HOST, self._port)

    async def cut(self) -> None:
        """End all in the middle of whatever is said."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there = await asyncio.open_connection(HOST, self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there[1]}
        await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while read := await reader.read(65_536):
                writer.write(read)
        writer.transport.abort()
        self._writers.discard(writer)
