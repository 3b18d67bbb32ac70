"""`taskdash config`, `db` and `doctor` as a user runs them (SPEC 9; RELIABILITY R30, R35, R39, R159, R162, R163).

About the embedded store: its directory, its file, its copies. The like on a server is in `test_on_postgres`.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from taskdash.cli import COMMANDS
from taskdash.store import datadir
from taskdash.store.migrations import runner
from tests.journeys.commands import Ended, taskdash


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with an empty store, that nobody owns."""
    directory = datadir.lock(tmp_path / "data")
    runner.upgrade(directory.database)
    directory.release()
    return directory.path


def refused(ended: Ended, status: int, part: str) -> None:
    """One sentence, nothing on standard output, no traceback."""
    assert (ended.status, ended.output) == (status, ""), ended
    assert ended.errors.count("\n") == 1, ended.errors
    assert part in ended.errors


async def test_help_names_every_command_and_each_has_its_own() -> None:
    told = await taskdash("--help")
    assert told.status == 0
    assert all(f"  {name} " in told.output for name in COMMANDS)
    for name in COMMANDS:
        own = await taskdash(name, "--help")
        assert own.status == 0, own.errors
        assert own.output.startswith(f"usage: taskdash {name}")


async def test_the_version_is_told() -> None:
    assert (await taskdash("--version")).output == "taskdash 0.1.0\n"


async def test_wrong_use_is_one_sentence_and_exit_2() -> None:
    refused(await taskdash("sevre"), 2, "unknown command 'sevre'; there are serve, demo, run")
    refused(await taskdash("serve", "--htp", "x"), 2, "unrecognized arguments: --htp x")
    refused(await taskdash("db", "backup"), 2, "the following arguments are required: FILE")
    assert (await taskdash()).status == 2


async def test_a_wrong_setting_stops_the_start_with_one_sentence_that_names_it(tmp_path: Path) -> None:
    toml = tmp_path / "taskdash.toml"
    toml.write_text("[liveness]\nmass_hold = 'soon'\n")
    refused(await taskdash("serve", "--config", str(toml)), 2, "setting liveness.mass_hold must be a number of seconds")
    refused(await taskdash("serve", env={"TASKDASH_COLOUR": "red"}), 2, "unknown setting colour (environment TASKDASH_COLOUR)")


async def test_R159_config_show_tells_where_each_value_came_from_and_no_secret(tmp_path: Path) -> None:
    toml = tmp_path / "taskdash.toml"
    toml.write_text("[tcp]\ntoken = 'canary-77'\n[collect]\ninterval = 9\n")
    shown = await taskdash(
        "config", "show", "--config", str(toml), "--http", "127.0.0.1:9", env={"TASKDASH_TIME_ZONE": "Asia/Tokyo"}
    )
    assert shown.status == 0
    lines = {line.split(" = ")[0]: line for line in shown.output.splitlines()}
    assert lines["tcp.token"].split() == ["tcp.token", "=", '"***"', "#", "taskdash.toml:2"]
    assert lines["collect.interval"].endswith("# taskdash.toml:4")
    assert lines["http.listen"].split(" = ")[1].split("  ")[0] == '"127.0.0.1:9"'
    assert lines["time_zone"].endswith("# environment TASKDASH_TIME_ZONE")
    assert "canary-77" not in shown.output
    assert (await taskdash("config", "check", "--config", str(toml))).output == "settings are good\n"


async def test_R163_backup_and_restore(data_dir: Path, tmp_path: Path) -> None:
    at = f"--data-dir={data_dir}"
    copied = await taskdash("db", "backup", str(tmp_path / "b.db"), at)
    assert copied.status == 0
    assert "bytes, checked; 0 services, 0 tasks" in copied.output
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    refused(await taskdash("db", "backup", str(tmp_path / "b.db"), at), 1, "exists already")
    restored = await taskdash("db", "restore", str(tmp_path / "b.db"), at)
    assert restored.status == 0
    assert "the old one is kept as" in restored.output
    assert (await taskdash("db", "check", at)).output == f"{data_dir / 'taskdash.db'} is good\n"


async def test_upgrade_makes_and_checks_a_store(tmp_path: Path) -> None:
    at = f"--data-dir={tmp_path / 'new'}"
    refused(await taskdash("db", "check", at), 1, "there is no store at")
    assert "schema none -> " in (await taskdash("db", "upgrade", at)).output
    assert "nothing to do" in (await taskdash("db", "upgrade", at)).output


async def test_R30_upgrade_and_restore_need_the_server_stopped_and_name_its_pid(data_dir: Path, tmp_path: Path) -> None:
    at = f"--data-dir={data_dir}"
    await taskdash("db", "backup", str(tmp_path / "b.db"), at)
    owner = datadir.lock(data_dir)
    for command in (("upgrade",), ("restore", str(tmp_path / "b.db"))):
        ended = await taskdash("db", *command, at)
        refused(ended, 1, f"is in use by another taskdash (pid {os.getpid()}); stop it first")
    assert (await taskdash("db", "check", at)).status == 0
    assert (await taskdash("db", "backup", str(tmp_path / "c.db"), at)).status == 0
    owner.release()


async def test_R35_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    refused(
        await taskdash("db", "upgrade", f"--data-dir={tmp_path / 'file' / 'x'}"),
        1,
        f"data directory {tmp_path / 'file' / 'x'} cannot be made",
    )


async def test_R39_a_lost_or_foreign_store_is_never_made_anew_and_a_backup_brings_it_back(
    data_dir: Path, tmp_path: Path
) -> None:
    at, store = f"--data-dir={data_dir}", data_dir / "taskdash.db"
    await taskdash("db", "backup", str(tmp_path / "b.db"), at)
    store.write_bytes(b"")
    refused(await taskdash("db", "upgrade", at), 1, "is empty but had been filled; restore a backup")
    assert store.stat().st_size == 0
    store.unlink()
    refused(await taskdash("db", "upgrade", at), 1, "is empty but had been filled; restore a backup")
    with closing(sqlite3.connect(store)) as other:
        other.execute("CREATE TABLE cats (name)")
    refused(await taskdash("db", "upgrade", at), 1, "is a database of another program")
    assert (await taskdash("db", "restore", str(tmp_path / "b.db"), at)).status == 0
    assert (await taskdash("db", "check", at)).status == 0


async def test_R162_what_is_made_is_private(tmp_path: Path) -> None:
    await taskdash("db", "upgrade", f"--data-dir={tmp_path / 'data'}")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}


async def test_the_doctor_says_what_is_wrong_and_what_to_do(data_dir: Path) -> None:
    at = [f"--data-dir={data_dir}", *(f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen"))]
    well = await taskdash("doctor", *at)
    assert (well.status, well.errors) == (0, "")
    assert all(line.startswith("well    ") for line in well.output.splitlines())
    os.chmod(data_dir, 0o755)
    unwell = await taskdash("doctor", *at, "--nsqd", "127.0.0.1:1")
    assert unwell.status == 1
    assert f"UNWELL  data directory {data_dir} can be read by others: chmod 700 {data_dir}\n" in unwell.output
    assert "UNWELL  NSQ at 127.0.0.1:1 does not answer" in unwell.output


async def test_the_doctor_tries_a_protocol_at_an_address() -> None:
    for protocol in ("tcp", "nsq"):
        ended = await taskdash("doctor", protocol, "127.0.0.1:1")
        assert (ended.status, ended.output[:8]) == (1, "UNWELL  ")
    refused(await taskdash("doctor", "tcp", "8701"), 2, "ADDR must be host:port")
