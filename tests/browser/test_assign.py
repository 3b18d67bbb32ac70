"""Assign over the page: the picker by keyboard alone, loads, a lost race told for each task, focus and Esc. UI 6, 10, 12."""

from typing import Any

import pytest
from playwright.async_api import Browser

from taskdash.model.instants import seconds
from taskdash.model.records import User
from taskdash.store import accounts, tasks
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site
from tests.support import a_task, eventually

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def _task(site: Site, key: str) -> Any:
    return await site.db.read(lambda conn: tasks.load(conn, key))


async def _open(person: Visitor, key: str) -> None:
    await person.page.goto(f"/tasks/{key}")
    await person.page.locator(".ownacts button", has_text="Assign").click()
    await person.sees("dialog h2", "Assign 1 task")


async def test_a_person_is_chosen_by_keyboard_alone_and_the_button_names_them(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks/1012")
    await ada.page.locator(".ownacts button", has_text="Assign").focus()
    await ada.page.keyboard.press("Enter")
    await ada.sees("dialog h2", "Assign 1 task")
    await ada.page.keyboard.type("zx")
    await ada.page.locator(".people li").nth(1).wait_for(state="detached")
    assert await ada.page.get_attribute("#over [role=combobox]", "aria-activedescendant") == "person-1"
    assert "15 → 16" in await ada.page.locator(".people li").inner_text()
    await ada.page.keyboard.press("Enter")
    await ada.sees("dialog button", "Assign to zxf")
    assert await ada.page.get_attribute(".people li", "aria-selected") == "true"
    await ada.page.keyboard.press("Enter")
    await ada.is_told("1 task assigned to zxf.")
    await ada.misses("dialog")
    await ada.sees(".owner .who", "zxf")
    assert (await _task(town_site, "1012")).user == "zxf"
    assert ada.page.url.endswith("/tasks/1012")
    assert ada.complaints == []


async def test_arrows_walk_over_those_who_can_be_chosen_and_past_the_end_begin_again(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _open(ada, "1012")
    walked = []
    for _step in range(6):
        await ada.page.keyboard.press("ArrowDown")
        walked.append(await ada.page.get_attribute("[data-is-active]", "data-value"))
    assert walked == ["root", "ssx", "zxf", "", "=", "root"]
    await ada.page.keyboard.press("ArrowUp")
    assert await ada.page.get_attribute("[data-is-active]", "data-value") == "="
    away = await ada.sees(".people li[aria-disabled=true]")
    assert "wsg" in await away.inner_text()
    await away.click(force=True)
    assert await ada.page.input_value("select[name=user]") == "="


async def test_escape_and_cancel_close_and_give_the_focus_back_to_what_opened_it(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _open(ada, "1012")
    focused = "document.activeElement.textContent"
    assert await ada.page.evaluate("document.activeElement.getAttribute('role')") == "combobox"
    await ada.page.keyboard.press("Escape")
    await ada.misses("dialog")
    assert "Assign" in await ada.page.evaluate(focused)
    await ada.page.keyboard.press("Enter")
    await ada.sees("dialog h2", "Assign 1 task")
    await ada.page.locator("dialog .btn", has_text="Cancel").click()
    await ada.misses("dialog")
    assert "Assign" in await ada.page.evaluate(focused)
    await ada.page.evaluate("document.activeElement.blur()")
    await ada.page.locator(".ownacts button", has_text="Assign").evaluate("button => button.click()")
    await ada.sees("dialog h2", "Assign 1 task")
    await ada.page.keyboard.press("Escape")
    await ada.misses("dialog")
    assert await ada.page.evaluate("document.activeElement.dataset.key") == "assign", "where a click does not focus a button"
    assert ada.complaints == []


async def test_a_dialog_has_a_heading_of_its_own_under_the_one_of_the_page(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks/1012")
    await ada.page.locator(".ownacts button", has_text="Assign").click()
    dialog = ada.page.get_by_role("dialog", name="Assign 1 task")
    await dialog.get_by_role("heading", name="Assign 1 task", level=2).wait_for()
    assert await ada.page.locator("h1").all_inner_texts() == ["手续费结算"]
    await ada.page.select_option("#over select[name=end]", "other")
    await ada.page.fill("#over input[name=until]", "2020-01-01T10:00")
    await ada.page.click("#over button.primary")
    await ada.sees("#over [role=alert]", "until")
    await dialog.get_by_role("heading", name="Assign 1 task", level=2).wait_for()
    assert await ada.page.locator("h1").count() == 1, "also after an answer of the server"
    await ada.page.goto("/tasks/assign?ids=1012")
    assert await ada.page.locator("h1").all_inner_texts() == ["Assign 1 task"]
    assert all("422" in each for each in ada.complaints), ada.complaints


async def test_a_page_that_is_one_form_already_opens_no_other_over_itself(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/handover")
    await ada.page.keyboard.press("Control+k")
    await ada.page.keyboard.type("1012")
    await ada.page.locator("#palette [role=option]", has_text="Assign").click()
    await ada.page.wait_for_url("**/tasks/assign?ids=1012*")
    assert await ada.page.locator("h1").all_inner_texts() == ["Assign 1 task"]


async def _pick(person: Visitor, name: str, *, script: bool) -> None:
    if script:
        await person.page.click(f".people li[data-value={name}]")
    else:
        await person.page.select_option("select[name=user]", name)


@WITH_AND_WITHOUT
async def test_a_lead_assigns_the_selected_tasks_with_a_note(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?group=pay&sort=id")
    keys = (await ada.rows())[:2]
    for key in keys:
        await ada.page.check(f"input[name=ids][value='{key}']")
    await ada.page.locator(".foot button", has_text="Assign").click()
    await ada.sees("#dialog-title", "Assign 2 tasks")
    assert ("/tasks/assign" in ada.page.url) is not script
    assert await ada.page.locator("select[name=user] option[value=wsg]").is_disabled()
    await _pick(ada, "zxf", script=script)
    await ada.page.fill("input[name=note]", "month end")
    await ada.page.check("input[name=pin]")
    await ada.page.click(".dialog button.primary")
    await ada.page.wait_for_url("**/tasks?group=pay&sort=id")
    await ada.is_told("2 tasks assigned to zxf.")
    known = await town_site.db.read(lambda conn: tasks.load_many(conn, keys))
    assert {(task.user, task.pinned, task.group_id) for task in known.values()} == {("zxf", True, "pay")}
    await ada.page.goto(f"/tasks/{keys[1]}")
    assert "month end" in await ada.page.locator(".lines").inner_text()
    assert ada.complaints == []


@WITH_AND_WITHOUT
async def test_a_wrong_end_of_the_shift_is_said_and_what_was_typed_stays(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks/assign?ids=1012")
    await _pick(ada, "zxf", script=script)
    await ada.page.fill("input[name=note]", "typed")
    await ada.page.select_option("select[name=end]", "other")
    await ada.page.fill("input[name=until]", "2020-01-01T10:00")
    await ada.page.click(".dialog button.primary")
    await ada.sees(".dialog [role=alert]", "until")
    assert await ada.page.input_value("input[name=note]") == "typed"
    assert await ada.page.input_value("input[name=until]") == "2020-01-01T10:00"
    assert await ada.page.input_value("select[name=user]") == "zxf"
    await ada.page.select_option("select[name=end]", "none")
    await ada.page.click(".dialog button.primary")
    await ada.is_told("1 task assigned to zxf.")


async def _race(ada: Visitor, site: Site) -> None:
    """Open the form for three tasks, one of which somebody else takes meanwhile."""
    await ada.page.goto("/tasks/assign?ids=1012&ids=1024&ids=1036&next=/tasks")
    await ada.sees("h1", "Assign 3 tasks")
    root = await site.again("root")
    async with root.http.post("/api/v1/tasks/1024/claim", json={}) as answer:
        assert answer.status == 200


@WITH_AND_WITHOUT
async def test_a_lost_race_is_told_for_the_task_and_the_others_are_done(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await _race(ada, town_site)
    await _pick(ada, "zxf", script=script)
    await ada.page.click("form.dialog button.primary")
    await ada.sees("h1", "2 tasks assigned.")
    assert "1012" in await ada.page.locator("main .ok").inner_text()
    lost = await ada.page.locator(".results li").all_inner_texts()
    assert len(lost) == 1
    assert "root has 1024 since" in lost[0]
    assert [(await _task(town_site, key)).user for key in ("1012", "1024", "1036")] == ["zxf", "root", "zxf"]
    again = str(await ada.page.get_attribute(".dialog footer a >> nth=0", "href"))
    assert again.startswith("/tasks/assign?ids=1024&next=")


async def test_a_lost_race_in_the_dialog_stays_in_it_until_it_is_read(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _open(ada, "1012")
    root = await town_site.again("root")
    async with root.http.post("/api/v1/tasks/1012/claim", json={}) as answer:
        assert answer.status == 200
    await ada.page.click(".people li[data-value=zxf]")
    await ada.page.locator("dialog button.primary").click()
    await ada.sees("dialog .results li", "root has 1012 since")
    assert await ada.page.evaluate("document.activeElement.textContent") == "Close"
    await ada.page.locator("dialog .btn", has_text="Close").click()
    await ada.misses("dialog")
    await ada.sees(".owner .who", "root")


async def test_of_thousands_of_people_the_server_finds_the_one_that_is_typed(chromium: Browser, town_site: Site) -> None:
    crowd = [User(name=f"person-{n:04}", role="member", groups=("pay",)) for n in range(2_000)]
    await town_site.db.write(lambda conn: [accounts.add_user(conn, one) for one in crowd])
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _open(ada, "1012")
    assert await ada.page.locator(".people li[data-name]").count() == 50
    await ada.page.keyboard.type("1987")
    await ada.sees(".people li", "person-1987")
    await ada.page.keyboard.press("Enter")
    await ada.page.keyboard.press("Enter")
    await ada.is_told("1 task assigned to person-1987.")


async def test_the_end_of_the_shift_is_offered_by_its_hour_and_any_other_may_be_set(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await _open(ada, "1012")
    offered = await ada.page.locator("select[name=end] option").all_inner_texts()
    assert [text.split()[-1] for text in offered] == ["is", "18:00", "09:00", "end", "time…"]
    assert not await ada.page.locator("input[name=until]").is_visible()
    await ada.page.select_option("select[name=end]", "other")
    await ada.page.fill("input[name=until]", "2099-01-02T10:00")
    await ada.page.click(".people li[data-value=zxf]")
    await ada.page.locator("dialog button.primary").click()
    await ada.is_told("1 task assigned to zxf.")
    assert (await _task(town_site, "1012")).until == 4_071_002_400 * seconds(1)
    await _open(ada, "1012")
    await ada.page.select_option("select[name=end]", "none")
    await ada.page.locator("dialog button.primary").click()
    await ada.is_told("1 task assigned.")
    assert await eventually(lambda: _is_endless(town_site))


async def _is_endless(site: Site) -> bool:
    found = await _task(site, "1012")
    return found.user == "zxf" and found.until is None


async def test_without_a_script_a_name_beyond_the_fifty_may_be_typed(chromium: Browser, town_site: Site) -> None:
    crowd = [User(name=f"person-{n:04}", role="member", groups=("pay",)) for n in range(200)]
    await town_site.db.write(lambda conn: [accounts.add_user(conn, one) for one in crowd])
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=False)
    await ada.page.goto("/tasks/assign?ids=1012")
    await ada.page.fill("noscript input[name=name]", "person-nobody")
    await ada.page.click(".dialog button.primary")
    await ada.sees("[role=alert]", "no account named person-nobody")
    await ada.page.fill("noscript input[name=name]", "person-0199")
    await ada.page.click(".dialog button.primary")
    await ada.is_told("1 task assigned to person-0199.")
    assert (await _task(town_site, "1012")).user == "person-0199"


async def test_more_ids_than_an_address_may_hold_come_to_the_form_at_once(town_site: Site) -> None:
    ids = [f"{'x' * 120}-{n}" for n in range(100)]
    new = [(None, a_task(id=key, group_id="pay")) for key in ids]
    await town_site.db.write(lambda conn: tasks.save(conn, new))
    root = await town_site.again("root")
    data = [("ids", key) for key in ids]
    async with root.http.post("/tasks/assign/choose", data=data, allow_redirects=False) as answer:
        assert answer.status == 200
        assert (await answer.text()).count('name="versions"') == 100
    async with root.http.post("/tasks/assign/choose", data=data[:2], allow_redirects=False) as answer:
        assert answer.status == 303
