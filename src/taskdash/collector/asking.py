"""All pages of one asking, as one Answer. SPEC 4, RELIABILITY R48.

Law: an answer is whole or it is none: a page that cannot be had, a loop, or too many of anything fails all of it.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NoReturn

import aiohttp
import msgspec
from aiohttp import hdrs
from msgspec import Struct
from yarl import URL

from taskdash.collector.exchange import Reply, Request, exchange
from taskdash.collector.failures import Failed
from taskdash.collector.reading import MIB, Room
from taskdash.errors import BadField
from taskdash.model import fields
from taskdash.model.records import Service, TaskFields
from taskdash.wire.metadata import Answer, Page, Problem

MOST_PAGES = 1_000
MOST_PROBLEMS = 100
_OTHER_METHOD = frozenset({405, 501})
Decode = Callable[[bytes, str], Awaitable[Page]]


class Bounds(Struct, frozen=True, kw_only=True):
    """What one asking may cost (SPEC 4)."""

    connect_s: float = 2.0
    whole_s: float = 5.0
    most_bytes: int = 16 * MIB
    most_tasks: int = 100_000


class Asking:
    """One asking: which method, which pages, what they hold together."""

    def __init__(self, session: aiohttp.ClientSession, service: Service, most_tasks: int, decode: Decode, room: Room) -> None:
        self._session = session
        self._service = service
        self._most_tasks = most_tasks
        self._decode = decode
        self._room = room
        self._method = service.method or hdrs.METH_GET
        self._digest = hashlib.blake2b(service.url.encode(), digest_size=16)
        self._seen: set[str] = set()
        self._count = 0

    async def answer(self) -> Answer:
        """The whole answer. Raises Failed, BadJson, BadField, or what aiohttp raises."""
        reply = await self._first()
        if reply.status == 304 or self._is_known(reply):
            return self._unchanged()
        first = await self._page(reply)
        pages = [first, *[page async for page in self._rest(reply.url, first.next)]]
        if self._digest.hexdigest() == self._service.collect_digest:
            return self._unchanged()
        return self._whole(pages, reply)

    async def _first(self) -> Reply:
        """By the method that worked last; by the other one when the service knows no such (SPEC 4)."""
        url = URL(self._service.url)
        reply = await self._ask(url, self._validators())
        if reply.status in _OTHER_METHOD:
            self._method = hdrs.METH_GET if self._method == hdrs.METH_POST else hdrs.METH_POST
            reply = await self._ask(url, self._validators())
        if reply.status != 200 and not (reply.status == 304 and self._validators()):
            _refuse(reply)
        return reply

    async def _ask(self, url: URL, headers: dict[str, str]) -> Reply:
        """A POST over a kept connection that was just closed is sent once more; aiohttp does so for GET only."""
        request = Request(self._method, url, headers, msgspec.json.encode({"id": self._service.id}))
        try:
            return await exchange(self._session, request, self._room)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if self._method != hdrs.METH_POST:
                raise
            return await exchange(self._session, request, self._room)

    def _validators(self) -> dict[str, str]:
        """Only for an answer that was applied whole, so that 304 means: as stored."""
        service = self._service
        if self._method != hdrs.METH_GET or not service.collect_digest:
            return {}
        given = {hdrs.IF_NONE_MATCH: service.collect_etag, hdrs.IF_MODIFIED_SINCE: service.collect_last_modified}
        return {name: value for name, value in given.items() if value}

    def _is_known(self, reply: Reply) -> bool:
        self._digest.update(reply.body)
        return self._digest.hexdigest() == self._service.collect_digest

    async def _page(self, reply: Reply) -> Page:
        page = await self._decode(reply.body, reply.headers.get(hdrs.CONTENT_TYPE, ""))
        self._count += len(page.tasks) + len(page.problems)
        if self._count > self._most_tasks:
            raise Failed(f"it names more than {self._most_tasks} tasks")
        return page

    async def _rest(self, first: URL, following: str) -> AsyncIterator[Page]:
        page_url = first
        self._seen.add(str(first))
        while following:
            page_url = self._next(first, page_url, following)
            reply = await self._ask(page_url, {})
            if reply.status != 200:
                _refuse(reply)
            self._digest.update(reply.body)
            page = await self._page(reply)
            yield page
            following = page.next

    def _next(self, first: URL, page: URL, following: str) -> URL:
        try:
            url = page.join(URL(following))
            fields.check_url(str(url))
        except (ValueError, BadField):
            raise Failed("its next page is no url") from None
        if url.origin() != first.origin():
            raise Failed("its next page is on another scheme, host or port, which is not followed")
        if str(url) in self._seen:
            raise Failed("its pages go round in a circle")
        self._seen.add(str(url))
        if len(self._seen) > MOST_PAGES:
            raise Failed(f"it has more than {MOST_PAGES} pages")
        return url

    def _unchanged(self) -> Answer:
        return Answer(ok=True, url=self._service.url, method=self._method, is_unchanged=True)

    def _whole(self, pages: list[Page], reply: Reply) -> Answer:
        """Validators speak for one page only, so those of an answer in pages are not kept."""
        validators = reply.headers if len(pages) == 1 and self._method == hdrs.METH_GET else {}
        records = [task for page in pages for task in page.tasks]
        problems = [problem for page in pages for problem in page.problems] + _named_twice(records)
        return Answer(
            ok=True,
            url=self._service.url,
            method=self._method,
            is_complete=all(page.is_complete for page in pages),
            tasks=tuple({task.id: task for task in records}.values()),
            problems=_capped(problems),
            named=frozenset().union(*(page.named for page in pages)),
            etag=_kept(validators.get(hdrs.ETAG, "")),
            last_modified=_kept(validators.get(hdrs.LAST_MODIFIED, "")),
            digest=self._digest.hexdigest(),
        )


def _refuse(reply: Reply) -> NoReturn:
    raise Failed(f"it answered with status {reply.status}")


def _kept(validator: str) -> str:
    """A validator of sensible length and plain text, for it is sent back as it came."""
    return validator if len(validator) <= 1_024 and validator.isascii() and validator.isprintable() else ""


def _named_twice(records: Iterable[TaskFields]) -> list[Problem]:
    counts = Counter(task.id for task in records)
    return [{"id": task_id, "problem": "named more than once; the last one counts"} for task_id, n in counts.items() if n > 1]


def _capped(problems: list[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MOST_PROBLEMS:
        return tuple(problems)
    return (*problems[:MOST_PROBLEMS], {"id": "", "problem": f"and {len(problems) - MOST_PROBLEMS} more problems"})
