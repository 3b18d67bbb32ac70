"""Everything that TaskDash writes is its owner's alone, whatever umask it was started with. RELIABILITY R162."""

import asyncio
import os
import shlex
import sys
from pathlib import Path

from tests.journeys.commands import Ended, end
from tests.support import eventually

FREE = ["--http=127.0.0.1:0", "--tcp=127.0.0.1:0", "--nsq-listen=127.0.0.1:0", "--nsq-http-listen=127.0.0.1:0"]


async def begin(*arguments: str) -> asyncio.subprocess.Process:
    """`taskdash ARGUMENTS` from a shell that lets everybody write everything."""
    command = shlex.join([sys.executable, "-m", "taskdash.cli", *arguments])
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec("sh", "-c", f"umask 000; exec {command}", stdin=pipe, stdout=pipe, stderr=pipe)


async def ran(*arguments: str, text: str = "") -> Ended:
    ended = await end(await begin(*arguments), text)
    assert ended.status == 0, (arguments, ended.errors)
    return ended


def modes(folder: Path) -> dict[str, str]:
    """Every file and directory in there, and the directory itself."""
    found = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder.parent)): oct(path.lstat().st_mode & 0o777) for path in found}


def not_private(folder: Path) -> dict[str, str]:
    wanted = {True: "0o700", False: "0o600"}
    return {name: mode for name, mode in modes(folder).items() if mode != wanted[(folder.parent / name).is_dir()]}


async def test_R162_every_file_is_private_whatever_the_umask_was(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    os.mkdir(kept, 0o700)
    at = f"--data-dir={data}"
    server = await begin("serve", at, *FREE)
    await eventually((data / "taskdash.db-wal").exists, 30)
    await ran("user", "add", "ada", "--role=member", "--password-stdin", at, text="a long and private one\n")
    await ran("token", "create", "--user=ada", "--name=ci", at)
    await ran("db", "backup", str(kept / "one.db"), at)
    await ran("db", "check", at)
    assert not_private(data) == {}
    server.terminate()
    assert (await end(server)).status == 0
    await ran("db", "restore", str(kept / "one.db"), at)
    await ran("db", "restore", str(kept / "one.db"), f"--data-dir={tmp_path / 'other'}")
    await ran("db", "upgrade", f"--data-dir={tmp_path / 'new'}")
    for folder in (data, kept, tmp_path / "other", tmp_path / "new"):
        assert len(modes(folder)) > 2
        assert not_private(folder) == {}
