"""The wall: a token that can only read opens it and is nowhere after; it has no controls; when it stops it says so. UI 6."""

import re
import signal
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from taskdash.actions import accounts as account_actions
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, Incident, Scope, Service
from taskdash.store import accounts, incidents, services
from tests.browser.people import Visitor, signed_in, visitor
from tests.browser.screens import axe_complaints
from tests.journeys.http import Site
from tests.serving import Serving, start
from tests.support import eventually

REFUSED = ".w-refused [role=alert]"


@pytest_asyncio.fixture(loop_scope="session")
async def nobody(chromium: Browser, town_site: Site) -> Visitor:
    """A browser in which nobody signed in."""
    return await visitor(chromium, town_site, locale="en")


async def turns(page: Page, selector: str) -> None:
    """Let the wall ask until such an element is there."""

    async def is_there() -> bool:
        await page.clock.run_for(3_000)
        return await page.locator(selector).first.is_visible()

    await eventually(is_there)


async def revoke_all(site: Site, name: str) -> None:
    """Revoke every token of the account."""
    now = site.web.clock.now()
    for token in await site.db.read(lambda conn: accounts.tokens_of(conn, name)):
        await site.db.write(lambda conn, key=token.id: account_actions.revoke_token(conn, SYSTEM, key, now))  # type: ignore[misc]


async def test_a_token_in_the_address_opens_the_wall_and_is_then_neither_in_address_history_page_nor_requests(
    nobody: Visitor, town_site: Site
) -> None:
    token = await town_site.token("vic")
    asked: list[str] = []
    nobody.page.on("request", lambda request: asked.append(request.url))
    await nobody.page.goto("/login")
    await nobody.page.goto(f"/wall#{token}")
    await nobody.sees("h1", "1 thing is wrong")
    assert nobody.page.url == f"{town_site.origin}/wall"
    assert token not in await nobody.page.content()
    assert token not in await nobody.page.evaluate("document.cookie + JSON.stringify([{...localStorage}, {...sessionStorage}])")
    await nobody.page.go_back()
    await nobody.page.go_forward()
    await nobody.sees("h1", "1 thing is wrong")
    assert nobody.page.url == f"{town_site.origin}/wall"
    await nobody.page.reload()
    await nobody.sees(".w-tile", "报表生成")
    assert asked
    assert [url for url in asked if token in url.partition("#")[0]] == []
    assert [text for text in nobody.complaints if "401" not in text] == []


async def test_the_cookie_goes_to_the_wall_alone_and_no_script_sees_it(nobody: Visitor, town_site: Site) -> None:
    token = await town_site.token("vic")
    await nobody.page.goto(f"/wall#{token}")
    await nobody.sees("h1", "1 thing is wrong")
    (cookie,) = [each for each in await nobody.page.context.cookies() if each.get("value") == token]
    assert (cookie.get("path"), cookie.get("httpOnly"), cookie.get("sameSite")) == ("/wall", True, "Strict")
    client = town_site.client({"Cookie": f"{cookie.get('name')}={token}"})
    async with client.get("/api/v1/me") as answer:
        assert answer.status == 401
    async with client.get("/wall/state") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("name", "scopes"), [("zxf", ()), ("zxf", ("claim",)), ("vic", ("read", "ingest"))], ids=["member", "claim", "ingest"]
)
async def test_a_token_that_may_change_something_is_refused_with_a_sentence(
    nobody: Visitor, town_site: Site, name: str, scopes: tuple[Scope, ...]
) -> None:
    token = await town_site.token(name, scopes)
    await nobody.page.goto(f"/wall#{token}")
    await nobody.sees(REFUSED, "This token may change things.")
    assert nobody.page.url == f"{town_site.origin}/wall"
    assert [each for each in await nobody.page.context.cookies() if each.get("value") == token] == []
    async with town_site.client({"Cookie": f"taskdash-wall={token}"}).get("/wall/state") as answer:
        assert answer.status == 401


async def test_without_a_token_or_with_a_wrong_one_the_wall_says_what_it_wants(nobody: Visitor) -> None:
    await nobody.page.goto("/wall?lang=zh-CN")
    await nobody.sees(REFUSED, "墙屏没有有效的令牌")
    await nobody.page.goto("/wall?lang=en#tdk_nonsense")
    await nobody.sees(REFUSED, "This wall has no valid token.")
    assert await nobody.page.locator(".w-tile").count() == 0


async def test_another_site_cannot_hand_a_token_over(town_site: Site) -> None:
    token = await town_site.token("vic")
    client = town_site.client({"Sec-Fetch-Site": "cross-site"})
    async with client.post("/wall/token", json={"token": token}) as answer:
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def test_a_revoked_token_ends_the_wall_with_its_next_look(nobody: Visitor, town_site: Site) -> None:
    await nobody.page.clock.install()
    await nobody.page.goto(f"/wall#{await town_site.token('vic')}")
    await nobody.sees("h1", "1 thing is wrong")
    await revoke_all(town_site, "vic")
    await turns(nobody.page, REFUSED)
    assert await nobody.page.locator(".w-tile").count() == 0
    assert await nobody.page.locator(".w-stopped").is_hidden()


async def test_the_wall_follows_what_happens_by_itself(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.clock.install()
    await ada.page.goto("/wall")
    now = town_site.web.clock.now()
    fresh = Service(id="fresh", name="Fresh one", state="down", since=now, registered_at=now)
    await town_site.db.write(lambda conn: services.save(conn, [fresh]))
    await turns(ada.page, ".w-tile:has-text('Fresh one')")
    assert ada.complaints == []


async def test_the_wall_has_no_controls_and_no_pointer(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/wall")
    await ada.sees(".w-big", "计费结算")
    assert await ada.page.locator("a, button, input, select, summary, [tabindex]").count() == 0
    assert await ada.page.locator("body").evaluate("e => getComputedStyle(e).cursor") == "none"
    assert await ada.page.locator("footer").inner_text() != ""
    assert "On duty: root, ssx, zxf" in await ada.page.locator("footer").inner_text()


async def test_the_largest_incident_comes_first_in_words_and_figures_and_the_next_three_beside_it(
    chromium: Browser, town_site: Site
) -> None:
    now = town_site.web.clock.now()
    more = [
        Incident(id="a", kind="flapping", cause="order-sync", opened_at=now, sentence="?", services=("order-sync",)),
        Incident(id="b", kind="store", cause="store", opened_at=now, sentence="The store refuses to keep anything."),
        Incident(
            id="c", kind="clash", cause="x", state="acknowledged", acknowledged_by="zgl", opened_at=now, sentence="A clash."
        ),
    ]
    await town_site.db.write(lambda conn: incidents.save(conn, more))
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/wall")
    big = await ada.page.locator(".w-big").inner_text()
    assert "计费结算 is down" in big
    assert (await ada.page.locator(".w-big dd").all_inner_texts()) == ["3", "12"]
    names = await ada.page.locator(".w-next h2").all_inner_texts()
    assert names == ["The store refuses to keep anything", "订单同步", "A clash"]
    assert "zgl acknowledged it" in await ada.page.locator(".w-next").inner_text()
    tiles = await ada.page.locator(".w-tile h3").all_inner_texts()
    assert "报表生成" in tiles
    assert not {"计费结算", "订单同步"} & set(tiles)


CUT = """() => {
    const around = (e) => (e.closest(".w-tiles") ?? document.querySelector(".wall")).getBoundingClientRect();
    const inside = (box, of) => box.bottom <= of.bottom + 1 && box.right <= of.right + 1;
    return [...document.querySelectorAll(".w-tile, section, footer")].filter((e) => {
        const box = e.getBoundingClientRect();
        return !inside(box, around(e)) || e.querySelector("h3") && !inside(e.querySelector("h3").getBoundingClientRect(), box);
    }).map((e) => e.textContent);
}"""


@pytest.mark.parametrize("more", [0, 5, 45, 300], ids="{} more services".format)
async def test_everything_is_on_the_screen_in_either_size_theme_and_language(
    chromium: Browser, town_site: Site, more: int
) -> None:
    now = town_site.web.clock.now()
    known = [
        Service(id=f"box-{n:03}", name=f"Box {n}", state="up", registered_at=now, last_beat_at=now, since=now - seconds(n))
        for n in range(more)
    ]
    await town_site.db.write(lambda conn: services.save(conn, known))
    ada = await signed_in(chromium, town_site, "ssx")
    backgrounds = set()
    for width, theme, language in (
        (1920, "dark", "zh-CN"),
        (1920, "light", "en"),
        (3840, "dark", "en"),
        (1280, "light", "zh-CN"),
    ):
        await ada.page.set_viewport_size({"width": width, "height": width * 9 // 16})
        await ada.page.goto(f"/wall?theme={theme}&lang={language}")
        assert ada.complaints == []
        assert await ada.page.locator("html").get_attribute("lang") == language
        backgrounds.add(await ada.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        scrolls = "[document.documentElement.scrollHeight - innerHeight, document.documentElement.scrollWidth - innerWidth]"
        assert await ada.page.evaluate(scrolls) == [0, 0]
        assert await ada.page.evaluate(CUT) == []
        assert await axe_complaints(ada) == []
        tiles = await ada.page.locator(".w-tile").count()
        assert tiles < 60 if more < 60 else tiles <= 12
    assert len(backgrounds) == 2


async def a_wall_token(server: Serving) -> str:
    """The text of a new token that can only read."""
    async with (
        server.signed_in() as admin,
        admin.post("/api/v1/tokens", json={"name": "wall", "role": "viewer", "scopes": ["read"]}) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["token"])


async def test_a_killed_server_freezes_the_wall_and_a_new_one_brings_it_back(chromium: Browser, tmp_path: Path) -> None:
    server = await start(tmp_path)
    try:
        await server.ready()
        token = await a_wall_token(server)
        context = await chromium.new_context(locale="en", viewport={"width": 1920, "height": 1080})
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"{server.url}/wall#{token}")
        await page.locator("h1", has_text="All well").wait_for()
        assert await page.locator(".w-stopped").is_hidden()
        server.kill(signal.SIGKILL)
        await server.ended()
        await page.clock.run_for(14_000)
        assert await page.locator(".w-stopped").is_hidden()
        await page.clock.run_for(3_000)
        stopped = await page.locator(".w-stopped").inner_text()
        assert re.search(r"Screen stopped at \d\d:\d\d:\d\d", stopped)
        assert await page.locator(".w-stopped").evaluate("e => parseFloat(getComputedStyle(e).borderTopWidth) >= 12")
        assert await page.locator(".w-tile").evaluate_all(
            "all => all.every(e => getComputedStyle(e).filter === 'grayscale(1)')"
        )
        assert "Disconnected" in await page.locator("footer").inner_text()
        assert "Live" not in await page.locator("footer").inner_text()
        shown = await page.locator("body").get_attribute("data-now")
        again = await start(tmp_path, f"--http=127.0.0.1:{server.addresses['http'][1]}")
        try:
            await again.ready()
            await turns(page, f"body:not([data-now='{shown}']) .w-alive .ok")
            assert await page.locator(".w-stopped").is_hidden()
            assert [line for line in server.output + server.errors + again.output + again.errors if token in line] == []
        finally:
            await again.stop()
    finally:
        server.kill()
        await server.ended()
