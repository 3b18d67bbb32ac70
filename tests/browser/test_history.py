"""History: filters that are an address, new events that are counted and not inserted, export of what is seen. UI 6, 8, 12."""

import csv
import json
from io import StringIO

import pytest
from playwright.async_api import Browser, Page

from taskdash.model.instants import seconds
from taskdash.model.records import NewEvent
from taskdash.store import events
from tests.browser.people import signed_in
from tests.browser.town import HOSTILE
from tests.journeys.http import Site

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
ROWS = ".histtable tbody tr[data-key]"


async def seqs(page: Page) -> list[int]:
    """The events that are shown, in their order."""
    return [int(str(await row.get_attribute("data-key")).partition(":")[2]) for row in await page.locator(ROWS).all()]


async def happen(site: Site, *ids: str, ago_s: float = 0.0, evidence: str = "") -> None:
    """A task each is claimed."""
    at = site.web.clock.now() - seconds(ago_s)
    told = [
        NewEvent(
            at=at,
            kind="task.claimed",
            subject_type="task",
            subject_id=key,
            actor_type="user",
            actor_id="zxf",
            channel="web",
            before={"user": ""},
            after={"user": "zxf"},
            evidence=evidence,
        )
        for key in ids
    ]
    await site.db.write(lambda conn: events.append(conn, told))


@WITH_AND_WITHOUT
async def test_history_is_filtered_by_its_address(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/history?subject=task:1001")
    assert await ada.page.locator(ROWS).count() == 3
    await ada.page.select_option("select[name=kind]", "task.assigned")
    await ada.page.click(".filter button")
    await ada.page.wait_for_url("**kind=task.assigned**")
    assert await ada.page.locator(ROWS).count() == 1
    assert "月结" in await ada.page.locator("tbody").inner_text()
    await ada.page.click(".token")
    assert "subject" not in ada.page.url
    await ada.page.goto("/history?channel=web&actor=ssx&kind=task.*")
    assert await ada.page.locator(ROWS).count() == 1
    assert await ada.page.input_value("input[name=actor]") == "ssx"


async def test_a_text_finds_the_history_of_tasks_and_services_by_id_and_by_name(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, "1010")
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history")
    await ada.page.fill("input[name=q]", "日终对账")
    await ada.page.click(".filter button")
    await ada.page.wait_for_url("**q=**")
    shown = await ada.page.locator(f"{ROWS} td:nth-child(3)").all_inner_texts()
    assert shown == ["1010", "1001", "1001", "1001"], "both tasks of that name"
    await ada.page.goto("/history?q=计费")
    assert await ada.page.locator(f"{ROWS} td:nth-child(4)").all_inner_texts() == ["计费结算"]
    await ada.page.goto("/history?q=in-206")
    assert await ada.page.locator(ROWS).count() == 1
    await ada.page.goto("/history?q=no+such+thing")
    await ada.sees(".empty", "Nothing in the history matches")


async def test_a_text_finds_evidence_in_capitals_or_not_beside_what_bears_it(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, "1010", evidence="Disk of 日终对账 was full")
    await happen(town_site, "1012", evidence="100% of it_s beats")
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history?q=DISK+full")
    assert await ada.page.locator(f"{ROWS} td:nth-child(3)").all_inner_texts() == ["1010"]
    await ada.page.goto("/history?q=日终对账")
    assert len(await seqs(ada.page)) == 4, "what is found twice is shown once"
    await ada.page.goto("/history?q=%25+it_")
    assert await ada.page.locator(f"{ROWS} td:nth-child(3)").all_inner_texts() == ["1012"]
    await ada.page.goto("/history?q=full&subject=task:1012")
    await ada.sees(".empty", "Nothing in the history matches")
    await ada.page.goto("/history?q=disk&subject=task:1010&kind=task.*")
    assert len(await seqs(ada.page)) == 1
    async with ada.page.expect_download() as downloading:
        await ada.page.locator("a[download]:has-text('JSONL')").click()
    assert len((await (await downloading.value).path()).read_text().splitlines()) == 1


async def test_evidence_is_found_by_the_words_that_its_reader_sees(chromium: Browser, town_site: Site) -> None:
    said = "Its url, asked at 2026-01-01T00:00:00.000Z, did not answer: the connection was refused"
    await happen(town_site, "1010", evidence=said)
    for locale, text, n in (("zh-CN", "连接被拒绝", 1), ("en", "was refused", 1), ("en", "连接被拒绝", 0)):
        ada = await signed_in(chromium, town_site, "ssx", locale=locale)
        await ada.page.goto(f"/history?q={text}")
        assert len(await seqs(ada.page)) == n, (locale, text)


async def test_evidence_beyond_the_newest_events_is_not_sought_and_the_screen_says_so(
    chromium: Browser, town_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "EVIDENCE_WITHIN", 20)
    await happen(town_site, "1010", evidence="the disk was full")
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history?q=disk")
    assert len(await seqs(ada.page)) == 1
    await ada.misses(".histcount .wa")
    await happen(town_site, *["1011"] * 20)
    await ada.page.goto("/history?q=disk")
    await ada.sees(".empty")
    await ada.sees(".histcount .wa", "Evidence is sought in the newest 20 events only.")
    await ada.page.goto("/history")
    await ada.misses(".histcount .wa")


async def test_pages_of_a_text_follow_one_another_without_a_gap(chromium: Browser, town_site: Site) -> None:
    for n in range(60):
        await happen(town_site, f"{1010 + n % 2}", evidence="disk" if n % 2 else "")
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=False)
    await ada.page.goto("/history?q=1010")
    first = await seqs(ada.page)
    await ada.page.goto("/history?q=disk&limit=20")
    seen = await seqs(ada.page)
    await ada.page.click("a[rel=next]")
    seen += await seqs(ada.page)
    assert len(seen) == len(set(seen)) == 30
    assert not set(seen) & set(first)


async def test_times_bound_the_history_and_days_are_told_apart(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, "1012", ago_s=3 * 86_400)
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history?kind=task.*&subject=task:1012")
    assert await ada.page.locator("tr.section").count() == 1
    await ada.page.goto("/history?kind=task.*&time=24h")
    assert "1012" not in await ada.page.locator("tbody").inner_text()
    await ada.page.goto("/history?kind=task.*&from=2020-01-01T00:00&to=2021-01-01T00:00")
    await ada.sees(".empty")
    answer = await ada.page.goto("/history?from=yesterday")
    assert answer is not None
    assert answer.status == 422
    await ada.sees("[role=alert]:visible", "from must be a date and a time")


async def test_pages_follow_one_another_without_a_gap_while_events_come(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, *["1013"] * 120)
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=False)
    await ada.page.goto("/history?kind=task.claimed")
    seen = [await seqs(ada.page)]
    while await ada.page.locator("a[rel=next]").count():
        await happen(town_site, "1014")
        await ada.page.click("a[rel=next]")
        seen.append(await seqs(ada.page))
    assert [len(each) for each in seen] == [50, 50, 20]
    every = [seq for each in seen for seq in each]
    assert every == list(range(every[0], every[0] - 120, -1))


async def test_new_events_are_counted_and_shown_on_ones_word(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history?kind=task.*")
    before = await seqs(ada.page)
    await happen(town_site, "1015", "1016", "1017")
    await ada.page.locator("#apply", has_text="3 updates").wait_for()
    assert await seqs(ada.page) == before, "nothing moves under the cursor"
    await happen(town_site, "1018")
    await ada.page.locator("#apply", has_text="4 updates").click()
    await ada.misses("#apply")
    assert (await seqs(ada.page))[4:] == before
    assert ada.complaints == []


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_the_export_has_exactly_what_the_filters_find(chromium: Browser, town_site: Site, kind: str) -> None:
    await happen(town_site, *["1019"] * 600, evidence="=1+1")
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/history?kind=task.claimed&actor=zxf&limit=100")
    newest = (await seqs(ada.page))[0]
    async with ada.page.expect_download() as downloading:
        await ada.page.locator(f"a[download]:has-text('{kind.upper()}')").click()
    download = await downloading.value
    assert download.suggested_filename == f"history.{kind}"
    text = (await download.path()).read_text()
    if kind == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
        assert rows[0]["subject"] == {"type": "task", "id": "1019"}
    else:
        rows = list(csv.DictReader(StringIO(text)))
        assert rows[0]["evidence"] == "'=1+1", "no spreadsheet computes it"
        assert json.loads(rows[0]["after"]) == {"user": "zxf"}
    assert [int(row["seq"]) for row in rows] == list(range(newest, newest - 600, -1))


async def test_R156_hostile_texts_in_history_are_text(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, "<b>x</b>", evidence=HOSTILE)
    ada = await signed_in(chromium, town_site, "ssx")
    await ada.page.goto("/history")
    assert HOSTILE in await ada.page.locator("tbody").inner_text()
    assert await ada.page.locator("main script, main img, tbody b").count() == 0
    await ada.page.goto("/history?q=%3Cscript%3Ealert(1)%3C/script%3E&actor=%22%3E%3Cimg%20src=x%3E")
    assert await ada.page.locator("main script, main img").count() == 0
    assert ada.complaints == []


async def test_who_sees_only_some_tasks_exports_only_these(chromium: Browser, town_site: Site) -> None:
    await happen(town_site, "1000", "1001", "1002")
    town_site.web.visibility = "groups"
    zoe = await town_site.again("zxf")
    async with zoe.http.get("/history/export?format=jsonl&kind=task.claimed") as answer:
        assert answer.status == 200
        found = [json.loads(line)["subject"]["id"] for line in (await answer.text()).splitlines()]
    assert found == ["1001", "1000"]
    stranger = town_site.client()
    async with stranger.get("/history/export") as answer:
        assert answer.status == 401
