"""Ids in paths may hold `/`: the path is split before it is decoded (RELIABILITY R87).

The router decodes first, so `Segments` gives it a path in which a decoded `/` and `%` are still escaped, and `opened`
undoes that for one parameter. Invalid UTF-8 in a path is answered as an unknown one.
"""

from urllib.parse import unquote, unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send


class Segments:
    """ASGI wrapper that hands the router segments it cannot take apart."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the path of HTTP requests."""
        if scope["type"] == ScopeType.HTTP:
            raw = scope.get("raw_path") or scope["path"].encode()
            scope["path"] = escaped(raw)
        await self._app(scope, receive, send)


def escaped(raw_path: bytes) -> str:
    """Every segment decoded, but `/` as `%2F` and `%` as `%25`."""
    segments = (unquote_to_bytes(segment).decode("utf-8", "replace") for segment in raw_path.partition(b"?")[0].split(b"/"))
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


def opened(segment: str) -> str:
    """The text of one path parameter."""
    return unquote(segment)
