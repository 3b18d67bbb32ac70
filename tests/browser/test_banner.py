"""What is said while one works moves nothing, and covers nothing that cannot be scrolled out from under it. UI 1.4, 6."""

import pytest
from playwright.async_api import Browser

from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site

PLACES = """() => [...document.querySelectorAll('header *, main *, .side *, .tabs *')]
  .filter(each => each.matches('a, button, summary, input, h1, h2') && each.checkVisibility() && each.id !== 'apply')
  .map(each => [each, each.getBoundingClientRect()])
  .map(([each, box]) => [each.outerHTML.slice(0, 60), each.closest('header') ? Math.round(box.x) : 0, Math.round(box.y)])"""
"""Where what one can press is; in lines of text an age that grows pushes what follows it, also while connected."""
COVERED = """selector => {
  const box = document.querySelector(selector).getBoundingClientRect();
  return [...document.querySelectorAll('.foot, .tabs, .ownacts button, main tr:last-child, main.page > :last-child')]
    .map(each => each.getBoundingClientRect())
    .some(each => each.height && each.top < box.bottom - 1 && each.bottom > box.top + 1);
}"""


async def _is_open(ada: Visitor, path: str) -> None:
    await ada.page.clock.install()
    await ada.page.goto(path)
    await ada.page.locator("html[data-is-link=live]").wait_for()


async def _is_cut(ada: Visitor) -> None:
    await ada.page.route("**/api/v1/stream*", lambda route: route.abort())
    await ada.page.clock.fast_forward(41_000)
    await ada.sees("#disconnected", "Disconnected")


@pytest.mark.parametrize("path", ["/tasks", "/", "/tasks/1001", "/services", "/history", "/mine"])
@pytest.mark.parametrize("width", [1440, 800, 390])
async def test_nothing_moves_when_the_connection_is_cut_and_the_end_of_the_page_stays_in_reach(
    chromium: Browser, town_site: Site, width: int, path: str
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", width=width)
    await _is_open(ada, path)
    before = await ada.page.evaluate(PLACES)
    await _is_cut(ada)
    assert await ada.page.evaluate(PLACES) == before
    await ada.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert not await ada.page.evaluate(COVERED, ".notes")
    assert not await ada.scrolls_sideways()


async def test_the_bulk_bar_of_a_phone_is_free_of_the_banner_however_high_it_grows(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", width=390)
    await _is_open(ada, "/tasks")
    await _is_cut(ada)
    await ada.page.click(".selecting")
    await ada.page.locator("input[name=ids]").first.check()
    await ada.page.clock.run_for(1_000)
    foot, notes = await ada.page.locator(".foot").bounding_box(), await ada.page.locator(".notes").bounding_box()
    assert foot is not None
    assert notes is not None
    assert foot["height"] > 60
    assert abs(notes["y"] + notes["height"] - foot["y"]) <= 1


async def test_a_session_that_ended_is_told_without_moving_anything(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _is_open(ada, "/tasks")
    before = await ada.page.evaluate(PLACES)
    await ada.page.context.clear_cookies()
    await ada.page.click("tr[data-task] button >> nth=0")
    await ada.sees("#session-ended a")
    assert await ada.page.evaluate(PLACES) == before
