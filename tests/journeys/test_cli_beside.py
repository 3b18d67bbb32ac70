"""Commands beside a running server, and a second server (SPEC 9; RELIABILITY R30, R35, R154, R162, R163).

What is about the data directory and its files runs on the embedded store only; the like on a server is in `test_on_postgres`.
"""

import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from taskdash.errors import StartRefused
from taskdash.store import datadir
from tests.journeys.commands import taskdash
from tests.serving import Serving, serving, start
from tests.support import eventually

PASSWORD = "seven bright lanterns"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def embedded(data_dir: Path) -> AsyncIterator[Serving]:
    async with serving(data_dir) as ready:
        yield ready


@pytest.fixture
async def both(data_dir: Path, at: list[str]) -> AsyncIterator[Serving]:
    """On both engines."""
    async with serving(data_dir, *at) as ready:
        yield ready


async def status_of(server: Serving, token: str) -> int:
    async with (
        aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as session,
        session.get("/api/v1/me") as answer,
    ):
        return answer.status


def files_of(data_dir: Path) -> dict[str, tuple[int, str]]:
    """Inode and mode of each."""
    return {path.name: (path.stat().st_ino, oct(path.stat().st_mode & 0o777)) for path in [data_dir, *data_dir.iterdir()]}


async def test_R154_the_first_start_prints_one_sign_in_that_works_and_the_next_start_none(data_dir: Path) -> None:
    async with serving(data_dir) as first:
        assert [line for line in first.output if line.startswith("sign-in")] == [f"sign-in: admin {first.admin}"]
        assert re.fullmatch(r"[\w-]{22}", first.admin)
        assert not any(first.admin in line for line in first.errors)
        async with first.signed_in():
            pass
        assert await first.stop() == 0
    async with serving(data_dir) as second:
        assert second.output == []


async def test_people_and_tokens_made_beside_a_running_server_count_at_once(both: Serving, at: list[str]) -> None:
    added = await taskdash("user", "add", "ssx", "--role", "member", "--password-stdin", *at, text=f"{PASSWORD}\n")
    assert added.status == 0, added.errors
    made = await taskdash("token", "create", "--user", "ssx", "--name", "edge", "--scope", "read", *at)
    token_id = made.errors.split()[1].rstrip(",")

    async def token_is(status: int) -> bool:
        return await status_of(both, made.output.strip()) == status

    await eventually(lambda: token_is(200))
    async with both.signed_in("ssx", PASSWORD) as session:

        async def session_is(status: int) -> bool:
            async with session.get("/api/v1/me") as answer:
                return answer.status == status

        assert await session_is(200)
        assert (await taskdash("token", "revoke", token_id, *at)).status == 0
        await eventually(lambda: token_is(401))
        assert (await taskdash("user", "disable", "ssx", *at)).status == 0
        await eventually(lambda: session_is(401))


async def test_R163_backup_and_check_work_beside_a_running_server_and_upgrade_and_restore_do_not(
    embedded: Serving, data_dir: Path, tmp_path: Path
) -> None:
    at = f"--data-dir={data_dir}"
    assert (await taskdash("db", "backup", str(tmp_path / "b.db"), at)).status == 0
    assert (await taskdash("db", "check", at)).status == 0
    for command in (("upgrade",), ("restore", str(tmp_path / "b.db"))):
        refused = await taskdash("db", *command, at)
        assert refused.status == 1
        assert refused.errors.endswith(f"is in use by another taskdash (pid {embedded.process.pid}); stop it first\n")
    assert await embedded.stop() == 0
    assert (await taskdash("db", "restore", str(tmp_path / "b.db"), at)).status == 0
    async with serving(data_dir) as again, again.signed_in("admin", embedded.admin):
        pass


async def test_R30_a_second_server_on_one_data_directory_names_the_first_and_touches_nothing(
    embedded: Serving, data_dir: Path
) -> None:
    before = files_of(data_dir)
    second = await start(data_dir)
    assert await second.ended() == 1
    assert second.errors == [f"taskdash: data directory {data_dir} is in use by another taskdash (pid {embedded.process.pid})"]
    assert files_of(data_dir) == before
    async with embedded.signed_in():
        pass


def test_R35_a_data_directory_of_somebody_else_is_refused_with_path_and_uid() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data"
        path.mkdir()
        path.chmod(0o555)
        Path(name).chmod(0o755)
        uid = os.getuid()
        other = 65_534 if uid == 0 else uid  # root may write anywhere
        os.setresuid(other, other, uid)
        try:
            with pytest.raises(StartRefused, match=rf"^data directory {path} is not writable for uid {other}$"):
                datadir.lock(path)
        finally:
            os.setresuid(uid, uid, uid)


async def test_R162_what_a_server_writes_is_private(embedded: Serving, data_dir: Path) -> None:
    modes = {name: mode for name, (_, mode) in files_of(data_dir).items()}
    assert modes.pop("data") == "0o700"
    assert set(modes.values()) == {"0o600"}, modes


async def test_the_doctor_finds_a_running_server_well(both: Serving, at: list[str]) -> None:
    ports = {name: f"{host}:{port}" for name, (host, port) in both.addresses.items()}
    options = ["--http", ports["http"], "--tcp", ports["tcp"], "--nsq-listen", ports["nsq"]]
    found = await taskdash("doctor", *at, *options, "--nsq-http-listen", ports["nsq-http"])
    assert found.status == 0, found.output
    assert f"well    tcp {ports['tcp']} answers Find in both framings" in found.output
    assert f"well    nsq {ports['nsq']} answers" in found.output
    for protocol in ("tcp", "nsq"):
        assert (await taskdash("doctor", protocol, ports[protocol])).status == 0
    wrong = await taskdash("doctor", "tcp", ports["http"])
    assert (wrong.status, wrong.output.startswith("UNWELL")) == (1, True)
