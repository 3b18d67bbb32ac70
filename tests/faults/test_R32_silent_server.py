"""RELIABILITY R15, R32: a PostgreSQL that hangs. Nobody waits for ever, nothing acknowledged is lost, all heals by itself.

It is stopped (SIGSTOP of all its processes), or the network swallows every byte (a proxy). The store's patience is shortened
where only the order of things is shown.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import Connection

from taskdash.errors import OutcomeUnknown, StoreRefused
from taskdash.store import database, postgres, services, watch
from taskdash.store.database import Database
from taskdash.store.places import Server
from tests.faults.ports import told_by_nsq, told_by_tcp, trouble
from tests.faults.proxy import FaultProxy
from tests.journeys.test_on_postgres import registered
from tests.journeys.test_serve import find
from tests.postgres import Cluster, cluster
from tests.serving import serving
from tests.support import a_service, eventually, running


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that only these tests stop."""
    with cluster() as started:
        yield started


@pytest.fixture
async def proxy(own: Cluster) -> AsyncIterator[FaultProxy]:
    made = FaultProxy(own.port)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def place(own: Cluster, proxy: FaultProxy) -> Iterator[Server]:
    """An empty store behind the proxy."""
    with own.fresh() as there:
        yield Server(there.url.replace(f":{own.port}/", f":{proxy.port}/"))


@contextmanager
def stalled(proxy: FaultProxy) -> Iterator[None]:
    proxy.stall()
    yield
    proxy.resume()


@contextmanager
def cut(proxy: FaultProxy) -> Iterator[None]:
    proxy.cut()
    yield
    proxy.resume()


Fault = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def fault(request: pytest.FixtureRequest, own: Cluster, proxy: FaultProxy) -> Fault:
    faults: dict[str, Fault] = {"stopped": own.frozen, "stalled": lambda: stalled(proxy), "cut": lambda: cut(proxy)}
    return faults[request.param]


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths."""
    for module, name in (
        (database, "BEGIN_S"),
        (database, "ANSWER_S"),
        (watch, "WAITS_S"),
        (watch, "SILENT_AFTER_S"),
        (watch, "ASK_EVERY_S"),
        (postgres, "BEYOND_LIMIT_S"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / 10)


def keep(name: str) -> Callable[[Connection], Any]:
    return lambda conn: services.save(conn, [a_service(id=name)])


async def kept(db: Database, *names: str) -> set[str]:
    return set(await db.read(lambda conn: services.load_many(conn, names)))


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("fault", ["stopped", "stalled"], indirect=True)
async def test_R32_whoever_asks_a_silent_server_is_refused_and_afterwards_all_works_by_itself(
    place: Server, fault: Fault
) -> None:
    reasons: list[str] = []
    async with running(place) as db:
        db.on_refused = reasons.append
        await db.write(keep("before"))
        assert await kept(db, "before") == {"before"}
        with fault():
            await eventually(lambda: "has not answered" in "".join(reasons[-1:]))
            asked = [kept(db, "before") for _ in range(20)]
            told = [db.write(keep(f"refused-{n}")) for n in range(3)]
            for outcome in await asyncio.wait_for(asyncio.gather(*asked, *told, return_exceptions=True), 60):
                assert isinstance(outcome, StoreRefused), outcome
                assert not isinstance(outcome, OutcomeUnknown)
        await eventually(lambda: reasons[-1] == "")
        await db.write(keep("after"))
        names = ("before", "after", *(f"refused-{n}" for n in range(3)))
        for _reader in range(8):
            assert await kept(db, *names) == {"before", "after"}


@pytest.mark.usefixtures("hurry")
async def test_R32_what_waits_behind_a_commit_without_an_answer_is_refused_and_the_commit_is_unknown(
    place: Server, own: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, hangs = postgres.commit, asyncio.Event()
    loop = asyncio.get_running_loop()

    def before_the_commit(*arguments: Any, **named: Any) -> None:
        loop.call_soon_threadsafe(hangs.set)
        with own.frozen():
            commit(*arguments, **named)

    async with running(place) as db:
        await db.write(keep("before"))
        monkeypatch.setattr(postgres, "commit", before_the_commit)
        monkeypatch.setattr(database, "ANSWER_S", 3.0)
        unknown = asyncio.create_task(db.write(keep("unknown")))
        await hangs.wait()
        with pytest.raises(StoreRefused, match="has not answered for") as behind:
            await asyncio.wait_for(db.write(keep("behind")), 20)
        assert not unknown.done()
        monkeypatch.setattr(postgres, "commit", commit)
        with pytest.raises(OutcomeUnknown, match="not known"):
            await asyncio.wait_for(unknown, 20)
        assert not isinstance(behind.value, OutcomeUnknown)
        await eventually(lambda: _is_kept(db, "after"))
        assert await kept(db, "before", "behind", "after") == {"before", "after"}


async def _is_kept(db: Database, name: str) -> bool:
    try:
        await db.write(keep(name))
    except StoreRefused:
        return False
    return True


@pytest.mark.parametrize("fault", ["stopped", "stalled", "cut"], indirect=True)
async def test_R32_R15_serve_refuses_at_every_port_while_its_server_hangs_and_goes_on_when_it_answers(
    place: Server, fault: Fault, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()
    async with serving(tmp_path / "data", f"--db={place.url}") as server, server.signed_in() as session:
        loads = [asyncio.create_task(registered(server, f"c{n}", acknowledged)) for n in range(4)]
        await eventually(lambda: len(acknowledged) > 100)
        with fault():
            reason = await eventually(lambda: trouble(session))
            assert reason.startswith("the store has not answered for") or "refused" in reason
            asked = session.post("/api/v1/tasks/c0-0/claim", json={})
            by_tcp, by_nsq, by_http = await asyncio.wait_for(
                asyncio.gather(told_by_tcp(server, "refused"), told_by_nsq(server), asked), 30
            )
            assert (by_tcp, by_http.status) == (1001, 503)
            assert by_nsq.startswith(b"E_PUB_FAILED")
            assert await trouble(session)
        before = len(acknowledged)

        async def works() -> bool:
            return not await trouble(session) and len(acknowledged) > before + 100

        await eventually(works, 30)
        for load in loads:
            assert not load.done(), load.exception()
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        for task_id in acknowledged:
            assert (await find(server, task_id))["errid"] == 0, task_id
        assert await server.stop() == 0


@pytest.mark.parametrize("fault", ["stopped", "stalled"], indirect=True)
async def test_R16_R32_sigterm_while_the_server_hangs_ends_serve_all_the_same(
    place: Server, fault: Fault, tmp_path: Path
) -> None:
    async with serving(tmp_path / "data", f"--db={place.url}") as server, aiohttp.ClientSession(server.url) as session:
        with fault():
            await eventually(lambda: trouble(session))
            asked = asyncio.create_task(told_by_tcp(server, "refused"))
            await asyncio.sleep(0)
            server.kill(signal.SIGTERM)
            assert await server.ended(60) == 0, server.errors[-1:]
            await asyncio.gather(asked, return_exceptions=True)
