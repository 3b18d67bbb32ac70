"""A key of a request belongs to one instance at a time, while that instance is alive."""

from sqlalchemy import Connection, update

from taskdash.rules.fleet import Report
from taskdash.store import idempotency, instances
from taskdash.store.database import Database
from taskdash.store.idempotency import Kept, Run
from taskdash.store.tables import instances as known
from tests.support import NOW

A, B = Run("k", "a", NOW), Run("k", "b", NOW + 1)


async def _begin(db: Database, run: Run, *, runs: bool = False) -> Kept | None:
    return await db.write(lambda conn: idempotency.begin(conn, run, "digest", runs=runs))


async def _alive(db: Database, *names: str) -> None:
    def tell(conn: Connection) -> None:
        for name in names:
            instances.tell(conn, name, Report())

    await db.write(tell)


async def _hang(db: Database, name: str) -> None:
    await db.write(lambda conn: conn.execute(update(known).where(known.c.id == name).values(seen_at=0)))


async def test_what_a_living_instance_runs_still_runs_for_the_others(db: Database) -> None:
    await _alive(db, "a", "b")
    assert await _begin(db, A) is None
    assert await _begin(db, B) == Kept("digest", None, None)
    await db.write(lambda conn: idempotency.finish(conn, A, 201, b"done"))
    assert await _begin(db, B) == Kept("digest", 201, b"done")


async def test_of_its_own_an_instance_knows_by_itself_what_still_runs(db: Database) -> None:
    await _alive(db, "a")
    assert await _begin(db, A) is None
    assert await _begin(db, A, runs=True) == Kept("digest", None, None)
    assert await _begin(db, A) is None


async def test_the_key_of_an_instance_that_is_gone_is_free(db: Database) -> None:
    await _alive(db, "a", "b")
    assert await _begin(db, A) is None
    await db.write(lambda conn: instances.forget(conn, ["a"]))
    assert await _begin(db, B) is None
    assert await _begin(db, B, runs=True) == Kept("digest", None, None)


async def test_an_instance_that_hung_does_not_end_what_another_has_taken_over(db: Database) -> None:
    await _alive(db, "a", "b")
    assert await _begin(db, A) is None
    await _hang(db, "a")
    assert await _begin(db, B) is None
    await db.write(lambda conn: idempotency.forget(conn, A))
    await db.write(lambda conn: idempotency.finish(conn, A, 409, b"late"))
    assert await _begin(db, B, runs=True) == Kept("digest", None, None)


async def test_the_end_of_a_run_does_not_touch_the_next_one_under_its_key(db: Database) -> None:
    again = Run("k", "a", NOW + 1)
    assert await _begin(db, A) is None
    await db.write(lambda conn: idempotency.forget(conn, A))
    assert await _begin(db, again) is None
    await db.write(lambda conn: idempotency.forget(conn, A))
    assert await _begin(db, again, runs=True) == Kept("digest", None, None)
