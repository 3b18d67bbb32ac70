"""Somebody guesses passwords from a thousand addresses; headers that nobody may send; what time tells. R152, R153, R165.

A proxy on loopback is trusted here, so that one client can come from as many addresses as it likes. `LONG_FAULTS=1`: the two
hundred tries a name of R153.
"""

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import aiohttp
import pytest
from sqlalchemy import func, select

from taskdash.rules.throttle import ACCOUNT_FREE_TRIES, TURN_S
from taskdash.store import events
from taskdash.store.places import Place
from taskdash.store.tables import tries
from tests.journeys.http import PASSWORD, Site, a_site
from tests.support import eventually

ADDRESSES, AT_ONCE = 1_000, 40
TRIES = 200 if os.environ.get("LONG_FAULTS") else 20


@pytest.fixture(name="proxied")
async def behind_a_proxy(place: Place) -> AsyncIterator[Site]:
    async with a_site(place, trusted_proxies=(ip_network("127.0.0.0/8"),)) as running:
        yield running


def from_address(number: int) -> str:
    return f"198.{18 + number // 65_536}.{number // 256 % 256}.{number % 256}"


async def sign_in(http: aiohttp.ClientSession, user: str, password: str, **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post("/api/v1/login", json={"user": user, "password": password}, headers=sent) as answer:
        await answer.read()
        return answer.status


async def storm(site: Site, statuses: Counter[int], seconds_taken: list[float]) -> None:
    """One guess from each of the addresses, some at once."""
    began, client, room = time.perf_counter(), site.client(), asyncio.Semaphore(AT_ONCE)

    async def guess(number: int) -> None:
        async with room:
            statuses[await sign_in(client, "ada", f"guess number {number}", X_Forwarded_For=from_address(number))] += 1

    await asyncio.gather(*(guess(number) for number in range(ADDRESSES)))
    seconds_taken.append(time.perf_counter() - began)


async def test_R152_while_a_thousand_addresses_guess_the_owner_signs_in_and_few_guesses_are_looked_at(proxied: Site) -> None:
    await proxied.account("ada")
    browser = proxied.client()
    assert await sign_in(browser, "ada", PASSWORD, X_Forwarded_For="203.0.113.5") == 200
    statuses: Counter[int] = Counter()
    took: list[float] = []
    attack = asyncio.ensure_future(storm(proxied, statuses, took))
    await eventually(lambda: statuses[429] > 20, 60)
    for _time in range(3):
        async with asyncio.timeout(50):
            assert await sign_in(browser, "ada", PASSWORD, X_Forwarded_For="203.0.113.5") == 200
    await attack
    assert statuses.total() == ADDRESSES
    assert statuses.keys() <= {401, 429, 503}
    looked_at = statuses[401] + statuses[503]
    assert looked_at <= ACCOUNT_FREE_TRIES + took[0] / TURN_S + 3, "a turn every 1.25 s after the free ones"
    assert looked_at < ADDRESSES / 4
    table = await proxied.db.read(lambda conn: conn.execute(select(func.count()).select_from(tries)).scalar_one())
    assert table <= 10_000


FORGED = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"Forwarded": "for=203.0.113.9;proto=https"},
    {"X-Real-IP": "203.0.113.9"},
    {"X-Client-IP": "203.0.113.9", "True-Client-IP": "203.0.113.9", "CF-Connecting-IP": "203.0.113.9"},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "443"},
]


@pytest.mark.parametrize("headers", FORGED, ids=lambda headers: next(iter(headers)))
async def test_R165_headers_of_a_proxy_that_nobody_named_change_nothing(site: Site, headers: dict[str, str]) -> None:
    await site.account("ada")
    body = {"user": "ada", "password": PASSWORD}
    async with site.client().post("/api/v1/login", json=body, headers=headers) as answer:
        assert answer.status == 200
        cookies = answer.headers.getall("Set-Cookie")
        assert "Strict-Transport-Security" not in answer.headers
    assert any(cookie.startswith("taskdash=") for cookie in cookies)
    assert not any("secure" in cookie.lower() for cookie in cookies)
    (began,) = await site.db.read(lambda conn: events.page(conn, kind="session.began"))
    assert began.after["address"] == "127.0.0.1"
    for _try in range(5):
        await sign_in(site.client(), "ada", "wrong", **headers)
    assert await sign_in(site.client(), "ada", PASSWORD) == 429


@pytest.mark.parametrize("told", ["", "nonsense", "127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9, nonsense", "x" * 5_000])
async def test_R165_what_a_trusted_proxy_tells_is_never_more_than_an_address(proxied: Site, told: str) -> None:
    await proxied.account("ada")
    assert await sign_in(proxied.client(), "ada", PASSWORD, X_Forwarded_For=told) in {200, 400}
    for began in await proxied.db.read(lambda conn: events.page(conn, kind="session.began")):
        assert ip_address(began.after["address"])


async def test_R153_the_time_of_a_refusal_tells_nobody_who_has_an_account(proxied: Site) -> None:
    """Whole sign-ins over HTTP; five free tries a name and address. The medians of 200 should differ by less than 5 %."""
    for number in range(TRIES // 5):
        await proxied.account(f"known{number}")
    client = proxied.client()
    took: dict[str, list[float]] = {"known": [], "nobody": []}
    for number in range(TRIES):
        for kind, times in took.items():
            began = time.perf_counter()
            status = await sign_in(
                client, f"{kind}{number // 5}", "a wrong password", X_Forwarded_For=from_address(number // 5)
            )
            times.append(time.perf_counter() - began)
            assert status == 401
    known, nobody = (statistics.median(times) for times in took.values())
    assert abs(known / nobody - 1) < (0.5 if TRIES == 200 else 5), (known, nobody)
