"""What a page costs a browser: bytes by kind, plain and by gzip, requests, elements, milliseconds until it works."""

import gzip
from typing import Any

from msgspec import Struct
from playwright.async_api import Browser, BrowserContext, Page, Response

STARTED = """(() => {
  const note = () => {
    if (window.startedAt === undefined && document.documentElement?.dataset.isLink) window.startedAt = performance.now();
  };
  new MutationObserver(note).observe(document, { attributes: true, childList: true, subtree: true });
})()"""
"""The scripts run from when they say how the stream is."""

SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
"""As Lighthouse has it: 150 ms there and back, 1.6 Mbit/s."""


class Weight(Struct):
    """`plain` and `packed`: kB by `html`, `css`, `js`; `requests` without the stream, which stays open."""

    plain: dict[str, float]
    packed: dict[str, float]
    requests: int
    elements: int
    rows: int


KINDS = {"text/html": "html", "text/css": "css", "text/javascript": "js"}


async def weigh(page: Page, path: str) -> Weight:
    """Open a page in an empty cache and weigh all that came."""
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    await page.goto(path)
    await page.locator("html[data-is-link]").wait_for()
    page.remove_listener("response", note)
    plain, packed = dict.fromkeys(KINDS.values(), 0.0), dict.fromkeys(KINDS.values(), 0.0)
    wanted = [answer for answer in answers if "/stream" not in answer.url]
    for answer in wanted:
        kind = KINDS.get(answer.headers.get("content-type", "").partition(";")[0])
        if kind:
            body = await answer.body()
            plain[kind] += len(body) / 1_000
            packed[kind] += len(gzip.compress(body)) / 1_000
    elements = int(await page.evaluate("document.querySelectorAll('*').length"))
    rows = await page.locator("tr[data-task]").count()
    return Weight(plain, packed, len(wanted), elements, rows)


async def cold(browser: Browser, origin: str, cookies: list[Any], path: str, network: dict[str, Any] | None) -> float:
    """Milliseconds from the navigation until the scripts run, in a browser that has nothing of ours yet."""
    context: BrowserContext = await browser.new_context(base_url=origin, viewport={"width": 1440, "height": 900})
    try:
        await context.add_cookies(cookies)
        page = await context.new_page()
        if network is not None:
            session = await context.new_cdp_session(page)
            await session.send("Network.enable")
            await session.send("Network.emulateNetworkConditions", network)
        await page.add_init_script(STARTED)
        await page.goto(path, wait_until="commit")
        await page.locator("html[data-is-link]").wait_for()
        return float(await page.evaluate("window.startedAt"))
    finally:
        await context.close()
