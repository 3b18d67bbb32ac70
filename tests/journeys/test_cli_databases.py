"""`taskdash db` on PostgreSQL as an operator runs it (SPEC 9; issue 5)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskdash.store.places import File, Server
from tests.journeys.commands import begin, taskdash
from tests.journeys.test_cli_store import refused
from tests.postgres import Cluster
from tests.serving import serving
from tests.store.test_check import change, filled
from tests.support import eventually


@pytest.fixture
def empty(server: Cluster) -> Iterator[Server]:
    with server.fresh("template0") as place:
        yield place


async def test_a_team_that_outgrows_one_machine_moves_to_postgresql_and_signs_in_as_before(
    empty: Server, tmp_path: Path
) -> None:
    source, target = f"--from=sqlite:{tmp_path / 'data'}", f"--to={empty.url}"
    async with serving(tmp_path / "data") as server:
        password = server.admin
        made = await taskdash("token", "create", "--user=admin", "--name=mover", f"--data-dir={tmp_path / 'data'}")
        assert made.status == 0, made
        refused(await taskdash("db", "copy", source, target), 1, f"(pid {server.process.pid}); stop it first")
        assert await server.stop() == 0
    moved = await taskdash("db", "copy", source, target)
    assert moved.status == 0, moved
    assert moved.output.startswith(f"{empty} holds what {tmp_path / 'data' / 'taskdash.db'} holds, read back and compared: ")
    assert "1 tokens" in moved.output
    refused(await taskdash("db", "copy", source, target), 1, "give the copy an empty database")
    async with serving(tmp_path / "other", f"--db={empty.url}") as server, server.signed_in("admin", password):
        assert server.admin == ""
        assert (await taskdash("db", "check", f"--db={empty.url}")).output == f"{empty} is good\n"
        assert await server.stop() == 0
    back = await taskdash("db", "copy", f"--to=sqlite:{tmp_path / 'back' / 'taskdash.db'}", env={"TASKDASH_DB": empty.url})
    assert back.status == 0, back
    assert (await taskdash("db", "check", f"--data-dir={tmp_path / 'back'}")).status == 0


async def test_wrong_use_of_copy_is_one_sentence(tmp_path: Path) -> None:
    refused(await taskdash("db", "copy"), 2, "name the store to copy by --from, or the one to fill by --to")
    refused(await taskdash("db", "copy", "--to=mysql://x"), 2, "a store is sqlite:PATH or postgresql://…, not mysql:…")
    refused(
        await taskdash("db", "copy", f"--from=sqlite:{tmp_path}/none.db", f"--data-dir={tmp_path}"), 1, "there is no store at"
    )


async def test_R163_a_database_is_backed_up_beside_its_server_and_restored_once_it_has_stopped(
    empty: Server, tmp_path: Path
) -> None:
    at, file = f"--db={empty.url}", str(tmp_path / "b.dump")
    refused(await taskdash("db", "backup", file, at), 1, f"there is no store at {empty}")
    async with serving(tmp_path / "data", at) as server:
        copied = await taskdash("db", "backup", file, at)
        assert "bytes, checked; 0 services, 0 tasks, 2 events, 1 users; sha256 " in copied.output, copied
        refused(await taskdash("db", "backup", file, at), 1, "exists already")
        assert await server.stop() == 0
    assert (
        await taskdash("user", "add", "ssx", "--role=member", "--password-stdin", at, text="seven bright lanterns\n")
    ).status == 0
    restored = await taskdash("db", "restore", file, at)
    assert restored.output.startswith(f"{file} is the store now; the old one is kept as {file}.before-restore-"), restored
    assert "ssx" not in (await taskdash("user", "list", at)).output
    assert (await taskdash("db", "check", at)).output == f"{empty} is good\n"


WRITES = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"


async def killed_while_it_writes(place: Server, *arguments: str) -> None:
    """Runs `taskdash ARGUMENTS` until it has changed something, kills it there, and waits until that is undone."""
    with psycopg.connect(place.url, autocommit=True) as watching:

        def writers() -> int:
            row = watching.execute(WRITES).fetchone()
            return int(row[0]) if row else 0

        process = await begin(*arguments)
        await eventually(writers, 30)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await eventually(lambda: not writers())


async def test_R21_a_copy_or_a_restore_that_is_killed_leaves_what_was_there(server: Cluster, tmp_path: Path) -> None:
    source = File(tmp_path / "data" / "taskdash.db")
    with source.owned():
        source.upgrade()
    await filled(source, tasks_of=3_000)
    with server.fresh() as there:
        move = ("db", "copy", f"--from=sqlite:{source.path}", f"--to={there.url}")
        await killed_while_it_writes(there, *move)
        assert counted(there) == 0
        assert (await taskdash(*move)).status == 0
        early = there.backup(tmp_path / "early")
        change(there, "DELETE FROM tasks WHERE id = 't7'")
        await killed_while_it_writes(there, "db", "restore", str(early.path), f"--db={there.url}")
        assert counted(there) == 2_999
        assert (await taskdash("db", "restore", str(early.path), f"--db={there.url}")).status == 0
        assert counted(there) == 3_000


def counted(place: Server) -> int:
    with place.open_unchanging().connect() as conn:
        return int(conn.exec_driver_sql("SELECT count(*) FROM tasks").scalar_one())
