"""Now: what is wrong in one sentence, live; every number leads to exactly its rows; claim and acknowledge. UI 6, 8, 12."""

from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from taskdash.model.instants import seconds
from taskdash.model.records import DeadLetter, Incident, NewEvent, Service, Task
from taskdash.store import dead_letters, events, incidents, services, tasks
from tests.browser.people import Visitor, signed_in
from tests.journeys.http import Site, a_site
from tests.support import eventually

_OPENED = {"kind": "incident.opened", "subject_type": "incident"}


async def opens(site: Site, key: str = "in-9", **fields: Any) -> Incident:
    """An incident opens, as the monitor would open it."""
    now = site.web.clock.now()
    told: dict[str, Any] = {"kind": "down", "sentence": "Mail is down.", "services": ("mail-out",), "opened_at": now} | fields
    incident = Incident(id=key, cause=key, **told)
    event = NewEvent(at=now, subject_id=key, evidence=incident.sentence, **_OPENED)

    def write(conn: Any) -> None:
        incidents.save(conn, [incident])
        events.append(conn, [event])

    await site.db.write(write)
    return incident


async def at_now(browser: Browser, site: Site, name: str = "ssx", **context: Any) -> Visitor:
    """Somebody who looks at Now, in English."""
    ada = await signed_in(browser, site, name, **{"locale": "en", **context})
    await ada.page.goto("/")
    return ada


async def test_now_says_what_is_wrong_and_an_incident_is_acknowledged_and_its_tasks_claimed(
    chromium: Browser, town_site: Site
) -> None:
    ada = await at_now(chromium, town_site, "root")
    assert await ada.page.locator("h1").inner_text() == "1 thing is wrong; 1 not acknowledged"
    assert await ada.page.locator(".badge").first.inner_text() == "1"
    await ada.page.locator("button", has_text="Acknowledge").click()
    await ada.is_told("Acknowledged:")
    await ada.misses(".badge")
    await ada.sees(".inc p", "Acknowledged by root at")
    assert await ada.page.locator("h1").inner_text() == "1 thing is wrong; somebody looks after each"
    await ada.page.locator("button.primary", has_text="Claim 3 tasks").click()
    await ada.is_told("3 tasks claimed.")
    await ada.misses("main button:has-text('Claim')")
    assert ada.complaints == []


async def test_an_incident_that_opens_appears_without_a_reload(chromium: Browser, town_site: Site) -> None:
    ada = await at_now(chromium, town_site)
    await ada.sees("#link", "Live")
    await ada.page.evaluate("document.body.dataset.isStill = 'here'")
    await opens(town_site)
    await ada.sees(".inc .sentence", "Mail is down")
    await ada.sees("h1", "2 things are wrong; 2 not acknowledged")
    assert await ada.page.evaluate("document.body.dataset.isStill") == "here"
    assert ada.complaints == []


async def test_every_counter_and_its_fact_lead_to_exactly_the_rows_they_count(chromium: Browser, town_site: Site) -> None:
    ada = await at_now(chromium, town_site, "root")
    found = await ada.page.eval_on_selector_all(
        ".counter .n, .counter .fact, .inc .quiet", "all => all.map(a => [a.getAttribute('href'), a.textContent])"
    )
    assert len(found) >= 10
    for href, text in found:
        if text == "all stale":
            continue
        said = next(part for part in text.split() if part.isdigit())
        await ada.page.goto(f"{href}&limit=500")
        assert len(await ada.rows()) == int(said), (href, text)


async def test_a_member_is_offered_only_what_they_may_claim_and_a_viewer_nothing(chromium: Browser, town_site: Site) -> None:
    zxf = await at_now(chromium, town_site, "zxf")
    await zxf.page.locator("button", has_text="Claim 1 task").click()
    await zxf.is_told("1 task claimed.")
    vic = await at_now(chromium, town_site, "vic")
    await vic.sees(".inc .sentence")
    assert await vic.page.locator(".inc button").count() == 0


async def test_many_services_in_one_incident_are_one_sentence_with_the_list_folded(chromium: Browser, town_site: Site) -> None:
    many = tuple(f"box-{n:03}" for n in range(120))
    await opens(town_site, sentence="120 services fell silent together.", services=many)
    ada = await at_now(chromium, town_site)
    mass = ada.page.locator(".inc", has_text="120 services fell silent together")
    await mass.locator("summary", has_text="120 services").click()
    await mass.locator("a", has_text="box-099").wait_for()
    assert await mass.locator("details a").count() == 100
    assert "and 20 more" in await mass.locator("details").inner_text()
    await opens(town_site, "in-10")
    await ada.sees(".inc .sentence", "Mail is down")
    assert await mass.locator("details").get_attribute("open") is not None


async def test_a_service_is_watched_with_its_evidence_and_when_a_verdict_falls(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    late = Service(id="slow", name="Slow", state="late", interval_s=600.0, registered_at=now - seconds(60), since=now)
    await town_site.db.write(lambda conn: services.save(conn, [late]))
    ada = await at_now(chromium, town_site)
    await ada.sees(".watched", "Verdict at")
    assert "No verdict while its url answers" in await ada.page.locator(".watched", has_text="行情采集 B").inner_text()
    assert "No verdict while its input is lost" in await ada.page.locator(".watched", has_text="夜间 ETL").inner_text()


async def test_the_last_30_minutes_are_pictures_with_a_sentence_each(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    letters = [
        DeadLetter(at=now - seconds(n), topic="t", reason="id is a number", body=b"{}", size_bytes=2) for n in (3_000, 60, 9)
    ]
    lost = Incident(
        id="in-1", kind="input", cause="nsq", state="resolved", opened_at=now - seconds(600), resolved_at=now - seconds(540)
    )
    await town_site.db.write(lambda conn: dead_letters.append(conn, letters))
    await town_site.db.write(lambda conn: incidents.save(conn, [lost]))
    kept = await town_site.db.read(lambda conn: dead_letters.page(conn, limit=500))
    recent = sum(letter.at > now - seconds(1_800) for letter in kept)
    assert 2 <= recent < len(kept)
    ada = await at_now(chromium, town_site)
    names = [await each.get_attribute("aria-label") for each in await ada.page.get_by_role("img").all()]
    assert any(name and name.startswith("计费结算: late from") and "down from" in name for name in names)
    assert f"Dead letters: {recent} messages" in names
    lane = ada.page.locator(".lane", has_text="Input nsq")
    assert "back" in await lane.locator(".is").inner_text()
    assert await lane.locator("rect.m-lost").count() == 1
    assert ada.complaints == []
    await ada.page.locator("header a", has_text="1 ended by itself").click()
    await ada.page.wait_for_url("**/history?kind=incident.resolved&since=*")
    await ada.page.go_back()
    await ada.page.locator(".is a", has_text=f"{recent} messages").click()
    await ada.page.wait_for_url("**/admin/dead-letters?since=*")
    assert await ada.page.locator("ul.letters > li").count() == recent


async def test_all_is_well_says_so_and_still_shows_counters_lanes_and_activity(chromium: Browser, tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        await site.account("ssx", "lead")
        now = site.web.clock.now()
        well = Service(id="mail", name="Mail", state="up", registered_at=now, since=now)
        await site.db.write(lambda conn: services.save(conn, [well]))
        await site.db.write(lambda conn: tasks.save(conn, [(None, Task(id="1", name="One", user="ssx", service_id="mail"))]))
        ada = await at_now(chromium, site)
        assert await ada.page.locator("h1").inner_text() == "All well · 1 service, 1 task"
        assert await ada.page.locator(".counter").count() == 5
        assert await ada.page.locator(".lane svg").count() == 3
        await ada.sees(".line", "ssx")
        assert await ada.page.locator(".inc").count() == 0


async def test_on_a_phone_the_sentence_is_16_px_and_claiming_the_widest_button(chromium: Browser, town_site: Site) -> None:
    ada = await at_now(chromium, town_site, width=390)
    size = await ada.page.locator(".inc .sentence").first.evaluate("e => getComputedStyle(e).fontSize")
    assert size == "16px"
    widths = [box["width"] for b in await ada.page.locator(".inc .acts > *:visible").all() if (box := await b.bounding_box())]
    assert widths[0] == max(widths)
    await ada.page.locator(".inc .primary").click()
    await ada.is_told("claimed")
    assert not await ada.scrolls_sideways()


async def test_without_scripts_the_same_is_done_by_plain_forms(chromium: Browser, town_site: Site) -> None:
    ada = await at_now(chromium, town_site, "root", java_script_enabled=False)
    await ada.page.locator("button", has_text="Acknowledge").click()
    await ada.is_told("Acknowledged:")

    async def is_acknowledged() -> bool:
        found = await town_site.db.read(lambda conn: incidents.load(conn, "in-206"))
        return found is not None and found.acknowledged_by == "root"

    assert await eventually(is_acknowledged)


async def test_of_very_many_incidents_all_are_counted_and_the_first_shown(chromium: Browser, town_site: Site) -> None:
    now = town_site.web.clock.now()
    many = [
        Incident(id=f"c-{n}", kind="collect", cause=f"c-{n}", opened_at=now, sentence=f"Number {n} fails.") for n in range(40)
    ]
    await town_site.db.write(lambda conn: incidents.save(conn, many))
    ada = await at_now(chromium, town_site)
    await ada.sees("h1", "41 things are wrong; 41 not acknowledged")
    assert await ada.page.locator(".inc:not(.watched)").count() == 30
    await ada.sees("section p", "11 more incidents")
