"""`Idempotency-Key`: a POST that is repeated gets the first answer, and is done once (SPEC 8).

The key counts together with the caller (cookie or token) and the path. Another body under the same key is 422, a repeat while
the first runs 409. An answer of 500 and above is not kept. Sign-in, passwords and tokens never take part.
"""

import hashlib
from typing import Any

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from taskdash.clock import Clock
from taskdash.store import idempotency
from taskdash.store.database import Database
from taskdash.store.idempotency import Kept

_NEVER = ("/api/v1/login", "/api/v1/logout", "/api/v1/me/password", "/api/v1/tokens")
_MOST_BODY = 1_048_576


class _Answer(msgspec.Struct):
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Idempotence:
    """ASGI wrapper around the routes."""

    def __init__(self, app: ASGIApp, db: Database, clock: Clock) -> None:
        self._app, self._db, self._clock = app, db, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a repeat from what was kept; else run and keep."""
        headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
        key = headers.get(b"idempotency-key")
        path = str(scope.get("path", ""))
        if key is None or scope.get("method") != "POST" or not path.startswith("/api/v1/") or path in _NEVER:
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        caller = headers.get(b"authorization") or headers.get(b"cookie", b"")
        name = hashlib.sha256(b"\0".join((caller, path.encode(), key))).hexdigest()
        digest = hashlib.sha256(body).hexdigest()
        known = await self._db.write(lambda conn: idempotency.begin(conn, name, digest, self._clock.now()))
        if known:
            await _repeat(send, known, digest)
        else:
            await self._run(scope, _Replay(body, receive), send, name)

    async def _run(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        kept = _Answer([], b"")
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, kept.headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                kept.body += message["body"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if status < 500:
                raw = msgspec.msgpack.encode(kept)
                await self._db.write(lambda conn: idempotency.finish(conn, name, status, raw))
            else:
                await self._db.write(lambda conn: idempotency.forget(conn, name))


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


async def _repeat(send: Send, known: Kept, digest: str) -> None:
    if known.request_digest != digest:
        await _problem(send, 422, "this Idempotency-Key was used with another body", "Idempotency-Key")
    elif known.status is None or known.answer is None:
        await _problem(send, 409, "the first request with this Idempotency-Key still runs", "Idempotency-Key")
    else:
        first = msgspec.msgpack.decode(known.answer, type=_Answer)
        await _send(send, known.status, first.headers, first.body)


async def _problem(send: Send, status: int, detail: str, field: str) -> None:
    title = "A field breaks a rule" if status == 422 else "Still running"
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail, "field": field})
    await _send(send, status, [(b"content-type", b"application/problem+json")], body)


async def _send(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
