"""Every screen, both languages, both themes, at 1440 and 390: calm, accessible, within its width, no script runs. UI 10, 12."""

import itertools
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from taskdash.web.routes import routes
from tests.browser.people import Visitor, signed_in, visitor
from tests.browser.screens import (
    BEFORE_SIGN_IN,
    FRAGMENTS,
    SCREENS,
    axe_complaints,
    focus_complaints,
    layout_complaints,
    look_at,
    walk_complaints,
)
from tests.browser.town import BACKWARDS, HOSTILE
from tests.journeys.http import Site

EVERY = list(itertools.product(("zh-CN", "en"), ("light", "dark"), (1440, 390)))
BACKGROUND = {"light": "rgb(247, 248, 250)", "dark": "rgb(16, 20, 26)"}


def _target(width: int) -> int:
    return 44 if width < 640 else 24


async def _is_calm(person: Visitor, path: str, target: int, language: str) -> list[str]:
    """Whatever is wrong with one screen."""
    await look_at(person, path)
    wrong = await layout_complaints(person, target)
    if await person.page.evaluate("document.documentElement.lang") != language:
        wrong.append("another language")
    wrong += await axe_complaints(person)
    wrong += person.complaints
    person.complaints.clear()
    return wrong


@pytest.mark.parametrize(("language", "theme", "width"), EVERY)
async def test_every_screen_is_calm_accessible_and_within_its_width(
    chromium: Browser, lasting_town: Site, language: str, theme: str, width: int
) -> None:
    root = await signed_in(chromium, lasting_town, "root", width=width, locale=language, color_scheme=theme)
    wrong = {path: await _is_calm(root, path, _target(width), language) for path in SCREENS}
    assert {path: each for path, each in wrong.items() if each} == {}
    dark = await root.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark == BACKGROUND[theme]
    await root.page.context.close()


@pytest.mark.parametrize(("language", "theme", "width"), EVERY)
async def test_what_a_stranger_sees_is_calm_too(
    chromium: Browser, lasting_town: Site, language: str, theme: str, width: int
) -> None:
    nobody = await visitor(chromium, lasting_town, width=width, locale=language, color_scheme=theme)
    wrong = {path: await _is_calm(nobody, path, _target(width), language) for path in BEFORE_SIGN_IN}
    assert {path: each for path, each in wrong.items() if each} == {}
    await nobody.page.context.close()


@pytest.mark.parametrize("name", ["vic", "zxf", "ssx"])
async def test_who_may_less_sees_calm_screens_too(chromium: Browser, lasting_town: Site, name: str) -> None:
    person = await signed_in(chromium, lasting_town, name, locale="en")
    wrong: dict[str, list[str]] = {}
    for path in SCREENS:
        answer = await person.page.goto(path)
        assert answer is not None
        assert answer.status in {200, 403, 404}, path
        refused = [each for each in person.complaints if "status of 40" in each]
        wrong[path] = [*await layout_complaints(person, 24), *(each for each in person.complaints if each not in refused)]
        person.complaints.clear()
    assert {path: each for path, each in wrong.items() if each} == {}
    await person.page.context.close()


async def test_no_width_from_320_on_scrolls_sideways_nor_does_twice_the_size(chromium: Browser, lasting_town: Site) -> None:
    root = await signed_in(chromium, lasting_town, "root", device_scale_factor=2)
    wrong = []
    for path in SCREENS:
        await look_at(root, path)
        for width in (1200, 1024, 800, 720, 640, 480, 320):
            await root.page.set_viewport_size({"width": width, "height": 450})
            wrong += [f"{path} at {width}" for sideways in [await root.scrolls_sideways()] if sideways]
        await root.page.set_viewport_size({"width": 1440, "height": 900})
    assert wrong == []
    await root.page.context.close()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (720, 450), (390, 844)])
async def test_all_that_can_be_used_takes_the_focus_and_is_seen_having_it(
    chromium: Browser, lasting_town: Site, width: int, height: int
) -> None:
    root = await signed_in(chromium, lasting_town, "root", width=width)
    await root.page.set_viewport_size({"width": width, "height": height})
    wrong = {}
    for path in SCREENS:
        await look_at(root, path)
        wrong[path] = await focus_complaints(root)
    assert {path: each for path, each in wrong.items() if each} == {}
    await root.page.context.close()


async def test_the_tab_key_alone_comes_to_all_that_can_be_used(chromium: Browser, lasting_town: Site) -> None:
    root = await signed_in(chromium, lasting_town, "root")
    wrong = {}
    for path in SCREENS:
        await look_at(root, path)
        wrong[path] = await walk_complaints(root)
    assert {path: each for path, each in wrong.items() if each} == {}
    await root.page.context.close()


def test_every_page_that_is_served_is_among_the_screens() -> None:
    known = [urlsplit(path).path for path in (*SCREENS, *BEFORE_SIGN_IN)]
    pages = {
        path
        for handler in routes()
        if "GET" in handler.http_methods and str(handler.media_type) == "text/html"
        for path in handler.paths
    }
    assert pages
    missing = [page for page in pages - set(FRAGMENTS) if not any(_is_at(page, path) for path in known)]
    assert sorted(missing) == []
    assert set(FRAGMENTS) <= pages


def _is_at(template: str, path: str) -> bool:
    pattern = "".join(r"[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", template))
    return re.fullmatch(pattern, path) is not None


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
    await ada.sees("html[lang=zh-CN]")
    await ada.page.click(".menu summary")
    await ada.page.click("button[name=theme][value=dark]")
    await ada.sees("html[data-theme=dark]")
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
