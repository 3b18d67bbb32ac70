"""R26, R27, R36, R38: a disk that fails, is slow, or has another file, or a wrong page, where the store was."""

import asyncio
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from taskdash.store.places import File
from tests.faults.disk import Disk
from tests.faults.ports import told_by_tcp
from tests.faults.test_R20_kill import a_token, stored
from tests.faults.test_R23_disk_full import Client, says, store_reason
from tests.serving import Serving, serving
from tests.support import eventually

TASKS = "SELECT id FROM tasks"


async def test_R26_a_failed_sync_is_never_acknowledged_and_only_a_good_commit_makes_ready_again(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    disk, client = Disk(home, tmp_path), Client()
    async with serving(home, env=disk.env) as server:
        assert await client.register(server) == 0
        disk.set("fail_sync", 1)
        assert await client.register(server) == 1001
        await eventually(lambda: says(server, "not known"))
        for _ in range(3):
            assert await client.register(server) == 1001
        disk.set("fail_sync", 0)
        await eventually(lambda: says(server, ""))
        assert await client.register(server) == 0
        server.kill()
        await server.ended()
    assert client.acked <= stored(File(home / "taskdash.db"), TASKS)


async def test_R2_R26_what_a_failed_sync_had_refused_is_not_there_after_a_kill(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    disk, client = Disk(home, tmp_path), Client()
    for _ in range(5):
        async with serving(home, env=disk.env) as server:
            assert await client.register(server) == 0
            disk.set("fail_sync", 1)
            assert await told_by_tcp(server, "refused") == 1001
            server.kill()
            await server.ended()
            disk.set("fail_sync", 0)
    found = stored(File(home / "taskdash.db"), TASKS)
    assert client.acked <= found
    assert "refused" not in found


async def test_R27_while_the_disk_takes_5_s_for_a_commit_pages_answer_and_nobody_is_down(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    disk, client = Disk(home, tmp_path), Client()
    async with serving(home, env=disk.env) as server:
        token = await a_token(server, "ingest", "read")
        await an_up_service(server, token)
        disk.set("slow_sync_ms", 5_000)
        writing = asyncio.gather(*(client.register(server) for _ in range(3)))
        while not writing.done():
            await answers_at_once(server, token)
        assert set(await writing) <= {0, 1001}
        disk.set("slow_sync_ms", 0)
        await eventually(lambda: says(server, ""))
        assert await states(server, token) == {"up"}


async def an_up_service(server: Serving, token: str) -> None:
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session:
        told = {"id": "slow", "reserved": '{"heartbeat_interval": 60}'}
        async with session.post("/api/v1/services", json=told) as answer:
            assert answer.status < 300, await answer.text()
        async with session.put("/api/v1/services/slow/heartbeat") as answer:
            assert answer.status == 204


async def states(server: Serving, token: str) -> set[str]:
    async with (
        aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session,
        session.get("/api/v1/services") as answer,
    ):
        return {str(service["liveness"]["state"]) for service in (await answer.json())["items"]}


async def answers_at_once(server: Serving, token: str) -> None:
    """The loop lag is at most ten times 50 ms: what is asked of it, and what is read, comes back before that."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session:
        began = loop.time()
        async with session.get("/healthz") as answer:
            assert answer.status == 200
        assert loop.time() - began < 0.5
        async with session.get("/api/v1/tasks") as answer:
            assert answer.status == 200


def removed(home: Path) -> None:
    shutil.rmtree(home)


def renamed(home: Path) -> None:
    home.rename(home.with_name("elsewhere"))


def replaced(home: Path) -> None:
    store = home / "taskdash.db"
    shutil.copyfile(store, home / "copy")
    os.replace(home / "copy", store)


def log_removed(home: Path) -> None:
    (home / "taskdash.db-wal").unlink()


@pytest.mark.parametrize("change", [removed, renamed, replaced, log_removed])
async def test_R36_nothing_is_acknowledged_into_a_store_whose_file_is_no_longer_there(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    home, client = tmp_path / "data", Client()
    async with serving(home) as server:
        assert await client.register(server) == 0
        await eventually(lambda: says(server, ""))
        change(home)
        for _ in range(3):
            assert await client.register(server) == 1001
        await eventually(lambda: says(server, "removed or replaced"))
        assert (home / "taskdash.db").exists() == (change in {replaced, log_removed})
        assert await server.stop() == 0
        assert (home / "taskdash.db").exists() == (change in {replaced, log_removed})


def damage(store: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(store)) as conn:
        page = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    with open(store, "r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)


async def test_R38_a_corrupt_page_stops_all_writing_is_told_with_the_way_out_and_the_rest_is_read(tmp_path: Path) -> None:
    home, client = tmp_path / "data", Client()
    async with serving(home) as server:
        token = await a_token(server, "ingest", "read")
        assert await client.register(server) == 0
        await server.stop()
    damage(home / "taskdash.db", "tasks")
    headers = {"Authorization": f"Bearer {token}"}
    async with serving(home) as server, aiohttp.ClientSession(server.url, headers=headers) as session:
        async with session.get("/api/v1/tasks/full-1") as answer:
            assert answer.status == 503
            found = await answer.json()
            assert found["errid"] == 1001
            assert "taskdash db restore" in found["detail"]
        await eventually(lambda: says(server, "corrupt"))
        assert await client.register(server) == 1001
        assert "taskdash db restore" in await store_reason(server)
        async with session.get("/api/v1/services") as answer:
            assert answer.status == 200
        await server.stop()
    after = (home / "taskdash.db").read_bytes()  # with what was acknowledged before the page was met, and nothing else
    assert b"\xff" * 4_096 in after
    assert client.refused.isdisjoint(name.decode() for name in re.findall(rb"full-\d+", after))
