"""Ids in paths may hold `/`: the path is split before it is decoded (RELIABILITY R87).

The router decodes first, so `Segments` gives it a path in which a decoded `/` and `%` are still escaped, and `opened`
undoes that for one parameter. A path that is no text or has an empty segment names nothing: 404, never another object.
A segment with a needless escape (`%65xport`) is always a parameter: so an id that is also a word of ours can be reached.
"""

import re
from urllib.parse import unquote, unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from taskdash.web.headers import send_problem

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


class Segments:
    """ASGI wrapper that hands the router segments it cannot take apart."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the path of HTTP requests."""
        if scope["type"] == ScopeType.HTTP:
            path = escaped(scope.get("raw_path") or scope["path"].encode())
            if path is None:
                await send_problem(send, 404, "nothing is at this path")
                return
            scope["path"] = path
        await self._app(scope, receive, send)


def escaped(raw_path: bytes) -> str | None:
    """Every segment decoded, but `/` as `%2F` and `%` as `%25`; None for a path that names nothing."""
    raw = raw_path.partition(b"?")[0]
    if not raw.startswith(b"/") or b"//" in raw:
        return None
    try:
        if b"%" not in raw:
            return raw.decode("utf-8")
        return "/".join(_escaped(segment) for segment in raw.split(b"/"))
    except UnicodeDecodeError:
        return None


def _escaped(raw: bytes) -> str:
    text = unquote_to_bytes(raw).decode("utf-8")
    if b"%" in raw and _UNRESERVED.fullmatch(text):
        return f"%{ord(text[0]):02X}{text[1:]}"
    return text.replace("%", "%25").replace("/", "%2F")


def opened(segment: str) -> str:
    """The text of one path parameter."""
    return unquote(segment)
