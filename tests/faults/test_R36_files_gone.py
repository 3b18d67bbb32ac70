"""R36: the store's files are removed, moved or replaced under a real `serve`."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.faults.ports import told_by_nsq, told_by_tcp, trouble
from tests.journeys.test_on_postgres import registered
from tests.journeys.test_serve import find
from tests.serving import serving
from tests.support import eventually


def remove_all(data: Path) -> None:
    shutil.rmtree(data)


def remove_the_log(data: Path) -> None:
    (data / "taskdash.db-wal").unlink()


def replace(data: Path) -> None:
    other = data / "other"
    shutil.copyfile(data / "taskdash.db", other)
    os.replace(other, data / "taskdash.db")


async def told_gone(session: aiohttp.ClientSession) -> bool:
    """A reader may be the first to stumble."""
    return "was removed or replaced" in await trouble(session)


@pytest.mark.parametrize("harm", [remove_all, remove_the_log, replace])
async def test_R36_R15_nothing_is_acknowledged_into_a_file_that_is_gone(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    data, acknowledged = tmp_path / "data", set[str]()
    async with serving(data) as server, server.signed_in() as session:
        load = asyncio.create_task(registered(server, "c0", acknowledged))
        await eventually(lambda: len(acknowledged) > 500)  # it has looked at its files by then
        harm(data)
        await eventually(lambda: told_gone(session))
        before = len(acknowledged)
        assert await told_by_tcp(server, "refused") == 1001
        assert (await told_by_nsq(server)).startswith(b"E_PUB_FAILED")
        assert len(acknowledged) == before
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)


async def test_R36_a_directory_that_was_moved_and_moved_back_serves_again_and_has_all(tmp_path: Path) -> None:
    data, acknowledged = tmp_path / "data", set[str]()
    async with serving(data) as server, server.signed_in() as session:
        load = asyncio.create_task(registered(server, "c0", acknowledged))
        await eventually(lambda: len(acknowledged) > 50)
        data.rename(tmp_path / "away")
        assert await eventually(lambda: trouble(session))
        before = len(acknowledged)
        (tmp_path / "away").rename(data)
        await eventually(lambda: len(acknowledged) > before + 50)
        assert not await trouble(session)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        server.kill()
        await server.ended()
    async with serving(data) as server:
        for task in acknowledged:
            assert (await find(server, task))["errid"] == 0, task
