"""Five hundred payloads in every field by every port, seen by a real browser, many objects in one look. RELIABILITY R156.

The pages of single objects are put together, fifty in one document, and given to the browser without our
Content-Security-Policy: only that texts are text keeps them quiet. Lists and the pages of people are looked at as they are
served. `LONG_FAULTS=1`: all five hundred also of what people write, and the page of every object.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route

from tests.browser.payloads import PAYLOADS, at
from tests.browser.people import Visitor, admin_of
from tests.service import running, tells
from tests.serving import Serving, serving
from tests.support import eventually

IS_LONG = bool(os.environ.get("LONG_FAULTS"))
OF_PEOPLE = len(PAYLOADS) if IS_LONG else 40
VIEWS = 200  # of one person there are no more
SAMPLE = 1 if IS_LONG else 23
TOGETHER = 50
INJECTED = Path(__file__).with_name("injected.js").read_text(encoding="utf-8")
SAID = "document.documentElement.textContent + [...document.querySelectorAll('[title]')].map(e => e.title).join('')"
SHOWN = ("id", "name", "user", "description", "status")


def a_task(n: int) -> dict[str, str]:
    """A task with another payload in each of its fields; the id is one too."""
    names = ("name", "user", "group_id", "description", "status", "reserved")
    fields = {name: at(n + 61 * shift) for shift, name in enumerate(names, 1)}
    return {"id": at(n), "url": f"http://evil.example/{n}?{quote(at(n), safe='')}", **fields}


def a_service(n: int) -> dict[str, str]:
    names = ("name", "type", "description", "reserved")
    return {"id": at(n), **{name: at(n + 61 * shift) for shift, name in enumerate(names, 1)}}


async def by_tcp(server: Serving) -> None:
    """8701: 500 tasks, all sent before the first answer is read."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"], limit=1 << 22)
    for n in range(len(PAYLOADS)):
        pack = {"MessageID": 2, "Header": {"RequestID": "Register", "x": at(n)}, "Body": a_task(n)}
        writer.write(json.dumps(pack).encode() + b"\n")
    for n in range(len(PAYLOADS)):
        assert json.loads(await reader.readline())["Body"]["errid"] == 0, PAYLOADS[n]
    writer.close()


async def by_nsq(server: Serving, collected: str) -> None:
    """4150: 500 services, and one whose url names 500 tasks."""
    services = [a_service(n) for n in range(len(PAYLOADS))] + [{"id": "collected", "name": "collected", "url": collected}]
    reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
    writer.write(b"  V2")
    for body in (json.dumps(each).encode() for each in services):
        writer.write(b"PUB taskdash.services\n" + struct.pack(">i", len(body)) + body)
    for _ in services:
        assert b"OK" in await asyncio.wait_for(reader.readexactly(10), 20)
    writer.close()


async def by_nsq_http(server: Serving) -> None:
    """4151: beats of 500 who never registered, 500 messages that nobody understands, topics that are not ours."""
    host, port = server.addresses["nsq-http"]
    beats = [json.dumps({"id": f"nobody {at(n)}"[:128], "reserved": at(n)}) for n in range(len(PAYLOADS))]
    letters = [json.dumps({"id": n, at(n): at(n)}) for n in range(len(PAYLOADS))]
    async with aiohttp.ClientSession(f"http://{host}:{port}", headers={"User-Agent": at(3)}) as session:
        for lines in (beats, letters):
            async with session.post("/mpub?topic=taskdash.heartbeats", data="\n".join(lines)) as answer:
                assert answer.status == 200, await answer.text()
        async with session.post(f"/pub?topic={quote(at(0))}", data="x") as answer:
            assert answer.status == 400


async def by_http(session: aiohttp.ClientSession) -> None:
    """8700: what people and programs write."""
    statuses: dict[str, list[int]] = {}

    async def send(method: str, kind: str, path: str, body: dict[str, Any] | None = None) -> None:
        async with session.request(method, f"/api/v1{path}", json=body) as answer:
            statuses.setdefault(f"{method} {kind}", []).append(answer.status)

    for n in range(OF_PEOPLE):
        task, service = quote(at(n), safe=""), quote(at(n), safe="")
        await send("POST", "groups", "/groups", {"id": at(n), "name": at(n + 61)})
        await send("POST", "users", "/users", {"name": at(n), "role": "lead", "groups": [at(n)]})
        await send(
            "POST", "assign", f"/tasks/{task}/assign", {"user": at(n), "group_id": at(n), "version": 1, "note": at(n + 7)}
        )
        await send("POST", "pause", f"/services/{service}/pause", {"reason": at(n)})
        if n < VIEWS:
            await send("POST", "views", "/views", {"name": at(n), "query": f"q={quote(at(n))}"})
        await send("POST", "tokens", "/tokens", {"name": at(n), "scopes": ["read"], "role": "viewer"})
        await send("POST", "services", "/services", {**a_service(n), "id": f"by http {at(n)}"[:128]})
        await send("PUT", "beat", f"/services/{quote(f'stranger {at(n)}'[:128], safe='')}/heartbeat")
    taken = {kind: sum(status < 300 for status in found) for kind, found in statuses.items()}
    wanted = {"POST views": min(VIEWS, OF_PEOPLE), "PUT beat": 0}
    assert all(count == wanted.get(kind, OF_PEOPLE) for kind, count in taken.items()), taken


async def signed_in_by_strange_browsers(server: Serving) -> None:
    """What a browser says of itself is shown beside its session."""
    for n in range(8):
        body = {"user": "admin", "password": server.admin}
        agent = {"User-Agent": at(n * 41)}
        async with aiohttp.request("POST", f"{server.url}/api/v1/login", json=body, headers=agent) as answer:
            assert answer.status == 200


def collected() -> list[dict[str, str]]:
    """500 tasks whose ids are told from those by TCP; some records are wrong."""
    records = [{**a_task(n), "id": f"c{at(n)}"[:128]} for n in range(len(PAYLOADS))]
    wrong = [{"id": f"wrong {n}", "url": f"javascript:{at(n)}"} for n in range(40)]
    return [*records, *wrong, *({"id": "\u202e" + at(n)} for n in range(20))]


class Place:
    """A served TaskDash full of payloads, and its admin's client."""

    def __init__(self, server: Serving, session: aiohttp.ClientSession) -> None:
        self.server, self.session = server, session

    async def every(self, path: str, key: str = "id") -> list[dict[str, Any]]:
        """All items of a list."""
        found, cursor = [], ""
        while True:
            async with self.session.get(f"/api/v1{path}?limit=500{cursor}") as answer:
                page = await answer.json()
            found += page["items"]
            if not page["next"]:
                return found
            cursor = f"&cursor={page['next']}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with running(tells(collected())) as service, serving(tmp_path_factory.mktemp("fields")) as server:
        await by_tcp(server)
        await by_nsq(server, service.url)
        await by_nsq_http(server)
        await signed_in_by_strange_browsers(server)
        async with server.signed_in() as session:
            here = Place(server, session)

            async def is_collected() -> bool:
                return len(await here.every("/tasks")) == 2 * len(PAYLOADS)

            await eventually(is_collected, 60)
            await by_http(session)
            yield here
        await server.stop()


async def wrong_in(person: Visitor) -> list[str]:
    """What the open page ran, asked or holds that is no text."""
    wrong = [*await person.page.evaluate(INJECTED), *person.complaints]
    person.complaints.clear()
    return wrong


async def together(place: Place, person: Visitor, paths: Sequence[str]) -> tuple[list[str], str]:
    """(what is wrong in, all texts of) a document that holds all these pages and has no policy."""
    pages = []
    for path in paths:
        async with place.session.get(path) as answer:
            assert answer.status == 200, path
            pages.append(await answer.text())

    async def give(route: Route) -> None:
        await route.fulfill(body="\n".join(pages), content_type="text/html; charset=utf-8", headers={})

    await person.page.route("**/together", give)
    await person.page.goto("/together", wait_until="domcontentloaded")
    said = await person.page.evaluate(SAID)
    return await wrong_in(person), squeezed(str(said))


def squeezed(text: str) -> str:
    """Without white space, which HTML does not keep."""
    return "".join(text.split())


def batches(objects: Sequence[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    some = objects[::SAMPLE]
    return (some[n : n + TOGETHER] for n in range(0, len(some), TOGETHER))


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("kind", ["tasks", "services"])
async def test_R156_on_the_page_of_each_object_every_field_is_text_also_without_a_policy(
    chromium: Browser, place: Place, kind: str
) -> None:
    assert len(set(PAYLOADS)) == 500
    admin = await admin_of(chromium, place.server)
    await admin.page.route("**/static/**/*.js", lambda route: route.abort())
    shown = SHOWN if kind == "tasks" else ("id", "name", "description")
    for some in batches(await place.every(f"/{kind}")):
        admin.complaints.clear()
        wrong, said = await together(place, admin, [f"/{kind}/{quote(each['id'], safe='')}" for each in some])
        assert [each for each in wrong if "ERR_FAILED" not in each] == []
        missing = [(each["id"], name) for each in some for name in shown if squeezed(each[name]) not in said]
        assert missing == []


LISTS = (
    "/",
    "/tasks?limit=500&sort=id",
    *(["/tasks?limit=500&sort=-id"] if IS_LONG else []),
    "/services?limit=500",
    "/history?limit=500",
    "/mine",
    "/wall",
    "/account",
    "/account/tokens",
    "/handover",
    "/admin/users",
    "/admin/tokens",
    "/admin/dead-letters",
    "/admin/senders",
    "/services/collected",
    "/palette?q=script",
)


@pytest.mark.timeout(600)
async def test_R156_on_every_list_every_field_is_text(chromium: Browser, place: Place) -> None:
    admin = await admin_of(chromium, place.server)
    for path in LISTS:
        answer = await admin.page.goto(path)
        assert answer is not None
        assert (answer.status, await wrong_in(admin)) == (200, []), path


@pytest.mark.timeout(600)
async def test_R156_the_pages_of_people_and_groups_and_what_an_address_says_are_text(chromium: Browser, place: Place) -> None:
    admin = await admin_of(chromium, place.server)
    await admin.page.route("**/static/**/*.js", lambda route: route.abort())
    some = range(0, OF_PEOPLE, 5)
    paths = [f"/admin/users/{quote(at(n), safe='')}" for n in some] + [f"/admin/groups/{quote(at(n), safe='')}" for n in some]
    for n in some:
        said = quote(at(n), safe="")
        paths += [f"/tasks?q={said}&status={said}", f"/history?actor={said}", f"/palette?q={said}", f"/services?q={said}"]
    for first in range(0, len(paths), TOGETHER):
        admin.complaints.clear()
        wrong, said = await together(place, admin, paths[first : first + TOGETHER])
        assert [each for each in wrong if "ERR_FAILED" not in each] == []
        assert "owned(" in said or "evil.example" in unescape(said)
