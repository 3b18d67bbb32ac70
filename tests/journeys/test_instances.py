"""Several `taskdash serve` on one PostgreSQL and one real nsqd: the work is done once, whoever dies or hangs. SPEC 3, R10."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from aiohttp import web

from taskdash.store.places import Server
from tests import service
from tests.brokers import SERVICES, Nsqd
from tests.journeys.test_serve import find
from tests.postgres import Cluster
from tests.serving import Serving, serving
from tests.support import eventually

ALIVE, DEAD = "alive", "dead"


@pytest.fixture
def shared(server: Cluster) -> Iterator[Server]:
    with server.fresh() as place:
        yield place


def rows(place: Server, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(place.url) as conn:
        return conn.execute(query.encode()).fetchall()


def states(place: Server) -> dict[str, str]:
    return dict(rows(place, "SELECT id, state FROM services"))


def history(place: Server, service_id: str) -> list[str]:
    """The states that it came to."""
    found = rows(place, f"SELECT after FROM events WHERE kind = 'service.state' AND subject_id = '{service_id}' ORDER BY seq")
    return [json.loads(after)["state"] for (after,) in found]


async def is_ready(server: Serving) -> None:
    async def look() -> bool:
        async with aiohttp.ClientSession(server.url) as session, session.get("/readyz") as answer:
            return answer.status == 200

    await eventually(look, 20)


async def register(nsqd: Nsqd, *ids: str, url: str = "") -> None:
    hints = json.dumps({"heartbeat_interval": 1, "collect_interval": 1})
    bodies = [json.dumps({"id": key, "name": key, "url": url, "reserved": hints}).encode() for key in ids]
    await nsqd.publish(bodies, SERVICES)


async def beat(nsqd: Nsqd, *ids: str) -> None:
    await nsqd.publish([json.dumps({"id": key}).encode() for key in ids])


@contextlib.asynccontextmanager
async def beating(nsqd: Nsqd, *ids: str) -> AsyncIterator[None]:
    """These beat twice a second."""

    async def go_on() -> None:
        while True:
            await beat(nsqd, *ids)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def two(place: Server, folder: Path, nsqd: Nsqd) -> AsyncIterator[tuple[Serving, Serving]]:
    """The first leads: it was alone for a moment."""
    options = (f"--db={place.url}", f"--nsqd={nsqd.address}")
    async with serving(folder / "a", *options) as first, serving(folder / "b", *options) as second:
        await eventually(lambda: rows(place, "SELECT count(*) FROM instances") == [(2,)])
        yield first, second


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_R10_when_the_leader_dies_or_hangs_another_leads_and_every_death_is_told_once(
    shared: Server, tmp_path: Path, nsqd: Nsqd, how: signal.Signals
) -> None:
    await nsqd.create()
    async with two(shared, tmp_path, nsqd) as (leader, other), beating(nsqd, ALIVE):
        await register(nsqd, ALIVE, DEAD)
        await beat(nsqd, DEAD)
        await eventually(lambda: states(shared) == {ALIVE: "up", DEAD: "up"})
        leader.kill(how)
        await eventually(lambda: states(shared) == {ALIVE: "up", DEAD: "down"}, 45)
        if how is signal.SIGSTOP:
            leader.kill(signal.SIGCONT)
            await is_ready(leader)
        await is_ready(other)
        await beat(nsqd, DEAD)
        await eventually(lambda: states(shared) == {ALIVE: "up", DEAD: "up"})
        assert history(shared, DEAD).count("down") == 1
        assert {"down", "unknown"}.isdisjoint(history(shared, ALIVE))
        assert rows(shared, "SELECT count(*) FROM incidents WHERE kind = 'down'") == [(1,)]


async def test_nothing_is_collected_twice_at_the_same_moment_and_all_goes_on_when_one_is_killed(
    shared: Server, tmp_path: Path, nsqd: Nsqd
) -> None:
    under_way: dict[str, int] = {}
    most: dict[str, int] = {}

    async def slowly(request: web.Request) -> web.Response:
        key = request.path
        under_way[key] = under_way.get(key, 0) + 1
        most[key] = max(most.get(key, 0), under_way[key])
        try:
            await asyncio.sleep(0.3)
        finally:
            under_way[key] -= 1
        return web.json_response([{"id": f"task{key}", "status": "running"}])

    ids = [f"s{number}" for number in range(40)]

    def collected_since(at: int) -> bool:
        return rows(shared, f"SELECT count(*) FROM services WHERE collect_ok_at > {at}") == [(len(ids),)]

    await nsqd.create()
    async with service.running(slowly) as asked, two(shared, tmp_path, nsqd) as (first, _second), beating(nsqd, *ids):
        hints = json.dumps({"heartbeat_interval": 1, "collect_interval": 1})
        await nsqd.publish(
            [json.dumps({"id": key, "url": asked.at(f"/{key}"), "reserved": hints}).encode() for key in ids], SERVICES
        )
        await eventually(lambda: collected_since(0), 30)
        holders = await eventually(
            lambda: (
                (found := rows(shared, "SELECT DISTINCT holder FROM leases WHERE name LIKE 'collect:%'")) and len(found) == 2
            ),
            40,
        )
        assert holders
        (moment,) = rows(shared, "SELECT max(collect_ok_at) FROM services")[0]
        first.kill()
        await eventually(lambda: collected_since(moment + 2_000_000_000), 45)
    assert set(most.values()) == {1}


async def test_a_claim_at_one_instance_is_told_to_who_listens_at_the_other(shared: Server, tmp_path: Path, nsqd: Nsqd) -> None:
    async with two(shared, tmp_path, nsqd) as (first, second):
        reader, writer = await asyncio.open_connection(*first.addresses["tcp"])
        pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": "133", "name": "zxf"}}
        writer.write(json.dumps(pack).encode() + b"\n")
        await reader.readline()
        writer.close()
        assert (await find(second, "133"))["errid"] == 0
        password = first.admin or second.admin
        async with first.signed_in("admin", password) as here, second.signed_in("admin", password) as there:
            async with there.get("/api/v1/stream") as stream:
                await stream.content.readuntil(b"\n\n")
                async with here.post("/api/v1/tasks/133/claim", json={"version": 1}) as answer:
                    assert answer.status == 200
                told = b""
                async with asyncio.timeout(5):
                    while b"task.claimed" not in told:
                        told = await stream.content.readuntil(b"\n\n")
            async with there.get("/api/v1/tasks/133") as answer:
                assert (await answer.json())["user"] == "admin"


async def test_R10_an_instance_that_hears_nothing_makes_nobody_down_or_unknown_while_another_hears(
    shared: Server, tmp_path: Path, nsqd: Nsqd
) -> None:
    """The blind one leads: it was there first."""
    await nsqd.create()
    blind = (f"--db={shared.url}", "--nsqd=127.0.0.1:1")
    seeing = (f"--db={shared.url}", f"--nsqd={nsqd.address}")
    async with serving(tmp_path / "a", *blind), serving(tmp_path / "b", *seeing), beating(nsqd, ALIVE):
        await register(nsqd, ALIVE, DEAD)
        await beat(nsqd, DEAD)
        await eventually(lambda: states(shared) == {ALIVE: "up", DEAD: "down"}, 30)
        assert {"down", "unknown"}.isdisjoint(history(shared, ALIVE))


async def test_each_part_may_run_in_a_process_of_its_own(shared: Server, tmp_path: Path, nsqd: Nsqd) -> None:
    await nsqd.create()
    at = f"--db={shared.url}"
    async with (
        service.running(service.tells([{"id": "133", "name": "zxf", "status": "running"}])) as asked,
        serving(tmp_path / "web", at, f"--nsqd={nsqd.address}", "--roles=web") as pages,
        serving(tmp_path / "tcp", at, f"--nsqd={nsqd.address}", "--roles=tcp") as packs,
        serving(tmp_path / "in", at, f"--nsqd={nsqd.address}", "--roles=ingest,monitor") as intake,
        serving(tmp_path / "ask", at, f"--nsqd={nsqd.address}", "--roles=collector") as collector,
    ):
        assert [sorted(one.addresses) for one in (pages, packs)] == [["http"], ["tcp"]]
        await register(nsqd, ALIVE, url=asked.url)
        await beat(nsqd, ALIVE)

        async def is_found() -> bool:
            return bool((await find(packs, "133"))["errid"] == 0)

        await eventually(is_found, 30)
        async with pages.signed_in() as session, session.post(f"/api/v1/services/{ALIVE}/collect") as answer:
            assert answer.status in {200, 202, 204}, await answer.text()
        await is_ready(pages)
        assert await pages.stop() == await packs.stop() == await intake.stop() == await collector.stop() == 0


async def test_of_instances_that_start_together_on_an_empty_database_one_makes_the_first_admin(
    server: Cluster, tmp_path: Path
) -> None:
    with server.fresh("template0") as place:
        at = f"--db={place.url}"
        async with contextlib.AsyncExitStack() as stack:
            both = await asyncio.gather(*(stack.enter_async_context(serving(tmp_path / name, at)) for name in ("a", "b", "c")))
            assert sum(bool(one.admin) for one in both) == 1
