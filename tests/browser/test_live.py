"""The page tells the truth: about the connection, about what is shown, and about the time. UI 8, 12; R3, R6."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, Page, Request, Route

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.model.records import SYSTEM
from taskdash.store import events
from taskdash.web.pages import static
from tests.browser import town
from tests.browser.people import Visitor, sign_in, signed_in
from tests.journeys.http import PASSWORD, Site, a_site
from tests.serving import Serving, serving
from tests.support import eventually

LABEL = "document.getElementById('link').textContent"
VERSIONS = (
    "Object.fromEntries([...document.querySelectorAll('tr[data-task]')].map(r => [r.dataset.task, Number(r.dataset.version)]))"
)
RECONNECT = "document.querySelector('#disconnected:not([hidden]) button')?.click()"
"""Press the button, unless the page was faster."""
OF_API = "fetch('/api/v1/tasks?sort=risk&limit=50').then(a => a.json()).then(p => p.items.map(t => [t.id, t.version]))"


class Served:
    """A real process under a fixed address, which a visitor of a site takes for a site."""

    def __init__(self, data: Path, server: Serving) -> None:
        self.data, self.server, self.origin = data, server, server.url

    def again(self) -> Any:
        """The same data under the same address."""
        host, port = self.server.addresses["http"]
        return serving(self.data, f"--http={host}:{port}")

    async def session(self, name: str, agent: str = "") -> str:
        """The cookie of somebody who signed in."""
        del agent
        wish = {"user": name, "password": PASSWORD}
        async with aiohttp.ClientSession(self.origin) as http, http.post("/api/v1/login", json=wish) as answer:
            return answer.cookies["taskdash"].value


@asynccontextmanager
async def _served(tmp_path: Path) -> AsyncIterator[Served]:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    async with a_site(data) as site:
        await town.fill(site)
    async with serving(data) as server:
        yield Served(data, server)


async def _says(page: Page, word: str) -> None:
    """Wait until the label of the connection says this."""
    await page.locator("#link", has_text=re.compile(f"^{word}$")).wait_for()


async def _is_live(page: Page) -> None:
    await _says(page, "Live")


async def _claim(site: Site, who: str, *ids: str) -> None:
    person = await site.again(who)
    for key in ids:
        async with person.http.post(f"/api/v1/tasks/{key}/claim", json={}) as answer:
            assert answer.status == 200, await answer.text()


async def _shows_what_the_api_tells(page: Page) -> bool:
    return bool(dict(await page.evaluate(OF_API)) == await page.evaluate(VERSIONS))


class Streams:
    """The event streams that pages of one browser hold, by address."""

    def __init__(self, context: BrowserContext) -> None:
        self.open: set[Request] = set()
        self.most = 0
        context.on("request", self._began)
        context.on("requestfinished", self._ended)
        context.on("requestfailed", self._ended)

    def _began(self, request: Request) -> None:
        if "/api/v1/stream" in request.url:
            self.open.add(request)
            self.most = max(self.most, len(self.open))

    def _ended(self, request: Request) -> None:
        self.open.discard(request)


async def test_a_killed_and_restarted_server_is_shown_truly_and_nothing_is_missed(chromium: Browser, tmp_path: Path) -> None:
    async with _served(tmp_path) as served:
        ada = await signed_in(chromium, served, "ssx", locale="en")  # type: ignore[arg-type]
        streams = Streams(ada.page.context)
        await ada.page.reload()
        await _is_live(ada.page)
        await ada.page.evaluate(
            f"window.said = []; new MutationObserver(() => window.said.push({LABEL}))"
            ".observe(document.getElementById('link'), {childList: true, characterData: true, subtree: true})"
        )
        served.server.kill()
        await served.server.ended()
        banner = await ada.sees("#disconnected", "Try")
        said = re.sub(r"\s+", " ", await banner.inner_text())
        assert re.match(r"Disconnected \d+ s; showing \d\d:\d\d:\d\d\. Try \d+\.", said), said
        assert await ada.page.locator("[data-is-link=lost] #link").inner_text() == "Reconnecting"
        assert await ada.page.locator("tr[data-task]").count() == 50
        async with a_site(served.data) as site:
            await _claim(site, "root", "1000", "1012", "1016")
        assert set(await ada.page.evaluate("window.said")) == {"Reconnecting"}
        async with served.again():
            await ada.page.evaluate(RECONNECT)
            await _is_live(ada.page)
            await ada.misses("#disconnected")
            await ada.sees("tr[data-task='1012'] .who", "root")
            await ada.page.locator("#apply:visible").click()
            await eventually(lambda: _shows_what_the_api_tells(ada.page))
            assert [key for key, _version in await ada.page.evaluate(OF_API)] == await ada.rows()
            assert len(streams.open) == 1
            assert streams.most == 1


async def test_two_tabs_hold_one_stream_and_when_the_first_closes_the_other_goes_on_without_a_gap(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    streams = Streams(ada.page.context)
    await ada.page.reload()
    await _is_live(ada.page)
    second = await ada.page.context.new_page()
    await second.goto("/tasks")
    await _is_live(second)
    assert len(streams.open) == 1
    await _claim(town_site, "root", "1000")
    for page in (ada.page, second):
        await page.locator("tr[data-task='1000'] .who", has_text="root").wait_for()
    assert len(streams.open) == 1
    closing = asyncio.ensure_future(ada.page.close())
    await _claim(town_site, "root", "1012", "1016", "1020", "1024")
    await closing
    await _is_live(second)
    await eventually(lambda: _versions_are_current(second, town_site))
    assert len([one for one in streams.open if one.frame.page == second]) == 1


async def _versions_are_current(page: Page, _site: Site) -> bool:
    found = dict(await page.evaluate(OF_API))
    shown = await page.evaluate(VERSIONS)
    return all(found.get(key, version) == version for key, version in shown.items())


async def test_a_tab_that_was_opened_later_and_leads_brings_the_others_up_to_date(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.close()
    context = ada.page.context
    first = await context.new_page()
    await first.route("**/api/v1/stream*", lambda route: route.abort())
    await first.goto("/tasks")
    await _says(first, "Reconnecting")
    second = await context.new_page()
    await _claim(town_site, "root", "1000")
    await second.goto("/tasks")
    third = await context.new_page()
    await third.goto("/services")
    await first.close()
    await _is_live(second)
    await _is_live(third)
    await second.locator("tr[data-task='1000'] .who", has_text="root").wait_for()


async def test_a_session_that_ended_elsewhere_leaves_the_page_and_goes_on_after_a_new_sign_in(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id")
    await _is_live(ada.page)
    await ada.page.locator("input[name=ids]").first.check()
    await ada.page.fill("main input[type=search]", "half a thou")
    await _disable(town_site, "ssx", True)
    link = await ada.sees("#session-ended a")
    assert await link.get_attribute("href") == "/login?next=%2Ftasks%3Fuser%3Dnone%26sort%3Did"
    await _says(ada.page, "Session ended")
    assert not await ada.page.locator("#disconnected").is_visible()
    assert await ada.page.input_value("main input[type=search]") == "half a thou"
    assert await ada.page.locator("input[name=ids]").first.is_checked()
    await _disable(town_site, "ssx", False)
    again = await ada.page.context.new_page()
    await again.goto("/login?next=/services")
    await sign_in(again, "ssx")
    await ada.misses("#session-ended")
    await _is_live(ada.page)
    assert await ada.page.input_value("main input[type=search]") == "half a thou"
    await ada.page.locator("tr[data-task] button", has_text="Claim").first.click()
    await ada.is_told("You claimed")


async def _disable(site: Site, name: str, disabled: bool) -> None:
    change, now = UserChange(disabled=disabled), site.web.clock.now()
    await site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, name, change, now))


async def test_a_frozen_server_is_noticed_within_40_seconds(chromium: Browser, tmp_path: Path) -> None:
    async with _served(tmp_path) as served:
        ada = await signed_in(chromium, served, "ssx", locale="en")  # type: ignore[arg-type]
        await ada.page.clock.install()
        await ada.page.reload()
        await _is_live(ada.page)
        served.server.kill(signal.SIGSTOP)
        try:
            await ada.page.clock.fast_forward(30_000)
            assert await ada.page.evaluate(LABEL) == "Live"
            await ada.page.clock.fast_forward(11_000)
            await _says(ada.page, "Reconnecting")
            await ada.sees("#disconnected", "Disconnected 41 s")
            await ada.page.clock.fast_forward(20_000)
            await ada.sees("#disconnected", "Try 2")
            await ada.page.click("#disconnected button")
            await ada.sees("#disconnected", "Try 3")
        finally:
            served.server.kill(signal.SIGCONT)
        await ada.page.evaluate(RECONNECT)
        await _is_live(ada.page)


async def test_of_a_hundred_events_at_once_a_tab_asks_four_times_a_second_at_most_and_a_hidden_one_once(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.isAway === true })")
    await ada.page.clock.install()
    await ada.page.reload()
    await _is_live(ada.page)
    asked: list[str] = []
    ada.page.on("request", lambda request: asked.append(request.url) if "/ui/" in request.url else None)
    await ada.page.clock.pause_at(await ada.page.evaluate("Date.now() + 10_000"))
    for hidden, most in ((False, 4), (True, 1)):
        await ada.page.evaluate(f"window.isAway = {str(hidden).lower()}")
        await _settle(ada.page)
        asked.clear()
        burst = asyncio.ensure_future(_change_often(town_site, 50))
        for _tick in range(20):
            await ada.page.clock.run_for(50)
            await ada.page.evaluate("fetch('/healthz').then(() => 0)")
        assert 1 <= len(asked) <= most, asked
        await burst
    await _settle(ada.page)
    await ada.page.clock.resume()
    await eventually(lambda: _versions_are_current(ada.page, town_site))


async def _settle(page: Page) -> None:
    """Let what is due be asked and answered, so that the next second begins with nothing owed."""
    for _tick in range(8):
        await page.clock.run_for(1_000)
        await page.evaluate("fetch('/healthz').then(() => 0)")


async def _change_often(site: Site, pairs: int) -> None:
    root = await site.again("root")
    for _round in range(pairs):
        for act in ("claim", "release"):
            async with root.http.post(f"/api/v1/tasks/1012/{act}", json={}) as answer:
                assert answer.status == 200


async def test_a_claim_whose_answer_is_lost_is_offered_again_and_done_once(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.goto("/tasks?user=none&sort=id")
    keys: list[str] = []

    async def cut(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
            await ada.sees(f"tr[data-task='{first}'][data-owner='ssx']")  # the event is first, and takes the button away
            await route.abort()
        else:
            await route.continue_()

    await ada.page.route("**/tasks/claim", cut)
    (first, *_others) = await ada.rows()
    await ada.page.click(f"button[name=id][value='{first}']")
    await ada.is_told("TaskDash cannot be reached; nothing is known to have changed.")
    await ada.misses("[data-is-busy]")
    await ada.page.click(".toast button")
    await ada.is_told(f"You claimed {first}")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    claims = await town_site.db.read(lambda conn: events.page(conn, kind="task.claimed", subject=("task", first)))
    assert len(claims) == 1
    await ada.page.click(".toast [data-undo]")
    await ada.is_told(f"You released {first}")


async def test_times_follow_the_servers_clock_not_that_of_the_machine(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.clock.install(time="2019-03-01T04:05:06")
    await ada.page.goto("/tasks?sort=-updated_at")
    updated = ada.page.locator("tr[data-task='1000'] .b-updated time")
    assert await ada.page.evaluate("new Date().getFullYear()") == 2019
    hour = (town_site.web.clock.now() // (3_600 * 10**9) + 8) % 24
    assert (await ada.page.locator("[data-clock]").inner_text())[:2] in {f"{hour:02}", f"{(hour + 1) % 24:02}"}
    before = int((await updated.inner_text()).removesuffix(" s ago"))
    assert before < 30
    await ada.page.clock.fast_forward(29_000)
    after = re.compile("^(29|[345][0-9]) s ago$")
    await ada.page.locator("tr[data-task='1000'] .b-updated time", has_text=after).wait_for()


async def test_a_time_that_went_wrong_while_the_machine_slept_is_set_right_by_the_next_answer(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.clock.install()
    await ada.page.goto("/tasks?sort=-updated_at")
    await _is_live(ada.page)
    await ada.page.clock.fast_forward(2 * 3_600_000)
    await ada.page.locator("tr[data-task='1013'] .b-updated time", has_text=re.compile("^13 min ago$")).wait_for()


async def test_a_toast_stays_while_somebody_points_at_it_and_the_next_takes_its_place(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    await ada.page.clock.install()
    await ada.page.goto("/tasks?user=none&sort=id&group=pay")
    first, second, *_others = await ada.rows()
    await ada.page.click(f"button[name=id][value='{first}']")
    await ada.is_told(f"You claimed {first}")
    await ada.page.hover(".toast")
    await ada.page.clock.run_for(30_000)
    assert await ada.page.locator(".toast").count() == 1
    await ada.page.mouse.move(5, 400)
    await ada.page.locator(".toast [data-undo]").focus()
    await ada.page.clock.run_for(30_000)
    assert await ada.page.locator(".toast").count() == 1
    await ada.page.click(f"button[name=id][value='{second}']")
    await ada.is_told(f"You claimed {second}")
    assert await ada.page.locator(".toast").count() == 1
    await ada.page.mouse.move(5, 400)
    await ada.page.clock.run_for(9_000)
    await ada.misses(".toast")


async def test_who_wants_less_motion_sees_a_changed_row_without_a_fade(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en", reduced_motion="reduce")
    await ada.page.clock.install()
    await ada.page.reload()
    await _is_live(ada.page)
    await _claim(town_site, "root", "1012")
    changed = "tr[data-task='1012'][data-is-changed]"
    await ada.sees(changed)
    style = await ada.page.evaluate(f'getComputedStyle(document.querySelector("{changed}").cells[1]).animationName')
    assert style == "none"
    await ada.page.clock.run_for(3_000)
    await ada.misses(changed)


async def _patched(visitor: Visitor, before: str, then: str, after: str, ask: str) -> Any:
    """`before` brought to `after` by the page's own module, once `then` ran; what `ask` says of it then."""
    script = """async ([before, then, after, ask]) => {
        const { patch, parse } = await import('/static/alone/patch.js');
        const place = document.createElement('div');
        place.append(...parse(before).body.childNodes);
        document.body.append(place);
        const root = place.firstElementChild;
        if (then === 'pick b') root.querySelector('select').value = 'b';
        if (then === 'tick b') root.querySelector('[value=b]').checked = true;
        if (then === 'type') root.querySelector('input').value = 'typed';
        const differs = patch(root, parse(after).body.firstElementChild);
        return { differs, html: root.outerHTML, value: root.querySelector('select, input')?.value,
                 ticked: [...root.querySelectorAll(':checked')].map(box => box.value) }[ask];
    }"""
    return await visitor.page.evaluate(script, [before, then, after, ask])


async def test_a_page_that_changes_keeps_what_was_chosen_and_never_sends_what_is_no_longer_there(
    chromium: Browser, town_site: Site
) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    alone = (static.FOLDER / "js" / "patch.js").read_text("utf-8")
    await ada.page.route("**/static/alone/*", lambda route: route.fulfill(body=alone, content_type="text/javascript"))
    chosen = "<form><select name=user><option value=a>a<option value=b>b</select></form>"
    longer = "<form><select name=user><option value=0>0<option value=a>a<option value=b>b</select></form>"
    assert await _patched(ada, chosen, "pick b", longer, "value") == "b"
    boxes = "<ul><li><input type=checkbox name=ids value=a><li><input type=checkbox name=ids value=b></ul>"
    assert await _patched(ada, boxes, "tick b", boxes.replace("<li><input type=checkbox name=ids value=a>", ""), "ticked") == []
    hidden = "<form><input type=hidden name=version value={}></form>"
    assert await _patched(ada, hidden.format(1), "", hidden.format(2), "value") == "2"
    typed = "<form><input name=note value=''><p>{}</p></form>"
    assert await _patched(ada, typed.format(1), "type", typed.format(2), "value") == "typed"
    age = '<p title="{0}"><time data-tick="ago" datetime="2026-01-01T00:00:00Z">{0}</time></p>'
    assert await _patched(ada, age.format("4 s"), "", age.format("9 s"), "differs") is False
    assert await _patched(ada, "<p data-is-cursor>a</p>", "", "<p>a</p>", "differs") is False
    assert await _patched(ada, "<p>a</p>", "", "<p>b</p>", "differs") is True
