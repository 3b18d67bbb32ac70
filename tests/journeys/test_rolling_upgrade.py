"""A newer version comes beside an older one on the same database: what is added first, and taken away later (issue 5; R17)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import Server
from tests.journeys.commands import taskdash
from tests.journeys.test_on_postgres import registered
from tests.journeys.test_serve import find
from tests.postgres import Cluster
from tests.schemas import make_newer, make_older
from tests.serving import Serving, serving, start
from tests.support import eventually

EXPAND = (
    "ALTER TABLE tasks ADD COLUMN colour TEXT COLLATE \"C\" NOT NULL DEFAULT ''",
    'CREATE TABLE colours (name TEXT COLLATE "C" PRIMARY KEY)',
    "CREATE INDEX tasks_colour ON tasks (colour)",
)
CONTRACT = ("DROP INDEX tasks_name", "ALTER TABLE tasks DROP COLUMN colour")


@pytest.fixture
def empty(server: Cluster) -> Iterator[Server]:
    with server.fresh("template0") as place:
        yield place


async def claim(server: Serving, task_id: str) -> None:
    async with server.signed_in() as browser, browser.post(f"/api/v1/tasks/{task_id}/claim", json={}) as answer:
        assert answer.status == 200, await answer.text()


async def test_R17_a_schema_that_grows_beside_a_running_server_stops_neither_it_nor_the_next_one_of_its_version(
    empty: Server, tmp_path: Path
) -> None:
    at, acknowledged = f"--db={empty.url}", set[str]()
    async with serving(tmp_path / "one", at) as one:
        loads = [asyncio.create_task(registered(one, f"c{n}", acknowledged)) for n in range(2)]
        await eventually(lambda: len(acknowledged) > 50)
        await asyncio.to_thread(make_newer, empty, "9998", HEAD, *EXPAND)
        known = len(acknowledged)
        await eventually(lambda: len(acknowledged) > known + 50)
        await claim(one, "c0-0")
        assert (await find(one, "c0-0"))["user"] == "admin"

        async with serving(tmp_path / "two", at) as two:
            loads.append(asyncio.create_task(registered(two, "d", acknowledged)))
            await eventually(lambda: "d-20" in acknowledged)
            assert (await find(one, "d-20"))["errid"] == 0
            nothing = await taskdash("db", "upgrade", at)
            assert nothing.output == f"{empty}: schema 9998, nothing to do\n"
            assert (await taskdash("user", "list", at)).status == 0
            for load in loads:
                assert not load.done(), load.exception()
                load.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
            assert await two.stop() == 0
        for task_id in acknowledged:
            assert (await find(one, task_id))["errid"] == 0, task_id
    assert empty.revision() == "9998"

    make_newer(empty, "9999", "9998", *CONTRACT)
    late = await start(tmp_path / "three", at)
    assert await late.ended() == 1
    assert late.errors == [f"taskdash: the store {empty} is of a newer TaskDash (schema 9999, this program knows {HEAD})"]


async def test_an_older_schema_is_brought_up_by_a_command_beside_what_serves_and_by_the_start_of_a_server(
    empty: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"--db={empty.url}"
    make_older(empty, "0001", monkeypatch)
    listed = await taskdash("user", "list", at)
    assert listed.errors == f"taskdash: the store {empty} has schema 0001; bring it to {HEAD} with `taskdash db upgrade`\n"
    upgraded = await taskdash("db", "upgrade", at)
    assert upgraded.output == f"{empty}: schema 0001 -> {HEAD}\n"
    async with serving(tmp_path / "one", at) as one:
        assert (await taskdash("db", "upgrade", at)).output == f"{empty}: schema {HEAD}, nothing to do\n"
        assert (await find(one, "none"))["errid"] == 1002
