"""The page of one task: sentence, day, neighbours, owners, the phone. UI 6 (Task), 10, 12."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio
from msgspec import structs
from playwright.async_api import Browser

from taskdash.clock import ManualClock
from taskdash.model.instants import from_datetime, seconds
from taskdash.model.records import NewEvent, Service
from taskdash.rules.schedule import placed
from taskdash.store import events, services, tasks
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site, a_site
from tests.support import a_service, a_task

BERLIN = ZoneInfo("Europe/Berlin")


def _at(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=BERLIN))


@pytest_asyncio.fixture(loop_scope="session")
async def berlin(tmp_path: Path) -> AsyncIterator[tuple[Site, ManualClock]]:
    """A site in Berlin, on the day on which the clocks went forward, just after noon."""
    clock = ManualClock(_at("2026-03-29 12:30"))
    async with a_site(tmp_path, clock=clock, zone=BERLIN) as site:
        await site.account("ssx", "lead", ("pay",))
        await site.account("lxq", "member", ("pay",))
        yield site, clock


async def _keep(site: Site, service: Service | None, **fields: Any) -> None:
    now = site.web.clock.now()
    known = a_task(**{"id": "t", "name": "日终对账", "group_id": "pay", "created_at": now - seconds(90_000), **fields})
    await site.db.write(lambda conn: tasks.save(conn, [(None, placed(known, now, BERLIN))]))
    if service is not None:
        await site.db.write(lambda conn: services.save(conn, [service]))


async def _said(person: Visitor) -> str:
    return str(await person.page.locator(".track").get_attribute("aria-label"))


async def test_a_window_over_midnight_is_two_pieces_and_the_short_day_says_so(
    chromium: Browser, berlin: tuple[Site, ManualClock]
) -> None:
    site, _clock = berlin
    await _keep(site, None, start_time="22:00", stop_time="06:00", status="waiting", status_at=_at("2026-03-29 06:00"))
    ada = await signed_in(chromium, site, "ssx", locale="en")
    await ada.page.goto("/tasks/t")
    pieces = [await each.get_attribute("width") for each in await ada.page.locator(".track .window").all()]
    assert pieces == ["21.739%", "8.696%"]
    assert await _said(ada) == (
        "Window today: 00:00–06:00, 22:00–24:00. It has not run today. Now it is 12:30. "
        "The clocks change: this day has 23 hours."
    )
    box = await ada.page.locator(".track").bounding_box()
    marker = await ada.page.locator(".track line.now").bounding_box()
    assert box is not None
    assert marker is not None
    assert abs((marker["x"] - box["x"]) / box["width"] - 11.5 / 23) < 0.01
    assert "Europe/Berlin" in await ada.page.locator("main").inner_text()
    assert ada.complaints == []


async def test_what_nobody_can_see_is_told_with_its_evidence_and_never_shown_as_running(
    chromium: Browser, berlin: tuple[Site, ManualClock]
) -> None:
    site, _clock = berlin
    down = a_service(
        id="billing",
        state="down",
        since=_at("2026-03-29 12:28"),
        evidence="",
        collect_ok_at=_at("2026-03-29 12:27"),
        fresh_until=None,
    )
    await _keep(site, down, start_time="12:00", stop_time="18:00", service_id="billing", status_at=_at("2026-03-29 12:00"))
    ada = await signed_in(chromium, site, "ssx", locale="en")
    await ada.page.goto("/tasks/t")
    status = ada.page.locator(".head .pill").first
    assert "nu" in str(await status.get_attribute("class")).split()
    assert await status.inner_text() == "Running (12:27 last known)"
    card = await ada.page.locator(".card.bad .body").inner_text()
    assert card.startswith("Nobody holds it, and its present state cannot be seen")
    assert "Service billing is down since 12:28:00." in card
    assert "“Running” is what was last known, at 12:27:00. Its window is open until 18:00: 5 h 30 min to go." in card
    assert await _said(ada) == (
        "Window today: 12:00–18:00. It ran 12:00–12:27. From 12:27 on nobody could see it. Now it is 12:30. "
        "The clocks change: this day has 23 hours."
    )
    assert await ada.page.locator(".track .unseen").count() == 1
    dashes = "getComputedStyle(document.querySelector('.track .unseen')).strokeDasharray"
    assert await ada.page.evaluate(dashes) == "3px, 2px"


async def test_what_began_and_was_never_seen_again_is_not_said_to_have_not_run(
    chromium: Browser, berlin: tuple[Site, ManualClock]
) -> None:
    site, _clock = berlin
    down = a_service(id="billing", state="down", since=_at("2026-03-29 12:28"), fresh_until=None)
    await _keep(site, down, service_id="billing", status_at=_at("2026-03-29 12:10"))
    ada = await signed_in(chromium, site, "ssx", locale="zh-CN")
    await ada.page.goto("/tasks/t")
    assert await _said(ada) == "今天没有时间窗。12:10 起看不到它。现在 12:30。今天调整时钟，共 23 小时。"


async def test_runs_of_today_come_from_history_and_a_change_while_one_looks_is_drawn(
    chromium: Browser, berlin: tuple[Site, ManualClock]
) -> None:
    site, _clock = berlin
    await _keep(site, None, status="finish", status_at=_at("2026-03-29 10:00"))
    await site.db.write(
        lambda conn: events.append(conn, [_change("08:00", "waiting", "running"), _change("10:00", "running", "finish")])
    )
    ada = await signed_in(chromium, site, "ssx", locale="en")
    await ada.page.goto("/tasks/t")
    assert "It ran 08:00–10:00." in await _said(ada)
    known = await site.db.read(lambda conn: tasks.load(conn, "t"))
    assert known is not None
    again = structs.replace(known, status="running", status_at=_at("2026-03-29 12:15"))

    def change(conn: Any) -> None:
        tasks.save(conn, [(known, again)])
        events.append(conn, [_change("12:15", "finish", "running")])

    await site.db.write(change)
    await ada.page.locator(".track[aria-label*='It ran 08:00–10:00, 12:15–12:30.']").wait_for()
    assert await ada.page.locator(".track .run").count() == 2


def _change(clock: str, before: str, after: str) -> NewEvent:
    return NewEvent(
        at=_at(f"2026-03-29 {clock}"),
        kind="task.changed",
        subject_type="task",
        subject_id="t",
        channel="collector",
        before={"status": before},
        after={"status": after},
    )


async def test_the_owner_before_and_who_of_the_group_is_there_are_told(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks/1012")
    await ada.page.locator(".ownacts button", has_text="Claim").click()
    await ada.is_told("You claimed 1012")
    await ada.page.locator(".ownacts button", has_text="Release").click()
    await ada.is_told("You released 1012")
    await ada.sees(".ownership .mu", "before: ssx, released")
    await ada.sees(".line .meta", "ssx · web page · version 2 → 3")
    link = ada.page.locator(".ownership a.link", has_text="zxf")
    held = int((await link.inner_text()).split()[-1])
    await ada.page.goto(f"{await link.get_attribute('href')}&limit=200")
    assert len(await ada.rows()) == held
    assert ada.complaints == []


async def test_previous_and_next_walk_the_list_one_came_from_and_back_leads_to_it(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id")
    keys = await ada.rows()
    await ada.page.click(f"tr[data-task='{keys[0]}'] a >> nth=0")
    walked = []
    for n in range(len(keys)):
        walked.append(await ada.page.locator(".crumb bdi").inner_text())
        assert await ada.page.locator(".neighbours .meta").inner_text() == f"{n + 1} of {len(keys)}"
        if n + 1 < len(keys):
            await ada.page.click("a[rel=next]")
            await ada.page.wait_for_url(re.compile(re.escape(keys[n + 1].replace("/", "%2F").replace(" ", "%20"))))
    assert walked == keys
    assert await ada.page.locator("a[rel=next]").count() == 0
    await ada.page.click("a[rel=prev]")
    await ada.page.click(".crumb a")
    await ada.page.wait_for_url("**/tasks?user=none&sort=id")


async def test_next_goes_on_to_the_following_page_of_the_list(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?sort=id&limit=50")
    keys = await ada.rows()
    await ada.page.goto(f"/tasks/{keys[-1]}?from=sort%3Did%26limit%3D50")
    await ada.page.click("a[rel=next]")
    await ada.sees(".crumb bdi", str(int(keys[-1]) + 1))
    await ada.page.click(".crumb a")
    assert (await ada.rows())[0] == str(int(keys[-1]) + 1)


async def test_a_list_that_there_is_not_shows_no_neighbours(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    for came_from in ("", "sort%3Dnonsense", "cursor%3Dxx", "at_risk%3Dmaybe", "status%3Dfailed", "x" * 3_000):
        answer: Any = await ada.page.goto(f"/tasks/1000?from={came_from}")
        assert answer.status == 200
        assert await ada.page.locator("a[rel=next], a[rel=prev]").count() == 0


async def test_on_a_phone_what_one_does_with_a_task_stays_at_the_bottom(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", width=390)
    await ada.page.goto("/tasks/1012")
    for name in ("Claim", "Assign", "Pin"):
        box = await ada.page.locator(".ownacts button", has_text=name).bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 844
        assert box["x"] + box["width"] <= 390
    by_place = "sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)"
    order = f"[...document.querySelectorAll('.task section')].{by_place}"
    heads = await ada.page.evaluate(f"{order}.map(s => s.querySelector('h2')?.textContent ?? '').filter(Boolean)")
    assert [head.split()[0] for head in heads] == ["Ownership", "Today", "Service", "History", "Details"]
    await ada.page.locator(".ownacts button", has_text="Assign").click()
    await ada.sees("dialog h2", "Assign 1 task")
    for target in await ada.page.locator(
        "dialog :is(button, .btn, .close, [role=option], select, [role=combobox]):visible"
    ).all():
        box = await target.bounding_box()
        assert box is not None
        assert box["height"] >= 44 or await target.get_attribute("role") == "combobox", await target.evaluate(
            "e => e.outerHTML"
        )
    assert not await ada.scrolls_sideways()
    await ada.page.keyboard.press("Escape")
    await ada.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    details = await ada.page.locator(".task section").last.bounding_box()
    bar = await ada.page.locator(".ownacts").bounding_box()
    assert details is not None
    assert bar is not None
    assert details["y"] + details["height"] <= bar["y"]
