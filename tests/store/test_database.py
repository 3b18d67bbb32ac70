"""The store's door: group commit, refusals, limits (RELIABILITY R1, R2, R28, R30)."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from taskdash.errors import Busy, StartRefused, StoreRefused, UnknownTask
from taskdash.model.instants import seconds
from taskdash.model.records import NewEvent
from taskdash.store import datadir, events, services, sqlite
from taskdash.store.database import Database
from taskdash.store.migrations import runner
from taskdash.store.places import File, Place
from tests.schemas import make_newer
from tests.support import NOW, a_place, a_service, eventually


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Database]:
    place = File(tmp_path / "taskdash.db")
    place.upgrade()
    database = Database(place)
    database.start()
    yield database
    await database.close()


def committed_ids(place: Place) -> set[str]:
    with place.open_readers().connect() as other:
        return {row[0] for row in other.exec_driver_sql("SELECT id FROM services")}


async def test_R1_a_write_is_answered_only_when_another_connection_sees_it(db: Database) -> None:
    await db.write(lambda conn: services.save(conn, [a_service(id="a")]))
    assert committed_ids(db.place) == {"a"}


async def test_R2_of_a_batch_only_the_refused_write_is_undone(db: Database) -> None:
    def half(conn: Connection) -> None:
        services.save(conn, [a_service(id="half")])
        raise UnknownTask("no task has the id '9'")

    outcomes = await asyncio.gather(
        db.write(lambda conn: services.save(conn, [a_service(id="a")])),
        db.write(half),
        db.write(lambda conn: services.save(conn, [a_service(id="b")])),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], UnknownTask)
    assert committed_ids(db.place) == {"a", "b"}


async def test_what_waits_is_committed_together(db: Database) -> None:
    commits = []
    db.on_commit = lambda _told: commits.append(1)
    gate = threading.Event()
    first = asyncio.create_task(db.write(lambda _conn: gate.wait(10)))
    await asyncio.sleep(0)
    others = [asyncio.create_task(db.write(lambda conn, i=i: services.save(conn, [a_service(id=f"s{i}")]))) for i in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert len(commits) <= 2
    assert len(committed_ids(db.place)) == 50


async def test_R28_a_database_that_another_process_holds_refuses_and_recovers(
    embedded: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []
    db, path = embedded, tmp_path / "taskdash.db"
    db.on_refused = reasons.append
    await db.write(lambda conn: conn.exec_driver_sql("PRAGMA busy_timeout=50").close())
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreRefused, match="SQLITE_BUSY"):
            await db.write(lambda conn: services.save(conn, [a_service(id="a")]))
        other.execute("ROLLBACK")
    await eventually(lambda: reasons[-1:] == [""])
    assert reasons[0].startswith("the store refused")
    await db.write(lambda conn: services.save(conn, [a_service(id="b")]))
    assert committed_ids(db.place) == {"b"}


async def test_a_query_over_its_limit_is_stopped_and_the_reader_serves_on(db: Database) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(Busy):
        await db.read(lambda conn: conn.exec_driver_sql(endless).all(), limit_s=0.05)
    assert await db.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar()) == 1


async def test_closing_stores_what_waits_and_leaves_no_wal(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    database = Database(a_place(tmp_path))
    database.start()
    waiting = [asyncio.create_task(database.write(lambda c, i=i: services.save(c, [a_service(id=f"s{i}")]))) for i in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*waiting)
    assert "taskdash.db-wal" not in os.listdir(tmp_path)
    assert len(committed_ids(File(path))) == 20
    with pytest.raises(StoreRefused, match="stopping"):
        await database.write(lambda _conn: None)


async def test_R37_closing_empties_the_wal_even_when_its_own_connection_is_not_the_last(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    database = Database(a_place(tmp_path))
    database.start()
    other = sqlite3.connect(path)
    other.execute("SELECT count(*) FROM services").fetchone()
    await database.write(lambda conn: services.save(conn, [a_service()]))
    await database.close()
    assert path.with_name("taskdash.db-wal").stat().st_size == 0
    other.close()


async def test_R29_a_mistake_in_the_writer_is_told_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(place)
    deaths: list[BaseException] = []
    database.on_death = deaths.append
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    database.start()

    def dies(_conn: Connection) -> None:
        raise SystemExit(3)

    waiting = asyncio.create_task(database.write(dies))
    await eventually(lambda: deaths)
    waiting.cancel()


def test_R30_a_data_directory_has_one_owner_and_the_second_learns_its_pid(tmp_path: Path) -> None:
    owner = datadir.lock(tmp_path / "data")
    with pytest.raises(StartRefused, match=r"pid \d+"):
        datadir.lock(tmp_path / "data")
    owner.release()
    datadir.lock(tmp_path / "data").release()


def test_R162_data_directory_and_lock_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    datadir.lock(directory).release()
    datadir.keep_reserve(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in directory.iterdir()} == {0o600}


def test_R39_an_emptied_store_is_refused_and_never_silently_new(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    for file in tmp_path.glob("taskdash.db*"):
        file.write_bytes(b"")
    with pytest.raises(StartRefused, match="had been filled"):
        runner.upgrade(path)


def test_R39_a_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    with pytest.raises(StartRefused, match="another program"):
        runner.upgrade(path)
    assert path.read_bytes() == before


def test_R17_a_newer_store_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    make_newer(File(path), "9999", "9998")
    with pytest.raises(StartRefused, match="newer TaskDash"):
        runner.upgrade(path)


async def test_R7_seq_numbers_follow_commit_order_and_are_not_reused(db: Database) -> None:
    new = NewEvent(at=NOW, kind="task.registered", subject_type="task", subject_id="1")

    def refused(conn: Connection) -> None:
        events.append(conn, [new])
        raise UnknownTask("undone")

    await db.write(lambda conn: events.append(conn, [new, new]))
    with pytest.raises(UnknownTask):
        await db.write(refused)
    await db.write(lambda conn: events.append(conn, [new]))
    found = await db.read(lambda conn: events.after(conn, 0))
    assert [e.seq for e in found] == sorted({e.seq for e in found})
    assert len(found) == 3


async def test_R160_history_cannot_be_changed_and_only_old_events_of_no_binding_can_go(db: Database) -> None:
    def happened(kind: str, at: int) -> NewEvent:
        return NewEvent(at=at, kind=kind, subject_type="task", subject_id="1")

    old, young = NOW - seconds(100), NOW
    kinds = [("task.changed", old), ("task.claimed", old), ("user.added", old), ("task.changed", young)]
    await db.write(lambda conn: events.append(conn, [happened(kind, at) for kind, at in kinds]))
    with pytest.raises(StoreRefused, match=r"TRIGGER|RaiseException"):
        await db.write(lambda conn: conn.exec_driver_sql("UPDATE events SET actor_id = 'me'").close())
    assert await db.write(lambda conn: events.purge(conn, NOW - seconds(1))) == 1
    for seq in (2, 3, 4):
        with pytest.raises(StoreRefused, match=r"TRIGGER|RaiseException"):
            await db.write(lambda conn, seq=seq: conn.exec_driver_sql(f"DELETE FROM events WHERE seq={seq}").close())
    assert [e.seq for e in await db.read(lambda conn: events.after(conn, 0))] == [2, 3, 4]
