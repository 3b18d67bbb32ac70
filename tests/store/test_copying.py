"""A store moves whole from one engine to the other: `db copy` (issue 5)."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, Table, select

from taskdash.errors import StartRefused, StoreRefused
from taskdash.model.records import NewEvent
from taskdash.rules.fleet import Report
from taskdash.store import copying, events, instances, search, tasks
from taskdash.store.check import check
from taskdash.store.copying import copy
from taskdash.store.database import Database
from taskdash.store.places import File, Place, Server, place_at
from taskdash.store.tables import metadata, store_facts
from tests.postgres import Cluster
from tests.store.test_check import change, filled
from tests.support import NOW, a_task

AWKWARD = ["", "\\N", "\\.\n", "a\tb\\tc", "任务 «ß» 🦊", '{"x": "\\u0001"}', "\x01\x7f", " '\"; --"]


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def pair(request: pytest.FixtureRequest, server: Cluster, tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """(full, empty): an embedded store and a database, either way round."""
    embedded = File(tmp_path / "other" / "taskdash.db")
    with server.fresh("template0") as there:
        source, target = (embedded, there) if request.param == "to PostgreSQL" else (there, embedded)
        with source.owned():
            source.upgrade()
        yield source, target


def a_value(column: Column[Any], number: int) -> Any:
    """One that is hard to carry."""
    if column.nullable and number % 3 == 0:
        return None
    if isinstance(column.type, Boolean):
        return bool(number % 2)
    if isinstance(column.type, Float):
        return number / 10
    if isinstance(column.type, LargeBinary):
        return bytes([0, 255, 92, number])
    if isinstance(column.type, BigInteger) and not column.primary_key:
        return -(2**62) + number
    if isinstance(column.type, Integer):
        return number
    key = f"{number:03}" if column.primary_key or column.unique else ""
    return key + AWKWARD[number % len(AWKWARD)]


def rows_of(place: Place) -> dict[str, Sequence[Any]]:
    with place.open_unchanging().connect() as conn:
        return {t.name: conn.execute(select(t).order_by(*t.primary_key)).all() for t in metadata.sorted_tables}


def fill(place: Place, table: Table, count: int = 10) -> None:
    rows = [{c.name: a_value(c, number) for c in table.columns} for number in range(1, count + 1)]
    with place.open_engine().begin() as conn:
        conn.execute(table.insert(), rows)


def test_every_row_of_every_table_arrives_as_it_was_whatever_it_holds(pair: tuple[Place, Place]) -> None:
    source, target = pair
    for table in metadata.sorted_tables:
        if table.name != "instances":
            fill(source, table)
    counts = copy(source, target)
    assert counts == {t.name: {"instances": 0, "store_facts": 11}.get(t.name, 10) for t in metadata.sorted_tables}
    assert rows_of(target) == rows_of(source)


async def test_what_was_copied_is_well_is_found_by_search_and_its_history_is_guarded(pair: tuple[Place, Place]) -> None:
    source, target = pair
    await filled(source, tasks_of=3)
    db = Database(source)
    db.start()
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id="w1", name="nightly invoices", description="月底对账"))]))
    await db.close()
    copy(source, target)
    assert check(target) == []
    db = Database(target)
    db.start()
    pks = await db.read(lambda conn: [task.pk for task in tasks.load_many(conn, ["w1"]).values()])
    for word in ("invoices", "对账"):
        assert await db.read(lambda conn, q=word: search.candidates(conn, q)) == pks
    for statement in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
        with pytest.raises(StoreRefused):
            await db.write(lambda conn, s=statement: conn.exec_driver_sql(s))
    await db.close()


async def test_numbers_go_on_where_the_source_was_even_when_its_last_rows_are_gone(pair: tuple[Place, Place]) -> None:
    source, target = pair
    await filled(source)
    change(source, "INSERT INTO dead_letters (id, body) VALUES (41, '')", "DELETE FROM dead_letters")
    with source.open_engine().connect() as conn:
        if isinstance(source, Server):
            conn.exec_driver_sql("SELECT setval('dead_letters_id_seq', 41)")
    before = rows_of(source)
    copy(source, target)
    db = Database(target)
    db.start()
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id="next"))]))
    await db.write(
        lambda conn: events.append(conn, [NewEvent(at=NOW, kind="task.changed", subject_type="task", subject_id="next")])
    )
    await db.write(lambda conn: conn.execute(metadata.tables["dead_letters"].insert().values(body=b"")))
    await db.close()
    after = rows_of(target)
    assert after["events"][-1].seq == before["events"][-1].seq + 1
    assert after["tasks"][-1].pk == before["tasks"][-1].pk + 1
    assert [row.id for row in after["dead_letters"]] == [42]


async def test_not_a_byte_of_an_embedded_source_changes_also_when_its_server_was_killed(
    tmp_path: Path, server: Cluster
) -> None:
    source = File(tmp_path / "taskdash.db")
    source.upgrade()
    await filled(source)
    wal = tmp_path / "taskdash.db-wal"
    with closing(sqlite3.connect(source.path)) as conn:
        conn.execute("INSERT INTO views (id, name) VALUES ('v', 'only in the WAL')")
        conn.commit()
        left = {path: path.read_bytes() for path in (source.path, wal)}
    for path, content in left.items():
        path.write_bytes(content)
    with server.fresh() as target:
        assert copy(source, target)["views"] == 1
    assert {path: path.read_bytes() for path in left} == left


async def test_a_source_that_a_server_owns_or_a_target_that_one_serves_is_refused(tmp_path: Path, server: Cluster) -> None:
    source = place_at(f"sqlite:{tmp_path / 'data'}/taskdash.db")
    with source.owned():
        source.upgrade()
        with server.fresh() as target, pytest.raises(StartRefused, match=r"is in use by another taskdash \(pid \d+\)"):
            copy(source, target)
    with server.fresh() as target:
        db = Database(target)
        db.start()
        await db.write(lambda conn: instances.tell(conn, "one", Report()))
        await db.close()
        for pair in ((source, target), (target, File(tmp_path / "new" / "taskdash.db"))):
            with pytest.raises(StartRefused, match="is in use by another taskdash"):
                copy(*pair)


async def test_a_target_that_holds_anything_is_refused_and_keeps_it(pair: tuple[Place, Place]) -> None:
    source, target = pair
    await filled(source)
    with target.owned():
        target.upgrade()
    change(target, "INSERT INTO views (id, name) VALUES ('v', 'mine')")
    with pytest.raises(StartRefused, match="holds views already; give the copy an empty database"):
        copy(source, target)
    assert {name: len(rows) for name, rows in rows_of(target).items() if rows and name != store_facts.name} == {"views": 1}


async def test_a_copy_that_is_cut_off_or_differs_leaves_the_target_empty(
    pair: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    await filled(source)
    monkeypatch.setattr(copying._Digest, "of_all", staticmethod(lambda rows: (len(list(rows)), b"another")))
    with pytest.raises(StartRefused, match="what was read back of clashes differs from the source"):
        copy(source, target)
    monkeypatch.undo()

    def cut(*_any: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "document_of", cut)
    with pytest.raises(KeyboardInterrupt):
        copy(source, target)
    monkeypatch.undo()
    assert not any(rows for name, rows in rows_of(target).items() if name != store_facts.name)
    assert copy(source, target)["tasks"] == 3


def test_a_source_that_is_not_there_or_is_another_programs_is_refused(tmp_path: Path, server: Cluster) -> None:
    with server.fresh() as target:
        with pytest.raises(StartRefused, match="there is no store at"):
            copy(File(tmp_path / "none.db"), target)
        other = File(tmp_path / "cats.db")
        with closing(sqlite3.connect(other.path)) as conn:
            conn.execute("CREATE TABLE cats (name)")
        with pytest.raises(StartRefused, match="is a database of another program"):
            copy(other, target)
    with server.fresh("template0") as foreign:
        change(foreign, "CREATE TABLE cats (name TEXT)")
        source = File(tmp_path / "taskdash.db")
        source.upgrade()
        with pytest.raises(StartRefused, match="holds the tables of another program"):
            copy(source, foreign)


def test_a_url_of_a_store_names_its_engine(tmp_path: Path) -> None:
    assert place_at(f"sqlite:{tmp_path}") == File(tmp_path / "taskdash.db")
    assert place_at(f"sqlite:{tmp_path}/b.db") == File(tmp_path / "b.db")
    assert place_at("postgresql://h/d") == Server("postgresql://h/d")
    for wrong in ("mysql://h/d", "taskdash.db", "sqlite:"):
        with pytest.raises(StartRefused, match=r"a store is sqlite:PATH or postgresql://…"):
            place_at(wrong)
