"""The board in a real browser over a large store: weight, time until it works, server time, a change from screen to screen,
and what 100 events a second cost twenty open boards.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from bench.harness import Row, p95, within
from bench.http import a_people_server, timed
from bench.page_weight import SLOW_4G, Weight, cold, weigh
from bench.seed import a_store
from bench.serving import Server
from taskdash.store.migrations import runner
from tests.faults.load.usage import cpu_s

TASKS, SERVICES = 1_000_000, 100_000
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
BOARDS, EVENTS_A_SECOND, LOAD_S = (1, 20), 100, 15.0
STARTS, CHANGES = 9, 40
VIEWS = ("/tasks", "/tasks?at_risk=true", "/tasks?status=failed", "/tasks?group=group-3", "/tasks?user=none", "/tasks?q=order")


async def run(tasks: int = TASKS, services: int = SERVICES) -> list[Row]:
    """Every figure of UI 11."""
    path = a_store(tasks, services)
    (path.parent / runner.MARKER).touch()
    async with a_people_server(path.parent) as (server, session), a_browser() as browser:
        cookies = [_cookie(server, session)]
        rows = await _server_time(session, tasks)
        page = await (await _person(browser, server, cookies)).new_page()
        rows += _weights(await weigh(page, "/tasks"))
        await page.context.close()
        rows += await _starts(browser, server, cookies)
        rows.append(await _from_screen_to_screen(browser, server, cookies))
        for count in BOARDS:
            rows += await _under_load(browser, server, cookies, count)
    path.unlink()
    return rows


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


def _cookie(server: Server, session: aiohttp.ClientSession) -> dict[str, str]:
    jar = session.cookie_jar.filter_cookies(server.url)  # type: ignore[arg-type]
    name, morsel = next(iter(jar.items()))
    return {"name": name, "value": morsel.value, "url": server.url}


async def _person(browser: Browser, server: Server, cookies: list[Any]) -> BrowserContext:
    context = await browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
    await context.add_cookies(cookies)
    return context


async def _server_time(session: aiohttp.ClientSession, tasks: int) -> list[Row]:
    found = []
    for view in VIEWS:
        await timed(session, view, 5)
        found.append(within(f"{view} at {tasks:,} tasks, whole answer, p95", p95(await timed(session, view, 60)), 150.0))
    return found


def _weights(weight: Weight) -> list[Row]:
    goals = {"html": 15.0, "css": 8.0, "js": 15.0}
    found = [
        within(
            f"{kind} of the board, {weight.rows} rows, gzip",
            weight.packed[kind],
            goal,
            " kB",
            f"{weight.plain[kind]:.1f} kB plain",
        )
        for kind, goal in goals.items()
    ]
    found.append(within("requests of a first visit, without the stream", weight.requests, 8, ""))
    found.append(within(f"elements at {weight.rows} rows", weight.elements, 3_000, ""))
    return found


async def _starts(browser: Browser, server: Server, cookies: list[Any]) -> list[Row]:
    found = []
    for name, network, goal in (("loopback", None, 500.0), ("slow 4G (150 ms, 1.6 Mbit/s)", SLOW_4G, 2_000.0)):
        took = [await cold(browser, server.url, cookies, "/tasks", network) for _ in range(STARTS)]
        found.append(within(f"board works from an empty cache, {name}, median of {STARTS}", sorted(took)[STARTS // 2], goal))
    return found


KEYS = "[...document.querySelectorAll('tr[data-task]')].map(row => row.dataset.task)"
CHANGED = """id => {
  const row = document.querySelector(`tr[data-task="${id}"]`);
  const seen = (done) => new MutationObserver((_changes, observer) => {
    observer.disconnect();
    done(performance.timeOrigin + performance.now());
  }).observe(row, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-version"] });
  window.changedAt = new Promise(seen);
}"""
PRESS = """id => {
  document.querySelector(`tr[data-task="${id}"] td.act button`).click();
  return performance.timeOrigin + performance.now();
}"""


async def _from_screen_to_screen(browser: Browser, server: Server, cookies: list[Any]) -> Row:
    """One claims, the other sees it: time from the click to the changed row, server and both browsers on one machine."""
    one, two = [await (await _person(browser, server, cookies)).new_page() for _ in range(2)]
    for page in (one, two):
        await page.goto("/tasks?user=none&sort=id")
        await page.locator("html[data-is-link=live]").wait_for()
    took = []
    for key in (await one.evaluate(KEYS))[:CHANGES]:
        await two.evaluate(CHANGED, key)
        began = float(await one.evaluate(PRESS, key))
        took.append(float(await two.evaluate("window.changedAt")) - began)
        await one.locator(".toast").wait_for()
        await asyncio.sleep(0.5)
    for page in (one, two):
        await page.context.close()
    note = f"median {statistics.median(took):.0f} ms"
    return within(f"a claim on one screen seen on another, p95 of {CHANGES}", p95(took), 150.0, note=note)


async def _under_load(browser: Browser, server: Server, cookies: list[Any], count: int) -> list[Row]:
    """Boards of so many people, all of whose rows change all the time."""
    meter = await browser.new_browser_cdp_session()
    boards = [await _open_board(browser, server, cookies) for _ in range(count)]
    asked: list[str] = []
    boards[0].on("request", lambda request: asked.append(request.url) if "/ui/" in request.url else None)
    keys = await boards[0].evaluate(KEYS)
    server_began, tabs_began, began = cpu_s(server.process.pid), await _tabs_s(meter), time.perf_counter()
    sent = await _events(server, keys)
    took = time.perf_counter() - began
    tabs, cpu = await _tabs_s(meter) - tabs_began, cpu_s(server.process.pid) - server_began
    for page in boards:
        await page.context.close()
    name = f"{sent / took:.0f} events/s, open boards: {count}"
    return [
        within(f"{name}; fragment requests of one", len(asked) / took, 4.0, "/s"),
        Row(f"{name}; CPU of one tab", f"{tabs / took / count:.0%} of a core", "-", None, "-", None),
        Row(f"{name}; CPU of the server", f"{cpu / took:.0%} of a core", "-", None, "-", None),
    ]


async def _open_board(browser: Browser, server: Server, cookies: list[Any]) -> Page:
    page = await (await _person(browser, server, cookies)).new_page()
    await page.goto("/tasks?sort=id")
    await page.locator("html[data-is-link=live]").wait_for()
    return page


async def _tabs_s(meter: CDPSession) -> float:
    """Seconds of CPU of all tabs so far."""
    processes = (await meter.send("SystemInfo.getProcessInfo"))["processInfo"]
    return sum(float(process["cpuTime"]) for process in processes if process["type"] == "renderer")


async def _events(server: Server, keys: list[str]) -> int:
    """Changes of status over TCP at an even pace; how many were made."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    began, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < LOAD_S:
        if sent >= passed * EVENTS_A_SECOND:
            await asyncio.sleep(0.002)
            continue
        status = ("running", "waiting", "failed", "finish")[sent // len(keys) % 4]
        body = {"id": keys[sent % len(keys)], "status": status}
        writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": "Update"}, "Body": body}).encode() + b"\n")
        await reader.readline()
        sent += 1
    writer.close()
    return sent
