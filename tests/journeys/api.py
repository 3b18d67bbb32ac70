"""Calls of the JSON API, and a store with something in it, for the tests of the API."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from taskdash.model.records import Service, Task
from taskdash.store import services, tasks
from tests.journeys.http import Site

API = "/api/v1"


async def call(http: aiohttp.ClientSession, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """(status, JSON or text or None) of one call below /api/v1."""
    if body is not None:
        options["json"] = body
    async with http.request(method, _url(API + path), **options) as answer:
        raw = await answer.read()
        is_json = answer.headers.get("content-type", "").partition(";")[0] in {"application/json", "application/problem+json"}
        return answer.status, (msgspec.json.decode(raw) if is_json and raw else raw.decode() or None)


def _url(path: str) -> URL:
    """The path as it is written: what is encoded stays so, what HTTP cannot carry is encoded."""
    return URL(quote(path, safe="/%?&=;:,*+-"), encoded=True)


def of_id(key: str) -> str:
    """An id as one path segment."""
    return quote(key, safe="")


async def ids(http: aiohttp.ClientSession, query: str) -> list[str]:
    """Ids of GET /tasks with this query."""
    status, body = await call(http, "GET", f"/tasks?{query}")
    assert status == 200, body
    return [task["id"] for task in body["items"]]


async def stored(site: Site, *new: Task | Service) -> None:
    """Put services and tasks straight into the store, in steps that a busy machine ends in time."""
    await site.db.write(lambda conn: services.save(conn, [each for each in new if isinstance(each, Service)]))
    for some in batched([(None, each) for each in new if isinstance(each, Task)], 250):
        await site.db.write(lambda conn, some=some: tasks.save(conn, some))


def batched(many: list[Any], size: int) -> Iterator[list[Any]]:
    """In parts of `size`, the last one shorter."""
    for start in range(0, len(many), size):
        yield many[start : start + size]
