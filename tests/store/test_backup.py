"""Backup, restore and check of the embedded store (RELIABILITY R21, R39, R162, R163, F9)."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from taskdash.errors import StartRefused
from taskdash.model.records import NewEvent
from taskdash.store import datadir, events
from taskdash.store.backup import backup, restore
from taskdash.store.backup_files import sha256_path
from taskdash.store.check import check
from taskdash.store.database import Database
from taskdash.store.migrations import runner
from taskdash.store.places import File
from tests.store.test_check import filled
from tests.support import NOW

COPIES = 100 if os.environ.get("LONG_FAULTS") else 5


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[datadir.DataDir]:
    directory = datadir.lock(tmp_path / "data")
    runner.upgrade(directory.database)
    yield directory
    directory.release()


def an_event(number: int) -> NewEvent:
    return NewEvent(
        at=NOW + number, kind="task.changed", subject_type="task", subject_id=str(number), after={"name": "x" * 500}
    )


def lines_of_history(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as conn:
        return list(conn.execute("SELECT seq, subject_id FROM events ORDER BY seq"))


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(statement)
        conn.commit()


def overwrite_the_pages_of(path: Path, table: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        root = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
        page_bytes = conn.execute("PRAGMA page_size").fetchone()[0]
    with open(path, "r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)


async def test_R163_a_backup_under_load_opens_and_is_a_prefix_of_history(owned: datadir.DataDir, tmp_path: Path) -> None:
    database = Database(File(owned.database))
    database.start()
    await database.write(lambda conn: events.append(conn, [an_event(n) for n in range(20_000)]))  # more than one step copies
    going_on = True

    async def load(lane: int) -> None:
        number = lane
        while going_on:
            await database.write(lambda conn, n=number: events.append(conn, [an_event(n)]))
            number += 10

    lanes = [asyncio.create_task(load(lane)) for lane in range(10)]
    copies = [await asyncio.to_thread(backup, owned.database, tmp_path / f"{n}.db") for n in range(COPIES)]
    going_on = False
    await asyncio.gather(*lanes)
    await database.close()
    history = lines_of_history(owned.database)
    lengths = []
    for copied in copies:
        part = lines_of_history(copied.path)
        assert part == history[: len(part)]
        assert copied.rows["events"] == len(part)
        lengths.append(len(part))
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


async def test_R162_R163_a_backup_is_private_and_has_its_sha256_beside_it(owned: datadir.DataDir, tmp_path: Path) -> None:
    await filled(File(owned.database))
    copied = backup(owned.database, tmp_path / "b.db")
    assert copied.path.stat().st_mode & 0o777 == 0o600
    assert sha256_path(copied.path).read_text() == f"{copied.sha256}  b.db\n"
    assert sha256_path(copied.path).stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["b.db", "b.db.sha256", "data"]


def test_a_backup_never_overwrites_a_file(owned: datadir.DataDir, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(StartRefused, match="exists already"):
        backup(owned.database, tmp_path / "b.db")
    assert (tmp_path / "b.db").read_text() == "mine"


def test_a_backup_of_nothing_and_into_nowhere_is_refused(owned: datadir.DataDir, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="there is no store at"):
        backup(tmp_path / "none.db", tmp_path / "b.db")
    with pytest.raises(StartRefused, match="cannot be written"):
        backup(owned.database, tmp_path / "no such directory" / "b.db")


async def test_R163_a_restore_brings_back_that_moment_and_keeps_the_old_store(owned: datadir.DataDir, tmp_path: Path) -> None:
    await filled(File(owned.database))
    copied = backup(owned.database, tmp_path / "b.db")
    change(owned.database, "DELETE FROM tasks")
    kept = restore(owned.database, copied.path, NOW)
    assert kept is not None
    with closing(sqlite3.connect(owned.database)) as conn:
        assert conn.execute("SELECT count(*) FROM tasks").fetchone() == (3,)
        assert conn.execute("SELECT kind, after FROM events ORDER BY seq DESC").fetchone() == (
            "store.restored",
            '{"from":"b.db"}',
        )
    with closing(sqlite3.connect(kept)) as conn:
        assert conn.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    assert check(File(owned.database)) == []
    assert owned.database.stat().st_mode & 0o777 == 0o600


async def test_R21_the_wal_that_a_killed_server_left_goes_with_the_old_store_not_into_the_new_one(
    owned: datadir.DataDir, tmp_path: Path
) -> None:
    await filled(File(owned.database))
    copied = backup(owned.database, tmp_path / "b.db")
    with closing(sqlite3.connect(owned.database)) as conn:
        conn.execute("DELETE FROM tasks")
        conn.commit()
        left = {path: path.read_bytes() for path in (owned.database, owned.path / "taskdash.db-wal")}
    for path, content in left.items():
        path.write_bytes(content)
    kept = restore(owned.database, copied.path, NOW)
    assert kept
    for path, count in ((owned.database, 3), (kept, 0)):
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("SELECT count(*) FROM tasks").fetchone() == (count,)


async def test_R21_a_restore_that_is_killed_before_the_rename_leaves_the_old_store(
    owned: datadir.DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = backup(owned.database, tmp_path / "b.db")
    await filled(File(owned.database))

    def killed(*_paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(owned.database, copied.path, NOW)
    with closing(sqlite3.connect(owned.database)) as conn:
        assert conn.execute("SELECT count(*) FROM tasks").fetchone() == (3,)
    assert check(File(owned.database)) == []


def test_R163_a_backup_that_was_changed_is_refused_and_nothing_changes(owned: datadir.DataDir, tmp_path: Path) -> None:
    copied = backup(owned.database, tmp_path / "b.db")
    before = owned.database.read_bytes()
    content = bytearray(copied.path.read_bytes())
    content[5000] ^= 1
    copied.path.write_bytes(content)
    with pytest.raises(StartRefused, match="is not what was backed up"):
        restore(owned.database, copied.path, NOW)
    assert owned.database.read_bytes() == before


def test_R39_a_file_that_is_no_store_is_refused(owned: datadir.DataDir, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    change(other, "CREATE TABLE cats (name)")
    empty = tmp_path / "empty.db"
    empty.touch()
    for path, reason in (
        (other, "of another program"),
        (empty, "holds no TaskDash store"),
        (tmp_path / "none", "cannot be used|no TaskDash"),
    ):
        with pytest.raises(StartRefused, match=reason):
            restore(owned.database, path, NOW)
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(os.urandom(10_000))
    with pytest.raises(StartRefused, match="SQLITE_NOTADB"):
        restore(owned.database, garbage, NOW)


async def test_R38_check_names_a_damaged_page(owned: datadir.DataDir) -> None:
    await filled(File(owned.database), tasks_of=500)
    overwrite_the_pages_of(owned.database, "tasks")
    problems = check(File(owned.database))
    assert problems
    assert all(p.startswith(("SQLite: ", "the store cannot be read: SQLITE_CORRUPT")) for p in problems)
