"""The exchange of one asking: method, redirects, pages, and a body that is counted while it streams in. SPEC 4, F17, R47-R49.

Law: what the url answers is never taken whole before it was counted, and never shown (RELIABILITY R168).
"""

import hashlib
from typing import Protocol

import aiohttp
from msgspec import Struct, structs
from yarl import URL

from taskdash.collector.failures import Failed
from taskdash.model.records import Service, TaskFields
from taskdash.wire import metadata
from taskdash.wire.metadata import Answer, Page, Problem

MOST_REDIRECTS, MOST_PAGES = 3, 1_000
PIECE_BYTES, YIELD_BYTES = 65_536, 1_048_576
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_OTHER_METHOD = frozenset({405, 501})


class Bounds(Struct, frozen=True, kw_only=True):
    """What one asking may cost (SPEC 4)."""

    connect_s: float = 2.0
    whole_s: float = 5.0
    most_bytes: int = 16 * 1024 * 1024
    most_tasks: int = 100_000


class Decode(Protocol):
    """Decodes one page, where it does not hold up the loop."""

    async def __call__(self, body: bytes, content_type: str) -> Page:
        """The page. Raises BadJson or BadField."""
        ...


class _Reply(Struct, frozen=True):
    """One HTTP answer, read within the bounds."""

    status: int
    url: URL
    content_type: str = ""
    body: bytes = b""
    etag: str = ""
    last_modified: str = ""


class Asking:
    """Asks one service once. Raises Failed, or what aiohttp raises."""

    def __init__(self, session: aiohttp.ClientSession, service: Service, bounds: Bounds, decode: Decode) -> None:
        self._session = session
        self._service = service
        self._bounds = bounds
        self._decode = decode
        self._method = service.method or "GET"
        self._left_bytes = bounds.most_bytes
        self._digest = hashlib.sha256()

    async def answer(self) -> Answer:
        """All pages as one answer."""
        service = self._service
        first = await self._first()
        base = Answer(ok=True, url=service.url, method=self._method)
        if first.status == 304:
            return structs.replace(base, is_unchanged=True)
        pages = [await self._decode(first.body, first.content_type)]
        await self._more(first, pages)
        digest = self._digest.hexdigest()
        only_page = len(pages) == 1
        told = structs.replace(
            base,
            etag=first.etag if only_page else "",
            last_modified=first.last_modified if only_page else "",
            digest=digest,
            is_unchanged=digest == service.collect_digest,
        )
        return told if told.is_unchanged else _joined(told, pages)

    async def _first(self) -> _Reply:
        reply = await self._ask(self._method, URL(self._service.url), conditional=True)
        if reply.status in _OTHER_METHOD and self._method == "GET":
            self._method = "POST"
            reply = await self._ask(self._method, URL(self._service.url))
        if reply.status not in {200, 304}:
            raise Failed(f"it answered with status {reply.status}")
        return reply

    async def _more(self, first: _Reply, pages: list[Page]) -> None:
        seen = {str(first.url)}
        at = first.url
        count = len(pages[0].tasks)
        while pages[-1].next:
            at = self._next(at, pages[-1].next)
            if str(at) in seen:
                raise Failed("its pages lead in a circle")
            if len(pages) >= MOST_PAGES:
                raise Failed(f"it has more than {MOST_PAGES:,} pages")
            seen.add(str(at))
            reply = await self._ask("GET", at)
            if reply.status != 200:
                raise Failed(f"a page answered with status {reply.status}")
            pages.append(await self._decode(reply.body, reply.content_type))
            count += len(pages[-1].tasks)
            self._check_count(count)
        self._check_count(count)

    def _check_count(self, count: int) -> None:
        if count > self._bounds.most_tasks:
            raise Failed(f"it names more than {self._bounds.most_tasks:,} tasks")

    @staticmethod
    def _next(at: URL, text: str) -> URL:
        try:
            following = at.join(URL(text))
        except ValueError:
            raise Failed("the next page is no url") from None
        if following.origin() != at.origin():
            raise Failed("the next page is on another scheme, host or port")
        return following

    async def _ask(self, method: str, url: URL, *, conditional: bool = False) -> _Reply:
        """One request, with redirects on the same host followed by hand."""
        for _ in range(MOST_REDIRECTS + 1):
            body = {"id": self._service.id} if method == "POST" else None
            headers = self._conditions() if conditional and method == "GET" else {}
            async with self._session.request(method, url, json=body, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response, url)
                following = self._redirected(url, response.headers.get("Location", ""))
                if response.status not in _KEEP_METHOD:
                    method = "GET"
            url = following
        raise Failed(f"it redirects more than {MOST_REDIRECTS} times")

    @staticmethod
    def _redirected(url: URL, location: str) -> URL:
        try:
            following = url.join(URL(location))
        except ValueError:
            raise Failed("it redirects to what is no url") from None
        if following.host != url.host or following.scheme not in {"http", "https"}:
            raise Failed("it redirects to another host")
        return following

    def _conditions(self) -> dict[str, str]:
        service = self._service
        headers = {"If-None-Match": service.collect_etag, "If-Modified-Since": service.collect_last_modified}
        return {name: value for name, value in headers.items() if value}

    async def _read(self, response: aiohttp.ClientResponse, url: URL) -> _Reply:
        if response.status != 200:
            response.close()
            return _Reply(response.status, url)
        encodings = [e.strip() for e in response.headers.get("Content-Encoding", "").split(",") if e.strip()]
        if len(encodings) > 1:
            raise Failed("its answer is encoded more than once")
        pieces: list[bytes] = []
        async for piece in response.content.iter_chunked(PIECE_BYTES):
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise Failed(f"its answer is over {self._bounds.most_bytes:,} bytes")
            pieces.append(piece)
            self._digest.update(piece)
        header = response.headers.get
        return _Reply(200, url, header("Content-Type", ""), b"".join(pieces), header("ETag", ""), header("Last-Modified", ""))


def _joined(told: Answer, pages: list[Page]) -> Answer:
    found: list[TaskFields] = []
    problems: list[Problem] = []
    named: set[str] = set()
    for page in pages:
        found += page.tasks
        problems += page.problems
        named |= page.named
    complete = all(page.is_complete for page in pages)
    return structs.replace(told, tasks=tuple(found), problems=tuple(problems), named=frozenset(named), is_complete=complete)


def decode_now(body: bytes, content_type: str) -> Page:
    """One page, on this thread."""
    return metadata.decode_page(body, content_type)
