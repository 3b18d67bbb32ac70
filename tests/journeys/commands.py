"""`taskdash` as a user runs it: a process of its own, with nothing of this shell's settings."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from msgspec import Struct


class Ended(Struct):
    """What a finished command left."""

    status: int
    output: str
    errors: str


async def begin(*arguments: str, env: dict[str, str] | None = None, stdin: int | None = PIPE) -> Process:
    """Start `taskdash ARGUMENTS`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TASKDASH_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "taskdash.cli", *arguments, stdin=stdin, stdout=PIPE, stderr=PIPE, env=clean | (env or {})
    )


async def end(process: Process, text: str = "", deadline_s: float = 30.0) -> Ended:
    """Wait for it; `text` is what it may read."""
    output, errors = await asyncio.wait_for(process.communicate(text.encode()), deadline_s)
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


async def taskdash(*arguments: str, text: str = "", env: dict[str, str] | None = None) -> Ended:
    """Run `taskdash ARGUMENTS` to its end."""
    return await end(await begin(*arguments, env=env), text)
