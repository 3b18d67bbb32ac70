"""Five hundred hostile texts through every port, and every screen that shows them: as text, and nothing ran. R156."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.hostile import Corpus
from tests.browser.people import Visitor, sign_in
from tests.browser.screens import BEFORE_SIGN_IN, SCREENS
from tests.service import running, tells
from tests.serving import Serving, serving
from tests.support import eventually

FIELDS = ("id", "name", "url", "user", "group_id", "description", "status", "reserved")
INJECTED = Path(__file__).with_name("injected.js").read_text(encoding="utf-8")
MOST_OF_A_KIND = {1440: 8, 390: 3}
"""How many links to one kind of page are followed, by the width of the window."""


def _record(corpus: Corpus) -> dict[str, str]:
    """A task whose every text is hostile, and allowed."""
    long = {"description", "reserved"}
    made = {field: corpus.text(8_192 if field in long else 256) for field in FIELDS}
    return {**made, "id": corpus.id(), "url": corpus.url()}


async def _by_tcp(server: Serving, corpus: Corpus) -> list[str]:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"], limit=1 << 20)
    ids = []

    async def ask(record: dict[str, str]) -> int:
        pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": record}
        writer.write(json.dumps(pack).encode() + b"\n")
        return int(json.loads(await reader.readline())["Body"]["errid"])

    for _ in range(18):
        record = _record(corpus)
        assert await ask(record) == 0, record
        ids.append(record["id"])
    for n in range(10):
        assert await ask({"id": f"wrong-{n}", "url": corpus.wrong_url()}) == 1000
    writer.close()
    return ids


def _collected(corpus: Corpus) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """(good, wrong) records of a task service."""
    good = [_record(corpus) for _ in range(18)]
    return good, [{"id": f"wrong-{n}", "name": corpus.text(), "url": corpus.wrong_url()} for n in range(10)]


def _pub(topic: str, body: bytes) -> bytes:
    return f"PUB {topic}\n".encode() + struct.pack(">i", len(body)) + body


async def _by_nsq(server: Serving, corpus: Corpus, url: str) -> None:
    """Registrations, beats of nobody, and what cannot be understood."""
    reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
    writer.write(b"  V2")
    names = [{"name": corpus.text(), "type": corpus.text(), "description": corpus.text(8_192)} for _ in range(20)]
    services: list[dict[str, str]] = [{"id": corpus.id(), "reserved": corpus.text(8_192), **named} for named in names]
    services.append({"id": "collected", "name": corpus.text(), "url": url})
    bodies = [("taskdash.services", each) for each in services]
    bodies += [("taskdash.services", {"id": f"wrong-{n}", "url": corpus.wrong_url()}) for n in range(10)]
    bodies += [("taskdash.heartbeats", {"id": corpus.id(), "reserved": corpus.text()}) for _ in range(12)]
    for topic, body in bodies:
        writer.write(_pub(topic, json.dumps(body).encode()))
    for _ in range(20):
        writer.write(_pub("taskdash.heartbeats", corpus.text(8_192).encode("utf-8", "surrogatepass")))
    writer.write(_pub("taskdash.services", b"\xff\xfe\x00<script>owned(1)</script>"))
    for _ in range(len(bodies) + 21):
        assert b"OK" in await asyncio.wait_for(reader.readexactly(10), 10)
    writer.close()


async def _by_http(session: aiohttp.ClientSession, corpus: Corpus, ids: list[str]) -> None:
    """What people write: groups, accounts, notes, reasons, views, tokens."""
    statuses = []

    async def post(path: str, body: dict[str, Any]) -> None:
        async with session.post(path, json=body) as answer:
            statuses.append((path, answer.status, await answer.text()))

    groups = [corpus.text() for _ in range(10)]
    for group in groups:
        await post("/api/v1/groups", {"id": group, "name": corpus.text()})
    users = [corpus.text() for _ in range(10)]
    for user in users:
        await post("/api/v1/users", {"name": user, "role": "lead", "groups": groups[:2]})
    for number, key in enumerate(ids):
        wish = {"group_id": "", "user": users[number % 10], "note": corpus.text()}
        await post(f"/api/v1/tasks/{quote(key, safe='')}/assign", wish)
    async with session.get("/api/v1/services?limit=200") as answer:
        services = (await answer.json())["items"]
    for service in services[:12]:
        await post(f"/api/v1/services/{quote(service['id'], safe='')}/pause", {"reason": corpus.text()})
    for _ in range(12):
        await post("/api/v1/views", {"name": corpus.text(), "query": f"q={quote(corpus.text())}"})
        await post("/api/v1/tokens", {"name": corpus.text(), "scopes": ["read"], "role": "viewer"})
    assert [each for each in statuses if each[1] >= 500] == []
    assert sum(each[1] < 300 for each in statuses) > len(statuses) / 2, statuses[:80]


class Place:
    """A served TaskDash full of hostile texts. `ids`: of its tasks."""

    def __init__(self, server: Serving, ids: list[str], taken: int) -> None:
        self.server, self.ids, self.taken = server, ids, taken


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    corpus = Corpus()
    good, wrong = _collected(corpus)
    async with running(tells([*good, *wrong])) as service, serving(tmp_path_factory.mktemp("hostile")) as server:
        told = await _by_tcp(server, corpus)
        await _by_nsq(server, corpus, service.url)
        async with server.signed_in() as session:
            ids = [*told, *(record["id"] for record in good)]

            async def are_all_there() -> bool:
                async with session.get("/api/v1/tasks?limit=200") as answer:
                    return {each["id"] for each in (await answer.json())["items"]} >= set(ids)

            await eventually(are_all_there)
            await _by_http(session, corpus, ids)
        yield Place(server, ids, corpus.taken)
        await server.stop()


async def _admin(browser: Browser, place: Place, width: int = 1440) -> Visitor:
    made = await browser.new_context(base_url=place.server.url, viewport={"width": width, "height": 900}, locale="en")
    person = Visitor(await made.new_page(), place.server.url)
    await person.page.goto("/login")
    await sign_in(person.page, "admin", place.server.admin)
    await person.page.wait_for_url(place.server.url + "/")
    person.complaints.clear()
    return person


def _kind(href: str) -> str:
    """Which page it is, whatever it is about: links of one kind differ in their values."""
    parts = urlsplit(href)
    words = parts.path.strip("/").split("/")
    return "/".join(words[:1] if words[0] in {"tasks", "services"} else words[:2]) + "?" + parts.query.split("=")[0]


async def _wrong_on(person: Visitor, path: str) -> list[str]:
    answer = await person.page.goto(path)
    assert answer is not None
    wrong = [] if answer.status == 200 else [f"status {answer.status}"]
    wrong += await person.page.evaluate(INJECTED)
    if await person.scrolls_sideways():
        wrong.append("scrolls sideways")
    wrong += person.complaints
    person.complaints.clear()
    return wrong


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [1440, 390])
async def test_R156_five_hundred_hostile_texts_are_text_on_every_screen_that_links_lead_to(
    chromium: Browser, place: Place, width: int
) -> None:
    assert place.taken >= 500
    admin = await _admin(chromium, place, width)
    tasks = [f"/tasks/{quote(key, safe='')}" for key in place.ids[:: 1 if width > 640 else 4]]
    waiting = ["/", "/tasks?limit=200", "/services?limit=200", "/history", *tasks]
    own = ("/admin", "/account", "/mine", "/start", "/wall")
    waiting += [path for path in SCREENS if path.startswith(own) and path.count("/") < 3]
    seen: set[str] = set(waiting)
    kinds: dict[str, int] = {}
    wrong = {}
    while waiting:
        path = waiting.pop(0)
        found = await _wrong_on(admin, path)
        if found:
            wrong[path] = found
        hrefs = "[...document.querySelectorAll('a[href^=\"/\"]:not([download])')].map(a => a.getAttribute('href'))"
        for href in await admin.page.evaluate(hrefs):
            kind = _kind(href)
            if href not in seen and not href.startswith(("/api", "/logout")) and kinds.get(kind, 0) < MOST_OF_A_KIND[width]:
                seen.add(href)
                kinds[kind] = kinds.get(kind, 0) + 1
                waiting.append(href)
    assert wrong == {}
    assert len(seen) > 40
    await admin.page.context.close()


async def test_R156_a_task_page_shows_each_of_its_texts_as_they_came(chromium: Browser, place: Place) -> None:
    admin = await _admin(chromium, place)
    async with place.server.signed_in() as session, session.get("/api/v1/tasks?limit=200") as answer:
        tasks = (await answer.json())["items"]
    for task in tasks:
        await admin.page.goto(f"/tasks/{quote(task['id'], safe='')}")
        shown = "".join(str(await admin.page.evaluate("document.querySelector('main').textContent")).split())
        for field in ("id", "name", "url", "user", "description"):
            assert "".join(task[field].split()) in shown, (task["id"], field)
        assert task["status"] in await admin.page.locator("h1 + .pill").get_attribute("title")
    assert admin.complaints == []
    await admin.page.context.close()


async def test_R156_hostile_texts_that_come_while_one_looks_are_text_too(chromium: Browser, place: Place) -> None:
    admin = await _admin(chromium, place)
    await admin.page.goto("/tasks?limit=200&sort=id")
    await admin.sees("html[data-is-link=live]")
    reader, writer = await asyncio.open_connection(*place.server.addresses["tcp"], limit=1 << 20)
    corpus = Corpus()
    names = [corpus.text() for _ in place.ids]
    for key, name in zip(place.ids, names, strict=True):
        pack = {"MessageID": 2, "Header": {"RequestID": "Update"}, "Body": {"id": key, "name": name, "status": name}}
        writer.write(json.dumps(pack).encode() + b"\n")
        assert json.loads(await reader.readline())["Body"]["errid"] == 0
    writer.close()
    shown = "[...document.querySelectorAll('tr[data-task] a.name')].map(a => a.textContent.trim())"

    async def are_shown() -> bool:
        return set(await admin.page.evaluate(shown)) >= {" ".join(name.split()) for name in names if "\n" not in name}

    await eventually(are_shown)
    assert await admin.page.evaluate(INJECTED) == []
    assert admin.complaints == []
    await admin.page.context.close()


async def test_R156_whoever_has_not_signed_in_sees_nothing_of_what_the_address_says(chromium: Browser, place: Place) -> None:
    made = await chromium.new_context(base_url=place.server.url)
    nobody = Visitor(await made.new_page(), place.server.url)
    for path in BEFORE_SIGN_IN:
        for text in Corpus().some(40):
            await nobody.page.goto(f"{path}?next={quote(text)}&user={quote(text)}&error={quote(text)}")
            assert await nobody.page.evaluate(INJECTED) == []
    assert nobody.complaints == []
    await made.close()
