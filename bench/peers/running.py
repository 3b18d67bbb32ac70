"""Runs a peer: a program of this folder by the Python of `.tools/bench`, or a server from the system, on loopback.

The peers' packages (requirements-bench.txt) are never in TaskDash's own environment, and TaskDash is not in theirs.
"""

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.support import eventually

BIN = Path(".tools/bench/bin")
HOST = "127.0.0.1"


def command(program: str, *arguments: object) -> Sequence[str]:
    """What runs `bench/peers/<program>.py`; `-P`: our own modules are not to stand in for the standard library's."""
    if not (BIN / "python").exists():
        sys.exit("the peers' environment is missing: run `make bench-peers` once")
    return str(BIN / "python"), "-P", f"bench/peers/{program}.py", *map(str, arguments)


async def told(program: str, *arguments: object) -> str:
    """What a program of this folder prints, from its start to its end."""
    child = await asyncio.create_subprocess_exec(*command(program, *arguments), stdout=PIPE)
    printed, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{program} ended with {child.returncode}")
    return printed.decode()


@contextlib.asynccontextmanager
async def running(*arguments: str, says: bytes = b"", env: dict[str, str] | None = None) -> AsyncIterator[Process]:
    """A process that ends with the block; ready when it has printed the line `says`, where one is named."""
    out = PIPE if says else DEVNULL
    child = await asyncio.create_subprocess_exec(*arguments, stdout=out, env=env)
    try:
        if says and (line := await asyncio.wait_for(child.stdout.readline(), 120)) != says + b"\n":  # type: ignore[union-attr]
            raise RuntimeError(f"{arguments[-1]}: {line!r} in place of {says!r}")
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


async def listening(port: int) -> None:
    """Return when somebody takes connections there."""

    async def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 1).close()
            return True
        return False

    await eventually(answers, 20)
