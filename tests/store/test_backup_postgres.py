"""Backup and restore of a database (RELIABILITY R21, R162, R163)."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from taskdash.errors import StartRefused
from taskdash.rules.fleet import Report
from taskdash.store import archive, backup_postgres, events, instances, programs_postgres
from taskdash.store.backup_files import sha256_path
from taskdash.store.check import check
from taskdash.store.copying import copy
from taskdash.store.database import Database
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import File, Server
from taskdash.store.tables import metadata
from tests.postgres import Cluster, cluster
from tests.store.test_backup import an_event
from tests.store.test_check import change, filled
from tests.store.test_copying import fill
from tests.support import NOW


@pytest.fixture
def there(server: Cluster) -> Iterator[Server]:
    with server.fresh() as place:
        yield place


@pytest.fixture
def empty(server: Cluster) -> Iterator[Server]:
    with server.fresh("template0") as place:
        yield place


def rows_of(place: Server) -> dict[str, Sequence[Any]]:
    with place.open_unchanging().connect() as conn:
        return {t.name: conn.execute(select(t).order_by(*t.primary_key)).all() for t in metadata.sorted_tables}


def history(place: Server) -> list[str]:
    return [event.kind for event in rows_of(place)["events"]]


async def test_R163_every_row_of_every_table_comes_back_whatever_it_holds(there: Server, empty: Server, tmp_path: Path) -> None:
    for table in metadata.sorted_tables:
        if table.name != "instances":
            fill(there, table)
    change(there, "SELECT setval('events_seq_seq', 10)")
    copied = there.backup(tmp_path / "b")
    before = rows_of(there)
    assert {name: copied.rows[name] for name in before} == {name: len(rows) for name, rows in before.items()}
    assert empty.restore(copied.path, NOW) is None
    after = rows_of(empty)
    assert after["events"].pop().kind == "store.restored"  # type: ignore[attr-defined]
    assert after == before


async def test_R163_a_restored_store_is_well_guards_its_history_and_counts_on(
    there: Server, empty: Server, tmp_path: Path
) -> None:
    await filled(there)
    empty.restore(there.backup(tmp_path / "b").path, NOW)
    assert check(empty) == []
    with pytest.raises(Exception, match="history is append-only"):
        change(empty, "DELETE FROM events")
    db = Database(empty)
    db.start()
    await db.write(lambda conn: events.append(conn, [an_event(1)]))
    await db.close()
    assert [event.seq for event in rows_of(empty)["events"]] == [1, 2, 3, 4]


async def test_R162_R163_a_backup_is_private_has_its_sha256_beside_it_and_overwrites_nothing(
    there: Server, tmp_path: Path
) -> None:
    copied = there.backup(tmp_path / "b")
    for path in (copied.path, sha256_path(copied.path)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert sha256_path(copied.path).read_text() == f"{copied.sha256}  b\n"
    assert sorted(os.listdir(tmp_path)) == ["b", "b.sha256"]
    with pytest.raises(StartRefused, match="exists already"):
        there.backup(copied.path)


async def test_R163_a_backup_under_load_is_one_moment_and_a_prefix_of_history(
    there: Server, empty: Server, tmp_path: Path
) -> None:
    db = Database(there)
    db.start()
    going_on = True

    async def load(lane: int) -> None:
        number = lane
        while going_on:
            await db.write(lambda conn, n=number: events.append(conn, [an_event(n)]))
            number += 10

    lanes = [asyncio.create_task(load(lane)) for lane in range(5)]
    copies = [await asyncio.to_thread(there.backup, tmp_path / f"{n}") for n in range(3)]
    going_on = False
    await asyncio.gather(*lanes)
    await db.close()
    all_of_it = [event.subject_id for event in rows_of(there)["events"]]
    lengths = [copied.rows["events"] for copied in copies]
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]
    empty.restore(copies[-1].path, NOW)
    part = [event.subject_id for event in rows_of(empty)["events"]][:-1]
    assert part == all_of_it[: lengths[-1]]


async def test_R163_a_copy_that_does_not_hold_what_the_store_holds_gets_no_name(
    there: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(there)
    monkeypatch.setattr(archive, "rows", lambda _path: {"tasks": 2})
    with pytest.raises(StartRefused, match="does not hold what the store holds"):
        there.backup(tmp_path / "b")
    assert os.listdir(tmp_path) == []


async def test_R163_a_restore_keeps_the_old_store_in_a_backup_that_brings_it_back(there: Server, tmp_path: Path) -> None:
    early = there.backup(tmp_path / "early")
    await filled(there)
    kept = there.restore(early.path, NOW)
    assert kept is not None
    assert kept.name.startswith("early.before-restore-")
    assert history(there) == ["store.restored"]
    assert there.restore(kept, NOW)
    assert history(there) == ["task.registered", "task.claimed", "store.restored"]
    assert check(there) == []


async def test_R21_a_restore_that_is_cut_off_anywhere_leaves_the_old_store(
    there: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = there.backup(tmp_path / "early")
    await filled(there)
    before = rows_of(there)

    def cut(*_any: object) -> None:
        raise KeyboardInterrupt

    for later, (module, name) in enumerate(
        ((backup_postgres, "_bring_back"), (backup_postgres.steps, "stored"), (events, "append"))
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, cut)
            with pytest.raises(KeyboardInterrupt):
                there.restore(early.path, NOW + 1_000 * later)
        assert rows_of(there) == before
    assert check(there) == []


async def test_while_instances_serve_it_a_store_is_not_replaced(there: Server, tmp_path: Path) -> None:
    copied = there.backup(tmp_path / "b")
    db = Database(there)
    db.start()
    await db.write(lambda conn: instances.tell(conn, "one", Report()))
    await db.close()
    with pytest.raises(StartRefused, match="is in use by another taskdash"):
        there.restore(copied.path, NOW)
    assert history(there) == []


async def test_R163_a_backup_that_was_changed_or_is_none_is_refused_and_nothing_changes(there: Server, tmp_path: Path) -> None:
    await filled(there)
    copied = there.backup(tmp_path / "b")
    content = bytearray(copied.path.read_bytes())
    content[-1_000] ^= 1
    copied.path.write_bytes(content)
    before = rows_of(there)
    with pytest.raises(StartRefused, match="is not what was backed up"):
        there.restore(copied.path, NOW)
    sha256_path(copied.path).unlink()
    (tmp_path / "half").write_bytes(content[: len(content) // 2])
    (tmp_path / "text").write_text("nothing")
    for name, reason in (("half", "pg_restore failed: "), ("text", "holds no TaskDash store"), ("none", "cannot be read")):
        with pytest.raises(StartRefused, match=reason):
            there.restore(tmp_path / name, NOW)
    assert rows_of(there) == before


def test_R39_a_database_of_another_program_is_not_restored_into_and_its_dump_is_not_restored(
    server: Cluster, there: Server, tmp_path: Path
) -> None:
    copied = there.backup(tmp_path / "b")
    with server.fresh("template0") as cats:
        change(cats, "CREATE TABLE cats (name TEXT)", "INSERT INTO cats VALUES ('Tom')")
        with pytest.raises(StartRefused, match="holds the tables of another program"):
            cats.restore(copied.path, NOW)
        programs_postgres.run(
            programs_postgres.found("pg_dump"),
            "--format=custom",
            f"--file={tmp_path / 'cats'}",
            environment=programs_postgres.environment_of(cats.url),
        )
    with pytest.raises(StartRefused, match="cats holds no TaskDash store"):
        there.restore(tmp_path / "cats", NOW)


def test_R17_the_backup_of_a_newer_taskdash_is_refused_and_that_of_an_older_one_is_upgraded(
    there: Server, tmp_path: Path
) -> None:
    change(
        there,
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE store_facts SET value = '9998' WHERE key = 'works_with'",
    )
    program = programs_postgres
    program.run(
        program.found("pg_dump"),
        "--format=custom",
        f"--file={tmp_path / 'newer'}",
        environment=programs_postgres.environment_of(there.url),
    )
    change(there, "UPDATE alembic_version SET version_num = '0001'", "DROP TABLE instances, leases, tries")
    change(there, *(f"ALTER TABLE {name} DROP COLUMN instance" for name in ("vouched", "idempotency")))
    program.run(
        program.found("pg_dump"),
        "--format=custom",
        f"--file={tmp_path / 'older'}",
        environment=programs_postgres.environment_of(there.url),
    )
    there.upgrade()
    with pytest.raises(StartRefused, match=r"newer is of a newer TaskDash \(schema 9999"):
        there.restore(tmp_path / "newer", NOW)
    there.restore(tmp_path / "older", NOW)
    assert there.revision() == HEAD
    assert check(there) == []


def test_the_backup_of_one_engine_is_refused_by_the_other_which_names_the_way(there: Server, tmp_path: Path) -> None:
    embedded = File(tmp_path / "data" / "taskdash.db")
    with embedded.owned():
        embedded.upgrade()
    one, other = embedded.backup(tmp_path / "one.db"), there.backup(tmp_path / "other")
    with pytest.raises(StartRefused, match=f"`taskdash db copy --from sqlite:{one.path} --to postgresql://…`"):
        there.restore(one.path, NOW)
    with pytest.raises(StartRefused, match=r"is a backup of PostgreSQL: restore it .*`taskdash db copy --from postgresql"):
        embedded.restore(other.path, NOW)
    with closing(sqlite3.connect(embedded.path)) as conn:
        assert conn.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_schema_of_its_own_is_backed_up_alone_and_comes_back_only_there(there: Server, tmp_path: Path) -> None:
    own = Server(f"{there.url}?options=-csearch_path%3Dtd")
    change(there, 'CREATE SCHEMA "td"')
    own.upgrade()
    change(own, "INSERT INTO views (id, name) VALUES ('v', 'mine')")
    copied = own.backup(tmp_path / "b")
    assert copied.rows["views"] == 1
    change(own, "DELETE FROM views")
    with pytest.raises(StartRefused, match="b holds tables of the schema td, and the url of the store leads to public"):
        there.restore(copied.path, NOW)
    own.restore(copied.path, NOW)
    assert (len(rows_of(own)["views"]), history(own), history(there)) == (1, ["store.restored"], [])


async def test_no_more_rights_are_needed_than_those_of_the_databases_owner(
    server: Cluster, there: Server, tmp_path: Path
) -> None:
    await filled(there)
    for statement in ("CREATE ROLE plain LOGIN", "CREATE DATABASE plain OWNER plain TEMPLATE template0"):
        server.do(statement)
    own = Server(server.place("plain").url.replace("taskdash@", "plain@"))
    assert own.restore(there.backup(tmp_path / "b").path, NOW) is None
    assert own.restore(own.backup(tmp_path / "own").path, NOW)
    assert check(own) == []
    embedded = File(tmp_path / "data" / "taskdash.db")
    copy(own, embedded)
    for statement in ("DROP DATABASE plain", "CREATE DATABASE plain OWNER plain TEMPLATE template0"):
        server.do(statement)
    copy(embedded, own)
    assert check(own) == []
    for statement in ("DROP DATABASE plain", "DROP ROLE plain"):
        server.do(statement)


def test_of_several_hosts_the_one_that_answers_is_backed_up(there: Server, tmp_path: Path) -> None:
    several = Server(there.url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:"))
    assert several.backup(tmp_path / "b").rows["events"] == 0


def test_without_postgresqls_programs_it_says_what_to_install(
    there: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs_postgres, "_USUAL", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartRefused, match=r"pg_dump of PostgreSQL \d+ or newer is not on this machine: install"):
        there.backup(tmp_path / "b")
    assert os.listdir(tmp_path) == []


def test_R159_a_password_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim, told = tmp_path / "bin" / "pg_dump", tmp_path / "told"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho "$@" >> {told}\nexec {programs_postgres.found("pg_dump")} "$@"\n')
    shim.chmod(0o755)
    with cluster() as own:
        own.do("ALTER ROLE taskdash PASSWORD 's3cret'")
        (own.directory / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
        guarded = Server(own.place("made").url.replace("taskdash@", "taskdash:s3cret@"))
        own.do("SELECT pg_reload_conf()")
        with monkeypatch.context() as patched:
            patched.setattr(programs_postgres, "_USUAL", tmp_path / "none")
            patched.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
            assert guarded.backup(tmp_path / "b").rows["events"] == 0
    assert "--format=custom" in told.read_text()
    assert "s3cret" not in told.read_text()
