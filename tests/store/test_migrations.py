"""The schema that the migrations make is the one that the program uses (DESIGN 4)."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from taskdash.store.migrations import runner
from taskdash.store.places import Place
from taskdash.store.tables import metadata, tasks
from tests.postgres import Cluster


def test_the_migrations_make_every_table_column_and_index_of_the_program(place: Place) -> None:
    with place.open_engine().connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "include_name": _is_ours})
        assert compare_metadata(context, metadata) == []


def test_on_a_server_every_text_is_compared_byte_for_byte_whatever_its_language_is(server: Cluster) -> None:
    with server.fresh() as place, place.open_engine().connect() as conn:
        query = (
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        )
        assert conn.exec_driver_sql(query).all() == []


def test_a_partial_index_of_the_program_is_the_one_that_the_migrations_make(place: Place) -> None:
    """Alembic does not compare conditions."""
    with place.open_engine().connect() as conn:
        made = {index["name"]: index["dialect_options"] for index in inspect(conn).get_indexes("tasks")}
        dialect = conn.dialect.name
        wanted = {index.name: index.dialect_options[dialect]["where"] for index in tasks.indexes}
        for name, where in wanted.items():
            is_partial = f"{dialect}_where" in made[str(name)]
            assert is_partial == (where is not None), name


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
