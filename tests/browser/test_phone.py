"""The board under a finger: press and hold selects, everything else scrolls and opens as ever. UI 6 (Phone)."""

from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession

from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site

HELD_MS = 600
"""Longer than a hold takes."""


class Finger:
    """One finger on the glass, by the touch events that Chromium makes of a real one."""

    def __init__(self, session: CDPSession, visitor: Visitor) -> None:
        self.session, self.page = session, visitor.page
        self.x = self.y = 0.0

    async def down(self, key: str) -> None:
        """On the name of a row, in the middle of what leads to its task."""
        box = await self.page.locator(f"tr[data-task='{key}'] .b-name").bounding_box()
        assert box is not None
        self.x, self.y = box["x"] + 20, box["y"] + box["height"] / 2
        await self._send("touchStart")

    async def move(self, dy: float) -> None:
        self.y += dy
        await self._send("touchMove")

    async def up(self) -> None:
        await self._send("touchEnd")

    async def slip(self) -> None:
        """Off the glass without having been let go, as when a call comes."""
        await self._send("touchCancel")

    async def _send(self, kind: str) -> None:
        points: list[dict[str, Any]] = [] if kind in {"touchEnd", "touchCancel"} else [{"x": self.x, "y": self.y}]
        await self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


async def _on_a_phone(browser: Browser, site: Site, **context: Any) -> tuple[Visitor, Finger]:
    ada = await signed_in(browser, site, "ssx", locale="en", width=390, has_touch=True, is_mobile=True, **context)
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    await ada.page.locator("html[data-is-link]").wait_for()
    return ada, Finger(await ada.page.context.new_cdp_session(ada.page), ada)


async def _stop_the_clock(ada: Visitor) -> None:
    await ada.page.clock.install()
    await ada.page.reload()
    await ada.page.locator("html[data-is-link]").wait_for()
    await ada.page.clock.pause_at(await ada.page.evaluate("Date.now() + 1_000"))


async def _selected(ada: Visitor) -> list[str]:
    return [str(await box.get_attribute("value")) for box in await ada.page.locator("input[name=ids]:checked").all()]


async def test_a_row_that_is_pressed_and_held_is_selected_and_letting_go_opens_nothing(
    chromium: Browser, town_site: Site
) -> None:
    ada, finger = await _on_a_phone(chromium, town_site)
    first, second, *_others = await ada.rows()
    here = ada.page.url
    await ada.misses("td.check")
    await finger.down(first)
    await ada.sees(f"tr[data-task='{first}'] td.check")
    await ada.sees("#picked", "1 selected")
    await finger.up()
    await finger.down(second)
    await ada.sees("#picked", "2 selected")
    await finger.up()
    assert await _selected(ada) == [first, second]
    await ada.page.tap("#unpick")
    await ada.misses(".bulk")
    assert ada.page.url == here
    await ada.page.tap(f"tr[data-task='{first}'] a.name")
    await ada.page.wait_for_url(f"**/tasks/{first}*")
    assert ada.complaints == []


async def test_a_finger_that_moves_scrolls_or_leaves_early_selects_nothing(chromium: Browser, town_site: Site) -> None:
    ada, finger = await _on_a_phone(chromium, town_site)
    await _stop_the_clock(ada)
    first, *_others = await ada.rows()
    await finger.down(first)
    await finger.move(-4)
    await ada.page.clock.run_for(HELD_MS)
    assert await _selected(ada) == [first], "a finger that rests is never quite still"
    await finger.up()
    await ada.page.tap("#unpick")
    await finger.down(first)
    for _step in range(4):
        await finger.move(-20)
    await ada.page.clock.run_for(HELD_MS)
    assert await _selected(ada) == []
    await finger.up()
    await finger.down(first)
    await ada.page.evaluate("document.dispatchEvent(new Event('scroll'))")
    await ada.page.clock.run_for(HELD_MS)
    assert await _selected(ada) == []
    await finger.slip()
    await ada.page.evaluate("scrollTo(0, 0)")
    await finger.down(first)
    await ada.page.clock.run_for(HELD_MS // 3)
    await finger.up()
    await ada.page.wait_for_url(f"**/tasks/{first}*")


async def test_where_the_browser_has_a_menu_for_what_is_held_the_row_is_selected_in_its_place(
    chromium: Browser, town_site: Site
) -> None:
    ada, finger = await _on_a_phone(chromium, town_site)
    await _stop_the_clock(ada)
    first, *_others = await ada.rows()
    name = ada.page.locator(f"tr[data-task='{first}'] a.name")
    menu = "name => name.dispatchEvent(new Event('contextmenu', {bubbles: true, cancelable: true}))"
    assert await name.evaluate(menu), "nobody holds it"
    await finger.down(first)
    assert not await name.evaluate(menu)
    assert await _selected(ada) == [first]
    await finger.up()
    assert await _selected(ada) == [first]


@pytest.mark.parametrize("width", [390, 1440])
async def test_a_mouse_that_is_held_and_a_wide_board_select_as_ever(chromium: Browser, town_site: Site, width: int) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", width=width, has_touch=width > 640)
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    await _stop_the_clock(ada)
    first, *_others = await ada.rows()
    if width > 640:
        await Finger(await ada.page.context.new_cdp_session(ada.page), ada).down(first)
    else:
        await ada.page.locator(f"tr[data-task='{first}'] .b-name").hover()
        await ada.page.mouse.down()
    await ada.page.clock.run_for(HELD_MS)
    assert await _selected(ada) == []
    assert not await ada.page.locator("#selecting").is_checked()
