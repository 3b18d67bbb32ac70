"""The schema that the migrations make is the one that the program uses (DESIGN 4)."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from taskdash.store import sqlite
from taskdash.store.migrations import runner
from taskdash.store.tables import metadata


def test_the_migrations_make_every_table_column_and_index_of_the_program(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    with sqlite.open_engine(path).connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "include_name": _is_ours})
        assert compare_metadata(context, metadata) == []


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not (name or "").startswith("task_grams")


def test_a_store_says_what_it_is_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA application_id").fetchone() == (runner.APPLICATION_ID,)
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == (runner.HEAD,)


def test_an_upgrade_of_a_current_store_changes_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    before = path.read_bytes()
    runner.upgrade(path)
    assert path.read_bytes() == before
