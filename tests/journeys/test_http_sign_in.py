"""Signing in: sessions, cookies, passwords, throttling. RELIABILITY R140, R141, R149-R154."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from argon2 import PasswordHasher

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.clock import ManualClock
from taskdash.model.records import SYSTEM
from taskdash.store import accounts, events
from taskdash.store.places import Place
from taskdash.web.auth import IDLE_S, LONGEST_S
from tests.journeys.http import PASSWORD, Person, Site, a_site
from tests.support import everything

NEW = "another long and private one"


async def _login(client: aiohttp.ClientSession, user: str, password: str, **headers: str) -> tuple[int, Any]:
    async with client.post("/api/v1/login", json={"user": user, "password": password}, headers=headers) as answer:
        return answer.status, await answer.json()


async def _status(client: aiohttp.ClientSession, path: str = "/api/v1/me", method: str = "GET", **options: Any) -> int:
    async with client.request(method, path, **options) as answer:
        await answer.read()
        return answer.status


async def test_who_signs_in_is_told_who_they_are(site: Site) -> None:
    await site.account("ada", "lead", ("data",))
    client = site.client()
    status, body = await _login(client, "ada", PASSWORD)
    assert status == 200
    assert body["user"] == {"name": "ada", "role": "lead", "groups": ["data"]}
    async with client.get("/api/v1/me") as answer:
        me = await answer.json()
    assert me["csrf_token"] == body["csrf_token"]
    assert (me["name"], me["must_change_password"], me["language"], me["away_until"]) == ("ada", False, "", None)


async def test_R153_a_wrong_password_an_unknown_user_and_a_disabled_one_get_the_same_answer(site: Site) -> None:
    await site.account("ada")
    await site.account("gone")
    change = UserChange(disabled=True)
    await site.db.write(lambda c: account_actions.change_user(c, SYSTEM, "gone", change, site.web.clock.now()))
    client = site.client()
    answers = [await _login(client, *pair) for pair in (("ada", NEW), ("nobody", NEW), ("gone", PASSWORD))]
    assert [status for status, _body in answers] == [401] * 3
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["errid"] == 1003


async def test_R153_an_unknown_user_costs_as_much_as_a_known_one(site: Site) -> None:
    hasher = site.server.app.state.hasher
    stored = (await site.account("ada")).password_hash
    took: dict[str, list[float]] = {stored: [], "": []}
    for _round in range(12):
        for known, times in took.items():
            began = time.perf_counter()
            assert not await hasher.verify(known, NEW)
            times.append(time.perf_counter() - began)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.1 < known / unknown < 10  # the very same work; a missing hash would be a thousand times faster


async def _revoke_by_logout(site: Site, ada: Person) -> None:
    assert await _status(ada.http, "/api/v1/logout", "POST") == 204


async def _revoke_by_disabling(site: Site, ada: Person) -> None:
    await _patch(site, {"disabled": True})


async def _revoke_by_role(site: Site, ada: Person) -> None:
    await _patch(site, {"role": "viewer"})


async def _revoke_by_password(site: Site, ada: Person) -> None:
    body = {"old": PASSWORD, "new": NEW}
    assert await _status(ada.http, "/api/v1/me/password", "POST", json=body) == 204


async def _revoke_by_password_of_admin(site: Site, ada: Person) -> None:
    await _patch(site, {"password": NEW})


async def _revoke_in_the_list(site: Site, ada: Person) -> None:
    other = await site.again("ada")
    async with other.http.get("/api/v1/me/sessions") as answer:
        sessions = (await answer.json())["items"]
    target = next(each["id"] for each in sessions if not each["current"])
    assert await _status(other.http, f"/api/v1/me/sessions/{target}", "DELETE") == 204
    assert await _status(other.http) == 200


async def _patch(site: Site, change: dict[str, Any]) -> None:
    root = await site.person("root", "admin")
    assert await _status(root.http, "/api/v1/users/ada", "PATCH", json=change) == 200


@pytest.mark.parametrize(
    "end",
    [
        _revoke_by_logout,
        _revoke_by_disabling,
        _revoke_by_role,
        _revoke_by_password,
        _revoke_by_password_of_admin,
        _revoke_in_the_list,
    ],
)
async def test_R140_an_ended_session_is_401_at_once(site: Site, end: Callable[[Site, Person], Awaitable[None]]) -> None:
    ada = await site.person("ada")
    cookie = next(iter(ada.http.cookie_jar)).value
    assert await _status(ada.http) == 200
    await end(site, ada)
    assert await _status(site.client(cookies={"taskdash": cookie})) == 401


async def test_a_new_password_keeps_who_chose_it_signed_in(site: Site) -> None:
    ada = await site.person("ada")
    other = await site.again("ada")
    await _revoke_by_password(site, ada)
    assert await _status(ada.http) == 200
    assert await _status(other.http) == 401
    assert await _status(ada.http, "/api/v1/logout", "POST") == 204  # its CSRF token still holds
    client = site.client()
    assert (await _login(client, "ada", PASSWORD))[0] == 401
    assert (await _login(client, "ada", NEW))[0] == 200


async def test_a_new_password_does_not_undo_the_one_that_an_admin_set_meanwhile(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.person("ada")
    hashing, go_on, known = asyncio.Event(), asyncio.Event(), site.server.app.state.hasher.hash

    async def slow(password: str) -> str:
        hashing.set()
        await go_on.wait()
        return str(await known(password))

    monkeypatch.setattr(site.server.app.state.hasher, "hash", slow)
    body = {"old": PASSWORD, "new": NEW}
    changing = asyncio.ensure_future(_status(ada.http, "/api/v1/me/password", "POST", json=body))
    await hashing.wait()
    now = site.web.clock.now()
    await site.db.write(lambda conn: account_actions.change_password(conn, SYSTEM, "ada", "the admin's", now))
    go_on.set()
    assert await changing == 401
    user = await site.db.read(lambda conn: accounts.user(conn, "ada"))
    assert user
    assert user.password_hash == "the admin's"


async def test_R149_a_bad_new_password_is_422_and_names_the_field(site: Site) -> None:
    ada = await site.person("ada")
    for new in ("short", "password1234"):
        async with ada.http.post("/api/v1/me/password", json={"old": PASSWORD, "new": new}) as answer:
            assert (answer.status, (await answer.json())["field"]) == (422, "new")
    async with ada.http.post("/api/v1/me/password", json={"old": NEW, "new": NEW}) as answer:
        assert (answer.status, (await answer.json())["field"]) == (403, "old")


async def test_R140_the_store_has_no_cookie_and_no_password(site: Site) -> None:
    await site.account("ada")
    client = site.client()
    await _login(client, "ada", PASSWORD)
    values = [cookie.value.encode() for cookie in client.cookie_jar]
    stored = await everything(site.db)
    assert b"session.began" in stored
    for secret in (*values, PASSWORD.encode()):
        assert secret not in stored


async def test_R140_sessions_end_12_hours_after_their_last_use_and_after_7_days(place: Place) -> None:
    clock = ManualClock()
    async with a_site(place, clock) as site:
        idle, used = await site.person("ada"), await site.again("ada")
        for _step in range(15):
            clock.advance(IDLE_S * 0.75)
            assert await _status(used.http) == 200
            await site.server._note_use()
        assert await _status(idle.http) == 401
        clock.advance(LONGEST_S - 15 * 0.75 * IDLE_S + 1)
        assert await _status(used.http) == 401


async def test_R140_a_user_has_at_most_10_sessions(site: Site) -> None:
    await site.account("ada")
    clients = [site.client() for _ in range(12)]
    for client in clients:
        assert (await _login(client, "ada", PASSWORD))[0] == 200
    statuses = [await _status(client) for client in clients]
    assert statuses == [401, 401] + [200] * 10


async def test_R141_the_cookie_over_plain_http_on_loopback(site: Site) -> None:
    await site.account("ada")
    async with site.client().post("/api/v1/login", json={"user": "ada", "password": PASSWORD}) as answer:
        own = next(value for value in answer.headers.getall("Set-Cookie") if value.startswith("taskdash="))
    assert {part.strip().lower() for part in own.split(";")[1:]} == {"httponly", "samesite=lax", "path=/", "max-age=604800"}


async def test_R141_the_cookie_over_tls(place: Place) -> None:
    async with a_site(place, trusted_proxies=(ip_network("127.0.0.1/32"),)) as site:
        await site.account("ada")
        headers = {"X-Forwarded-Proto": "https"}
        async with site.client(headers).post("/api/v1/login", json={"user": "ada", "password": PASSWORD}) as answer:
            own = next(value for value in answer.headers.getall("Set-Cookie") if value.startswith("__Host-taskdash="))
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert {part.strip().lower() for part in own.split(";")[1:]} >= {"secure", "httponly", "samesite=lax", "path=/"}
        cookie = own.split(";")[0]
        assert await _status(site.client({**headers, "Cookie": cookie})) == 200
        assert await _status(site.client({"Cookie": cookie})) == 401


@pytest.mark.parametrize(("insecure", "status"), [(False, 403), (True, 200)])
async def test_R141_plain_http_elsewhere_refuses_sign_in(place: Place, insecure: bool, status: int) -> None:
    async with a_site(place, is_loopback=False, insecure=insecure) as site:
        await site.account("ada")
        assert (await _login(site.client(), "ada", PASSWORD))[0] == status


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
async def test_R142_sign_in_from_another_site_is_403(site: Site, headers: dict[str, str]) -> None:
    await site.account("ada")
    assert (await _login(site.client(), "ada", PASSWORD, **headers))[0] == 403


async def test_R152_failed_sign_ins_are_slowed_with_retry_after(site: Site) -> None:
    await site.account("ada")
    client = site.client()
    for _try in range(5):
        assert (await _login(client, "ada", NEW))[0] == 401
    async with client.post("/api/v1/login", json={"user": "ada", "password": PASSWORD}) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1


async def test_R152_tries_at_one_moment_are_no_way_around(site: Site) -> None:
    await site.account("ada")
    client = site.client()
    statuses = [status for status, _body in await asyncio.gather(*(_login(client, "ada", NEW) for _ in range(12)))]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 7


async def test_R152_a_stranger_does_not_slow_the_owners_browser(site: Site) -> None:
    await site.account("ada")
    owner, stranger = site.client(), site.client()
    assert (await _login(owner, "ada", PASSWORD))[0] == 200
    for _try in range(8):
        await _login(stranger, "ada", NEW)
    assert (await _login(stranger, "ada", PASSWORD))[0] == 429
    assert (await _login(owner, "ada", PASSWORD))[0] == 200


async def test_R165_a_forged_forwarded_address_does_not_change_the_throttle(site: Site) -> None:
    await site.account("ada")
    client = site.client()
    for number in range(5):
        await _login(client, "ada", NEW, **{"X-Forwarded-For": f"192.0.2.{number}"})
    assert (await _login(client, "ada", NEW, **{"X-Forwarded-For": "192.0.2.99"}))[0] == 429


async def test_R165_a_trusted_proxy_tells_who_calls(place: Place) -> None:
    async with a_site(place, trusted_proxies=(ip_network("127.0.0.0/8"),)) as site:
        await site.account("ada")
        client = site.client()
        for _try in range(6):
            await _login(client, "ada", NEW, **{"X-Forwarded-For": "198.51.100.1, 192.0.2.1"})
        assert (await _login(client, "ada", PASSWORD, **{"X-Forwarded-For": "203.0.113.5, 192.0.2.1"}))[0] == 429
        assert (await _login(client, "ada", PASSWORD, **{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}))[0] == 200
        began = (await site.db.read(lambda conn: events.page(conn, kind="session.began")))[0]
        assert began.after["address"] == "192.0.2.2"


async def test_R106_a_storm_of_sign_ins_is_turned_away_and_others_are_served(site: Site) -> None:
    for number in range(60):
        await site.account(f"user{number}")
    ada = await site.person("ada")
    logins = [asyncio.ensure_future(_login(site.client(), f"user{number}", NEW)) for number in range(60)]
    assert await _status(ada.http) == 200
    answers = await asyncio.gather(*logins)
    statuses = [status for status, _body in answers]
    assert set(statuses) <= {401, 429, 503}
    assert statuses.count(401) >= 2


async def test_R151_of_hashes_two_run_and_sixteen_wait(site: Site) -> None:
    hasher = site.server.app.state.hasher
    done = await asyncio.gather(*(hasher.verify("", NEW) for _ in range(40)), return_exceptions=True)
    refused = [each for each in done if isinstance(each, Exception)]
    assert len(refused) == 40 - 18
    assert {getattr(each, "status", 0) for each in refused} == {503}


async def test_R150_a_weaker_hash_is_made_anew_at_sign_in(site: Site) -> None:
    await site.account("ada")
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    change = UserChange(password_hash=weak)
    await site.db.write(lambda c: account_actions.change_user(c, SYSTEM, "ada", change, site.web.clock.now()))
    assert (await _login(site.client(), "ada", PASSWORD))[0] == 200
    user = await site.db.read(lambda conn: accounts.user(conn, "ada"))
    assert user
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await _login(site.client(), "ada", PASSWORD))[0] == 200


async def test_R160_sign_ins_good_and_bad_are_written_down_without_what_was_typed(site: Site) -> None:
    await site.account("ada")
    client = site.client()
    await _login(client, "ada", NEW)
    await _login(client, "my password by mistake", NEW)
    await _login(client, "ada", PASSWORD)
    told = await site.db.read(lambda conn: events.page(conn, kind="session.*"))
    assert [(e.kind, e.subject_id) for e in reversed(told)] == [
        ("session.refused", "ada"),
        ("session.refused", ""),
        ("session.began", "ada"),
    ]
    assert {e.after["address"] for e in told} == {"127.0.0.1"}
    assert "mistake" not in repr(told)


async def test_a_change_beside_the_running_server_is_seen_within_a_second(place: Place) -> None:
    clock = ManualClock()
    async with a_site(place, clock) as site:
        ada = await site.person("ada")
        assert await _status(ada.http) == 200
        await site.db.write(lambda conn: accounts.end_sessions_of(conn, "ada"))
        clock.advance(1)
        assert await _status(ada.http) == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"user":"ada"}', 422),
        (b'{"user":133,"password":"x"}', 422),
        (b'{"user":"ada","password":null}', 422),
        (b'{"user":"ada\\u0000","password":"x"}', 400),
        (b'{"user":"\xff","password":"x"}', 400),
        (b'{"user":"ada","password":"' + b"x" * 4_096 + b'"}', 413),
        (b'[{"user":"ada","password":"x"}]', 422),
    ],
)
async def test_a_sign_in_that_is_none(site: Site, body: bytes, status: int) -> None:
    client = site.client({"Content-Type": "application/json"})
    async with client.post("/api/v1/login", data=body) as answer:
        problem = await answer.json()
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert problem["status"] == status
        assert problem["detail"]
