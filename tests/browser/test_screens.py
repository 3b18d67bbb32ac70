"""Every screen in both languages, both themes, at 1440 and 390: calm, within its width, no script runs. UI 12; R155, R156."""

import itertools

import pytest
from playwright.async_api import Browser

from tests.browser.people import signed_in, visitor
from tests.browser.town import BACKWARDS, HOSTILE
from tests.journeys.http import Site

SCREENS = (
    "/",
    "/tasks",
    "/tasks?status=failed&group=data&user=me",
    "/tasks/1001",
    "/tasks/1007",
    "/tasks/jobs%2F2024%2Fa%20b",
    "/tasks/assign?ids=1000&ids=1001",
    "/services",
    "/services/billing",
    "/services/backup",
    "/history",
    "/password",
)
EVERY = list(itertools.product(("zh-CN", "en"), ("light", "dark"), (1440, 390)))


@pytest.mark.parametrize(("language", "theme", "width"), EVERY)
async def test_no_screen_complains_or_scrolls_sideways(
    chromium: Browser, town_site: Site, language: str, theme: str, width: int
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", width=width, locale=language, color_scheme=theme)
    for path in SCREENS:
        answer = await ada.page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        assert not await ada.scrolls_sideways(), path
        assert await ada.page.evaluate("document.documentElement.lang") == language
        assert await ada.page.locator("h1").count() == 1, path
    dark = await ada.page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor")
    assert dark == ("rgb(16, 20, 26)" if theme == "dark" else "rgb(247, 248, 250)")
    assert ada.complaints == []


@pytest.mark.parametrize("width", [640, 800, 1024, 1200])
async def test_between_phone_and_desk_nothing_scrolls_sideways(chromium: Browser, town_site: Site, width: int) -> None:
    ada = await signed_in(chromium, town_site, "root", width=width)
    for path in SCREENS:
        await ada.page.goto(path)
        assert not await ada.scrolls_sideways(), path


async def test_the_sign_in_screen_is_calm_too(chromium: Browser, town_site: Site) -> None:
    for width in (1440, 390):
        nobody = await visitor(chromium, town_site, width=width)
        await nobody.page.goto("/login")
        assert not await nobody.scrolls_sideways()
        assert nobody.complaints == []


async def test_on_a_phone_every_button_and_tab_is_large_enough_for_a_thumb(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", width=390)
    for path in SCREENS:
        await ada.page.goto(path)
        for target in await ada.page.locator("button:visible, .btn:visible, select:visible, nav.tabs a, summary:visible").all():
            box = await target.bounding_box()
            assert box is not None
            assert box["height"] >= 44, (path, await target.inner_text(), box)


async def test_R156_hostile_texts_are_shown_as_text_and_run_nowhere(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx")
    for path in (
        "/tasks?q=script",
        "/tasks/1007",
        "/tasks/assign?ids=1007",
        "/history?subject=%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        await ada.page.goto(path)
        assert await ada.page.title() != "owned"
    await ada.page.goto("/tasks/1007")
    assert await ada.page.locator("h1").inner_text() == HOSTILE
    assert await ada.page.locator("main script, main img").count() == 0
    await ada.page.goto("/tasks/1008")
    assert await ada.page.locator("h1 bdi").inner_text() == BACKWARDS
    assert ada.complaints == []


async def test_links_to_what_a_service_told_leave_no_trace(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx")
    await ada.page.goto("/tasks/1001")
    link = ada.page.locator("a[href^='http://10.0.3.8']").first
    assert "noopener" in str(await link.get_attribute("rel"))
    assert "noreferrer" in str(await link.get_attribute("rel"))


async def test_language_and_theme_are_chosen_in_the_menu_and_stay(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", color_scheme="light")
    await ada.page.click(".menu summary")
    await ada.page.click("button[name=language][value=zh-CN]")
    await ada.page.wait_for_url("**/tasks")
    assert await ada.page.locator("html").get_attribute("lang") == "zh-CN"
    await ada.page.click(".menu summary")
    await ada.page.click("button[name=theme][value=dark]")
    await ada.page.wait_for_url("**/tasks")
    await ada.page.goto("/services")
    assert await ada.page.locator("html").get_attribute("data-theme") == "dark"
    assert "服务" in await ada.page.locator("h1").inner_text()
    assert ada.complaints == []


async def test_a_page_that_is_not_there_says_so_in_the_readers_language(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="zh-CN")
    answer = await ada.page.goto("/tasks/nope")
    assert answer is not None
    assert answer.status == 404
    assert await ada.page.locator("h1").inner_text() == "找不到"
    answer = await ada.page.goto("/services/nope")
    assert answer is not None
    assert answer.status == 404
