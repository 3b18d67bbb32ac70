"""Work by keys alone. UI 7."""

import re

import pytest
from playwright.async_api import Browser, Page

from taskdash.model.records import Task
from taskdash.store import tasks
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site

CURSOR = "tr[data-is-cursor]"


async def _press(visitor: Visitor, *keys: str) -> None:
    for key in keys:
        await visitor.page.keyboard.press(key)


async def _at(page: Page) -> str:
    """The id of the row at the cursor."""
    return str(await page.locator(CURSOR).get_attribute("data-task"))


async def _task(site: Site, key: str) -> Task:
    found = await site.db.read(lambda conn: tasks.load(conn, key))
    assert found is not None
    return found


async def test_a_row_is_claimed_pinned_released_and_undone_without_a_pointer(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    first, second, *_others = await ada.rows()
    await _press(ada, "j", "j")
    assert await _at(ada.page) == second
    await _press(ada, "k")
    assert await _at(ada.page) == first
    await _press(ada, "c")
    await ada.is_told(f"You claimed {first}")
    assert await _at(ada.page) == first
    await _press(ada, "z")
    await ada.is_told(f"You released {first}")
    await ada.sees(f"{CURSOR} button", "Claim")
    await _press(ada, "c")
    await ada.is_told(f"You claimed {first}")
    await ada.sees(f"{CURSOR} .who", "ssx")
    await _press(ada, "p")
    await ada.is_told(f"{first} is pinned")
    await ada.page.locator(f"{CURSOR}[data-may*=u]").wait_for()
    await _press(ada, "p")
    await ada.is_told(f"{first} is not pinned any more")
    await _press(ada, "r")
    await ada.is_told(f"You released {first}")
    assert (await _task(town_site, first)).user == ""
    assert ada.complaints == []


async def test_a_key_that_can_do_nothing_says_why(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=zxf&sort=id&group=pay")
    await _press(ada, "j", "c")
    await ada.is_told(f"zxf has {await _at(ada.page)}")


async def test_selected_rows_are_claimed_together_and_escape_clears_them(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    keys = await ada.rows()
    await _press(ada, "j", "x", "Shift+J", "Shift+J", "Shift+K")
    assert await ada.page.locator("input[name=ids]:checked").count() == 3
    assert await _at(ada.page) == keys[1]
    await _press(ada, "Escape")
    assert await ada.page.locator("input[name=ids]:checked").count() == 0
    await _press(ada, "x", "j", "x")
    await _press(ada, "c")
    await ada.is_told("2 tasks claimed.")
    assert [(await _task(town_site, key)).user for key in keys[:4]] == ["", "ssx", "ssx", ""]
    await _press(ada, "Escape", "Escape")
    assert await ada.page.locator(CURSOR).count() == 0


async def test_enter_opens_the_row_j_and_k_lead_to_its_neighbours_and_g_back(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id")
    first, second, *_others = await ada.rows()
    await _press(ada, "j", "Enter")
    await ada.page.wait_for_url(f"**/tasks/{first}*")
    await _press(ada, "j")
    await ada.page.wait_for_url(f"**/tasks/{second}*")
    await _press(ada, "k")
    await ada.page.wait_for_url(f"**/tasks/{first}*")
    await _press(ada, "c")
    await ada.is_told(f"You claimed {first}")
    for key, place in (("s", "/services"), ("h", "/history"), ("n", "/"), ("t", "/tasks")):
        await _press(ada, "g", key)
        await ada.page.wait_for_url(re.compile(re.escape(town_site.origin + place) + r"(\?.*)?$"))
    await _press(ada, "g", "m")
    await ada.page.locator("header nav [data-go=m][aria-current]").wait_for()


async def test_the_row_at_the_cursor_is_never_under_the_bar_or_the_foot_and_stays_while_rows_change(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?sort=id")
    for key in [*["j"] * 49, *["k"] * 30]:
        await _press(ada, key)
        seen = await ada.page.evaluate("""() => {
            const row = document.querySelector('tr[data-is-cursor]').getBoundingClientRect();
            const at = document.elementFromPoint(row.x + row.width / 2, row.y + 2);
            const end = document.elementFromPoint(row.x + row.width / 2, row.bottom - 2);
            return [at, end].every(one => one?.closest('tr[data-is-cursor]'));
        }""")
        assert seen, key
    here = await _at(ada.page)
    root = await town_site.again("root")
    async with root.http.post(f"/api/v1/tasks/{here}/release", json={}) as answer:
        assert answer.status in {200, 409, 422}
    async with root.http.post(f"/api/v1/tasks/{here}/claim", json={}) as answer:
        assert answer.status == 200
    await ada.sees(f"{CURSOR} .who", "root")
    assert await _at(ada.page) == here


async def test_keys_are_off_while_somebody_types_and_where_they_were_switched_off(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _press(ada, "/")
    await ada.page.keyboard.type("jxc?")
    assert await ada.page.input_value("main input[type=search]") == "jxc?"
    assert await ada.page.locator(f"{CURSOR}, dialog[open]").count() == 0
    await ada.page.locator("main input[type=search]").blur()
    await ada.page.click(".menu summary")
    await ada.page.click("button[name=keys][value=off]")
    await ada.page.locator("body[data-keys=off]").wait_for(state="attached")
    await _press(ada, "j", "?")
    assert await ada.page.locator(f"{CURSOR}, dialog[open]").count() == 0
    await _press(ada, "Control+k")
    await ada.sees("#palette[open]")


@pytest.mark.parametrize(("language", "heading", "claim"), [("en", "Keys", "Claim"), ("zh-CN", "按键", "领取")])
async def test_the_list_of_keys_opens_over_the_page_in_the_readers_language(
    chromium: Browser, town_site: Site, language: str, heading: str, claim: str
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale=language)
    await _press(ada, "j")
    focused = "document.activeElement.textContent"
    before = await ada.page.evaluate(focused)
    await _press(ada, "?")
    await ada.sees("dialog[open] h2", heading)
    assert claim in await ada.page.locator("dialog[open] dl").inner_text()
    await _press(ada, "j", "Escape")
    await ada.misses("dialog.keysdialog")
    assert await ada.page.evaluate(focused) == before
    await ada.page.goto("/keys")
    assert claim in await ada.page.locator("main dl").inner_text()
    assert ada.complaints == []


async def test_u_applies_the_updates_and_y_copies_the_id(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", permissions=["clipboard-read", "clipboard-write"])
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    first, *_others = await ada.rows()
    root = await town_site.again("root")
    async with root.http.post(f"/api/v1/tasks/{first}/claim", json={}) as answer:
        assert answer.status == 200
    await ada.sees("#apply")
    await _press(ada, "u")
    await ada.misses(f"tr[data-task='{first}']")
    await _press(ada, "j", "y")
    here = await _at(ada.page)
    await ada.is_told(f"Copied: {here}")
    assert await ada.page.evaluate("navigator.clipboard.readText()") == here


@pytest.mark.parametrize("path", ["/tasks?user=none&sort=id&group=pay", "/mine", "/services/billing"])
async def test_a_assigns_the_row_in_a_dialog_over_its_list_and_the_list_keeps_its_place(
    chromium: Browser, town_site: Site, path: str
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto(path)
    await _press(ada, "j", "j")
    here, row = ada.page.url, await _at(ada.page)
    await _press(ada, "a")
    await ada.sees("dialog h2", "Assign 1 task")
    assert await ada.page.locator("#over .picked .mono").inner_text() == row
    assert await ada.page.evaluate("document.activeElement.getAttribute('role')") == "combobox"
    await _press(ada, "Escape")
    await ada.misses("dialog")
    assert await ada.page.evaluate("document.activeElement.closest('tr')?.dataset.task") == row
    await _press(ada, "a")
    await ada.sees("dialog h2", "Assign 1 task")
    await ada.page.click(".people li[data-value=zxf]")
    await ada.page.click("#over button.primary")
    await ada.is_told("1 task assigned to zxf.")
    assert (await _task(town_site, row)).user == "zxf"
    assert ada.page.url == here
    assert ada.complaints == []
