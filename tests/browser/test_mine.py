"""My work, the end of my shift, handing over; with and without JavaScript. UI 6 (Mine, Hand over), 12."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from taskdash.model.instants import seconds
from taskdash.store import accounts, events, loads, tasks
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site, a_site
from tests.support import a_task

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def _held(site: Site, name: str) -> int:
    return (await site.db.read(lambda conn: loads.held(conn, name))).total


async def _mine(person: Visitor) -> list[list[str]]:
    """The ids of each of the three lists."""
    await person.page.goto("/mine")
    lists = await person.page.locator(".minetable tbody").all()
    return [[str(await row.get_attribute("data-key")) for row in await one.locator("tr[data-key]").all()] for one in lists]


async def test_the_three_lists_are_mine_and_my_groups_and_each_number_is_that_of_the_rows_behind_it(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    acts, waits, rest = await _mine(ada)
    assert ada.page.url.endswith("/mine")
    assert await ada.page.locator("nav a[aria-current=page]").first.inner_text() == "Mine"
    assert "task:1010" in acts
    assert len(acts) + len(rest) == 15
    assert not {*acts} & {*rest}
    links = [(str(await a.get_attribute("href")), await a.inner_text()) for a in await ada.page.locator("h1 a, h2 a").all()]
    assert [int(n) for _href, n in links] == [15, len(acts), len(waits), len(rest)]
    for href, n in links:
        await ada.page.goto(f"{href}&limit=200")
        assert len(await ada.rows()) == int(n), href
    assert ada.complaints == []


async def test_the_tables_share_their_columns_and_widths(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/mine")
    script = (
        "[...document.querySelectorAll('.minetable')].map(t => [...t.querySelector('tbody tr').cells].map(c => c.offsetWidth))"
    )
    widths: list[list[int]] = await ada.page.evaluate(script)
    assert len(widths) == 3
    assert all(abs(a - b) <= 3 for other in widths[1:] for a, b in zip(widths[0], other, strict=True))


@WITH_AND_WITHOUT
async def test_all_that_waits_in_my_groups_is_claimed_with_one_button_that_names_how_many(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.route("**/api/v1/stream**", lambda route: route.abort())  # the page does not hear of the race in time
    _acts, waits, _rest = await _mine(ada)
    button = ada.page.locator("form[action='/mine/claim'] button")
    assert await button.inner_text() == f"Claim all {len(waits)} tasks"
    root = await town_site.again("root")
    async with root.http.post(
        f"/api/v1/tasks/{waits[-1][5:].replace('/', '%2F').replace(' ', '%20')}/claim", json={}
    ) as answer:
        assert answer.status == 200
    await button.click()
    await ada.is_told(f"{len(waits) - 1} tasks are there now, not {len(waits)}; nothing was done.")
    assert await _held(town_site, "ssx") == 15
    await ada.page.reload()
    await ada.page.locator("form[action='/mine/claim'] button").click()
    await ada.is_told(f"{len(waits) - 1} tasks claimed.")
    assert await _held(town_site, "ssx") == 14 + len(waits)


async def test_a_row_stays_where_it_is_until_the_reader_applies_what_changed(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    _acts, waits, _rest = await _mine(ada)
    await ada.page.locator(f"[data-key='{waits[0]}'] button").click()
    await ada.is_told("You claimed")
    await ada.sees(f"[data-key='{waits[0]}'][data-is-unmatched]")
    await ada.page.click("#apply")
    await ada.sees(f"section:has(#mine-act) [data-key='{waits[0]}'], section:has(#mine-rest) [data-key='{waits[0]}']")


@WITH_AND_WITHOUT
async def test_the_end_of_my_shift_is_set_for_all_i_hold_and_told_with_the_time_that_is_left(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/mine")
    await ada.page.locator(".head .btn", has_text="Set the end of my shift").click()
    await ada.sees("#dialog-title", "End of my shift")
    await ada.page.locator("select[name=end]").select_option(index=1)
    await ada.page.click(".dialog button.primary")
    assert re.match(r"15 tasks end at \d\d-\d\d 09:00 now\.", await ada.is_told("15 tasks end at"))
    said = await (await ada.sees(".shift", "Your shift ends at")).inner_text()
    assert re.search(r"in (\d+ d )?\d+ h( \d+ min)?;", said)
    known = await town_site.db.read(lambda conn: loads.held(conn, "ssx"))
    assert list(known.ends.values()) == [15]
    opened = await town_site.db.read(lambda conn: events.page(conn, kind="incident.acknowledged"))
    assert opened == []
    await ada.page.locator(".head .btn", has_text="Change shift").click()
    await ada.page.select_option("select[name=end]", "none")
    await ada.page.click(".dialog button.primary")
    await ada.is_told("15 tasks have no end now.")
    assert ada.complaints == []


@WITH_AND_WITHOUT
async def test_all_i_hold_is_handed_over_with_a_note_and_i_am_away(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/mine")
    await ada.page.locator(".head .btn", has_text="Hand over all").click()
    await ada.sees("#dialog-title", "Hand over my 15 tasks")
    assert "need action (failed" in await ada.page.locator(".dialog .body p.mu").first.inner_text()
    assert await ada.page.locator("select[name=user] option[value=ssx]").count() == 0
    if script:
        await ada.page.keyboard.type("zxf")
        await ada.page.locator(".people li").nth(1).wait_for(state="detached")
        await ada.page.keyboard.press("Enter")
        await ada.sees(".dialog button", "Hand over 15 tasks to zxf")
        assert (
            "zxf is not in data, mx: 10 tasks keep their group and are theirs"
            in await ada.page.locator("p.outside").inner_text()
        )
    else:
        assert "is not in data, mx" in await ada.page.locator("select[name=user] option[value=zxf]").inner_text()
        await ada.page.select_option("select[name=user]", "zxf")
    await ada.page.fill("textarea[name=note]", "until the vendor is back")
    await ada.page.check("input[name=away]")
    await ada.page.click(".dialog button.primary")
    await ada.is_told("task")
    told = await ada.page.locator(".toast span").inner_text()
    assert told.startswith("15 tasks handed over to zxf.")
    assert (await _held(town_site, "ssx"), await _held(town_site, "zxf")) == (0, 30)
    newest = await town_site.db.read(lambda conn: events.page(conn, kind="task.handed_over", limit=100))
    assert {event.evidence for event in newest} == {"until the vendor is back"}
    user = await town_site.db.read(lambda conn: accounts.user(conn, "ssx"))
    assert user is not None
    assert user.away_until is not None
    assert user.away_until > town_site.web.clock.now() + seconds(3_600)
    assert ada.complaints == []


async def test_a_hand_over_of_another_number_than_the_button_said_does_nothing_and_keeps_the_note(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "zxf", locale="en")
    await ada.page.goto("/mine")
    await ada.page.locator(".head .btn", has_text="Hand over all").click()
    await ada.sees("#dialog-title", "Hand over my 15 tasks")
    zxf = await town_site.again("zxf")
    async with zxf.http.post("/api/v1/tasks/1012/claim", json={}) as answer:
        assert answer.status == 200
    await ada.page.click(".people li[data-value=ssx]")
    await ada.page.fill("textarea[name=note]", "typed")
    await ada.page.click("dialog button.primary")
    await ada.sees("dialog [role=alert]", "16 tasks are there now, not 15; nothing was done.")
    assert await ada.page.input_value("textarea[name=note]") == "typed"
    assert await _held(town_site, "zxf") == 16
    await ada.page.click("dialog button.primary")
    await ada.is_told("16 tasks handed over to ssx.")


async def test_only_a_lead_hands_over_what_another_holds_and_a_viewer_nothing(chromium: Browser, town_site: Site) -> None:
    for name, path, status in (
        ("zxf", "/handover?from=ssx", 403),
        ("vic", "/handover", 403),
        ("vic", "/mine/shift", 403),
        ("vic", "/mine", 200),
        ("root", "/handover?from=ssx", 200),
    ):
        person = await signed_in(chromium, town_site, name, locale="en")
        answer: Any = await person.page.goto(path)
        assert answer.status == status, (name, path)
    assert await person.page.locator("h1").inner_text() == "Hand over the 15 tasks of ssx"
    assert await person.page.locator("input[name=away]").count() == 0


async def test_who_sees_only_their_groups_is_offered_only_their_people(tmp_path: Path) -> None:
    async with a_site(tmp_path, visibility="groups") as site:
        for name, group in (("lxq", "pay"), ("wsg", "mx")):
            await site.account(name, "member", (group,))
        await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(user="zxf")), (None, a_task(id="9", user="wsg"))]))
        zxf = await site.person("zxf", "member", ("pay",))
        async with zxf.http.get("/handover") as answer:
            page = await answer.text()
        assert 'data-name="lxq"' in page
        assert "wsg" not in page
        async with zxf.http.post("/ui/people", data={"from": "wsg", "find": ""}) as answer:
            listed = await answer.text()
        assert "0 → 1" in listed
        assert "wsg" not in listed


async def test_nothing_held_is_said_in_words(chromium: Browser, town_site: Site) -> None:
    await town_site.account("new", "member")
    new = await signed_in(chromium, town_site, "new", locale="en")
    assert await _mine(new) == [[], [], []]
    main = await new.page.locator("main").inner_text()
    assert "you are in no group" in main
    assert "Nothing of yours needs action" in main
    assert await new.page.locator(".head .btn").count() == 0
    await new.page.goto("/handover")
    assert "There is nothing to hand over." in await new.page.locator("main").inner_text()
