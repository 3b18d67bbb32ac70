"""The HTTP server: the routes built into one application, and uvicorn run inside our own loop and signal handling.

Law: the build fails when a route declares no action (R146). Draining ends the event streams first, so that each gets its last
message and the process leaves with status 0 (STORE.md, Draining; RELIABILITY F13).
"""

import asyncio
import contextlib
import secrets
import socket
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.exceptions import HTTPException, LitestarDeprecationWarning
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from sqlalchemy import Connection

from taskdash.actions import throttling
from taskdash.actions.throttling import Throttle
from taskdash.clock import every
from taskdash.errors import TaskDashError
from taskdash.model.admission import Crowd
from taskdash.model.instants import seconds
from taskdash.model.records import Actor
from taskdash.rules.roles import NEEDS
from taskdash.store import accounts, idempotency
from taskdash.web import openapi, problems
from taskdash.web.auth import IDLE_S, PUBLIC, Identities, Identity, admit, identity_of
from taskdash.web.bounds import BoundedHttp, Connections
from taskdash.web.context import Web
from taskdash.web.devices import Devices
from taskdash.web.gate import Gate
from taskdash.web.hasher import Hasher
from taskdash.web.idempotence import Idempotence
from taskdash.web.paths import Segments
from taskdash.web.routes import routes

BODY_BYTES = 1_048_576
_KEPT_ALIVE_S = 60
_NOTE_EVERY_S, _PURGE_EVERY_S, _SETTLE_EVERY_S = 30.0, 3_600.0, 1.0
_KNOWN_ACTIONS = {PUBLIC, "ingest", *NEEDS}


def build(web: Web) -> tuple[ASGIApp, Litestar]:
    """(what the server calls, the application inside). Raises ValueError for a route of no known action, or past `admit`."""
    handlers = routes()
    _check_actions(handlers)
    app = _quietly(
        handlers,
        before_request=admit,  # as a guard it would be given a copy of its handler, which costs a twentieth of a claim
        dependencies={"web": Provide(_web), "actor": Provide(_actor), "identity": Provide(_identity)},
        exception_handlers={
            TaskDashError: problems.of_error,
            HTTPException: problems.of_http,
            Exception: problems.of_surprise,
        },
        openapi_config=None,
        opt={"action": PUBLIC},
        request_max_body_size=BODY_BYTES,
        logging_config=None,
    )
    app.state.web = web
    app.state.identities = Identities()
    app.state.hasher = Hasher()
    app.state.throttle = Throttle(web.db)
    app.state.devices = Devices(secrets.token_hex(32))
    app.state.openapi = openapi.document(handlers, web.version)
    app.state.once = Idempotence(app, web)
    return Gate(Segments(app.state.once), web.hosts, web.trusted_proxies), app


def _quietly(*arguments: Any, **options: Any) -> Litestar:
    """The application; Litestar 2 warns of what Litestar 3 will want, which our pinned requirements keep away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        return Litestar(*arguments, **options)


def _check_actions(handlers: Sequence[HTTPRouteHandler]) -> None:
    for handler in handlers:
        if handler.before_request is not None:
            raise ValueError(f"route {sorted(handler.paths)} has a before_request of its own, which takes the place of `admit`")
        if handler.opt.get("action") not in _KNOWN_ACTIONS:
            raise ValueError(f"route {sorted(handler.paths)} declares no known action: {handler.opt.get('action')!r}")


# Each leans on the one before: those that do not are resolved side by side, in a task group with a task each, which costs a
# fifth of a claim.


async def _web(request: Request[Any, Any, Any]) -> Web:
    found: Web = request.app.state.web
    return found


async def _identity(request: Request[Any, Any, Any], web: Web) -> Identity:
    return identity_of(request)


async def _actor(request: Request[Any, Any, Any], identity: Identity) -> Actor:
    return identity.actor


class _Server(uvicorn.Server):
    """Signals are the application's business, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are."""
        yield


class HttpServer:
    """Pages and API on one address."""

    def __init__(self, web: Web, crowd: Crowd = Crowd()) -> None:
        self._web = web
        asgi, self.app = build(web)
        self._config = uvicorn.Config(
            asgi,
            http=BoundedHttp,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn's own would believe anyone on loopback (R165)
            timeout_keep_alive=_KEPT_ALIVE_S,
            timeout_graceful_shutdown=5,
            backlog=1_024,
        )
        self._server = _Server(self._config)
        self._server.server_state = Connections(web.trusted_proxies, crowd)
        self._socket: socket.socket | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Take the address; the one in use. Raises OSError when it is taken, StoreRefused."""
        self.app.state.devices = Devices(await self._device_key())
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=1_024)
        self._socket.setblocking(False)
        name = self._socket.getsockname()
        self._web.parts.report("http")
        return str(name[0]), int(name[1])

    async def run(self) -> None:
        """Serve until `drain`."""
        clock = self._web.clock
        chores = [
            asyncio.create_task(every(clock, _NOTE_EVERY_S, self._note_use)),
            asyncio.create_task(every(clock, _PURGE_EVERY_S, self._purge)),
            asyncio.create_task(every(clock, _SETTLE_EVERY_S, self.app.state.once.settle_left)),
        ]
        try:
            await self._server.serve(sockets=[self._socket] if self._socket else None)
            await self.app.state.once.settle_left()
        finally:
            for chore in chores:
                chore.cancel()
            self.app.state.hasher.close()

    async def drain(self) -> None:
        """Stop accepting, end the streams, finish what is under way."""
        self._web.feed.close()
        self._server.should_exit = True

    async def _device_key(self) -> str:
        """What signs device cookies: one for all instances on the store, so that browsers stay known wherever they come."""
        if known := await self._web.db.read(lambda conn: accounts.known_secret(conn, "device")):
            return known  # a start on a full disk can write nothing
        new = secrets.token_hex(32)
        return await self._web.db.write(lambda conn: accounts.secret(conn, "device", new))

    async def _note_use(self) -> None:
        """Write down when sessions and tokens were last used, not at each request."""
        sessions, tokens = self.app.state.identities.take_seen()
        if sessions or tokens:
            with contextlib.suppress(TaskDashError):
                await self._web.db.write(lambda conn: accounts.touch(conn, sessions, tokens))

    async def _purge(self) -> None:
        now = self._web.clock.now()

        def purge(conn: Connection) -> None:
            idempotency.purge(conn, now)
            throttling.forget_old(conn)
            accounts.purge_sessions(conn, now - seconds(IDLE_S), now)

        with contextlib.suppress(TaskDashError):
            await self._web.db.write(purge)
