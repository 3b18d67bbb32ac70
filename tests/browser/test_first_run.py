"""The first run: real addresses, lines that work as they stand, and the first message seen the moment it comes. UI 6, 12."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page

from taskdash.model.records import Service, Task
from taskdash.store import services, tasks
from tests import serving
from tests.browser.people import Visitor, admin_of, sign_in, visitor
from tests.journeys.http import Site, a_site

EMPTY = {"addresses": {"http": "127.0.0.1:8700", "nsq": "127.0.0.1:4150", "nsq-http": "127.0.0.1:4151"}}
WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def _somebody(browser: Browser, site: Site, path: str, name: str = "ssx", **context: object) -> Visitor:
    found = await visitor(browser, site, **{"locale": "en", **context})  # type: ignore[arg-type]
    await found.page.goto(f"/login?next={path}")
    await sign_in(found.page, name)
    await found.page.wait_for_url(site.origin + path)
    return found


async def _shell(line: str) -> None:
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, (out, err)


async def _text_of(page: Page, n: int) -> str:
    return await page.locator(".lang pre").nth(n).inner_text()


async def test_the_line_on_the_page_registers_a_service_and_the_page_names_it_at_once(
    chromium: Browser, tmp_path: Path
) -> None:
    async with serving.serving(tmp_path) as server:
        ada = await admin_of(chromium, server, "/")
        await ada.sees("#waiting", "Waiting for the first message")
        for name, where in server.addresses.items():
            assert ":".join(map(str, where)) in await ada.page.locator("main").inner_text(), name
        await _shell(await _text_of(ada.page, 0))
        await ada.sees("#waiting a", "My first service")
        assert ada.page.url == server.url + "/"
        assert await ada.page.locator(".lang pre").first.is_visible()
        await ada.page.click("#waiting a >> nth=0")
        await ada.page.wait_for_url("**/services/first-1")
        await ada.page.goto("/")
        await ada.misses("#waiting")
        assert ada.complaints == []


async def test_a_first_message_that_nobody_understands_is_explained_with_a_link(chromium: Browser, tmp_path: Path) -> None:
    async with serving.serving(tmp_path) as server:
        ada = await admin_of(chromium, server, "/start")
        host, port = server.addresses["nsq-http"]
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{host}:{port}/pub?topic=taskdash.services", data=b'{"id": 133}') as answer,
        ):
            assert answer.status == 200
        await ada.page.reload()
        await ada.sees("#waiting", "could not be understood")
        await ada.page.click("#waiting a")
        await ada.sees(".letter pre", '{"id": 133}')
        assert ada.complaints == []


@WITH_AND_WITHOUT
@pytest.mark.parametrize("path", ["/", "/tasks", "/start"])
async def test_an_empty_store_shows_how_to_begin_in_four_languages(
    chromium: Browser, tmp_path: Path, path: str, script: bool
) -> None:
    async with a_site(tmp_path, **EMPTY) as site:
        await site.account("ssx", "lead")
        ada = await _somebody(chromium, site, path, java_script_enabled=script)
        await ada.sees("h1", "No service yet")
        for name, line in (("curl", "curl -fsS"), ("Python", "TaskService("), ("Go", "package main"), ("Node", "node:http")):
            await ada.page.locator(".tabrow label", has_text=name).click()
            shown = await ada.page.locator(".lang:visible pre").first.inner_text()
            assert line in shown
            assert "127.0.0.1:4151" in shown
        assert await ada.page.locator(".copy:visible").count() == (4 if script else 0)
        assert ada.complaints == []


async def test_a_block_is_copied_by_its_button_which_says_so(chromium: Browser, tmp_path: Path) -> None:
    async with a_site(tmp_path, **EMPTY) as site:
        await site.account("ssx", "lead")
        ada = await _somebody(chromium, site, "/start")
        await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await ada.page.locator(".lang .copy").nth(0).click()
        await ada.sees(".copy", "Copied")
        assert await ada.page.evaluate("navigator.clipboard.readText()") == await _text_of(ada.page, 0)


async def test_in_a_cluster_the_lines_use_the_api_with_a_token(chromium: Browser, tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        site.web.inputs.report("nsqd:10.0.0.7:4150", healthy=False, reason="connection refused")
        await site.account("ssx", "lead")
        ada = await _somebody(chromium, site, "/start", locale="zh-CN")
        first = await _text_of(ada.page, 0)
        assert f"{site.origin}/api/v1/services" in first
        assert "TASKDASH_TOKEN" in first
        await ada.sees("main", "令牌")
        await ada.sees(".ways li", "connection refused")


async def test_the_first_task_ends_the_first_run_too_and_a_hidden_service_is_not_named(
    chromium: Browser, tmp_path: Path
) -> None:
    async with a_site(tmp_path, visibility="groups") as site:
        await site.account("ssx", "viewer")
        now = site.web.clock.now()
        ada = await _somebody(chromium, site, "/start")
        secret = Service(id="hidden", name="Hidden one", state="new", since=now, registered_at=now, created_at=now)
        task = Task(id="7", name="t", status="running", group_id="pay", created_at=now, updated_at=now, status_at=now)
        await site.db.write(lambda conn: services.save(conn, [secret]))
        await site.db.write(lambda conn: tasks.save(conn, [(None, task)]))
        await ada.page.reload()
        await ada.sees("#waiting", "The first task is here")
        assert "Hidden" not in await ada.page.content()
