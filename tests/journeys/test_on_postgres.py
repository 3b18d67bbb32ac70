"""`taskdash` on PostgreSQL as an operator runs it: commands, kill -9, restarts, refusals (SPEC 9; R20, R32, R159)."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import Server
from tests.journeys.commands import taskdash
from tests.journeys.test_serve import find
from tests.postgres import Cluster, cluster
from tests.serving import Serving, serving, start
from tests.support import eventually


@pytest.fixture
def empty(server: Cluster) -> Iterator[Server]:
    with server.fresh("template0") as place:
        yield place


async def registered(server: Serving, name: str, acknowledged: set[str]) -> None:
    """Registers tasks over TCP, each as long as it takes, until the server closes; notes what was acknowledged."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    with contextlib.closing(writer):
        for number in range(100_000):
            pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": f"{name}-{number}"}}
            while True:
                writer.write(json.dumps(pack).encode() + b"\n")
                line = await reader.readline()
                if not line:
                    return
                errid = json.loads(line)["Body"]["errid"]
                assert errid in {0, 1001, 1004}, line
                if errid == 0:
                    break
            acknowledged.add(f"{name}-{number}")


async def test_R20_what_was_acknowledged_before_a_kill_is_there_after_it(empty: Server, tmp_path: Path) -> None:
    option, acknowledged = f"--db={empty.url}", set[str]()
    async with serving(tmp_path / "data", option) as server:
        loads = [asyncio.create_task(registered(server, f"c{n}", acknowledged)) for n in range(4)]
        await eventually(lambda: len(acknowledged) > 100)
        server.kill()
        await server.ended()
        await asyncio.gather(*loads, return_exceptions=True)
    async with serving(tmp_path / "data", option) as again:
        for task_id in acknowledged:
            assert (await find(again, task_id))["errid"] == 0, task_id


async def test_R32_a_restart_of_postgresql_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    with cluster() as own, own.fresh() as place:
        async with serving(tmp_path / "data", f"--db={place.url}") as server:
            loads = [asyncio.create_task(registered(server, f"c{n}", acknowledged)) for n in range(4)]
            await eventually(lambda: len(acknowledged) > 100)
            await asyncio.to_thread(own.stop, "immediate")
            await asyncio.to_thread(own.start)
            before = len(acknowledged)
            await eventually(lambda: len(acknowledged) > before + 100, 30)
            for load in loads:
                assert not load.done(), load.exception()
                load.cancel()
            await asyncio.gather(*loads, return_exceptions=True)
            for task_id in acknowledged:
                assert (await find(server, task_id))["errid"] == 0, task_id

            async def is_ready() -> bool:
                async with aiohttp.ClientSession(server.url) as session, session.get("/readyz") as answer:
                    return bool((await answer.json())["ready"])

            await eventually(is_ready)
            assert await server.stop() == 0


async def test_commands_work_on_it_beside_a_running_server(empty: Server, tmp_path: Path) -> None:
    at = f"--db={empty.url}"
    upgraded = await taskdash("db", "upgrade", at)
    assert upgraded.output.endswith(f": schema none -> {HEAD}\n"), upgraded
    assert (
        await taskdash("user", "add", "ssx", "--role", "member", "--password-stdin", at, text="seven bright lanterns\n")
    ).status == 0
    async with serving(tmp_path / "data", at) as server:
        made = await taskdash("user", "add", "root", "--role", "admin", "--password-stdin", at, text="nine quiet harbours\n")
        assert made.output == "root is admin\n"
        async with server.signed_in("root", "nine quiet harbours"):
            pass
        host, port = server.addresses["http"]
        well = await taskdash("doctor", at, f"--http={host}:{port}", "--tcp=127.0.0.1:0")
        assert f"well    store {empty} has schema {HEAD}" in well.output, well
        again = await taskdash("db", "upgrade", at)
        assert again.output.endswith(f": schema {HEAD}, nothing to do\n"), again


async def test_a_password_is_asked_for_and_never_shown() -> None:
    with cluster() as own:
        own.do("ALTER ROLE taskdash PASSWORD 's3cret-words'")
        rules = own.directory / "data" / "pg_hba.conf"
        rules.write_text("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
        own.do("SELECT pg_reload_conf()")
        parts = urlsplit(own.place("made").url)
        right, wrong = (
            f"--db=postgresql://taskdash:{word}@127.0.0.1:{parts.port}/made" for word in ("s3cret-words", "s3cret-guess")
        )
        assert (await taskdash("user", "list", right)).status == 0
        shown = await taskdash("config", "show", right)
        refused = await taskdash("user", "list", wrong)
        doctor = await taskdash("doctor", wrong)
    assert 'db = "***"' in shown.output
    assert refused.errors == (
        f"taskdash: the store postgresql://taskdash@127.0.0.1:{parts.port}/made cannot be used: "
        'password authentication failed for user "taskdash"\n'
    )
    assert "password authentication failed" in doctor.output
    assert doctor.status == 1
    for ended in (shown, refused, doctor):
        assert "s3cret" not in ended.output + ended.errors


async def test_a_server_that_is_not_there_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    server = await start(tmp_path / "data", "--db=postgresql://me:s3cret@127.0.0.1:1/none")
    assert await server.ended() == 1
    assert len(server.errors) == 1
    assert server.errors[0].startswith("taskdash: the store postgresql://me@127.0.0.1:1/none cannot be used: ")
