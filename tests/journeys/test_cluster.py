"""`make cluster` as a developer runs it: started, looked at, ended by Ctrl-C, and gone on with."""

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from tests.support import eventually

INSTANCES = 2


@contextlib.asynccontextmanager
async def a_cluster(folder: Path) -> AsyncIterator[str]:
    """Its table; ended by Ctrl-C."""
    command = (sys.executable, "-m", "tools.cluster", f"--dir={folder}", f"--instances={INSTANCES}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        yield (await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C"), 60)).decode()
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def is_signed_in(table: str) -> bool:
    url, password = re.findall(r"^taskdash-\w +(\S+)", table, re.M)[-1], re.findall(r"^sign-in +admin (\S+)", table, re.M)[0]
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/api/v1/login", json={"user": "admin", "password": password}) as answer,
    ):
        return answer.status == 200


async def test_a_cluster_starts_ends_by_ctrl_c_and_goes_on_with_what_was_stored(folder: Path) -> None:
    async with a_cluster(folder) as table:
        assert len(re.findall(r"^(?:taskdash|nsqd)-.*pid \d+$", table, re.M)) == INSTANCES + 2
        assert await is_signed_in(table)
        pids = re.findall(r"pid (\d+)", table)
    await eventually(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    assert not (folder / "postgresql" / "data" / "postmaster.pid").exists()
    async with a_cluster(folder) as table:
        assert await is_signed_in(table)
