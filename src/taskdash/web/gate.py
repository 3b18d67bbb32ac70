"""What every request passes before the routes, and every answer after them. RELIABILITY R80, R86, R145, R155, R165.

ASGI. Believes the headers of trusted proxies and of nobody else; refuses hosts that are not ours (421), bodies that are
not JSON or a form (415), compressed bodies (415); answers HEAD as GET without its body. No CORS header is ever sent.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from taskdash import telemetry
from taskdash.web.bounds import Network
from taskdash.web.headers import send_problem, with_ours

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FORM = b"application/x-www-form-urlencoded"
Headers = list[tuple[bytes, bytes]]
Refusal = tuple[int, str]


class Gate:
    """Wraps the routes. `hosts`: names for us beside localhost and the address that was connected to."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], proxies: Sequence[Network] = ()) -> None:
        self._app = app
        self._hosts = {"localhost", "127.0.0.1", "::1", *(_name(host) for host in hosts)}
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then let it in."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers: Headers = list(scope["headers"])
        self._believe_proxy(scope, headers)
        is_head, is_tls = scope.get("method") == "HEAD", scope["scheme"] == "https"
        if is_head:
            scope = cast("Scope", {**scope, "method": "GET"})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_ours(message["headers"], is_tls=is_tls)
                telemetry.http_requests.labels(f"{message['status'] // 100}xx").inc()
            await send(message)

        if refusal := self._refusal(scope, headers):
            await send_problem(guarded, *refusal)
        else:
            await self._app(scope, receive, _without_body(guarded) if is_head else guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        return self._host_refusal(scope, headers) or _body_refusal(str(scope.get("method")), str(scope["path"]), dict(headers))

    def _host_refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1:
            return 400, "the request names more than one Host"
        name = _name(hosts[0].decode("latin-1")) if hosts else ""
        server = scope.get("server")
        if name in self._hosts or (server and name == server[0].lower()):
            return None
        return 421, "this server is not known under that Host; name it in http.hosts"

    def _believe_proxy(self, scope: Scope, headers: Headers) -> None:
        """The client and the scheme that a trusted proxy names; nearest proxy last."""
        client = scope.get("client")
        if not self._proxies or not client or not self._is_proxy(client[0]):
            return
        told = [a.strip() for name, value in headers if name == b"x-forwarded-for" for a in value.decode("latin-1").split(",")]
        own = next((address for address in reversed(told) if not self._is_proxy(address)), "")
        if _is_address(own):
            scope["client"] = (own, 0)
        scheme = next((value for name, value in reversed(headers) if name == b"x-forwarded-proto"), b"")
        if scheme in {b"http", b"https"}:
            scope["scheme"] = scheme.decode()

    def _is_proxy(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._proxies)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _body_refusal(method: str, path: str, headers: dict[bytes, bytes]) -> Refusal | None:
    if method not in _WITH_BODY or (headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers):
        return None
    if headers.get(b"content-encoding", b"identity") != b"identity":
        return 415, "send the body without Content-Encoding"
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    wanted = (b"application/json",) if path.startswith("/api/") else (b"application/json", _FORM)
    return None if kind in wanted else (415, f"Content-Type must be {' or '.join(w.decode() for w in wanted)}")


def _name(host: str) -> str:
    """A Host header without its port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host


def _without_body(send: Send) -> Send:
    """The head of an answer only."""

    async def head_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return head_only
