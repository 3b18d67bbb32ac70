"""Two `taskdash serve` on one PostgreSQL: what is done or refused at one holds at the other. SPEC 8; R3, R6, R140-R152."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from taskdash.store.places import Server
from tests.journeys.api import call
from tests.journeys.test_api_events import listen, take
from tests.postgres import Cluster
from tests.serving import Serving, serving, start
from tests.support import eventually

PASSWORD = "seven bright lanterns"
VIEW = {"name": "mine", "query": "status=failed"}
Client = aiohttp.ClientSession


@pytest.fixture
def empty(server: Cluster) -> Iterator[Server]:
    with server.fresh("template0") as place:
        yield place


@pytest.fixture
async def two(empty: Server, tmp_path: Path) -> AsyncIterator[tuple[Serving, Serving]]:
    at = f"--db={empty.url}"
    async with serving(tmp_path / "a", at) as a, serving(tmp_path / "b", at) as b:
        yield a, b


@contextlib.asynccontextmanager
async def there(server: Serving, of: Client | None = None, **headers: str) -> AsyncIterator[Client]:
    """A client of this instance: a stranger's, or with the cookies and the CSRF token that another one got elsewhere."""
    jar = aiohttp.CookieJar(unsafe=True)
    if of is not None:
        jar.update_cookies({cookie.key: cookie.value for cookie in of.cookie_jar}, response_url=URL(server.url))
        headers["X-CSRF-Token"] = of.headers["X-CSRF-Token"]
    async with Client(server.url, headers=headers, cookie_jar=jar) as client:
        yield client


async def status(client: Client, method: str = "GET", path: str = "/me", body: Any = None, **options: Any) -> int:
    return (await call(client, method, path, body, **options))[0]


async def sign_in(client: Client, user: str, password: str) -> int:
    return await status(client, "POST", "/login", {"user": user, "password": password})


async def test_R140_a_session_made_at_one_instance_holds_at_the_other_until_it_ends_at_either(
    two: tuple[Serving, Serving],
) -> None:
    a, b = two
    async with a.signed_in() as at_a, there(b, at_a) as at_b:
        assert await status(at_b) == 200
        assert await status(at_b, "POST", "/views", VIEW) == 201  # its CSRF token holds there too
        stream = listen(at_b)
        await anext(stream)
        assert await status(at_a, "POST", "/logout", {}) == 204
        await _ended(stream)
        assert await status(at_b) == 401


async def test_R147_a_token_revoked_and_an_account_disabled_at_one_instance_are_out_at_the_other(
    two: tuple[Serving, Serving],
) -> None:
    a, b = two
    async with a.signed_in() as root:
        new = {"name": "ada", "role": "member", "password": PASSWORD}
        assert await status(root, "POST", "/users", new) == 201
        made = [(await call(root, "POST", "/tokens", {"name": name, "user": "ada"}))[1] for name in ("ci", "cd")]
        async with (
            there(b, Authorization=f"Bearer {made[0]['token']}") as revoked,
            there(b, Authorization=f"Bearer {made[1]['token']}") as kept,
        ):
            streams = [listen(revoked), listen(kept)]
            for stream in streams:
                await anext(stream)
            assert [await status(revoked), await status(kept)] == [200, 200]
            assert await status(root, "DELETE", f"/tokens/{made[0]['id']}") == 204
            await _ended(streams[0])
            assert [await status(revoked), await status(kept)] == [401, 200]
            assert await status(root, "PATCH", "/users/ada", {"disabled": True}) == 200
            await _ended(streams[1])
            assert await status(kept) == 401


async def _ended(stream: Any) -> None:
    async with asyncio.timeout(10):
        async for _told in stream:
            pass


async def test_R152_wrong_tries_at_one_instance_slow_the_next_at_the_other_but_not_the_owners_browser(
    two: tuple[Serving, Serving],
) -> None:
    a, b = two
    async with a.signed_in() as owner, there(a) as at_a, there(b) as at_b, there(b, owner) as owner_at_b:
        for client in (at_a, at_b, at_a, at_b, at_a):
            assert await sign_in(client, "admin", "no, another one") == 401
        assert await sign_in(at_b, "admin", a.admin) == 429
        assert await sign_in(at_a, "admin", a.admin) == 429
        assert await sign_in(owner_at_b, "admin", a.admin) == 200


async def test_R3_a_key_that_was_used_at_one_instance_is_answered_by_the_other_and_done_once(
    two: tuple[Serving, Serving],
) -> None:
    a, b = two
    async with a.signed_in() as at_a, there(b, at_a) as at_b:
        first = await _post(at_a, "k")
        assert first[0] == 201
        assert await _post(at_b, "k") == first
        assert await status(at_b, "POST", "/views", {**VIEW, "name": "x"}, headers={"Idempotency-Key": "k"}) == 422
        for n in range(20):
            answers = await asyncio.gather(*(_post(client, f"k{n}") for client in (at_a, at_b, at_a, at_b)))
            done = [body for code, body in answers if code == 201]
            assert done
            assert all(body == done[0] for body in done)
            assert {code for code, _body in answers} <= {201, 409}
            assert await _views(at_b) == 2 + n


async def _post(client: Client, key: str) -> tuple[int, Any]:
    return await call(client, "POST", "/views", VIEW, headers={"Idempotency-Key": key})


async def _views(client: Client) -> int:
    return len((await call(client, "GET", "/views"))[1]["items"])


async def test_R6_a_stream_goes_on_at_the_other_instance_with_nothing_skipped_and_in_order(
    two: tuple[Serving, Serving],
) -> None:
    a, b = two
    async with a.signed_in() as at_a, there(b, at_a) as at_b:
        clients = (at_a, at_b)

        async def write(client: Client, name: str) -> None:
            for n in range(60):
                assert await status(client, "POST", "/groups", {"id": f"{name}{n}"}) == 201

        writing = [asyncio.ensure_future(write(client, name)) for client, name in zip(clients, "ab", strict=True)]
        told: list[Any] = []
        while len(told) < 110:
            client = clients[len(told) // 10 % 2]
            async with contextlib.aclosing(listen(client, "/api/v1/stream?after=0", told[-1].id if told else None)) as stream:
                told += await take(stream, 10)
        await asyncio.gather(*writing)
        told += await _rest(at_b, told[-1].id)
        events = (await call(at_a, "GET", "/events?after=0&limit=500"))[1]["items"]
        assert [each.data for each in told] == events
        assert {each.event for each in told} == {""}


async def _rest(client: Client, last: int) -> list[Any]:
    newest = (await call(client, "GET", "/events?limit=1"))[1]["items"][0]["seq"]
    return await take(listen(client, last_id=last), newest - last)


async def test_R154_two_that_start_at_one_moment_make_one_admin_and_know_the_same_browsers(
    empty: Server, tmp_path: Path
) -> None:
    at = f"--db={empty.url}"
    started = [await start(tmp_path / name, at) for name in ("a", "b", "c")]
    try:
        ready = [await each.ready() for each in started]
        (password,) = [each.admin for each in ready if each.admin]
        async with ready[0].signed_in(password=password) as owner:
            for each in ready[1:]:
                async with there(each) as stranger, there(each, owner) as known:
                    await eventually(lambda client=stranger: _is_slowed(client))
                    assert await sign_in(known, "admin", password) == 200
    finally:
        for each in started:
            each.kill()
            await each.ended()


async def _is_slowed(client: Client) -> bool:
    return await sign_in(client, "admin", "no, another one") == 429
