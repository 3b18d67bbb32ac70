"""The board at work: sections, counts, selection, views, columns; live without anything moving. UI 6 (Board), 8, 11, 12."""

import asyncio
import gzip
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Route

from taskdash.store import task_page, tasks
from taskdash.web.pages import view_list
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Person, Site
from tests.support import a_task, eventually

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def call(person: Person, path: str, body: dict[str, Any] | None = None) -> Any:
    """What somebody else does meanwhile, over the API."""
    async with person.http.post(path, json=body or {}) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()


def row(visitor: Visitor, key: str) -> Locator:
    return visitor.page.locator(f"tr[data-task='{key}']")


async def number_of(link: Locator) -> int:
    found = re.search(r"\d+", (await link.inner_text()).replace(",", ""))
    assert found
    return int(found.group())


async def selected(visitor: Visitor) -> list[str]:
    boxes = await visitor.page.locator("input[name=ids]:checked").all()
    return [str(await box.get_attribute("value")) for box in boxes]


# counts and addresses


async def test_by_risk_the_list_has_two_sections_and_all_at_risk_comes_first(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?limit=200")
    heads = [" ".join(text.split()) for text in await ada.page.locator("tr.section").all_inner_texts()]
    assert heads == ["At risk · 35", "The rest · 25"]
    keys = [str(await each.get_attribute("data-key")) for each in await ada.page.locator("tbody tr").all()]
    second = keys.index("section:n-risk-false")
    assert second == 36
    await ada.page.click("tr.section a >> nth=0")
    assert [f"task:{key}" for key in await ada.rows()] == keys[1:second][:50]
    await ada.page.goto("/tasks?sort=name")
    assert await ada.page.locator("tr.section").count() == 0
    assert await ada.page.locator("th[aria-sort]").all_inner_texts() == ["Name"]


async def test_every_number_of_views_count_bar_and_sections_is_the_rows_behind_its_link(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    root = await town_site.again("ssx")
    await call(root, "/api/v1/views", {"name": "Night", "query": "group=pay&at_risk=true"})
    for start in ("/tasks?limit=200", "/tasks?limit=200&group=pay", "/tasks?limit=200&at_risk=false"):
        await ada.page.goto(start)
        links = await ada.page.locator(".views > ul a, .counted a, tr.section a").all()
        counted = [(str(await link.get_attribute("href")), await number_of(link)) for link in links]
        assert len(counted) >= 7
        for href, n in counted:
            await ada.page.goto(f"{href}{'&' if '?' in href else '?'}limit=200" if "limit=" not in href else href)
            assert len(await ada.rows()) == n, (start, href)


async def test_of_many_tasks_the_first_saved_views_are_counted_but_no_text_and_nothing_of_a_great_outage(
    chromium: Browser, town_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_list, "FEW_TASKS", 0)
    monkeypatch.setattr(view_list, "MOST_OF_MANY", 3)
    ssx = await town_site.again("ssx")
    for name, query in (("A", "group=pay&at_risk=true"), ("B", "group=pay"), ("C", "q=pay"), ("D", "group=mx")):
        await call(ssx, "/api/v1/views", {"name": name, "query": query})
    ada = await signed_in(chromium, town_site, "ssx", locale="en")

    async def numbers() -> list[str]:
        await ada.page.goto("/tasks?sort=id")
        shown = await ada.page.locator(".views > ul a .n").all_inner_texts()
        return [text.strip() for text in shown[4:]]

    risky, of_group, of_text, beyond = await numbers()
    assert (of_text, beyond) == ("", "")
    for query, n in (("group=pay&at_risk=true", risky), ("group=pay", of_group)):
        await ada.page.goto(f"/tasks?{query}&limit=200")
        assert len(await ada.rows()) == int(n)
    monkeypatch.setattr(task_page, "MOST_ILL", 0)
    assert await numbers() == ["", of_group, "", ""]


async def test_a_filter_is_an_address_and_reload_and_back_give_the_same_rows(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.fill("input[type=search]", "状态:failed 组:mx")
    await ada.page.keyboard.press("Enter")
    await ada.page.wait_for_url("**/tasks?status=failed&group=mx")
    first = await ada.rows()
    assert first
    await ada.page.reload()
    assert await ada.rows() == first
    await ada.page.click(".token >> nth=0")
    await ada.page.wait_for_url("**/tasks?group=mx")
    assert len(await ada.rows()) > len(first)
    await ada.page.go_back()
    assert await ada.rows() == first


async def test_an_empty_list_says_which_filter_to_take_away_and_what_that_gives(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?status=failed&group=pay")
    said = await ada.page.locator(".empty p").first.inner_text()
    assert said == "No task passes status:failed · group:pay. Without status:failed there are 20."
    assert "of 60 in all" in await ada.page.locator(".counted").inner_text()
    await ada.page.click(".empty .btn >> nth=0")
    assert len(await ada.rows()) == 20


async def test_owners_beyond_the_ten_largest_are_found_by_name(chromium: Browser, town_site: Site) -> None:
    crowd = [a_task(id=f"crowd-{n}", user=f"worker-{n:02}") for n in range(12)]
    await town_site.db.write(lambda conn: tasks.save(conn, [(None, task) for task in crowd]))
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=False)
    assert await ada.page.locator(".facets a", has_text="worker-11").count() == 0
    await ada.page.fill(".facets input[name=user]", "worker-11")
    await ada.page.click(".facets form button")
    assert ada.page.url.endswith("/tasks?user=worker-11")
    assert await ada.rows() == ["crowd-11"]


async def test_a_row_says_who_is_away_and_whose_service_flaps(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?limit=200")
    assert "away" in await row(ada, "1019").locator(".b-owner").inner_text()
    assert "flapping" in await row(ada, "1055").locator(".b-service").inner_text()
    assert "unowned 1 d" in await row(ada, "1028").locator(".b-why").inner_text()
    assert "away" not in await row(ada, "1001").locator(".b-owner").inner_text()


async def test_fifty_rows_are_light(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en")
    assert len(await ada.rows()) == 50
    assert await ada.page.evaluate("document.querySelectorAll('*').length") <= 3_000
    answer = await ada.page.request.get("/tasks")
    assert len(gzip.compress(await answer.body())) <= 15_000


# live


async def test_the_row_under_the_pointer_keeps_its_place_through_100_events(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    keys = await ada.rows()
    pointed = row(ada, keys[9])
    await pointed.hover()
    before = await pointed.bounding_box()
    await ada.page.evaluate(
        "document.addEventListener('taskdash:rows', () => { window.refreshed = (window.refreshed ?? 0) + 1 })"
    )
    root, free = await town_site.again("root"), ["1028", "1016", "1036", "1056"]
    for n in range(100):
        await call(root, f"/api/v1/tasks/{free[n % 4]}/{'claim' if n % 8 < 4 else 'release'}")
        if n == 50:
            assert await pointed.bounding_box() == before
    await call(root, "/api/v1/tasks/1028/claim")
    await ada.sees("tr[data-task='1028'] .b-owner", "root")
    assert await pointed.bounding_box() == before
    assert await ada.rows() == keys
    assert await ada.page.evaluate("window.refreshed") < 100
    assert await pointed.evaluate("row => row.matches(':hover')")
    assert ada.complaints == []


async def test_the_focus_stays_in_its_row_when_the_row_is_replaced(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await row(ada, "1016").locator("input").check()
    await row(ada, "1036").locator("button").focus()
    await call(await town_site.again("root"), "/api/v1/tasks/1036/claim")
    await ada.sees("tr[data-task='1036'] .b-owner", "root")
    assert await ada.page.evaluate("document.activeElement.closest('tr')?.dataset.task") == "1036"
    assert await selected(ada) == ["1016"]


async def test_of_two_who_claim_at_once_one_wins_and_the_other_sees_whom(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    bob = await signed_in(chromium, town_site, "root", locale="en")
    both_clicked = asyncio.Barrier(2)

    async def at_once(route: Route) -> None:
        await both_clicked.wait()
        await route.continue_()

    for each in (ada, bob):
        await each.page.route("**/tasks/claim", at_once)
    await asyncio.gather(*(row(each, "1028").locator("button").click() for each in (ada, bob)))
    known = await eventually(lambda: _held(town_site, "1028"))
    winner, loser = (ada, bob) if known == "ssx" else (bob, ada)
    await winner.is_told("You claimed 1028")
    await loser.sees("tr[data-task='1028'] .b-owner", known)
    await loser.misses("tr[data-task='1028'] button")
    assert f"{known} has 1028" in await loser.is_told("1028")


async def _held(site: Site, key: str) -> str:
    known = await site.db.read(lambda conn: tasks.load(conn, key))
    return known.user if known else ""


async def test_what_matches_no_more_turns_grey_and_stays_until_the_updates_are_applied(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id")
    keys, root = await ada.rows(), await town_site.again("root")
    for key in keys[:2]:
        await call(root, f"/api/v1/tasks/{key}/claim")
    await call(root, "/api/v1/tasks/1005/release")
    for key in keys[:2]:
        await ada.sees(f"tr[data-task='{key}'][data-is-unmatched] .b-why", "no longer matches")
    assert await ada.rows() == keys
    await ada.sees("#kept", "2 no longer match, kept until you apply")
    await ada.sees("#apply", "2 updates")
    await ada.page.click("#apply")
    await ada.misses("#apply")
    assert await ada.rows() == sorted([*keys[2:], "1005"])
    assert await ada.page.locator("[data-is-unmatched]").count() == 0
    assert await ada.page.locator("#kept").inner_text() == ""


async def test_a_changed_row_says_just_now_and_then_its_age_again(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await call(await town_site.again("root"), "/api/v1/tasks/1028/claim")
    await ada.sees("tr[data-task='1028'][data-is-changed] td:has(time[data-is-new='just now'])")
    await ada.sees("tr[data-task='1028']:not([data-is-changed]) .b-updated time:not([data-is-new])", "s ago")


# the selection


async def test_shift_selects_a_range_and_the_bar_says_what_the_rows_share(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&group=pay&sort=id")
    keys, boxes = await ada.rows(), ada.page.locator("input[name=ids]")
    await ada.misses(".bulk")
    await boxes.nth(1).click()
    await boxes.nth(3).click(modifiers=["Shift"])
    assert await selected(ada) == keys[1:4]
    assert await ada.page.locator("#picked").inner_text() == "3 selected"
    assert await ada.page.locator("#shared").inner_text() == "all unowned · of the group pay"
    await ada.misses("[data-act=release]")
    assert await ada.page.locator("#copyids").get_attribute("data-copy") == "\n".join(keys[1:4])
    assert await ada.page.locator("#pickall").evaluate("box => box.indeterminate")
    await ada.page.check("#pickall")
    assert await selected(ada) == keys
    await ada.page.click("#unpick")
    await ada.misses(".bulk")
    await ada.page.goto("/tasks?user=zxf")
    await boxes.nth(0).click()
    await ada.sees("[data-act=release]")


async def test_the_last_row_is_not_covered_by_the_bulk_bar(chromium: Browser, town_site: Site) -> None:
    for width in (1440, 390):
        ada = await signed_in(chromium, town_site, "ssx", locale="en", width=width)
        await ada.page.evaluate("document.querySelector('input[name=ids]').click()")
        await ada.sees(".bulk")
        await ada.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        last, foot = await ada.page.locator("tr[data-task]").last.bounding_box(), await ada.page.locator(".foot").bounding_box()
        assert last is not None
        assert foot is not None
        assert last["y"] + last["height"] <= foot["y"] + 1, width


@WITH_AND_WITHOUT
async def test_all_that_the_filter_finds_is_claimed_at_once(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?user=none&limit=5")
    await ada.page.locator("input[name=ids]").first.check()
    await ada.page.check(".whole input")
    if script:
        await ada.sees("#picked", "All 15 that the filter finds")
        assert len(await selected(ada)) == 5
    await ada.page.click(".bulk [data-act=claim]")
    await ada.is_told("15 tasks claimed.")
    known = await town_site.db.read(lambda conn: tasks.load_many(conn, [f"{1000 + n}" for n in range(0, 60, 4) if n != 4]))
    assert {task.user for task in known.values()} == {"root"}
    assert ada.complaints == []


@WITH_AND_WITHOUT
async def test_a_filter_that_finds_another_number_now_is_refused_and_changes_nothing(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?user=none&limit=5")
    await ada.page.locator("input[name=ids]").first.check()
    await ada.page.check(".whole input")
    await ada.page.evaluate("document.querySelector('.whole input').value = '14'")
    await ada.page.click(".bulk [data-act=claim]")
    await ada.is_told("The filter finds 15 tasks now, not as many as you saw; nothing was changed.")
    known = await town_site.db.read(lambda conn: tasks.load_many(conn, ["1000", "1008", "1012"]))
    assert {task.user for task in known.values()} == {""}


@WITH_AND_WITHOUT
async def test_after_a_race_each_task_is_told_as_done_lost_or_refused(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?user=none&sort=id")
    for key in ("1000", "1012", "1008"):
        await ada.page.check(f"input[name=ids][value='{key}']")
    await call(await town_site.again("root"), "/api/v1/tasks/1012/claim")
    await ada.page.click(".bulk [data-act=claim]")
    told = await ada.sees(".outcome", "1 task claimed.")
    lines = [" ".join(line.split()) for line in (await told.locator("p").all_inner_texts())]
    assert lines[:4] == ["1 task claimed.", "1000", "Lost to root · 1", "1012"]
    assert lines[4:6] == ["You may see this, but not do it. · 1", "1008"]
    if script:
        await ada.misses(".bulk")
        await ada.page.click("[data-close-toast]")
        await ada.misses(".toast")
    else:
        await ada.page.click("main a.btn")
        assert ada.page.url.endswith("/tasks?user=none&sort=id")


async def test_a_claim_of_many_is_taken_back_with_one_button(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&group=pay&sort=id")
    keys = (await ada.rows())[:2]
    for key in keys:
        await ada.page.check(f"input[name=ids][value='{key}']")
    await ada.page.click(".bulk [data-act=claim]")
    await ada.is_told("2 tasks claimed.")
    await ada.page.click(".toast [data-undo]")
    await ada.is_told("2 tasks released.")
    known = await town_site.db.read(lambda conn: tasks.load_many(conn, keys))
    assert {task.user for task in known.values()} == {""}


# the menu of a row, columns, views


async def test_the_menu_of_a_row_opens_releases_pins_and_copies(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await row(ada, "1001").locator("[data-menu]").click()
    menu = ada.page.locator("#rowmenu")
    assert str(await menu.locator("[data-open]").get_attribute("href")).startswith("/tasks/1001")
    assert await menu.locator("[data-is=id]").get_attribute("data-copy") == "1001"
    assert await menu.locator("[data-is=link]").get_attribute("data-copy") == f"{town_site.origin}/tasks/1001"
    await menu.locator("[data-for=p] button").click()
    await ada.is_told("1001 is pinned")
    await ada.sees("tr[data-task='1001'][data-may*=u]")
    await row(ada, "1001").locator("[data-menu]").click()
    assert await menu.locator("[data-for=p]:visible").count() == 0
    await menu.locator("[data-for=r] button").click()
    await ada.is_told("You released 1001")
    vic = await signed_in(chromium, town_site, "vic", locale="en")
    await row(vic, "1001").locator("[data-menu]").click()
    assert await vic.page.locator("#rowmenu form:visible").count() == 0
    assert (ada.complaints, vic.complaints) == ([], [])


@WITH_AND_WITHOUT
async def test_the_columns_are_chosen_and_kept_in_this_browser(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    assert await ada.page.locator("th.b-url").count() == 0
    await ada.page.click(".columns summary")
    await ada.page.check(".columns input[value=url]")
    await ada.page.uncheck(".columns input[value=group]")
    await ada.page.click(".columns button.primary")
    await ada.sees("th.b-url")
    await ada.page.goto("/tasks?sort=name")
    assert await ada.page.locator("th.b-group, td.b-group").count() == 0
    if script:
        await call(await town_site.again("root"), "/api/v1/tasks/1036/claim")
        await ada.sees("tr[data-task='1036'] .b-owner", "root")
        assert await row(ada, "1036").locator("td").count() == await ada.page.locator("th").count()
    await ada.page.click(".columns summary")
    await ada.page.click(".columns button[name=reset]")
    await ada.misses("th.b-url")
    assert await ada.page.locator("th.b-group").count() == 1


@WITH_AND_WITHOUT
async def test_a_view_is_saved_changed_shared_and_deleted(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    bob = await signed_in(chromium, town_site, "zxf", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?status=failed")
    await ada.page.click(".viewmenu summary")
    await ada.page.fill(".viewmenu input[name=name]", "<b>Night</b>")
    await ada.page.click(".viewmenu form[action='/views/save'] button")
    await ada.is_told("Saved as <b>Night</b>")
    current = await ada.sees(".views > ul a[aria-current]")
    assert (await current.inner_text()).split() == ["<b>Night</b>", "7"]
    await ada.page.locator(".facets a", has_text="mx").first.click()
    assert "changed" in await ada.page.locator(".views > ul a[aria-current]").inner_text()
    await ada.page.click(".viewmenu summary")
    await ada.page.click(".viewmenu form[action='/views/update'] button")
    await ada.is_told("now asks for this")
    await bob.page.reload()
    assert await bob.page.locator(".views > ul a", has_text="Night").count() == 0
    if not script or not await ada.page.locator(".viewmenu[open]").count():
        await ada.page.click(".viewmenu summary")
    await ada.page.select_option(".viewmenu select", "pay")
    await ada.page.click(".viewmenu form[action='/views/share'] button")
    await ada.is_told("is shared with the group pay")
    await bob.page.reload()
    link = bob.page.locator(".views li a", has_text="Night")
    assert "ssx · group pay" in str(await link.get_attribute("title"))
    assert "group=mx" in str(await link.get_attribute("href"))
    if not await ada.page.locator(".viewmenu[open]").count():
        await ada.page.click(".viewmenu summary")
    await ada.page.click(".viewmenu form[action='/views/delete'] button")
    await ada.is_told("was deleted")
    await bob.page.reload()
    assert await bob.page.locator(".views > ul a", has_text="Night").count() == 0
    assert ada.complaints == []


# the phone


async def test_on_a_phone_views_are_chips_facets_a_sheet_and_rows_are_selected_by_a_button(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", width=390, java_script_enabled=False)
    claim = await row(ada, "1028").locator("button").bounding_box()
    assert claim is not None
    assert claim["x"] > 280
    line = await row(ada, "1028").bounding_box()
    assert line is not None
    assert line["height"] <= 66
    await ada.misses(".facets")
    await ada.page.click(".togglelabel")
    await ada.page.locator(".facets a:visible", has_text="Failed").click()
    assert ada.page.url.endswith("/tasks?status=failed")
    await ada.page.click(".views > ul a >> nth=0")
    await ada.misses("td.check")
    await ada.page.click(".selecting")
    await ada.page.check("input[name=ids][value='1028']")
    await ada.page.click(".bulk [data-act=claim]")
    await ada.is_told("1 task claimed.")


@pytest.mark.parametrize(
    ("width", "shown"), [(1440, "group service updated"), (1300, "service updated"), (1100, ""), (700, "")]
)
async def test_narrow_windows_lose_group_then_age_then_the_service_joins_the_reasons(
    chromium: Browser, town_site: Site, width: int, shown: str
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", width=width)
    found = [name for name in ("group", "service", "updated") if await ada.page.locator(f"th.b-{name}").is_visible()]
    assert found == shown.split()
    assert await row(ada, "1001").locator(".joined").is_visible() == ("service" not in shown)
    assert not await ada.scrolls_sideways()
