"""A real `taskdash serve` in a process of its own, on a throw-away store, for benchmarks."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from bench import profiled
from taskdash.clock import SystemClock
from taskdash.model.instants import in_seconds


class Server:
    """A running server: its addresses, its process, the first password, the seconds it took to be ready."""

    def __init__(
        self, process: asyncio.subprocess.Process, addresses: dict[str, tuple[str, int]], admin: str, took_s: float
    ) -> None:
        self.process, self.addresses, self.admin, self.took_s = process, addresses, admin, took_s

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.addresses["http"])

    @contextlib.asynccontextmanager
    async def session(self, user: str = "admin", password: str = "") -> AsyncIterator[aiohttp.ClientSession]:
        jar, connector = aiohttp.CookieJar(unsafe=True), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar, connector=connector) as session:
            async with session.post("/api/v1/login", json={"user": user, "password": password or self.admin}) as answer:
                session.headers["X-CSRF-Token"] = (await answer.json())["csrf_token"]
            yield session


@contextlib.asynccontextmanager
async def a_server(
    *options: str, data_dir: Path | None = None, first_admin: bool = True, python: str = sys.executable
) -> AsyncIterator[Server]:
    """Ready to be used; ended by SIGTERM. `python`: of the environment that TaskDash is installed in."""
    clock = SystemClock()
    began = clock.now()
    cluster = any(option.startswith(("--nsqd", "--lookupd")) for option in options)
    names = ("http", "tcp") if cluster else ("http", "tcp", "nsq-listen", "nsq-http-listen")
    process = await asyncio.create_subprocess_exec(
        *profiled.command("taskdash.cli", python),
        "serve",
        f"--data-dir={data_dir or Path(tempfile.mkdtemp()) / 'data'}",
        *(f"--{name}=127.0.0.1:0" for name in names),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        line = await _ready_line(process)
        took_s = in_seconds(clock.now() - began)
        addresses = {}
        for part in line.split()[2:]:
            name, _, address = part.partition("=")
            host, _, port = address.rpartition(":")
            addresses[name] = (host, int(port))
        first: Any = process.stdout
        admin = (await first.readline()).decode().split()[-1] if first_admin else ""
        yield Server(process, addresses, admin, took_s)
    finally:
        process.terminate()
        await process.wait()


async def _ready_line(process: asyncio.subprocess.Process) -> str:
    stream: Any = process.stderr
    while line := (await asyncio.wait_for(stream.readline(), 60)).decode():
        if line.startswith("taskdash ready"):
            return line
    raise RuntimeError("serve ended before it was ready")
