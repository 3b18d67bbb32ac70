"""A real Chromium, and a site with something of everything."""

from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser import town
from tests.journeys.http import Site, a_site

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests with the browser share one event loop: to start a driver and a browser takes longer than most of them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_chromium() -> AsyncIterator[Browser]:
    """One browser for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(lasting_chromium: Browser) -> AsyncIterator[Browser]:
    """The browser, without anybody in it; who comes leaves with the test."""
    yield lasting_chromium
    for context in lasting_chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lasting_town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One filled site for all tests of a module, for those that only look."""
    async with a_site(tmp_path_factory.mktemp("town"), zone=ZoneInfo("Asia/Shanghai")) as site:
        await town.fill(site)
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def town_site(tmp_path: Path) -> AsyncIterator[Site]:
    """The web over a filled store."""
    async with a_site(tmp_path, zone=ZoneInfo("Asia/Shanghai")) as site:
        await town.fill(site)
        yield site
