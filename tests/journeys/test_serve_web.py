"""`taskdash serve` as a process: the first sign-in, private files, secrets, SIGTERM. RELIABILITY R16, R154, R159, R162, F13.

On both engines, but for the modes of the files of the embedded store.
"""

import asyncio
import re
import secrets
import signal
import stat
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from taskdash.store.places import Place
from tests.journeys.commands import Ended, begin, end, taskdash
from tests.support import all_rows

FREE = ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--nsq-listen", "127.0.0.1:0", "--nsq-http-listen", "127.0.0.1:0"]
SOURCE = Path(__file__).parents[2] / "src" / "taskdash"


class Served(Struct):
    """A running server and the lines it said first."""

    process: Process
    origin: str
    ready: str
    sign_in: str

    @property
    def password(self) -> str:
        return self.sign_in.removeprefix("sign-in: admin ").strip()

    async def stop(self) -> Ended:
        """SIGTERM, then everything else that it said."""
        self.process.send_signal(signal.SIGTERM)
        return await end(self.process)


@asynccontextmanager
async def _served(at: list[str], first: bool = True) -> AsyncIterator[Served]:
    process = await begin("serve", *at, *FREE)
    assert process.stderr
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            ready = (await process.stderr.readline()).decode()
            sign_in = (await process.stdout.readline()).decode() if first else ""
        found = re.search(r"http=(\S+)", ready)
        assert found, ready
        yield Served(process, f"http://{found.group(1)}", ready, sign_in)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _login(http: aiohttp.ClientSession, password: str) -> int:
    async with http.post("/api/v1/login", json={"user": "admin", "password": password}) as answer:
        return answer.status


async def test_R154_the_first_admin_signs_in_with_the_one_line_and_is_asked_for_a_new_password(
    at: list[str], served: Place, tmp_path: Path
) -> None:
    async with _served(at) as server:
        assert re.fullmatch(r"sign-in: admin [A-Za-z0-9_-]{22,}\n", server.sign_in)
        async with aiohttp.ClientSession(server.origin, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            assert await _login(http, server.password) == 200
            async with http.get("/api/v1/me") as answer:
                me = await answer.json()
        assert (me["role"], me["must_change_password"]) == ("admin", True)
        ended = await server.stop()
    assert ended.status == 0
    said = server.ready + ended.errors + ended.output
    assert server.password not in said
    assert server.password.encode() not in all_rows(served)
    for path in (tmp_path / "data").glob("*"):
        assert server.password.encode() not in path.read_bytes()
    async with _served(at, first=False) as again:
        assert "sign-in" not in (await again.stop()).output


async def test_R162_the_data_directory_and_its_files_are_private(tmp_path: Path) -> None:
    async with _served([f"--data-dir={tmp_path / 'data'}"]) as server:
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        assert modes
        assert set(modes.values()) == {0o600}
        await server.stop()


def test_R162_no_pickle_eval_shell_or_sql_made_of_text() -> None:
    """R161 and R162 by lint: the rules S102, S301-S308, S506, S602-S608 have no finding and no exception but with a reason."""
    rules = "S102,S301,S302,S307,S308,S506,S602,S604,S605,S608"
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", rules, str(SOURCE)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


async def test_R159_secrets_that_were_sent_are_in_no_output(at: list[str], served: Place, tmp_path: Path) -> None:
    canary = f"tdk_{secrets.token_hex(18)}"
    async with _served(at) as server:
        headers = {"Authorization": f"Bearer {canary}", "Cookie": f"taskdash={canary}"}
        async with aiohttp.ClientSession(server.origin, headers=headers) as http:
            for path in (f"/{canary}", f"/api/v1/me?token={canary}", "/metrics", "/readyz"):
                async with http.get(path) as answer:
                    assert canary not in await answer.text()
        async with aiohttp.ClientSession(server.origin) as http:
            assert await _login(http, canary) == 401
            async with http.post("/api/v1/login", json={"user": canary, "password": canary}) as answer:
                assert canary not in await answer.text()
        ended = await server.stop()
    assert canary not in ended.errors + ended.output
    assert canary.encode() not in all_rows(served)
    for path in (tmp_path / "data").glob("*"):
        assert canary.encode() not in path.read_bytes()


async def test_R16_sigterm_ends_open_streams_and_half_requests_and_leaves_with_0(at: list[str]) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with _served(at) as server, aiohttp.ClientSession(server.origin, cookie_jar=jar) as http:
        assert await _login(http, server.password) == 200
        streams = [await http.get("/api/v1/stream") for _ in range(5)]
        for stream in streams:
            await stream.content.readline()
        host, _, port = server.origin.removeprefix("http://").rpartition(":")
        _reader, half = await asyncio.open_connection(host, int(port))
        half.write(b"POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        await half.drain()
        try:
            async with asyncio.timeout(10):
                ended = await server.stop()
                for stream in streams:
                    await stream.content.read()  # whole to its last chunk: a cut would raise
        finally:
            half.close()
            for stream in streams:
                stream.close()
    assert ended.status == 0
    assert "Traceback" not in ended.errors


async def test_a_person_who_was_added_beside_the_server_signs_in_and_is_shut_out_again(at: list[str]) -> None:
    async with _served(at) as server:
        added = await taskdash("user", "add", "admin2", "--role", "admin", "--password-stdin", *at, text="a long private one\n")
        assert added.status == 0, added.errors
        made = await taskdash("token", "create", "--user", "admin2", "--name", "ci", *at)
        headers = {"Authorization": f"Bearer {made.output.strip()}"}
        async with aiohttp.ClientSession(server.origin, headers=headers) as http:
            async with http.get("/api/v1/me") as answer:
                assert answer.status == 200
            assert (await taskdash("user", "disable", "admin2", *at)).status == 0
            async with asyncio.timeout(1):
                while True:
                    async with http.get("/api/v1/me") as answer:
                        if answer.status == 401:
                            break
        await server.stop()
