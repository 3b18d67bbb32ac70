"""The command palette: find and do anything from one field. UI 6 (Palette)."""

import asyncio

import pytest
from playwright.async_api import Browser, Route

from taskdash.store import tasks
from tests.browser.people import Visitor, signed_in
from tests.browser.town import HOSTILE
from tests.journeys.http import Site

CHOSEN = "#palette [role=option][aria-selected=true]"


async def _ask(visitor: Visitor, text: str) -> None:
    """Open the palette and type; wait for the list that answers it."""
    if not await visitor.page.locator("#palette[open]").count():
        await visitor.page.keyboard.press("Control+k")
    await visitor.page.fill("#palette input", text)
    await visitor.page.locator("#palette [data-answer][aria-busy=false]").wait_for()


async def _heads(visitor: Visitor) -> list[str]:
    return [" ".join(text.split()) for text in await visitor.page.locator("#palette .ptitle").all_inner_texts()]


async def test_what_is_typed_finds_tasks_what_can_be_done_history_and_places_with_matches_in_bold(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="zh-CN")
    await _ask(ada, "对账")
    await ada.sees("#palette mark", "对账")
    heads = await _heads(ada)
    assert heads == ["任务 · 7", "对 1001 可做", "历史", "前往"]
    assert await ada.page.locator("#palette [role=group]").first.locator("[role=option]").count() == 5
    assert set(await ada.page.locator("#palette mark").all_inner_texts()) == {"对账"}
    assert "1001" in await ada.page.locator(CHOSEN).inner_text()
    assert "全部" not in heads
    await ada.page.keyboard.press("Enter")
    await ada.page.wait_for_url("**/tasks/1001")
    assert ada.complaints == []


async def test_arrow_keys_choose_enter_acts_and_escape_gives_the_focus_back(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.locator("main input[type=search]").focus()
    await _ask(ada, "1012")
    field = ada.page.locator("#palette input")
    assert await field.get_attribute("aria-activedescendant") == await ada.page.locator(CHOSEN).get_attribute("id")
    await ada.page.keyboard.press("ArrowDown")
    assert "Claim" in await ada.page.locator(CHOSEN).inner_text()
    await ada.page.keyboard.press("ArrowUp")
    await ada.page.keyboard.press("ArrowUp")
    assert "Claim" not in await ada.page.locator(CHOSEN).inner_text()
    await ada.page.keyboard.press("Escape")
    await ada.misses("#palette")
    assert await ada.page.evaluate("document.activeElement.type") == "search"
    await _ask(ada, "1012")
    await ada.page.keyboard.press("ArrowDown")
    await ada.page.keyboard.press("Enter")
    await ada.is_told("You claimed 1012")
    found = await town_site.db.read(lambda conn: tasks.load(conn, "1012"))
    assert found is not None
    assert found.user == "ssx"


async def test_signs_narrow_it_to_commands_people_or_groups(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", color_scheme="light")
    await _ask(ada, "@z")
    assert await _heads(ada) == ["People"]
    await ada.page.keyboard.press("Enter")
    await ada.page.wait_for_url("**/tasks?user=zxf")
    await _ask(ada, "#pa")
    assert await _heads(ada) == ["Groups"]
    await ada.page.keyboard.press("Enter")
    await ada.page.wait_for_url("**/tasks?group=pay")
    await _ask(ada, ">dark")
    assert await _heads(ada) == ["Commands"]
    await ada.page.keyboard.press("Enter")
    await ada.page.locator("html[data-theme=dark]").wait_for()


async def test_a_pasted_id_leads_straight_to_its_page(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", permissions=["clipboard-read", "clipboard-write"])
    await ada.page.evaluate("navigator.clipboard.writeText('jobs/2024/a b')")
    await ada.page.keyboard.press("Control+k")
    await ada.sees("#palette input")
    await ada.page.keyboard.press("Control+v")
    await ada.page.wait_for_url("**/tasks/jobs%2F2024%2Fa%20b")


async def test_an_answer_that_came_too_late_is_dropped(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if "q=bil" in route.request.url:
            held.append(route)
        else:
            await route.continue_()

    await ada.page.route("**/ui/palette?*", hold)
    await ada.page.keyboard.press("Control+k")
    async with ada.page.expect_request("**/ui/palette?q=bil"):
        await ada.page.fill("#palette input", "bil")
    await _ask(ada, "report")
    await ada.sees(CHOSEN, "report-gen")
    for route in held:
        await route.abort()
    assert "report-gen" in await ada.page.locator(CHOSEN).inner_text()


async def test_an_answer_that_comes_while_somebody_types_is_dropped_too(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await ada.page.route("**/ui/palette?q=", hold)
    await ada.page.keyboard.press("Control+k")
    await ada.page.clock.install()
    await ada.page.clock.pause_at(await ada.page.evaluate("Date.now() + 10_000"))
    await ada.page.fill("#palette input", "report")
    released.set()
    await ada.page.evaluate("fetch('/ui/palette?q=').then(answer => answer.text()).then(() => new Promise(queueMicrotask))")
    assert await ada.page.locator("#palette [data-answer]").get_attribute("aria-busy") == "true"
    await ada.page.clock.resume()
    await ada.sees(CHOSEN, "report-gen")


async def test_hostile_names_are_text_and_who_may_not_act_is_offered_nothing(chromium: Browser, town_site: Site) -> None:
    vic = await signed_in(chromium, town_site, "vic", locale="en")
    await _ask(vic, "script")
    assert HOSTILE in await vic.page.locator(CHOSEN).inner_text()
    assert await vic.page.locator("#palette script, #palette img").count() == 0
    assert set(await vic.page.locator("#palette mark").all_inner_texts()) == {"script"}
    options = await vic.page.locator("#palette [role=option]").all_inner_texts()
    assert not any(option.startswith(("Claim", "Assign", "Release", "Pin")) for option in options)
    assert vic.complaints == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_without_javascript_it_is_a_page_with_the_same_lines(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/palette?q=1012")
    await ada.page.locator("main button", has_text="Claim").click()
    await ada.is_told("You claimed 1012")
    assert ada.page.url.endswith("/palette?q=1012")
    await ada.page.goto("/tasks/1012")
    await ada.sees(".who", "ssx")
    if not script:
        await ada.page.click("[data-palette]")
        await ada.page.wait_for_url("**/palette")
