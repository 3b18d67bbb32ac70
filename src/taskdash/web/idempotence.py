"""`Idempotency-Key`: a POST that is repeated gets the first answer, and is done once (SPEC 8).

The key counts together with the caller and the path. Another body under the same key is 422, a repeat while the first runs
409, at every instance. Only what was done is kept: a refused request may be repeated. An answer that the store refuses to keep
is kept in memory until the key comes again or the store takes it, which is tried each second; so no key is lost, nor done
twice while the instance that runs it is alive. Sign-in, passwords and tokens never take part, and of an answer that is kept a
password is left out.

The forms of pages take part where a script sends them (`form.js`). Of their answers no cookie is kept but the sentence for the
next page, and no CSRF token: the script sends its own with every request.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.types import Message, Receive, Scope, Send
from sqlalchemy import Connection

from taskdash.errors import OutcomeUnknown, TaskDashError
from taskdash.store import idempotency
from taskdash.store.idempotency import Kept, Run
from taskdash.web import auth
from taskdash.web.context import Web
from taskdash.web.headers import send_problem

HEADER = "Idempotency-Key"
_TAKING_PART = ("/api/v1/", "/tasks/", "/incidents/", "/services/", "/handover")
_NEVER = ("/api/v1/login", "/api/v1/logout", "/api/v1/me/password", "/api/v1/tokens")
_MOST_BODY, _MOST_KEY = 1_048_576, 255
Settle = Callable[[Connection], None]


class _Answer(msgspec.Struct):
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Caller(msgspec.Struct, frozen=True):
    name: str
    csrf_token: bytes


class Idempotence:
    """ASGI wrapper around the routes."""

    def __init__(self, app: Litestar, web: Web) -> None:
        self._app, self._web = app, web
        self._running: Counter[str] = Counter()
        self._left: dict[str, Settle] = {}
        """What the store refused to keep, by key: as few as ran when it began to refuse, since none begins meanwhile."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a repeat from what was kept; else run and keep."""
        key = next((value for name, value in scope.get("headers", ()) if name == b"idempotency-key"), None)
        path = str(scope.get("path", ""))
        if key is None or scope.get("method") != "POST" or not path.startswith(_TAKING_PART) or path in _NEVER:
            await self._app(scope, receive, send)
        elif not 1 <= len(key) <= _MOST_KEY:
            await send_problem(send, 422, f"{HEADER} must have 1 to {_MOST_KEY} bytes", field=HEADER, errid=1000)
        else:
            await self._keyed(scope, receive, send, (path.encode(), key))

    async def _keyed(self, scope: Scope, receive: Receive, send: Send, key: tuple[bytes, ...]) -> None:
        try:
            if caller := await self._caller(scope):
                await self._once(scope, receive, send, caller, key)
            else:
                await self._app(scope, receive, send)
        except TaskDashError as error:
            await send_problem(send, error.status, error.detail, errid=error.errid)

    async def _caller(self, scope: Scope) -> _Caller | None:
        """Whose key it is; None for who is not signed in, and then nothing is kept."""
        scope["litestar_app"] = self._app
        identity = await auth.identify(self._web, ASGIConnection(scope))
        if identity is None:
            return None
        return _Caller(identity.user.name, identity.session.csrf_token.encode() if identity.session else b"")

    async def _once(self, scope: Scope, receive: Receive, send: Send, caller: _Caller, key: tuple[bytes, ...]) -> None:
        body = await _read(receive)
        name = hashlib.sha256(b"\0".join((caller.name.encode(), *key))).hexdigest()
        digest = hashlib.sha256(body).hexdigest()
        runs = name in self._running
        self._running[name] += 1
        run = Run(name, self._web.instance, self._web.clock.now())
        try:
            if known := await self._begin(run, digest, runs=runs):
                await _repeat(send, known, digest)
            else:
                await self._run(scope, _Replay(body, receive), send, run, caller)
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    async def _begin(self, run: Run, digest: str, *, runs: bool) -> Kept | None:
        before = self._left.get(run.key)

        def begin(conn: Connection) -> Kept | None:
            if before:
                before(conn)
            return idempotency.begin(conn, run, digest, runs=runs)

        def undo(conn: Connection) -> None:
            if before:
                before(conn)
            idempotency.forget(conn, run)

        try:
            known = await self._web.db.write(begin)
        except OutcomeUnknown:  # if it was kept, nobody runs it
            self._left[run.key] = undo
            raise
        if before and self._left.get(run.key) is before:
            del self._left[run.key]
        return known

    async def _run(self, scope: Scope, receive: Receive, send: Send, run: Run, caller: _Caller) -> None:
        kept = _Answer([], b"")
        status = 500
        held: list[Message] = []

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, kept.headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                kept.body += message["body"]
            held.append(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            await self._settle(run, status, _keepable(kept, caller))
        for message in held:
            await send(message)

    async def _settle(self, run: Run, status: int, kept: _Answer) -> None:
        """Keep what was done before the caller hears of it, so that a repeat never finds it still running then."""

        def settle(conn: Connection) -> None:
            if status < 400:
                idempotency.finish(conn, run, status, msgspec.msgpack.encode(_without_password(kept)))
            else:
                idempotency.forget(conn, run)

        try:
            await self._web.db.write(settle)
        except TaskDashError:  # the request itself was done, and a store that refuses has said so elsewhere
            self._left[run.key] = settle

    async def settle_left(self) -> None:
        """Store what was left, so that a repeat is answered at every instance. Called each second, and at the end."""
        if not (left := dict(self._left)):
            return

        def settle(conn: Connection) -> None:
            for each in left.values():
                each(conn)

        with suppress(TaskDashError):
            await self._web.db.write(settle)
            self._left = {name: each for name, each in self._left.items() if left.get(name) is not each}


class _Replay:
    """A receive that gives the body once, then listens to the client again."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> bytes:
    """The body, as far as it is within the cap; a longer one is refused by the routes, which see its first part."""
    body = b""
    while len(body) <= _MOST_BODY:
        message: Any = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


def _keepable(answer: _Answer, caller: _Caller) -> _Answer:
    """What may lie in the store for a day: no cookie but the sentence for the next page, no CSRF token, no password."""
    headers = [(n, v) for n, v in answer.headers if n.lower() != b"set-cookie" or v.startswith(b"taskdash-flash=")]
    body = answer.body.replace(caller.csrf_token, b"") if caller.csrf_token else answer.body
    return _without_password(_with_body(headers, body))


def _with_body(headers: list[tuple[bytes, bytes]], body: bytes) -> _Answer:
    length = str(len(body)).encode()
    return _Answer([(n, length if n.lower() == b"content-length" else v) for n, v in headers], body)


def _without_password(answer: _Answer) -> _Answer:
    """A password that was made for a new account is told once and stored nowhere."""
    shown = msgspec.json.decode(answer.body) if b'"password":' in answer.body else None
    if not isinstance(shown, dict) or "password" not in shown:
        return answer
    return _with_body(answer.headers, msgspec.json.encode({**shown, "password": None}))


async def _repeat(send: Send, known: Kept, digest: str) -> None:
    if known.request_digest != digest:
        await send_problem(send, 422, f"this {HEADER} was used with another body", field=HEADER, errid=1000)
    elif known.status is None or known.answer is None:
        await send_problem(send, 409, f"the first request with this {HEADER} still runs", field=HEADER)
    else:
        first = msgspec.msgpack.decode(known.answer, type=_Answer)
        await send({"type": "http.response.start", "status": known.status, "headers": first.headers})
        await send({"type": "http.response.body", "body": first.body, "more_body": False})
