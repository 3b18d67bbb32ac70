"""R23, R24, R25: no room. What is refused is told, what can be read is read, and room that comes back is enough."""

import asyncio
import json
import resource
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from taskdash.store.datadir import RESERVE
from taskdash.store.places import File
from tests.faults.disk import Disk
from tests.faults.load.usage import cpu_s
from tests.faults.ports import trouble
from tests.faults.test_R20_kill import a_token, stored
from tests.serving import Serving, serving
from tests.support import eventually

LIMIT_BYTES = 3 * 1024 * 1024
"""Below the size at which TaskDash copies the log and begins it anew: there a refusal passes by (store/checkpoint.py)."""


class Small(Protocol):
    """A disk that can be filled up and freed while a server uses it."""

    home: Path
    env: dict[str, str]

    def fill(self) -> None:
        """No room from now on."""

    def free(self) -> None:
        """Room again."""


class Mounted:
    """A real one of 24 MiB, in memory."""

    def __init__(self, at: Path) -> None:
        self.home, self.env = at / "data", {}
        self._ballast = at / "ballast"

    def fill(self) -> None:
        """To the last byte."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """All of it."""
        self._ballast.unlink()


class Pretended:
    """Before a disk of any size, for who may not mount: no file grows while it is full, but by what was given back."""

    def __init__(self, at: Path) -> None:
        self.home = at / "data"
        self._disk = Disk(self.home, at)
        self.env = self._disk.env

    def fill(self) -> None:
        """Each write that makes a file longer fails."""
        self._disk.set("is_full", 1)

    def free(self) -> None:
        """And works again."""
        self._disk.set("is_full", 0)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Small]:
    """A mounted disk where that is allowed (root, or `unshare --map-root-user --mount make test`), else a pretended one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "taskdash-test", str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, mount, capture_output=True, check=False)
    if done.returncode:
        yield Pretended(tmp_path)
        return
    try:
        yield Mounted(tmp_path)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "-l", str(tmp_path)], check=True)


class Client:
    """Registers tasks one by one over TCP; `acked` and `refused` are what it was told."""

    def __init__(self) -> None:
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self._count = 0

    async def register(self, server: Serving) -> int:
        self._count += 1
        name = f"full-{self._count}"
        body = {"id": name, "description": "x" * 4_000}
        errid = int((await self.ask(server, "Register", body))["errid"])
        (self.refused if errid else self.acked).add(name)
        return errid

    async def ask(self, server: Serving, request: str, body: dict[str, str]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
        writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": request}, "Body": body}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())["Body"]
        writer.close()
        return answer


async def store_reason(server: Serving) -> str:
    async with aiohttp.ClientSession(server.url) as session:
        return await trouble(session)


async def is_refused_by_all(server: Serving, client: Client, token: str) -> None:
    """1001, 503 and E_PUB_FAILED; what is stored is found."""
    assert await client.register(server) == 1001
    reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
    body = json.dumps({"id": "refused", "name": "x" * 200, "description": "x" * 8_000}).encode()
    writer.write(b"  V2PUB taskdash.services\n" + len(body).to_bytes(4, "big") + body)
    size = int.from_bytes(await reader.readexactly(4), "big")
    assert b"E_PUB_FAILED" in await reader.readexactly(size)
    writer.close()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        async with session.post("/api/v1/services", json={"id": "refused", "description": "x" * 8_000}) as answer:
            assert answer.status == 503, await answer.text()
        async with session.get("/api/v1/tasks?limit=5") as answer:
            assert answer.status == 200
    known = next(iter(client.acked))
    assert (await client.ask(server, "Find", {"id": known}))["errid"] == 0


@asynccontextmanager
async def no_busy_loop(server: Serving) -> AsyncIterator[None]:
    """The server's CPU time in here is at most half of the time that passes (a ceiling of ten times the 5 % of R23)."""
    loop = asyncio.get_running_loop()
    began, used = loop.time(), cpu_s(server.process.pid)
    yield
    assert cpu_s(server.process.pid) - used <= 0.5 * (loop.time() - began) + 0.2


async def fills_up_and_recovers(server: Serving, fill: Callable[[], Any], free: Callable[[], Any], reason: str) -> Client:
    """Write until it is refused, look at all ports, give room, write again."""
    client, token = Client(), await a_token(server, "ingest", "read")
    for _ in range(3):
        assert await client.register(server) == 0
    fill()
    while await client.register(server) == 0:
        pass
    await eventually(lambda: says(server, reason))
    await is_refused_by_all(server, client, token)
    loop = asyncio.get_running_loop()
    until = loop.time() + 2.0
    async with no_busy_loop(server):
        await eventually(lambda: loop.time() > until)
    free()
    await eventually(lambda: says(server, ""))
    assert await client.register(server) == 0
    return client


async def says(server: Serving, reason: str) -> bool:
    found = await store_reason(server)
    return reason in found if reason else not found


async def is_as_told(server: Serving, client: Client, home: Path) -> None:
    """Nothing acknowledged is lost, nothing refused is kept."""
    assert await server.stop() == 0
    found = stored(File(home / "taskdash.db"), "SELECT id FROM tasks UNION SELECT id FROM services")
    assert client.acked <= found
    assert not found & (client.refused | {"refused"})


async def test_R23_on_a_full_disk_writes_are_refused_reads_go_on_and_room_is_enough(small: Small) -> None:
    async with serving(small.home, env=small.env) as server:
        client = await fills_up_and_recovers(server, small.fill, small.free, "disk full")
        await is_as_told(server, client, small.home)


async def test_R25_at_a_limit_of_file_size_writes_are_refused_reads_go_on_and_a_higher_one_is_enough(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:

        def limit(size: int) -> None:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        client = await fills_up_and_recovers(
            server, lambda: limit(LIMIT_BYTES), lambda: limit(resource.RLIM_INFINITY), "SQLITE_IOERR_WRITE"
        )
        await is_as_told(server, client, tmp_path / "data")


async def test_R24_a_start_on_a_full_disk_spends_the_reserve_serves_what_is_there_and_says_so(small: Small) -> None:
    async with serving(small.home, env=small.env) as server:
        client, token = Client(), await a_token(server, "ingest", "read")
        assert await client.register(server) == 0
        assert await server.stop() == 0
    small.fill()
    async with serving(small.home, env=small.env) as server:
        assert not (small.home / RESERVE).exists()
        await eventually(lambda: says(server, "disk full"))
        await is_refused_by_all(server, client, token)
        small.free()
        await eventually(lambda: says(server, ""))
        assert await client.register(server) == 0
        assert (small.home / RESERVE).exists()
        await is_as_told(server, client, small.home)
