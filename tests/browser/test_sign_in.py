"""Signing in, and one's own account: password, absence, row height, single keys, browsers, tokens. UI 5, 6, 12; R142, R152."""

import aiohttp
import pytest
from playwright.async_api import Browser

from taskdash.model.instants import seconds
from taskdash.store import accounts
from tests.browser.people import sign_in, signed_in, visitor
from tests.journeys.http import PASSWORD, Site

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def test_the_password_is_shown_on_demand_and_is_a_password_again_when_it_is_sent(
    chromium: Browser, town_site: Site
) -> None:
    ada = await visitor(chromium, town_site, locale="en")
    await ada.page.goto("/login?next=/services")
    field = ada.page.locator("input[name=password]")
    await ada.page.fill("input[name=user]", "ssx")
    await field.fill("wrong wrong wrong")
    await ada.page.click(".show")
    assert await field.get_attribute("type") == "text"
    assert await ada.page.locator(".show").inner_text() == "Hide"
    await ada.page.evaluate("document.querySelector('form').addEventListener('submit', (e) => e.preventDefault())")
    await ada.page.click("button.primary")
    assert await field.get_attribute("type") == "password"
    assert await ada.page.locator(".show").inner_text() == "Show"
    await ada.page.goto("/login?next=/services")
    await sign_in(ada.page, "ssx")
    await ada.page.wait_for_url("**/services")
    assert ada.complaints == []


async def test_password_managers_find_their_fields_and_a_password_may_be_pasted(chromium: Browser, town_site: Site) -> None:
    ada = await visitor(chromium, town_site, locale="en")
    await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.page.goto("/login?next=/services")
    assert await ada.page.get_attribute("input[name=user]", "autocomplete") == "username"
    assert await ada.page.get_attribute("input[name=password]", "autocomplete") == "current-password"
    await ada.page.fill("input[name=user]", "ssx")
    await ada.page.evaluate("text => navigator.clipboard.writeText(text)", PASSWORD)
    await ada.page.focus("input[name=password]")
    await ada.page.keyboard.press("Control+v")
    await ada.page.keyboard.press("Enter")
    await ada.page.wait_for_url("**/services")


@WITH_AND_WITHOUT
async def test_the_language_of_an_account_is_that_of_all_its_browsers_whichever_chose_it(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    at_work = await signed_in(chromium, town_site, "vic", locale="en", java_script_enabled=script)
    at_home = await signed_in(chromium, town_site, "vic", locale="en", java_script_enabled=script)
    for chooses, other, language in ((at_work, at_home, "zh-CN"), (at_home, at_work, "en"), (at_work, at_home, "zh-CN")):
        await chooses.page.click(".menu summary")
        await chooses.page.click(f".menu button[name=language][value={language}]")
        await chooses.sees(f"html[lang={language}]")
        await other.page.goto("/services")
        assert await other.page.get_attribute("html", "lang") == language
    await at_home.page.click(".menu summary")
    await at_home.page.click("form[action='/logout'] button")
    await at_home.page.wait_for_url("**/login")
    assert await at_home.page.get_attribute("html", "lang") == "zh-CN", (
        "also of the sign-in page, in a browser that is in English"
    )
    zoe = await signed_in(chromium, town_site, "zxf", locale="en")
    assert await zoe.page.get_attribute("html", "lang") == "en", "nobody else's"


@WITH_AND_WITHOUT
@pytest.mark.parametrize(("language", "wrong", "wait"), [("en", "will have to wait", "wait"), ("zh-CN", "需要等待", "秒")])
async def test_a_wrong_password_is_told_with_the_slow_down_that_follows(
    chromium: Browser, town_site: Site, script: bool, language: str, wrong: str, wait: str
) -> None:
    ada = await visitor(chromium, town_site, locale=language, java_script_enabled=script)
    await ada.page.goto("/login")
    assert await ada.page.locator(".show:visible").count() == int(script)
    for _ in range(5):
        await sign_in(ada.page, "zxf", "wrong wrong wrong")
        await ada.sees("[role=alert]", wrong)
    assert await ada.page.input_value("input[name=user]") == "zxf"
    assert "taskdash user passwd zxf" in await ada.page.locator("main").inner_text()
    await sign_in(ada.page, "zxf", "wrong wrong wrong")
    await ada.sees("[role=alert]", wait)


async def test_the_name_in_the_line_that_resets_a_password_is_quoted_for_a_shell(chromium: Browser, town_site: Site) -> None:
    ada = await visitor(chromium, town_site, locale="en")
    await ada.page.goto("/login")
    await sign_in(ada.page, "x; rm -rf /", "wrong wrong wrong")
    assert "taskdash user passwd 'x; rm -rf /'" in await ada.page.locator("main").inner_text()


@WITH_AND_WITHOUT
async def test_language_and_theme_are_chosen_before_the_sign_in(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await visitor(chromium, town_site, locale="en", java_script_enabled=script)
    await ada.page.goto("/login?next=/services")
    await ada.page.click("button[name=language][value=zh-CN]")
    await ada.sees("button.primary", "登录")
    await ada.page.click("button[name=theme][value=dark]")
    await ada.page.wait_for_url("**/login?next=**")
    assert await ada.page.locator("html").get_attribute("data-theme") == "dark"
    await sign_in(ada.page, "ssx")
    await ada.page.wait_for_url("**/services")
    assert await ada.page.locator("html").get_attribute("lang") == "zh-CN"


@WITH_AND_WITHOUT
async def test_low_rows_and_no_single_keys_are_chosen_in_the_menu_and_stay(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", java_script_enabled=script)
    assert await ada.page.get_attribute("body", "data-keys") == "on"
    for name, value, sign in (("density", "compact", "html.compact"), ("keys", "off", "body[data-keys=off]")):
        await ada.page.click(".menu summary")
        await ada.page.click(f"button[name={name}][value={value}]")
        await ada.sees(sign)
    await ada.page.goto("/services")
    assert await ada.page.get_attribute("body", "data-keys") == "off"
    box = await ada.page.locator("tbody tr:not(.section) td").first.bounding_box()
    assert box is not None
    assert box["height"] < 36


@WITH_AND_WITHOUT
async def test_away_until_the_morning_and_back_with_one_click_each(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "zxf", locale="en", java_script_enabled=script)
    await ada.page.click(".menu summary")
    await ada.page.click("button[name=preset][value=tomorrow]")
    await ada.is_told("You are away until")
    known = await town_site.db.read(lambda conn: accounts.user(conn, "zxf"))
    assert known is not None
    assert known.away_until is not None
    assert 0 < known.away_until - town_site.web.clock.now() <= seconds(2 * 86_400)
    await ada.page.goto("/account")
    await ada.page.locator("main button[value=back]").click()
    await ada.is_told("You are back")
    known = await town_site.db.read(lambda conn: accounts.user(conn, "zxf"))
    assert known is not None
    assert known.away_until is None
    await ada.page.fill("input[name=away_until]", "2020-01-01T09:00")
    await ada.page.locator("main button", has_text="Set away").click()
    await ada.is_told("later than now")
    assert ada.complaints == []


async def test_another_browser_of_mine_is_signed_out_from_my_account(chromium: Browser, town_site: Site) -> None:
    lost = await signed_in(chromium, town_site, "zxf", locale="en", user_agent="A lost phone")
    ada = await signed_in(chromium, town_site, "zxf", locale="en")
    await ada.page.goto("/account")
    await ada.page.locator(".session", has_text="A lost phone").locator("button").click()
    await ada.is_told("signed out")
    await ada.misses(".session:has-text('A lost phone')")
    await lost.page.goto("/tasks")
    assert "/login" in lost.page.url


@WITH_AND_WITHOUT
async def test_a_token_of_ones_own_has_ones_own_rights_or_less_and_is_revoked(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "zxf", locale="en", java_script_enabled=script)
    await ada.page.goto("/account/tokens")
    assert await ada.page.locator("select[name=role] option").all_inner_texts() == ["that of its user", "viewer", "member"]
    await ada.page.fill("input[name=name]", "night script")
    await ada.page.check("input[name=scopes][value=read]")
    await ada.page.click("form.card button.primary")
    text = await (await ada.sees("[data-secret]")).inner_text()
    async with aiohttp.ClientSession(town_site.origin, headers={"Authorization": f"Bearer {text}"}) as program:
        async with program.get("/api/v1/me") as answer:
            assert answer.status == 200
        async with program.post("/api/v1/tasks/1012/claim", json={}) as answer:
            assert answer.status == 403
        await ada.page.locator(".once a", has_text="I have saved it").click()
        await ada.misses("[data-secret]")
        await ada.page.locator(".confirm summary").click()
        await ada.page.locator(".confirm button").click()
        await ada.is_told("The token night script of zxf is revoked.")
        async with program.get("/api/v1/me") as answer:
            assert answer.status == 401
    root = await signed_in(chromium, town_site, "vic", locale="en")
    await root.page.goto("/account/tokens?revoked=1")
    assert "night script" not in await root.page.locator("main").inner_text()
    assert ada.complaints == []
