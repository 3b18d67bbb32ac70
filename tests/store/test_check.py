"""`db check` on both engines: what a store must be is the same (RELIABILITY F9)."""

from collections.abc import Iterator

import pytest

from taskdash.errors import StartRefused
from taskdash.model.records import NewEvent
from taskdash.store import events, services, tasks
from taskdash.store.check import MOST_TOLD, check
from taskdash.store.database import Database
from taskdash.store.places import Place, Server
from tests.postgres import Cluster
from tests.support import NOW, a_service, a_task


async def filled(place: Place, *, tasks_of: int = 3) -> None:
    """A service with some tasks, and what was told of the first one."""
    database = Database(place)
    database.start()
    told = [
        NewEvent(at=NOW, kind="task.registered", subject_type="task", subject_id="t0", after={"status": "running"}),
        NewEvent(at=NOW, kind="task.claimed", subject_type="task", subject_id="t0", after={"user": "ssx"}),
    ]
    some = [a_task(id=f"t{n}", service_id="billing", user="ssx" if n == 0 else "") for n in range(tasks_of)]
    await database.write(lambda conn: services.save(conn, [a_service()]))
    await database.write(lambda conn: tasks.save(conn, [(None, task) for task in some]))
    await database.write(lambda conn: events.append(conn, told))
    await database.close()


def change(place: Place, *statements: str) -> None:
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)


async def test_a_store_that_is_well_has_no_problem(place: Place) -> None:
    await filled(place)
    assert check(place) == []


async def test_F9_a_text_that_was_changed_behind_the_program_is_found_by_history(place: Place) -> None:
    await filled(place)
    change(place, "UPDATE tasks SET \"user\" = 'zzz' WHERE id = 't0'")
    assert "task t0: user is 'zzz', but its last event says 'ssx'" in check(place)


async def test_check_tells_of_counters_orphans_and_rows_that_cannot_be_read(place: Place) -> None:
    await filled(place)
    change(
        place,
        "UPDATE services SET task_total = 7, state = 'odd'",
        "UPDATE task_counts SET n = 9 WHERE kind = 'status'",
        "UPDATE tasks SET service_id = 'nobody' WHERE id = 't1'",
    )
    problems = check(place)
    assert any(p.startswith("service billing cannot be read: Invalid enum value 'odd'") for p in problems)
    assert "service billing: the counter says 7 tasks, there are 2" in problems
    assert "the counter of status '' with status 'running' says 9, there are 3" in problems
    assert "task t1 belongs to the service nobody, which is not there" in problems


async def test_check_tells_at_most_a_hundred_problems(place: Place) -> None:
    await filled(place, tasks_of=200)
    change(place, "UPDATE tasks SET service_id = 'nobody'")
    problems = check(place)
    assert len(problems) == MOST_TOLD + 1
    assert problems[-1] == "there are more"


def test_check_tells_of_a_table_a_column_an_index_and_a_guard_that_are_not_there(place: Place) -> None:
    guard = "events_at_delete ON events" if isinstance(place, Server) else "events_are_kept"
    change(place, "DROP INDEX tasks_name", f"DROP TRIGGER {guard}")
    assert check(place) == [
        "the index tasks_name is missing",
        f"the guard {guard.split(maxsplit=1)[0]} is missing: history could be changed",
    ]
    change(place, "DROP TABLE views", "ALTER TABLE tasks DROP COLUMN pinned")
    assert check(place) == ["the column tasks.pinned is missing", "the table views is missing"]


@pytest.fixture
def there(server: Cluster) -> Iterator[Server]:
    with server.fresh() as place:
        yield place


async def test_on_postgresql_check_tells_of_what_the_search_does_not_know_and_of_guards_that_are_off(there: Server) -> None:
    await filled(there)
    change(there, "DELETE FROM task_grams WHERE pk = (SELECT min(pk) FROM tasks)", "INSERT INTO task_grams VALUES (999, '{}')")
    assert check(there) == ["the search index differs from the tasks in 2 of them"]
    change(there, "TRUNCATE task_grams, tasks, task_counts, services", "ALTER TABLE events DISABLE TRIGGER events_at_update")
    assert check(there) == ["the guard events_at_update is missing: history could be changed"]


def test_on_postgresql_check_tells_of_an_index_whose_making_was_cut_off(there: Server) -> None:
    change(
        there,
        "INSERT INTO senders (id, sender) VALUES ('a', ''), ('b', '')",
        "DROP INDEX senders_last_at",
    )
    with pytest.raises(Exception, match="could not create unique index"):
        change(there, "CREATE UNIQUE INDEX CONCURRENTLY senders_last_at ON senders (sender)")
    assert check(there) == [
        "PostgreSQL: the index senders_last_at is not valid: REINDEX INDEX senders_last_at",
    ]


def test_a_database_without_a_store_and_one_of_an_older_schema_are_told_in_one_sentence(server: Cluster) -> None:
    with server.fresh("template0") as empty, pytest.raises(StartRefused, match="there is no store at postgresql://"):
        check(empty)
    with server.fresh() as older:
        change(older, "UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(StartRefused, match=r"has schema 0001; bring it to .* with `taskdash db upgrade`"):
            check(older)
