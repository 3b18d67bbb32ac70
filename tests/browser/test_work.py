"""A person at work: sign in, filter, claim, release, assign, services; with and without JavaScript. UI 6, 8, 12; R142."""

import re

import pytest
from playwright.async_api import Browser

from taskdash.store import tasks
from tests.browser.people import sign_in, signed_in, visitor
from tests.journeys.http import PASSWORD, Site

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


@pytest.mark.parametrize(
    ("wanted", "end"),
    [("/services", "/services"), ("//evil.example/x", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/"), ("", "/")],
)
async def test_who_signs_in_goes_where_they_wanted_but_never_off_this_site(
    chromium: Browser, town_site: Site, wanted: str, end: str
) -> None:
    ada = await visitor(chromium, town_site)
    await ada.page.goto(f"/login?next={wanted}")
    await sign_in(ada.page, "ssx")
    await ada.page.wait_for_url(town_site.origin + end)
    assert ada.complaints == []


async def test_a_page_sends_a_stranger_to_the_sign_in_and_back(chromium: Browser, town_site: Site) -> None:
    ada = await visitor(chromium, town_site, locale="en")
    await ada.page.goto("/tasks?status=failed&sort=name")
    await sign_in(ada.page, "ssx", "wrong wrong wrong")
    assert "wrong" in await ada.page.locator("[role=alert]:visible").inner_text()
    await sign_in(ada.page, "ssx")
    await ada.page.wait_for_url("**/tasks?status=failed&sort=name")
    await ada.page.click(".menu summary")
    await ada.page.click("form[action='/logout'] button")
    await ada.page.wait_for_url("**/login")
    await ada.page.goto("/tasks")
    assert "/login" in ada.page.url


@WITH_AND_WITHOUT
async def test_the_board_filters_sorts_counts_and_pages(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    assert len(await ada.rows()) == 50
    await ada.page.click("a[rel=next]")
    assert len(await ada.rows()) == 10
    await ada.page.goto("/tasks")
    await ada.page.locator(".facets a", has_text="Failed").first.click()
    assert ada.page.url.endswith("/tasks?status=failed")
    shown = await ada.rows()
    assert await ada.page.locator(".count .b").inner_text() == f"{len(shown)} tasks"
    await ada.page.locator(".facets a", has_text="zxf").click()
    assert "status=failed" in ada.page.url
    assert "user=zxf" in ada.page.url
    both = await ada.rows()
    assert set(both) < set(shown)
    await ada.page.click(".token >> nth=0")
    assert ada.page.url.endswith("/tasks?user=zxf")
    await ada.page.goto("/tasks")
    await ada.page.locator("th a", has_text="ID").click()
    first = await ada.rows()
    assert first == sorted(first)
    await ada.page.fill("input[name=q]", "group:pay is:at-risk 外汇")
    await ada.page.click(".filter button")
    await ada.page.wait_for_url(re.compile("group=pay.*at_risk=true.*q="))
    await ada.page.go_back()
    assert await ada.rows() == first


async def test_every_count_of_the_side_is_the_number_of_rows_behind_its_link(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?limit=200&user=zxf")
    links = [
        (str(await link.get_attribute("href")), await link.locator(".n").inner_text())
        for link in await ada.page.locator(".facets a").all()
    ]
    counted = [(href, int(text)) for href, text in links if text.isdigit() and "user=zxf" in href]
    assert len(counted) > 15
    for href, n in counted:
        await ada.page.goto(href)
        assert len(await ada.rows()) == n, href


@WITH_AND_WITHOUT
async def test_claim_undo_and_release_with_one_click_each(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    await ada.page.goto("/tasks?user=none&sort=id")
    (key, *_others) = await ada.rows()
    await ada.page.click(f"button[name=id][value='{key}']")
    await ada.is_told(f"You claimed {key}")
    await ada.page.click(".toast button")
    await ada.is_told(f"You released {key}")
    await ada.sees(f"button[name=id][value='{key}']", "Claim")
    await ada.page.goto(f"/tasks/{key}")
    await ada.page.click("button.primary")
    await ada.sees(".who", "ssx")
    await ada.page.reload()
    assert await ada.page.locator(".toast").count() == 0
    await ada.page.locator("button", has_text="Release").click()
    await ada.sees(".owner b.er", "Unowned")
    assert ada.complaints == []


async def test_of_two_people_who_click_claim_one_wins_and_the_other_reads_who(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=False)
    bob = await signed_in(chromium, town_site, "zxf", locale="zh-CN", java_script_enabled=False)
    for one in (ada, bob):
        await one.page.goto("/tasks/1012")
    await ada.page.click("button.primary")
    await bob.page.click("button.primary")
    await ada.is_told("You claimed 1012")
    assert re.match(r"1012 已被 ssx 在 \d+ 秒前领取", await bob.is_told("1012"))
    await bob.sees(".who", "ssx")
    await bob.misses("button.primary")


async def test_many_are_claimed_at_once_and_each_loss_is_told(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    boxes = await ada.page.locator("input[name=ids]").all()
    for box in boxes[:3]:
        await box.check()
    keys = (await ada.rows())[:3]
    root = await town_site.again("root")
    async with root.http.post(f"/api/v1/tasks/{keys[0]}/claim", json={}) as answer:
        assert answer.status == 200
    await ada.page.click(".bulk [data-act=claim]")
    await ada.sees(".toast", "2 tasks claimed.")
    said = " ".join((await ada.page.locator(".toast").inner_text()).split())
    assert said.startswith(f"2 tasks claimed. {keys[1]} {keys[2]} Lost to root · 1 {keys[0]}")


async def test_who_may_not_sees_no_button_and_a_forged_form_is_refused(chromium: Browser, town_site: Site) -> None:
    vic = await signed_in(chromium, town_site, "vic", locale="en")
    assert await vic.page.locator("button", has_text="Claim").count() == 0
    answer = await vic.page.goto("/tasks/assign?ids=1000")
    assert answer is not None
    assert answer.status == 403
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks/1012")
    await ada.page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(i => { i.value = 'x' })")
    await ada.page.evaluate("document.body.dataset.csrf = 'x'")
    async with ada.page.expect_response("**/tasks/claim") as answered:
        await ada.page.click("button.primary")
    assert (await answered.value).status == 403
    await ada.is_told("You may see this, but not do it.")
    known = await town_site.db.read(lambda conn: tasks.load(conn, "1012"))
    assert known is not None
    assert known.user == ""


async def test_the_first_password_asks_to_be_changed_and_is(chromium: Browser, town_site: Site) -> None:
    from taskdash.actions import accounts as account_actions
    from taskdash.actions.accounts import UserChange
    from taskdash.model.records import SYSTEM

    change, now = UserChange(must_change=True), town_site.web.clock.now()
    await town_site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, "zxf", change, now))
    ada = await signed_in(chromium, town_site, "zxf", locale="en")
    await ada.sees(".banner span", "first password")
    await ada.page.click(".banner a >> visible=true")
    await ada.page.fill("input[name=old]", "not this one at all")
    await ada.page.fill("input[name=new]", "a new and private sentence")
    await ada.page.click("button.primary")
    assert "old password" in await ada.page.locator("[role=alert]:visible").inner_text()
    await ada.page.fill("input[name=old]", PASSWORD)
    await ada.page.fill("input[name=new]", "a new and private sentence")
    await ada.page.click("button.primary")
    await ada.page.wait_for_url(town_site.origin + "/")
    await ada.is_told("Your password was changed.")


async def test_every_page_works_by_keyboard_from_the_skip_link_on(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.keyboard.press("Tab")
    assert await ada.page.evaluate("document.activeElement.textContent") == "Skip to content"
    await ada.page.keyboard.press("Enter")
    assert ada.page.url.endswith("#main")
