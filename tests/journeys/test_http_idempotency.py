"""`Idempotency-Key`: done once, answered alike. SPEC 8, RELIABILITY R3."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from sqlalchemy import Connection, select, update

from taskdash.clock import ManualClock
from taskdash.errors import OutcomeUnknown, StoreRefused
from taskdash.model.instants import seconds
from taskdash.rules.fleet import Report
from taskdash.store import accounts, events, idempotency, instances, tasks
from taskdash.store.idempotency import Run
from taskdash.store.places import Place
from taskdash.store.tables import idempotency as kept
from taskdash.store.tables import instances as known_instances
from tests.journeys.http import PASSWORD, Person, Site, a_site
from tests.postgres import Cluster
from tests.support import a_task, eventually, everything

VIEW = {"name": "mine", "query": "status=failed"}


async def _post(who: Person | aiohttp.ClientSession, path: str, body: Any, key: str, **headers: str) -> tuple[int, Any]:
    client = who.http if isinstance(who, Person) else who
    async with client.post(f"/api/v1{path}", json=body, headers={"Idempotency-Key": key, **headers}) as answer:
        return answer.status, await answer.json()


async def _views(who: Person) -> int:
    async with who.http.get("/api/v1/views") as answer:
        return len((await answer.json())["items"])


async def test_a_repeat_gets_the_first_answer_and_is_done_once(site: Site) -> None:
    ada = await site.person("ada")
    first = await _post(ada, "/views", VIEW, "k1")
    assert first[0] == 201
    assert await _post(ada, "/views", VIEW, "k1") == first
    assert await _views(ada) == 1
    assert (await _post(ada, "/views", VIEW, "k2"))[1]["id"] != first[1]["id"]


async def test_a_repeat_after_a_new_sign_in_is_still_a_repeat(site: Site) -> None:
    ada = await site.person("ada")
    first = await _post(ada, "/views", VIEW, "k1")
    assert await _post(await site.again("ada"), "/views", VIEW, "k1") == first


async def test_another_body_under_the_same_key_is_422(site: Site) -> None:
    ada = await site.person("ada")
    await _post(ada, "/views", VIEW, "k1")
    status, problem = await _post(ada, "/views", {**VIEW, "name": "other"}, "k1")
    assert (status, problem["field"], problem["errid"]) == (422, "Idempotency-Key", 1000)
    assert await _views(ada) == 1


async def test_the_same_key_of_another_caller_or_route_is_another_request(site: Site) -> None:
    ada, bob = await site.person("ada", "admin"), await site.person("bob")
    assert (await _post(ada, "/views", VIEW, "k1"))[0] == 201
    assert (await _post(bob, "/views", VIEW, "k1"))[0] == 201
    assert (await _post(ada, "/groups", {"id": "mx"}, "k1"))[0] == 201


async def test_a_repeat_while_the_first_runs_is_409(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await site.person("ada", "admin")
    hashing, go_on = asyncio.Event(), asyncio.Event()
    known = site.server.app.state.hasher.hash

    async def slow(password: str) -> str:
        hashing.set()
        await go_on.wait()
        return str(await known(password))

    monkeypatch.setattr(site.server.app.state.hasher, "hash", slow)
    body = {"name": "bob", "role": "viewer"}
    first = asyncio.ensure_future(_post(ada, "/users", body, "k1"))
    await hashing.wait()
    assert (await _post(ada, "/users", body, "k1"))[0] == 409
    go_on.set()
    assert (await first)[0] == 201


async def test_a_request_that_was_refused_is_not_kept(site: Site) -> None:
    ada = await site.person("ada")
    assert (await _post(ada, "/views", {"name": "", "query": ""}, "k1"))[0] == 422
    assert (await _post(ada, "/views", VIEW, "k1"))[0] == 201
    assert (await _post(ada, "/views", VIEW, "k2", **{"X-CSRF-Token": "wrong"}))[0] == 403
    assert (await _post(ada, "/views", VIEW, "k2"))[0] == 201


async def test_a_stranger_fills_nothing_and_gets_no_answer_of_others(site: Site) -> None:
    ada = await site.person("ada")
    await _post(ada, "/views", VIEW, "k1")
    for key in ("k1", "k2"):
        assert (await _post(site.client(), "/views", VIEW, key))[0] == 401
    assert len(await site.db.read(lambda conn: conn.execute(select(kept.c.key)).all())) == 1


async def test_sign_in_and_tokens_never_take_part(site: Site) -> None:
    ada = await site.person("ada")
    texts = {(await _post(ada, "/tokens", {"name": "ci"}, "k1"))[1]["token"] for _ in range(2)}
    assert len(texts) == 2
    for _try in range(2):
        assert (await _post(site.client(), "/login", {"user": "ada", "password": PASSWORD}, "k1"))[0] == 200
    assert await site.db.read(lambda conn: conn.execute(select(kept.c.key)).all()) == []


async def test_a_password_that_was_made_is_told_once_and_stored_nowhere(site: Site) -> None:
    root = await site.person("root", "admin")
    body = {"name": "ada", "role": "viewer"}
    first, second = [(await _post(root, "/users", body, "k1"))[1] for _ in range(2)]
    assert second == {**first, "password": None}
    stored = await everything(site.db)
    assert first["password"].encode() not in stored
    assert len(await site.db.read(accounts.all_users)) == 2


async def _submit(who: Person, path: str, fields: dict[str, str], key: str) -> tuple[int, str]:
    headers = {"Idempotency-Key": key, "X-Fragment": "/tasks"}
    async with who.http.post(path, data={**fields, "next": "/tasks", "csrf_token": who.csrf_token}, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_form_that_a_script_sends_again_is_done_once_and_gets_the_first_sentence(site: Site) -> None:
    ada = await site.person("ada")
    await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(id="133"))]))
    first = await _submit(ada, "/tasks/claim", {"id": "133"}, "k1")
    assert "You claimed 133" in first[1]
    again = await _submit(ada, "/tasks/claim", {"id": "133"}, "k1")
    assert again == (first[0], first[1].replace(ada.csrf_token, ""))
    claims = await site.db.read(lambda conn: events.page(conn, kind="task.claimed"))
    assert len(claims) == 1
    assert (await _submit(ada, "/tasks/release", {"id": "133"}, "k2"))[0] == 200
    assert "You claimed 133" in (await _submit(ada, "/tasks/claim", {"id": "133"}, "k3"))[1]


async def test_of_a_pages_answer_neither_the_csrf_token_nor_a_cookie_is_stored(site: Site) -> None:
    ada = await site.person("ada")
    await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(id="133"))]))
    assert ada.csrf_token in (await _submit(ada, "/tasks/claim", {"id": "133"}, "k1"))[1]
    answers = await site.db.read(lambda conn: conn.execute(select(kept.c.answer)).scalars().all())
    assert len(answers) == 1
    assert b"You claimed 133" in answers[0]
    assert ada.csrf_token.encode() not in answers[0]
    assert b"set-cookie" not in answers[0].lower()


async def test_a_key_holds_for_24_hours(place: Place) -> None:
    clock = ManualClock()
    async with a_site(place, clock) as site:
        ada = await site.person("ada")
        first = await _post(ada, "/views", VIEW, "k1")
        clock.advance(23 * 3_600)
        ada = await site.again("ada")
        assert await _post(ada, "/views", VIEW, "k1") == first
        clock.advance(3_601)
        assert (await _post(ada, "/views", VIEW, "k1"))[1]["id"] != first[1]["id"]


async def test_after_a_restart_nothing_still_runs(site: Site) -> None:
    for _start in range(2):
        begun = await site.db.write(lambda conn: idempotency.begin(conn, Run("name", "", 1), "digest", runs=False))
        assert begun is None
    assert await site.db.write(lambda conn: idempotency.begin(conn, Run("name", "", 2), "digest", runs=True)) is not None


class Refusing:
    """Refuses the `nth` write from now on: instead of doing it, or after it was done."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch, kind: type[StoreRefused] = StoreRefused) -> None:
        self._write, self._kind = site.db.write, kind
        self.left, self.is_done_first, self.refused = 0, False, False
        monkeypatch.setattr(site.db, "write", self.write)

    def arm(self, nth: int, *, is_done_first: bool = False) -> None:
        self.left, self.is_done_first, self.refused = nth, is_done_first, False

    async def write(self, work: Any) -> Any:
        self.left -= 1
        self.refused = self.refused or self.left == 0
        if self.left == 0 and self.is_done_first:
            await self._write(work)
        if self.left == 0:
            raise self._kind("the disk is full")
        return await self._write(work)


async def test_R3_whichever_write_the_store_refuses_a_key_is_done_once_and_never_stuck(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.person("ada")
    store = Refusing(site, monkeypatch)
    told = set()
    for n in range(1, 9):
        store.arm(n)
        body, key = {**VIEW, "name": f"view {n}"}, f"k{n}"
        first = await _post(ada, "/views", body, key)
        if not store.refused:
            break
        told.add(first[0])
        again = await _post(ada, "/views", body, key)
        assert again[0] == 201
        assert first[0] == 503 or again == first
        assert (await _post(ada, "/views", body, key)) == again
        assert (await _post(ada, "/views", VIEW, key))[0] == 422
        assert await _views(ada) == n
    assert told == {503, 201}


async def test_R33_a_key_whose_beginning_was_stored_although_it_was_refused_is_free(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.person("ada")
    Refusing(site, monkeypatch).arm(1, is_done_first=True)
    assert (await _post(ada, "/views", VIEW, "k1"))[0] == 503
    assert (await _post(ada, "/views", VIEW, "k1"))[0] == 201
    assert await _views(ada) == 1


async def test_an_answer_that_the_store_refused_is_stored_soon_although_nobody_comes_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.person("ada")
    Refusing(site, monkeypatch).arm(3)
    assert (await _post(ada, "/views", VIEW, "k1"))[0] == 201
    finished = select(kept.c.key).where(kept.c.status == 201)
    await eventually(lambda: site.db.read(lambda conn: conn.execute(finished).all()))


@asynccontextmanager
async def _two(server: Cluster) -> AsyncIterator[tuple[Site, Site]]:
    """Two instances that both live as long as the test."""

    def tell(conn: Connection) -> None:
        for name in "ab":
            instances.tell(conn, name, Report())
        conn.execute(update(known_instances).values(seen_at=known_instances.c.seen_at + seconds(3_600)))

    with server.fresh() as place:
        async with a_site(place, instance="a") as site, a_site(place, instance="b") as other:
            await site.db.write(tell)
            yield site, other


async def test_the_other_instance_answers_soon_what_the_store_refused_to_keep(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _two(server) as (site, other):
        ada = await site.person("ada")
        at_other = await other.again("ada")
        Refusing(site, monkeypatch).arm(3)
        first, told = await _post(ada, "/views", VIEW, "k1"), set()

        async def is_answered() -> bool:
            answer = await _post(at_other, "/views", VIEW, "k1")
            told.add(answer[0])
            return answer == first

        await eventually(is_answered)
        assert first[0] == 201
        assert told <= {201, 409}
        assert await _views(ada) == 1


async def test_R32_a_key_whose_beginning_may_have_been_kept_is_soon_free_at_the_other_instance(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _two(server) as (site, other):
        ada = await site.person("ada")
        at_other = await other.again("ada")
        Refusing(site, monkeypatch, OutcomeUnknown).arm(1, is_done_first=True)
        assert (await _post(ada, "/views", VIEW, "k1"))[0] == 503

        async def is_done() -> bool:
            return (await _post(at_other, "/views", VIEW, "k1"))[0] == 201

        await eventually(is_done)
        assert await _views(ada) == 1


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_1_to_255_bytes(site: Site, key: str) -> None:
    ada = await site.person("ada")
    assert (await _post(ada, "/views", VIEW, key))[0] == 422
