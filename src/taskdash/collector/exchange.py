"""One request and its answer; redirects are followed by hand, to the same host only and at most three. RELIABILITY 7."""

from collections.abc import Mapping

import aiohttp
from aiohttp import hdrs
from msgspec import Struct
from yarl import URL

from taskdash.collector.failures import Failed
from taskdash.collector.reading import Room, read_body

MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})


class Request(Struct, frozen=True):
    """What is sent. `body` goes with POST only."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes = b""


class Reply(Struct, frozen=True):
    """What came back; the body only of a 200."""

    status: int
    url: URL
    headers: Mapping[str, str]
    body: bytes = b""


async def exchange(session: aiohttp.ClientSession, request: Request, room: Room) -> Reply:
    """The answer after redirects. Raises Failed, or what aiohttp raises."""
    for _ in range(MOST_REDIRECTS + 1):
        answer = await _once(session, request, room)
        if isinstance(answer, Reply):
            return answer
        request = answer
    raise Failed(f"it redirects more than {MOST_REDIRECTS} times")


async def _once(session: aiohttp.ClientSession, request: Request, room: Room) -> Reply | Request:
    is_post = request.method == hdrs.METH_POST
    sent = {hdrs.CONTENT_TYPE: "application/json", **request.headers} if is_post else request.headers
    async with session.request(
        request.method, request.url, headers=sent, data=request.body if is_post else None, allow_redirects=False
    ) as response:
        room.has_begun = True
        if response.status in _REDIRECTS:
            return _redirected(request, response)
        body = await read_body(response, room) if response.status == 200 else b""
        return Reply(response.status, response.url, response.headers, body)


def _redirected(request: Request, response: aiohttp.ClientResponse) -> Request:
    try:
        target = request.url.join(URL(response.headers.get(hdrs.LOCATION, "")))
    except ValueError:
        raise Failed("it redirects to something that is no url") from None
    if target.scheme not in {"http", "https"} or target.host != request.url.host or target.user or target.password:
        raise Failed("it redirects to another host, which is not followed")
    method = request.method if response.status in _KEEP_METHOD else hdrs.METH_GET
    return Request(method, target, request.headers, request.body)
