"""R23, R24, R25: a disk that is full, or a file that may not grow, under a real `serve`."""

import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from taskdash.store.check import check
from taskdash.store.places import File
from tests.faults.ports import told_by_nsq, told_by_tcp, trouble
from tests.faults.power.small_disk import SmallDisk, small_disk
from tests.journeys.test_on_postgres import registered
from tests.journeys.test_serve import find
from tests.serving import Serving, serving
from tests.support import eventually

DISK_MIB, FILE_MIB = 24, 4
WATCHED_S, MOST_OF_A_CORE = 3.0, 0.5
"""Ten times what R23 says."""
WORKS_WITHIN_S = 20.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", DISK_MIB) as made:
        yield made


def cpu_s(pid: int) -> float:
    spent = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


async def is_calm(server: Serving) -> bool:
    """Whether it spends little while there is nothing to do but to try again."""
    loop = asyncio.get_running_loop()
    since, before = loop.time(), cpu_s(server.process.pid)
    await eventually(lambda: loop.time() - since > WATCHED_S)
    return cpu_s(server.process.pid) - before < MOST_OF_A_CORE * (loop.time() - since)


async def refuses_everywhere(server: Serving, session: aiohttp.ClientSession) -> None:
    assert await told_by_tcp(server, "refused") == 1001
    assert (await told_by_nsq(server)).startswith(b"E_PUB_FAILED")
    async with session.post("/api/v1/tasks/c0-0/claim", json={}) as answer:
        assert answer.status == 503
    async with session.get("/api/v1/tasks?limit=5") as answer:
        assert (answer.status, len((await answer.json())["items"])) == (200, 5)


async def fill_and_refuse(server: Serving, session: aiohttp.ClientSession, acknowledged: set[str], word: str) -> None:
    """Load until the store refuses, whatever it was that filled up."""
    load = asyncio.create_task(registered(server, "d", acknowledged))
    assert word in await eventually(lambda: trouble(session), 60)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    await refuses_everywhere(server, session)
    assert await is_calm(server)


async def works(server: Serving, session: aiohttp.ClientSession) -> bool:
    return not await trouble(session) and await told_by_tcp(server, "after") == 0


async def nothing_is_lost(data: Path, acknowledged: set[str]) -> None:
    async with serving(data) as server:
        for task in acknowledged:
            assert (await find(server, task))["errid"] == 0, task
        assert (await find(server, "refused"))["errid"] == 1002
    assert check(File(data / "taskdash.db")) == []


async def test_R23_R15_on_a_full_disk_changes_are_refused_reads_go_on_and_with_room_all_works_again(disk: SmallDisk) -> None:
    data, acknowledged = disk.path / "data", set[str]()
    async with serving(data) as server, server.signed_in() as session:
        load = asyncio.create_task(registered(server, "c0", acknowledged))
        await eventually(lambda: len(acknowledged) > 100)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        disk.fill()
        await fill_and_refuse(server, session, acknowledged, "SQLITE_FULL")
        disk.empty()
        await eventually(lambda: works(server, session), WORKS_WITHIN_S)
        server.kill()
        await server.ended()
    await nothing_is_lost(data, acknowledged)


async def test_R24_on_a_disk_that_is_full_at_start_the_reserve_is_freed_and_pages_are_served(disk: SmallDisk) -> None:
    data, acknowledged = disk.path / "data", set[str]()
    async with serving(data) as server:
        load = asyncio.create_task(registered(server, "c0", acknowledged))
        await eventually(lambda: len(acknowledged) > 100)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        admin = server.admin
        server.kill()
        await server.ended()
    disk.fill()
    async with serving(data) as server, aiohttp.ClientSession(server.url) as session:
        assert not (data / "reserve").exists()
        assert "the disk is full" in await trouble(session)
        assert (await find(server, "c0-0"))["errid"] == 0
        assert await told_by_tcp(server, "refused") == 1001
        disk.empty()
        await eventually(lambda: works(server, session), WORKS_WITHIN_S)
        async with server.signed_in(password=admin):
            assert (data / "reserve").exists()
    await nothing_is_lost(data, acknowledged)


async def test_R25_a_file_that_may_not_grow_is_like_a_full_disk(tmp_path: Path) -> None:
    acknowledged = set[str]()
    async with serving(tmp_path / "data") as server, server.signed_in() as session:
        load = asyncio.create_task(registered(server, "c0", acknowledged))
        await eventually(lambda: len(acknowledged) > 10)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        pid, none = server.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_MIB * 1024 * 1024, none))
        await fill_and_refuse(server, session, acknowledged, "SQLITE_IOERR")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (none, none))
        await eventually(lambda: works(server, session), WORKS_WITHIN_S)
        server.kill()
        await server.ended()
    await nothing_is_lost(tmp_path / "data", acknowledged)
