"""Those who run TaskDash: people, tokens, what could not be used, settings; and those who may not. UI 6, 12; R148, R159."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, DeadLetter, Sender, User
from taskdash.store import accounts, dead_letters, intake_pages, senders, tasks
from tests import serving
from tests.browser.people import Visitor, admin_of, sign_in, signed_in, visitor
from tests.browser.town import HOSTILE
from tests.journeys.http import PASSWORD_HASH, Site
from tests.support import eventually

WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
PAGES = ("users", "users/ssx", "add-user", "add-group", "groups/pay", "tokens", "settings")


async def test_who_is_no_admin_finds_no_admin_page_and_a_forged_form_is_refused(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "ssx", locale="en")
    assert await ada.page.locator("header nav a", has_text="Admin").count() == 0
    for page in ("", *(f"/{page}" for page in PAGES)):
        answer = await ada.page.goto(f"/admin{page}")
        assert answer is not None
        assert answer.status == 404, page
    for page in ("dead-letters", "senders"):
        await ada.page.goto(f"/admin/{page}")
        assert await ada.page.locator(".adminside a").count() == 2
    person = await town_site.again("ssx")
    form = {"csrf_token": person.csrf_token, "name": "x", "role": "admin", "id": "x"}
    for path in ("users/zxf", "users/zxf/password", "users/zxf/disable", "add-user", "add-group", "tokens", "tokens/revoke"):
        async with person.http.post(f"/admin/{path}", data=form, allow_redirects=False) as answered:
            assert answered.status == 403, path
            assert "role admin" in await answered.text()


async def test_R148_the_text_of_a_token_is_in_one_answer_and_nowhere_else(chromium: Browser, tmp_path: Path) -> None:
    async with serving.serving(tmp_path) as server:
        ada = await admin_of(chromium, server, "/admin/tokens")
        await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await ada.page.fill("input[name=name]", "deploy script")
        await ada.page.select_option("select[name=role]", "lead")
        await ada.page.check("input[name=scopes][value=read]")
        await ada.page.click("form.card button.primary")
        text = await (await ada.sees("[data-secret]")).inner_text()
        await ada.page.locator(".once .code .copy").click()
        assert await ada.page.evaluate("navigator.clipboard.readText()") == text
        assert f"{server.url}/api/v1/me" in await ada.page.locator(".usage").inner_text()
        headers = {"Authorization": f"Bearer {text}"}
        async with aiohttp.ClientSession(server.url) as program, program.get("/api/v1/me", headers=headers) as answer:
            assert answer.status == 200
            assert (await answer.json())["role"] == "lead"
        await ada.page.reload()
        await ada.sees("tbody td", "deploy script")
        for path in ("/admin/tokens", "/history", "/history?subject=token", "/account/tokens"):
            await ada.page.goto(path)
            assert text not in await ada.page.content(), path
        assert await server.stop() == 0
        said = "\n".join((*server.output, *server.errors))
    assert text not in said
    assert _files_with(tmp_path, text.encode()) == []


def _files_with(directory: Path, needle: bytes) -> list[Path]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if needle in path.read_bytes()]


@WITH_AND_WITHOUT
async def test_a_token_form_that_is_sent_twice_makes_one_token(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/admin/tokens")
    form = {name: await ada.page.input_value(f"form.card input[name={name}]") for name in ("id", "csrf_token")}
    await ada.page.fill("input[name=name]", "edge")
    await ada.page.fill("input[name=user]", "zxf")
    await ada.page.click("form.card button.primary")
    await ada.sees("[data-secret]")
    cookies = {str(each["name"]): str(each["value"]) for each in await ada.page.context.cookies()}
    http = town_site.client({"Sec-Fetch-Site": "same-origin"}, cookies)
    async with http.post("/admin/tokens", data={**form, "name": "edge", "user": "zxf"}) as answer:
        assert answer.status == 422
        body = await answer.text()
    assert "was made already" in body
    assert "data-secret" not in body
    known = await town_site.db.read(lambda conn: accounts.tokens_of(conn, "zxf"))
    assert [token.name for token in known] == ["edge"]
    await ada.page.fill("input[name=name]", "second")
    await ada.page.click("form.card button.primary")
    await ada.sees(".once h2", "second")
    assert await ada.page.locator(".adminside a[aria-current] .n").inner_text() == "2"
    assert ada.complaints == []


async def test_a_token_that_was_long_unused_is_amber_and_a_revoked_one_leaves_the_list(
    chromium: Browser, town_site: Site
) -> None:
    now = town_site.web.clock.now()
    wish = account_actions.TokenWish(user="zxf", name="old script", days=0)
    old = now - seconds(92 * 86_400)
    await town_site.db.write(lambda conn: account_actions.create_token(conn, SYSTEM, wish, old))
    await town_site.token("ssx", ("ingest",))
    ada = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/admin/tokens")
    assert await ada.page.locator("h1").inner_text() == "Tokens · 2"
    assert [text.strip() for text in await ada.page.locator("td .wa").all_inner_texts()] == ["unused for 92 days"]
    await ada.page.locator("tr", has_text="old script").locator("summary").click()
    await ada.page.locator("tr", has_text="old script").locator(".confirm button").click()
    await ada.is_told("The token old script of zxf is revoked.")
    await ada.sees("h1", "Tokens · 1")
    await ada.page.click("a[href='/admin/tokens?revoked=1']")
    await ada.sees("tr.gone", "old script")


@WITH_AND_WITHOUT
async def test_a_new_user_gets_a_password_that_is_shown_once_and_must_be_changed(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/admin/add-user")
    await ada.page.fill("input[name=name]", "zxf")
    await ada.page.select_option("select[name=role]", "lead")
    await ada.page.check("input[value=pay]")
    await ada.page.click("form.dialog button.primary")
    await ada.sees("[role=alert]", "There is a user of that name already.")
    assert await ada.page.is_checked("input[value=pay]")
    await ada.page.fill("input[name=name]", "new/person 7")
    await ada.page.click("form.dialog button.primary")
    password = await (await ada.sees("[data-secret]")).inner_text()
    await ada.page.goto("/admin/users")
    assert password not in await ada.page.content()
    bob = await visitor(chromium, town_site, locale="en")
    await bob.page.goto("/login?next=/services")
    await sign_in(bob.page, "new/person 7", password)
    await bob.page.wait_for_url("**/services")
    await bob.sees(".banner", "Choose your own")
    await ada.page.locator(".usertable tr", has_text="new/person 7").locator("a", has_text="Edit").click()
    await ada.page.select_option("select[name=role]", "viewer")
    await ada.page.uncheck("input[value=pay]")
    await ada.page.click("form.card button.primary")
    await ada.is_told("new/person 7 is changed.")
    known = await town_site.db.read(lambda conn: accounts.user(conn, "new/person 7"))
    assert known is not None
    assert (known.role, known.groups) == ("viewer", ())


async def test_a_password_that_an_admin_sets_ends_every_session_of_its_user(chromium: Browser, town_site: Site) -> None:
    bob = await signed_in(chromium, town_site, "zxf", locale="en")
    ada = await signed_in(chromium, town_site, "root", locale="zh-CN")
    await ada.page.goto("/admin/users/zxf")
    await ada.page.fill("form[action$='/password'] input[name=password]", "short")
    await ada.page.click("form[action$='/password'] button:not(.show)")
    await ada.sees("[role=alert]", "密码至少 12 个字符")
    await ada.page.fill("form[action$='/password'] input[name=password]", "")
    await ada.page.click("form[action$='/password'] button:not(.show)")
    password = await (await ada.sees("[data-secret]")).inner_text()
    await bob.page.goto("/tasks")
    assert "/login" in bob.page.url
    await sign_in(bob.page, "zxf", password)
    await bob.page.wait_for_url("**/tasks")


@WITH_AND_WITHOUT
async def test_disabling_somebody_hands_their_tasks_to_the_successor_and_ends_their_sessions(
    chromium: Browser, town_site: Site, script: bool
) -> None:
    bob = await signed_in(chromium, town_site, "zxf", locale="en")
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/admin/users/zxf")
    held = int((await ada.page.locator(".head .btn", has_text="Tasks held").inner_text()).split("·")[1])
    await ada.page.fill("input[name=to]", "nobody-of-that-name")
    await ada.page.click("button.danger")
    await ada.sees("[role=alert]", "nobody-of-that-name")
    await ada.page.fill("input[name=to]", "ssx")
    await ada.page.click("button.danger")
    await ada.is_told(f"zxf is disabled; ssx has {held} tasks more.")
    await bob.page.goto("/tasks")
    assert "/login" in bob.page.url
    known = await town_site.db.read(lambda conn: tasks.load(conn, "1001"))
    assert known is not None
    assert known.user == "ssx"
    await ada.page.goto("/admin/users")
    await ada.page.locator("tr.gone", has_text="zxf").locator("button", has_text="Enable").click()
    await ada.is_told("zxf may sign in again.")


@WITH_AND_WITHOUT
async def test_the_last_admin_stays_one_and_the_page_says_why(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en", java_script_enabled=script)
    await ada.page.goto("/admin/users")
    assert "last admin, cannot be disabled" in await ada.page.locator("tr", has_text="root").first.inner_text()
    await ada.page.goto("/admin/users/root")
    assert await ada.page.locator("button.danger").count() == 0
    assert await ada.page.locator("select[name=role]").is_disabled()
    assert "Make somebody else an admin first" in await ada.page.locator("main").inner_text()
    person = await town_site.again("root")
    for path, form in (("", {"role": "member", "groups": "pay"}), ("/disable", {"to": "ssx"})):
        async with person.http.post(f"/admin/users/root{path}", data={**form, "csrf_token": person.csrf_token}) as answer:
            assert answer.status == 422
            assert "the last admin" in await answer.text()
    known = await town_site.db.read(lambda conn: accounts.user(conn, "root"))
    assert known is not None
    assert (known.role, known.disabled) == ("admin", False)
    assert ada.complaints == []


async def test_every_count_of_the_people_is_the_number_of_rows_behind_its_link(chromium: Browser, town_site: Site) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/admin/users")
    links = [
        (str(await link.get_attribute("href")), await link.inner_text())
        for link in await ada.page.locator("tbody a[href*='user='], .grouptable td a[href*='group=']").all()
    ]
    counted = [(href, int(text.split()[0])) for href, text in links if text[:1].isdigit()]
    assert len(counted) == 9
    for href, n in counted:
        await ada.page.goto(f"{href}&limit=200")
        assert len(await ada.rows()) == n, href


async def test_many_users_are_paged_and_searched(chromium: Browser, town_site: Site) -> None:
    def add(conn: object) -> None:
        for n in range(70):
            accounts.add_user(conn, User(name=f"person-{n:03}", role="viewer", password_hash=PASSWORD_HASH))  # type: ignore[arg-type]

    await town_site.db.write(add)
    ada = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/admin/users")
    assert await ada.page.locator("h1").inner_text() == "Users · 75"
    assert await ada.page.locator(".usertable tbody tr").count() == 50
    await ada.page.click("a[rel=next]")
    assert await ada.page.locator(".usertable tbody tr").count() == 25
    await ada.page.fill("main input[name=q]", "SON-06")
    await ada.page.keyboard.press("Enter")
    await ada.sees("h1", "Users · 10")
    assert await ada.page.locator(".usertable tbody tr").count() == 10


@WITH_AND_WITHOUT
async def test_a_group_is_added_once_and_gets_another_title(chromium: Browser, town_site: Site, script: bool) -> None:
    ada = await signed_in(chromium, town_site, "root", locale="zh-CN", java_script_enabled=script)
    await ada.page.goto("/admin/add-group")
    await ada.page.fill("input[name=id]", "night/1")
    await ada.page.click("form.dialog button.primary")
    await ada.page.wait_for_url("**/admin/users")
    await ada.page.goto("/admin/add-group")
    await ada.page.fill("input[name=id]", "night/1")
    await ada.page.click("form.dialog button.primary")
    await ada.sees("[role=alert]", "已有该编号的组")
    await ada.page.goto("/admin/users")
    await ada.page.locator(".grouptable tr", has_text="night/1").locator("a.btn").click()
    await ada.page.fill("input[name=name]", "夜班")
    await ada.page.click("form.dialog button.primary")
    await ada.is_told("已改名")
    await ada.sees(".grouptable tr", "夜班")


async def test_a_dead_letter_is_shown_as_text_by_reason_and_downloaded_byte_for_byte(
    chromium: Browser, town_site: Site
) -> None:
    now, body = town_site.web.clock.now(), HOSTILE.encode() + b"\x00\xff" + "\u202e".encode() + b"end"
    letters = [
        DeadLetter(at=now, topic="t", reason="id must be a text", body=body, size_bytes=9_999, source="nsq", sender="10.0.3.9"),
        *(
            DeadLetter(at=now, topic="t", reason="not JSON", body=b"{", size_bytes=1, source="nsq", sender="")
            for _ in range(25)
        ),
    ]
    await town_site.db.write(lambda conn: dead_letters.append(conn, letters))
    ada = await signed_in(chromium, town_site, "vic", locale="en")
    await ada.page.goto("/admin/dead-letters")
    assert await ada.page.locator(".letter").count() == 20
    await ada.page.click("a[rel=next]")
    kept = await town_site.db.read(intake_pages.count_of_letters)
    assert await ada.page.locator(".letter").count() == kept - 20
    await ada.page.locator(".reasons a", has_text="id must be a text").click()
    assert await ada.page.locator(".letter").count() == 1
    shown = await ada.page.locator(".letter pre").inner_text()
    assert shown == HOSTILE + "\\x00\\xff\\u202eend"
    assert await ada.page.title() != "owned"
    async with ada.page.expect_download() as loading:
        await ada.page.locator("a[download]").click()
    assert await asyncio.to_thread((await (await loading.value).path()).read_bytes) == body
    assert ada.complaints == []


async def test_a_sender_that_never_registered_is_listed_with_the_line_that_registers_it(
    chromium: Browser, town_site: Site
) -> None:
    town_site.web.addresses["nsq-http"] = "0.0.0.0:4151"
    now = town_site.web.clock.now()
    odd = Sender(id="it's; rm", first_at=now, last_at=now, count=3, sender="10.0.3.44")
    await town_site.db.write(lambda conn: senders.add(conn, [odd]))
    ada = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/admin/senders")
    assert await ada.page.locator("h1").inner_text() == "Unregistered senders · 2"
    line = await ada.page.locator("li", has_text="it's; rm").locator("pre").inner_text()
    assert "http://127.0.0.1:4151/pub?topic=taskdash.services" in line
    process = await asyncio.create_subprocess_shell(line.replace("curl -fsS", "printf '%s|'"), stdout=asyncio.subprocess.PIPE)
    out, _err = await process.communicate()
    assert out.decode().split("|")[2] == '{"id":"it\'s; rm","name":"it\'s; rm"}'


async def test_R159_settings_say_where_each_comes_from_and_no_secret_as_config_show_does(
    chromium: Browser, tmp_path: Path
) -> None:
    toml = tmp_path / "own.toml"
    toml.write_text("[collect]\ninterval = 17\n")
    env = {"TASKDASH_TIME_ZONE": "Asia/Shanghai", "TASKDASH_TCP__TOKEN": "a-secret-of-mine"}
    data = tmp_path / "data"
    async with serving.serving(data, f"--config={toml}", env=env) as server:
        ada = await admin_of(chromium, server, "/admin/settings")

        async def row(name: str) -> str:
            found = ada.page.locator("tr", has=ada.page.get_by_text(name, exact=True))
            return " ".join((await found.inner_text()).split())

        assert "17 own.toml:2" in await row("collect.interval")
        assert "environment TASKDASH_TIME_ZONE" in await row("time_zone")
        assert "command line" in await row("http.listen")
        assert "default" in await row("liveness.mass_hold")
        assert '"***"' in await row("tcp.token")
        assert "a-secret-of-mine" not in await ada.page.content()
        copied = await ada.page.locator(".head .copy").get_attribute("data-copy")
        assert copied == await _config_show(data, toml, env)


async def _config_show(data: Path, toml: Path, env: dict[str, str]) -> str:
    free = [f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskdash.cli", "config", "show", f"--data-dir={data}", *free, f"--config={toml}"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", **env},
    )
    out, _err = await asyncio.wait_for(process.communicate(), 20)
    return out.decode().rstrip("\n")


async def test_the_list_of_people_follows_what_another_admin_does(chromium: Browser, town_site: Site) -> None:
    ada: Visitor = await signed_in(chromium, town_site, "root", locale="en")
    await ada.page.goto("/admin/users")
    change, now = UserChange(role="lead"), town_site.web.clock.now()
    await eventually(lambda: ada.page.evaluate("document.documentElement.dataset.isLink === 'live'"))
    await town_site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, "vic", change, now))
    await ada.sees("tr:has-text('vic') td", "lead")
