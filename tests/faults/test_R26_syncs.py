"""R26, R27: a disk whose syncs fail, or take long, under a real `serve` (`power.shim`)."""

import asyncio
import errno
import itertools
from pathlib import Path

import aiohttp

from taskdash.store.check import check
from taskdash.store.places import File
from tests.faults.ports import told_by_nsq, told_by_tcp, trouble
from tests.faults.power.disk import Shim
from tests.journeys.test_on_postgres import registered
from tests.journeys.test_serve import find, publish
from tests.serving import Serving, serving
from tests.support import eventually

HEALTHZ_MOST_S = 0.5
"""Ten times what R15 says."""
TRIES = 5


def shim_of(tmp_path: Path) -> Shim:
    return Shim(tmp_path, tmp_path / "data" / "taskdash.db")


async def test_R26_R15_while_syncs_fail_nothing_is_acknowledged_and_afterwards_all_works_by_itself(tmp_path: Path) -> None:
    shim, acknowledged = shim_of(tmp_path), set[str]()
    async with serving(tmp_path / "data", env=shim.env) as server, server.signed_in() as session:
        loads = [asyncio.create_task(registered(server, f"c{n}", acknowledged)) for n in range(4)]
        await eventually(lambda: len(acknowledged) > 100)
        shim.syncs(error=errno.EIO)
        assert "SQLITE_IOERR" in await eventually(lambda: trouble(session))
        before = len(acknowledged)
        assert await told_by_tcp(server, "refused") == 1001
        assert (await told_by_nsq(server)).startswith(b"E_PUB_FAILED")
        async with session.post("/api/v1/tasks/c0-0/claim", json={}) as answer:
            assert answer.status == 503
        assert (await find(server, "c0-0"))["user"] == ""
        assert len(acknowledged) == before
        assert await trouble(session)
        shim.syncs()

        async def works() -> bool:
            return not await trouble(session) and len(acknowledged) > before + 100

        await eventually(works, 30)
        assert (await find(server, "refused"))["errid"] == 1002
        server.kill()
        await server.ended()
        await asyncio.gather(*loads, return_exceptions=True)
    assert check(File(tmp_path / "data" / "taskdash.db")) == []


async def test_R2_R26_what_a_failed_sync_had_refused_is_not_there_after_a_kill(tmp_path: Path) -> None:
    shim = shim_of(tmp_path)
    for number in range(TRIES):
        async with serving(tmp_path / "data", env=shim.env) as server:
            assert await told_by_tcp(server, f"kept-{number}") == 0
            shim.syncs(error=errno.EIO)
            assert await told_by_tcp(server, f"refused-{number}") == 1001
            server.kill()
            await server.ended()
            shim.syncs()
    async with serving(tmp_path / "data") as server:
        for number in range(TRIES):
            assert (await find(server, f"kept-{number}"))["errid"] == 0
            assert (await find(server, f"refused-{number}"))["errid"] == 1002


async def beat(server: Serving) -> None:
    """A service that beats all the time, whatever it is told."""
    host, port = server.addresses["nsq-http"]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        for number in itertools.count():
            async with session.post("/pub?topic=taskdash.heartbeats", json={"id": "alive", "n": number}):
                await asyncio.sleep(0.2)


async def states(session: aiohttp.ClientSession) -> list[str]:
    """What the service was, in this order."""
    async with session.get("/api/v1/events?subject=service:alive&limit=200") as answer:
        found = [event for event in (await answer.json())["items"] if event["kind"] == "service.state"]
    return [event["after"]["state"] for event in reversed(found)]


async def test_R27_a_disk_that_takes_8_s_to_sync_harms_neither_the_loop_nor_a_service(tmp_path: Path) -> None:
    shim = shim_of(tmp_path)
    async with serving(tmp_path / "data", env=shim.env) as server, server.signed_in() as session:
        await publish(server, "taskdash.services", {"id": "alive", "reserved": '{"heartbeat_interval": 1}'})
        beating = asyncio.create_task(beat(server))
        await eventually(lambda: is_up(session))
        shim.syncs(after_ms=8_000)
        inside = asyncio.create_task(told_by_tcp(server, "inside"))
        assert await eventually(lambda: trouble(session), 30)
        behind = [asyncio.create_task(told_by_tcp(server, f"behind-{number}")) for number in range(4)]
        while not inside.done():
            async with asyncio.timeout(HEALTHZ_MOST_S), session.get("/healthz") as answer:
                assert answer.status == 200
        shim.syncs()
        told = [await inside, *await asyncio.gather(*behind)]
        assert set(told) <= {0, 1001}

        async def works() -> bool:
            return not await trouble(session) and await is_up(session)

        await eventually(works, 30)
        for task, errid in zip(("inside", *(f"behind-{number}" for number in range(4))), told, strict=True):
            assert (await find(server, task))["errid"] == (0 if errid == 0 else 1002)
        assert "down" not in await states(session)
        beating.cancel()


async def is_up(session: aiohttp.ClientSession) -> bool:
    async with session.get("/api/v1/services/alive") as answer:
        return bool((await answer.json())["liveness"]["state"] == "up")
