"""The headers of every answer (RELIABILITY R155), and answers that are made below the routes."""

from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from litestar.types import Send

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    b"content-security-policy": _CSP.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
HSTS = (b"strict-transport-security", b"max-age=31536000")
PROBLEM = b"application/problem+json"


def with_ours(headers: Iterable[tuple[bytes, bytes]], *, is_tls: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer and those of ours that it does not set itself."""
    kept = list(headers)
    named = {name.lower() for name, _value in kept}
    return kept + [(name, value) for name, value in ALWAYS.items() if name not in named] + ([HSTS] if is_tls else [])


def problem_bytes(status: int, detail: str, **more: str | int) -> bytes:
    """A problem as JSON (SPEC 8)."""
    title = HTTPStatus(status).phrase
    return msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail, **more})


def plain_problem(status: int, detail: str) -> bytes:
    """A whole HTTP/1.1 answer that closes the connection, for what never became a request."""
    body = problem_bytes(status, detail)
    ours = b"".join(b"%s: %s\r\n" % item for item in ALWAYS.items())
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(body)}\r\n".encode()
    return line + b"content-type: " + PROBLEM + b"\r\nconnection: close\r\n" + ours + b"\r\n" + body


async def send_problem(send: Send, status: int, detail: str, **more: str | int) -> None:
    """Answer a request that did not reach its route."""
    body = problem_bytes(status, detail, **more)
    headers = [(b"content-type", PROBLEM), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
