"""What every request passes before the routes, and every answer after them. RELIABILITY R80, R84, R86, R145, R155.

ASGI. Refuses hosts that are not ours (421), bodies that are not JSON or a form (415), compressed bodies (415); puts the
security headers on every answer, errors and static files included. No CORS header is ever sent.
"""

from collections.abc import Iterable

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    b"content-security-policy": _CSP.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FORM = b"application/x-www-form-urlencoded"


class Gate:
    """Wraps the routes. `hosts`: names under which we may be addressed; empty list of extra names is usual."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = {"localhost", "127.0.0.1", "[::1]", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then let it in."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_ours(message["headers"])
            await send(message)

        refusal = self._refusal(dict(scope["headers"]), str(scope["method"]), scope["path"])
        if refusal:
            await _refuse(guarded, *refusal)
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, headers: dict[bytes, bytes], method: str, path: str) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _without_port(host) not in self._hosts:
            return 421, "this server is not known under that Host; name it in http.hosts"
        if method not in _WITH_BODY or (headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers):
            return None
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return 415, "send the body without Content-Encoding"
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        wanted = (b"application/json",) if path.startswith("/api/") else (b"application/json", _FORM)
        return None if kind in wanted else (415, f"Content-Type must be {' or '.join(w.decode() for w in wanted)}")


def _without_port(host: str) -> str:
    if host.endswith("]"):
        return host
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = list(headers)
    named = {name.lower() for name, _value in kept}
    return kept + [(name, value) for name, value in _ALWAYS.items() if name not in named]


async def _refuse(send: Send, status: int, detail: str) -> None:
    titles = {415: "Unsupported media type", 421: "Misdirected request"}
    body = msgspec.json.encode({"type": "about:blank", "title": titles[status], "status": status, "detail": detail})
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
