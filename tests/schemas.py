"""Schemas of other versions than this program's: of a release that is not there yet, or no more."""

import pytest

from taskdash.store.migrations import steps
from taskdash.store.places import Place


def make_newer(place: Place, revision: str, works_with: str, *changes: str) -> None:
    """What the steps of a newer release leave: its changes, its revision, and whose programs may still work on it."""
    dialect = place.dialect
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        dialect.begin(conn)
        for change in (
            *changes,
            f"UPDATE alembic_version SET version_num = '{revision}'",
            f"UPDATE store_facts SET value = '{works_with}' WHERE key = '{steps.WORKS_WITH}'",
        ):
            conn.exec_driver_sql(change)
        dialect.commit(conn)


def make_older(place: Place, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store as the program of that revision made it."""
    with monkeypatch.context() as older:
        older.setattr(steps, "HEAD", revision)
        older.setattr(steps, "OLDEST", revision)
        place.upgrade()
