"""`taskdash serve` as a user runs it: a process of its own, found by its ready line, ended by a signal."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

READY = re.compile(r"^taskdash ready ?(.*)$")


class Serving:
    """A running server. `http`, `tcp`, `nsq`, `nsq_http`: (host, port) as it told them; `admin`: the first password."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output: list[str] = []
        self.errors: list[str] = []
        self.addresses: dict[str, tuple[str, int]] = {}
        self.admin = ""
        self._is_ready = False
        self._ready = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.output, self._of_output)),
            asyncio.create_task(self._read(process.stderr, self.errors, self._of_errors)),
        ]

    async def _read(self, stream: Any, kept: list[str], look: Any) -> None:
        while line := (await stream.readline()).decode():
            kept.append(line.rstrip("\n"))
            look(kept[-1])
        self._ready.set()

    def _of_output(self, line: str) -> None:
        if line.startswith("sign-in: admin "):
            self.admin = line.removeprefix("sign-in: admin ")

    def _of_errors(self, line: str) -> None:
        if found := READY.match(line):
            for part in found.group(1).split():
                name, _, address = part.partition("=")
                host, _, port = address.rpartition(":")
                self.addresses[name] = (host, int(port))
            self._is_ready = True
            self._ready.set()

    async def ready(self, deadline_s: float = 20.0) -> "Serving":
        """Wait for the ready line."""
        await asyncio.wait_for(self._ready.wait(), deadline_s)
        if not self._is_ready:
            raise AssertionError(f"serve ended: {self.errors}")
        return self

    @property
    def url(self) -> str:
        """Where pages and API are."""
        host, port = self.addresses["http"]
        return f"http://{host}:{port}"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)

    async def ended(self, deadline_s: float = 20.0) -> int:
        """The exit status."""
        status = await asyncio.wait_for(self.process.wait(), deadline_s)
        await asyncio.gather(*self._readers)
        return status

    async def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.kill(signal.SIGTERM)
        return await self.ended()

    @contextlib.asynccontextmanager
    async def signed_in(self, user: str = "admin", password: str = "") -> AsyncIterator[aiohttp.ClientSession]:
        """A browser's session with its CSRF token on every request."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar) as session:
            signed = {"user": user, "password": password or self.admin}
            async with session.post("/api/v1/login", json=signed) as answer:
                assert answer.status == 200, await answer.text()
                session.headers["X-CSRF-Token"] = (await answer.json())["csrf_token"]
            yield session


async def start(data_dir: Path, *options: str, env: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Serving:
    """Start `serve` on free ports, by the command `prefix` if there is one; options given later win."""
    free = [f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen")]
    cluster = any(o.startswith(("--nsqd", "--lookupd")) for o in options)
    process = await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        "-m",
        "taskdash.cli",
        "serve",
        f"--data-dir={data_dir}",
        *(free[:2] if cluster else free),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    return Serving(process)


@contextlib.asynccontextmanager
async def serving(
    data_dir: Path, *options: str, env: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> AsyncIterator[Serving]:
    """A ready server, killed at the end if it still runs."""
    server = await start(data_dir, *options, env=env, prefix=prefix)
    try:
        yield await server.ready()
    finally:
        if server.process.returncode is None:
            server.kill()
            await server.ended()
