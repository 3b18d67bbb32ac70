"""A real task service over loopback, whose answer each test chooses; and one that speaks raw bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from taskdash.clock import Clock, SystemClock
from taskdash.collector.asking import Bounds
from taskdash.collector.fetch import Fetcher
from taskdash.collector.guard import Guard
from taskdash.collector.names import Names
from taskdash.model.records import Service
from tests.support import a_service

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ONE = {"id": "133", "name": "zxf", "status": "running"}
TWO = {"id": "132", "name": "lxq", "status": "finish"}


class RunningService:
    """`answer` may be replaced at any time; `requests` are those that came; `url` is what to register."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return self.at("/tasks")

    def at(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request)


@asynccontextmanager
async def running(answer: Answer) -> AsyncIterator[RunningService]:
    """A task service on a free port of 127.0.0.1."""
    service = RunningService(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[str]:
    """The url of a server that reads one request's head and then speaks raw bytes; the connection is closed after."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await speak(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/tasks"
    finally:
        server.close()


def tells(answer: Any, **headers: str) -> Answer:
    """Answers 200 with this JSON (bytes as they are)."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(
            body=body, content_type="application/json", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return tell


def refuses(status: int) -> Answer:
    """Answers with this status and a body that nobody may ever see."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="c4n4ry", reason="c4n4ry")

    return refuse


async def hangs(_request: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.Event().wait()
    return web.Response()


def redirects(*targets: str, status: int = 302) -> Answer:
    """Redirects along `targets`, then tells ONE."""
    left = list(targets)

    async def redirect(request: web.Request) -> web.StreamResponse:
        if left:
            return web.Response(status=status, headers={"Location": left.pop(0)})
        return await tells([ONE])(request)

    return redirect


def streams(pieces: Sequence[bytes], times: int = 1, **headers: str) -> Answer:
    """Sends the pieces `times` over, chunked."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={k.replace("_", "-"): v for k, v in headers.items()})
        await response.prepare(request)
        for _ in range(times):
            for piece in pieces:
                await response.write(piece)
        return response

    return stream


def a_guard(**changes: Any) -> Guard:
    """A guard as at home: no own listeners, loopback allowed."""
    return Guard(**{"own": lambda: [], "loopback_allowed": lambda: True, **changes})


class Dialled:
    """A socket maker that remembers each socket somebody wanted; only the first `real` are made, so nothing else is dialled."""

    def __init__(self, real: int = 0) -> None:
        self._real = real
        self.made: list[dict[str, Any]] = []

    def __call__(self, **kind: Any) -> socket.socket:
        self.made.append(kind)
        if len(self.made) > self._real:
            raise OSError("not dialled")
        return socket.socket(**kind)


@asynccontextmanager
async def a_fetcher(
    guard: Guard | None = None, names: Names | None = None, clock: Clock | None = None, **bounds: Any
) -> AsyncIterator[Fetcher]:
    """A fetcher that may ask loopback."""
    fetcher = Fetcher(guard or a_guard(), clock or SystemClock(), Bounds(**bounds), names)
    try:
        yield fetcher
    finally:
        await fetcher.close()


def asked(url: str, **fields: Any) -> Service:
    """A service that is to be asked at `url`."""
    return a_service(pk=1, url=url, **fields)
