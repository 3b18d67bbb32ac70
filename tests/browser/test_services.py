"""The list of services and the page of one: why, how it did, what can be done; with and without JavaScript. UI 6, 8, 12."""

from typing import Any

import pytest
from msgspec import structs
from playwright.async_api import Browser

from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, NewEvent, Sender, Service, Task
from taskdash.rules.transitions import state_event
from taskdash.store import collected, events, senders, service_page, services, silence, tasks
from taskdash.store.service_page import ServiceFilters
from tests.browser.people import Visitor, signed_in
from tests.browser.town import BACKWARDS, HOSTILE
from tests.journeys.http import Site

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
ROWS = ".svctable tbody tr"
WITHOUT_LOOKING_AGAIN = "window.setInterval = () => 0"
"""Nothing but an event can bring a change then."""


async def names(ada: Visitor) -> list[str]:
    """The names of the list, in their order."""
    return await ada.page.locator(".svctable td.lead").all_inner_texts()


async def change(site: Site, service_id: str, state: Any, **fields: Any) -> None:
    """As the tick does it: the state and its event in one transaction."""

    def write(conn: Any) -> None:
        known = services.load(conn, service_id)
        assert known is not None
        after = structs.replace(known, state=state, since=site.web.clock.now(), **fields)
        silence.compare_and_set(conn, [(known, after)])
        events.append(conn, [state_event(known, after, SYSTEM)])

    await site.db.write(write)


@WITH_AND_WITHOUT
async def test_the_list_is_worst_first_and_every_number_is_that_of_the_rows_behind_it(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/services")
    assert (await names(ada))[:2] == ["计费结算", "行情采集 B"]
    assert "5 of the last 30" in str(await ada.page.locator("svg.strip").first.get_attribute("aria-label"))
    chips = [
        (str(await chip.get_attribute("href")), int(await chip.locator(".n").inner_text()))
        for chip in await ada.page.locator(".chips a").all()
    ]
    assert len(chips) == 6
    counted = [
        (str(await link.get_attribute("href")), int((await link.inner_text()).split()[0]))
        for link in await ada.page.locator("td.svctasks a").all()
    ]
    for href, n in chips:
        await ada.page.goto(href)
        assert await ada.page.locator(ROWS).count() == n, href
    assert len(counted) == 8
    for href, n in counted:
        await ada.page.goto(href)
        assert len(await ada.rows()) == n, href
    assert ada.complaints == []


async def test_the_list_is_searched_by_type_and_text_and_archived_ones_are_apart(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    made = [
        Service(id=f"w{n}", name=f"web {n}", type="web", state="up", last_beat_at=now, created_at=now, archived_at=at)
        for n, at in ((1, None), (2, None), (3, now))
    ]
    await town_site.db.write(lambda conn: services.save(conn, made))
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/services")
    assert "web · 2" in await ada.page.locator("select[name=type]").inner_text()
    await ada.page.select_option("select[name=type]", "web")
    await ada.page.click(".svcfilter button")
    await ada.page.wait_for_url("**type=web**")
    assert await names(ada) == ["web 1", "web 2"]
    await ada.page.locator(".btn", has_text="Archived · 1").click()
    await ada.sees("h1", "Services · 1")
    assert await names(ada) == ["web 3"]
    await ada.page.goto("/services?q=WEB+2")
    assert await names(ada) == ["web 2"]
    await ada.page.goto("/services?q=nothing+at+all")
    await ada.page.locator(".empty a").click()
    await ada.sees("h1", "Services · 9")


@WITH_AND_WITHOUT
async def test_many_services_are_paged_without_a_gap(chromium: Browser, town_site: Site, script: bool) -> None:
    now = town_site.web.clock.now()
    many = [Service(id=f"n{n:03}", state="up", last_beat_at=now, created_at=now) for n in range(120)]
    await town_site.db.write(lambda conn: services.save(conn, many))
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/services")
    seen = [await names(ada)]
    while await ada.page.locator("a[rel=next]").count():
        href = str(await ada.page.locator("a[rel=next]").get_attribute("href"))
        await ada.page.goto(href)
        seen.append(await names(ada))
    assert [len(each) for each in seen] == [50, 50, 27]
    assert len({name for each in seen for name in each}) == 127
    await ada.page.locator(".foot .btn", has_text="First page").click()
    await ada.sees("td.lead", "计费结算")


async def test_a_change_of_state_appears_without_reload_and_no_row_moves(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.add_init_script(WITHOUT_LOOKING_AGAIN)
    await ada.page.goto("/services")
    before = await names(ada)
    await ada.page.evaluate("window.isSame = true")
    await change(town_site, "report-gen", "down", evidence="no beat for 31 s")
    row = ada.page.locator("tr[data-key='service:report-gen']")
    await row.locator(".pill.er", has_text="Down").wait_for()
    assert await names(ada) == before, "the order changes only on one's word"
    await ada.sees(".chips a", "Down 2")
    await ada.page.locator("#apply", has_text="1 update").click()
    await ada.misses("#apply")
    assert (await names(ada)).index("报表生成") == 1
    now = town_site.web.clock.now()
    fresh = Service(id="fresh", name="fresh one", state="new", created_at=now, registered_at=now)
    born = NewEvent(at=now, kind="service.registered", subject_type="service", subject_id="fresh")
    await town_site.db.write(lambda conn: (services.save(conn, [fresh]), events.append(conn, [born])))
    await ada.page.locator("#apply", has_text="1 update").wait_for()
    assert "fresh one" not in await names(ada)
    await ada.page.click("#apply")
    await ada.sees("td.lead", "fresh one")
    assert await ada.page.evaluate("window.isSame") is True
    assert ada.complaints == []


@WITH_AND_WITHOUT
async def test_an_unregistered_sender_is_shown_with_the_command_that_registers_it(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    town_site.web.addresses["nsq-http"] = "127.0.0.1:4151"
    now, hostile = town_site.web.clock.now(), "it's $(reboot) <b>"
    heard = Sender(id=hostile, first_at=now, last_at=now, count=1, sender="10.0.0.9")
    await town_site.db.write(lambda conn: senders.add(conn, [heard]))
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/services")
    row = ada.page.locator(".sender", has_text="img-conv-2")
    await row.locator("summary").click()
    snippet = await row.locator("pre").inner_text()
    assert snippet.startswith('curl -fsS \'http://127.0.0.1:4151/pub?topic=taskdash.services\' -d \'{"id":"img-conv-2"')
    other = ada.page.locator(".sender", has_text="reboot")
    assert await other.locator("bdi.mono").inner_text() == hostile
    await other.locator("summary").click()
    assert "it'\"'\"'s $(reboot) <b>" in await other.locator("pre").inner_text(), "a shell takes it for nothing but text"
    assert ada.complaints == []


async def test_who_sees_only_some_tasks_sees_no_sender_and_no_number_beyond_them(chromium: Browser, town_site: Site) -> None:
    town_site.web.visibility = "groups"
    zoe = await signed_in(chromium, town_site, "zxf", locale="en")
    await zoe.page.goto("/services")
    assert await zoe.page.locator(".sender").count() == 0
    counted = [
        (str(await link.get_attribute("href")), int((await link.inner_text()).split()[0]))
        for link in await zoe.page.locator("td.svctasks a").all()
    ]
    assert counted
    for href, n in counted:
        await zoe.page.goto(href)
        assert len(await zoe.rows()) == n, href


@WITH_AND_WITHOUT
async def test_a_service_says_why_and_a_lead_mutes_it_with_reason_and_end(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/services/billing")
    why = await ada.page.locator(".why").inner_text()
    assert "No beat for 31 s, and its url, asked at once, did not answer either, so it is down" in why
    assert "3 × 10 s + 1 s" in why
    await ada.page.click(".mute summary")
    box = await ada.page.locator("input[name=reason]").bounding_box()
    assert box is not None
    assert box["width"] > 200, "there is room to say why"
    await ada.page.fill("input[name=reason]", "upgrade")
    await ada.page.locator("label.check", has_text="2 hours").click()
    await ada.page.locator(".mute button").click()
    await ada.is_told("billing is muted until")
    await ada.sees(".why", "upgrade")
    known = await town_site.db.read(lambda conn: services.load(conn, "billing"))
    assert known is not None
    assert known.paused_until is not None
    assert abs(known.paused_until - town_site.web.clock.now() - seconds(7_200)) < seconds(60)
    await ada.page.locator("button", has_text="Unmute").click()
    await ada.is_told("billing is judged again from now")
    await ada.sees(".mute summary")
    assert ada.complaints == []


async def test_another_end_needs_its_time_and_what_was_typed_stays(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/services/billing")
    await ada.page.click(".mute summary")
    assert not await ada.page.locator("input[name=until]").is_visible()
    await ada.page.fill("input[name=reason]", "typed")
    await ada.page.locator("label.check", has_text="another time").click()
    assert await ada.page.locator("input[name=until]").is_visible()
    await ada.page.locator(".mute button").click()
    await ada.is_told("until must say when")
    assert await ada.page.input_value("input[name=reason]") == "typed"
    await ada.page.fill("input[name=until]", "2020-01-01T10:00")
    await ada.page.locator(".mute button").click()
    await ada.is_told("until must be in the future")
    await ada.page.fill("input[name=until]", "2099-01-01T10:00")
    await ada.page.locator(".mute button").click()
    await ada.is_told("billing is muted until 01-01 10:00")


@WITH_AND_WITHOUT
async def test_all_that_nobody_holds_is_claimed_at_once(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/services/billing")
    await ada.page.locator("button", has_text="Claim 3 tasks").click()
    await ada.is_told("3 tasks claimed.")
    await ada.misses("button:has-text('Claim')")
    await ada.sees(".svctasks .who", "root")


async def test_two_pictures_say_in_words_what_they_show(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()

    def told(ago_s: float, before: str, after: str) -> NewEvent:
        at = now - seconds(ago_s)
        was, is_ = {"state": before}, {"state": after, "reason": ""}
        return NewEvent(at=at, kind="service.state", subject_type="service", subject_id="order-sync", before=was, after=is_)

    changes = [told(80_000, "new", "up"), told(40_000, "up", "down"), told(36_400, "down", "up")]
    await town_site.db.write(lambda conn: events.append(conn, changes))
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/services/order-sync")
    half_hour = str(await ada.page.locator("svg.halfhour").get_attribute("aria-label"))
    assert "15 had a beat, 75 were up, 0 had none" in half_hour or "16 had a beat" in half_hour
    assert await ada.page.locator("svg.halfhour rect.came").count() >= 15
    uptime = str(await ada.page.locator("svg.uptime").get_attribute("aria-label"))
    assert "95.5 %" in uptime
    assert "down 1 time · 1 h 0 min in all" in uptime
    assert await ada.page.locator("svg.uptime g").count() == 90
    await ada.page.get_by_role("link", name="Changes of state").click()
    assert await ada.page.locator(".histtable tbody tr[data-key]").count() == 3


async def test_an_admin_gives_a_disputed_task_to_the_other_service(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    await town_site.db.write(lambda conn: collected.set_clashes(conn, "report-gen", ["1001"], ["1001"], now))
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/services/report-gen")
    await ada.sees("li", "belongs to the service billing")
    assert await ada.page.locator(".transfer").count() == 0, "only an admin may"
    root = await signed_in(chromium, town_site, "root", locale="en")
    await root.page.goto("/services/report-gen")
    await root.page.click(".transfer summary")
    await root.sees(".transfer p", "what billing says of it changes nothing any more")
    await root.page.locator(".transfer button").click()
    await root.is_told("1001 belongs to report-gen now")
    await root.misses(".transfer")
    known: dict[str, Task] = await town_site.db.read(lambda conn: tasks.load_many(conn, ["1001"]))
    assert known["1001"].service_id == "report-gen"


async def test_the_page_of_a_service_follows_its_state(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="zh-CN")
    await ada.page.add_init_script(WITHOUT_LOOKING_AGAIN)
    await ada.page.goto("/services/billing")
    await ada.page.click(".mute summary")
    await ada.page.fill("input[name=reason]", "typed")
    await change(town_site, "billing", "up", evidence="A beat sent at 2026-07-30T06:27:58.000Z arrived.")
    await ada.sees(".head .st, .head .pill", "正常")
    await ada.sees(".why", "心跳按时到达")
    await ada.sees(".why", "07-30 14:27")
    assert await ada.page.input_value("input[name=reason]") == "typed"
    assert await ada.page.locator("input[name=reason]").is_visible()


async def test_R156_hostile_names_of_services_are_text(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    made = [
        Service(
            id="<i>x</i>/../%2e",
            name=HOSTILE,
            type=HOSTILE,
            url="http://10.0.3.8:8080/",
            reserved=HOSTILE,
            description=HOSTILE,
            state="down",
            evidence=HOSTILE,
            collect_ok=False,
            collect_error=HOSTILE,
            collect_error_at=now,
            collect_problems=({"id": HOSTILE, "problem": HOSTILE},),
            last_beat_at=now - seconds(100),
            since=now,
            created_at=now,
        ),
        Service(id="back", name=BACKWARDS, state="up", last_beat_at=now, since=now, created_at=now),
    ]
    await town_site.db.write(lambda conn: services.save(conn, made))
    ada = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/services")
    assert HOSTILE in await names(ada)
    assert BACKWARDS in await names(ada)
    await ada.page.locator("td.lead a", has_text="script").click()
    assert await ada.page.locator("h1").inner_text() == HOSTILE
    assert await ada.page.locator("main script, main img, main i").count() == 0
    assert await ada.page.title() != "owned"
    assert ada.complaints == []


async def test_no_service_yet_is_said(chromium: Browser, town_site: Site) -> None:
    await town_site.db.write(
        lambda conn: [services.remove(conn, each) for each in service_page.page(conn, ServiceFilters(), 50).services]
    )
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/services")
    await ada.sees(".empty", "No service has registered yet")
