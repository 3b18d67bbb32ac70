"""`make screenshots`: takes the pictures of the README from the demo, in both languages, while one of its services is down."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, async_playwright

FOLDER = Path("docs/images")
CHROMIUM = "/usr/bin/chromium"
PORTS = [f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen")]
WHO = "wsg"
"""Leads every group of the demo."""
DESK, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 780}
PICTURES: dict[str, tuple[str, dict[str, int], str]] = {
    "now": ("/", DESK, "light"),
    "board": ("/tasks", DESK, "light"),
    "board-dark": ("/tasks", DESK, "dark"),
    "service": ("/services/notify-gw", DESK, "light"),
    "wall": ("/wall", DESK, "dark"),
    "phone": ("/", PHONE, "light"),
}
LANGUAGES = {"en": "", "zh-CN": ".zh-CN"}
DOWN_WITHIN_MS = 120_000
MOST_BYTES = 200_000


async def main() -> int:
    """0 when every picture was taken and is small enough."""
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "taskdash.cli",
            "demo",
            *PORTS,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": folder},
        )
        try:
            url, password = await _told(demo)
            return await _take_all(url, password)
        finally:
            demo.terminate()
            await demo.wait()


async def _told(demo: asyncio.subprocess.Process) -> tuple[str, str]:
    """Where the demo is, and the password."""
    assert demo.stdout  # noqa: S101  (piped above)
    url = password = ""
    while not (url and password):
        line = (await demo.stdout.readline()).decode()
        if not line:
            raise RuntimeError("the demo ended")
        words = line.split()
        url = words[1] if words[:1] == ["open"] else url
        password = words[2] if words[:2] == ["sign-in:", WHO] else password
    return url, password


async def _cookies(browser: Browser, url: str, password: str) -> list[Any]:
    """Of a session, once Now shows that a service is down."""
    page = await (await browser.new_context(base_url=url)).new_page()
    await page.goto("/login")
    await page.fill("input[name=user]", WHO)
    await page.fill("input[name=password]", password)
    await page.click("form.form button.primary")
    await page.locator("form[action='/incidents/acknowledge'] button").first.wait_for(timeout=DOWN_WITHIN_MS)
    cookies = [cookie for cookie in await page.context.cookies() if "taskdash" in str(cookie.get("name"))]
    await page.context.close()
    return cookies


async def _take_all(url: str, password: str) -> int:
    too_big = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        cookies = await _cookies(browser, url, password)
        for language, ending in LANGUAGES.items():
            for name, (path, viewport, theme) in PICTURES.items():
                target = FOLDER / f"{name}{ending}.png"
                await _take(await _context(browser, url, language, viewport, theme, cookies), path, target)
                if target.stat().st_size > MOST_BYTES:
                    too_big.append(f"{target}: {target.stat().st_size:,} bytes, at most {MOST_BYTES:,}\n")
        await browser.close()
    sys.stdout.writelines(too_big)
    return 1 if too_big else 0


async def _context(
    browser: Browser, url: str, language: str, viewport: dict[str, int], theme: Any, cookies: list[Any]
) -> BrowserContext:
    size: Any = viewport
    made = await browser.new_context(base_url=url, locale=language, viewport=size, color_scheme=theme)
    await made.add_cookies(cookies)
    return made


async def _take(context: BrowserContext, path: str, target: Path) -> None:
    page = await context.new_page()
    await page.goto(path)
    await page.locator("html[data-is-link=live], main.wall").first.wait_for()
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=target)
    await context.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
