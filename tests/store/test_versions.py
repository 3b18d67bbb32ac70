"""Programs and schemas of different versions: a newer one beside an older one, and data that is carried over (R17, R56)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import op
from sqlalchemy import inspect

from taskdash.errors import StartRefused
from taskdash.store import tasks
from taskdash.store.check import check
from taskdash.store.database import Database
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import File, Place
from tests.postgres import Cluster
from tests.schemas import make_newer, make_older
from tests.store.test_check import change, filled
from tests.support import NOW, a_task

EXPANDED = (
    "ALTER TABLE tasks ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'",
    "CREATE TABLE colours (name TEXT NOT NULL PRIMARY KEY)",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def unmade(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Room for a store on each of the two engines."""
    if request.param == "sqlite":
        yield File(tmp_path / "taskdash.db")
        return
    cluster: Cluster = request.getfixturevalue("server")
    with cluster.fresh("template0") as there:
        yield there


async def test_R17_data_of_the_first_schema_is_all_there_after_the_upgrade(
    unmade: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(unmade, "0001", monkeypatch)
    await filled(unmade)
    change(
        unmade,
        "INSERT INTO vouched (task_id) VALUES ('t1')",
        "INSERT INTO idempotency (key, request_digest, status) VALUES ('k', 'd', 200)",
    )
    assert unmade.revision() == "0001"
    unmade.upgrade()
    assert unmade.revision() == HEAD
    assert check(unmade) == []
    with unmade.open_unchanging().connect() as conn:
        assert conn.exec_driver_sql("SELECT task_id, instance FROM vouched").all() == [("t1", "")]
        assert conn.exec_driver_sql("SELECT key, status, instance FROM idempotency").all() == [("k", 200, "")]
        assert sorted(tasks.load_many(conn, ["t0", "t1", "t2"])) == ["t0", "t1", "t2"]
        assert conn.exec_driver_sql("SELECT count(*) FROM events").scalar() == 2


async def test_R21_an_upgrade_that_is_cut_off_leaves_the_older_schema_whole(
    unmade: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(unmade, "0001", monkeypatch)
    await filled(unmade)

    def cut(*_any: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(op, "add_column", cut)
        with pytest.raises(KeyboardInterrupt):
            unmade.upgrade()
    assert unmade.revision() == "0001"
    with unmade.open_unchanging().connect() as conn:
        assert "instances" not in inspect(conn).get_table_names()
    unmade.upgrade()
    assert check(unmade) == []


async def test_on_a_newer_schema_that_only_adds_this_program_works_and_takes_nothing_back(place: Place) -> None:
    await filled(place)
    make_newer(place, "9998", HEAD, *EXPANDED)
    assert place.revision() == "9998"
    place.upgrade()
    assert place.revision() == "9998"
    db = Database(place)
    db.start()
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id="new"))]))
    await db.close()
    with place.open_unchanging().connect() as conn:
        assert conn.exec_driver_sql("SELECT colour FROM tasks WHERE id = 'new'").scalar() == "grey"
    assert check(place) == []


def test_R17_a_newer_schema_that_took_something_away_is_refused_and_not_touched(place: Place) -> None:
    make_newer(place, "9999", "9998", "DROP TABLE views")
    before = place.path.read_bytes() if isinstance(place, File) else b""
    for ask in (place.upgrade, place.revision):
        with pytest.raises(StartRefused, match=rf"is of a newer TaskDash \(schema 9999, this program knows {HEAD}\)"):
            ask()
    if isinstance(place, File):
        assert place.path.read_bytes() == before


def test_R17_a_newer_schema_that_does_not_say_with_whom_it_works_is_refused(place: Place) -> None:
    make_newer(place, "9999", HEAD, "DELETE FROM store_facts")
    with pytest.raises(StartRefused, match="is of a newer TaskDash"):
        place.upgrade()


async def test_a_backup_of_a_newer_schema_that_only_adds_is_restored_as_it_is(place: Place, tmp_path: Path) -> None:
    await filled(place)
    make_newer(place, "9998", HEAD, *EXPANDED)
    copied = place.backup(tmp_path / "b")
    gone = ("DROP TABLE colours", "ALTER TABLE tasks DROP COLUMN colour", f"UPDATE alembic_version SET version_num = '{HEAD}'")
    change(place, *gone)
    place.restore(copied.path, NOW)
    assert (place.revision(), check(place)) == ("9998", [])
