"""Tries to sign in are counted in the store: for all who use it, and never too many of them."""

import asyncio

import pytest
from sqlalchemy import func, select

from taskdash.actions import throttling
from taskdash.actions.throttling import ROOM_EVERY, Throttle
from taskdash.errors import TooMany
from taskdash.model.instants import seconds
from taskdash.rules.throttle import FREE_TRIES, Bucket, Caller
from taskdash.store import tries
from taskdash.store.database import Database
from taskdash.store.dialect import of
from taskdash.store.places import Place
from taskdash.store.tables import tries as table
from tests.support import NOW, everything

OWNER = Caller("ada", "192.0.2.1")


async def _refused(db: Database, caller: Caller = OWNER) -> bool:
    try:
        await Throttle(db).begin(caller)
    except TooMany:
        return True
    return False


async def _count(db: Database) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one())


async def test_R152_what_was_tried_at_one_instance_counts_at_another_and_after_a_restart(place: Place) -> None:
    for _instance in range(FREE_TRIES):
        one = Database(place)
        one.start()
        assert not await _refused(one)
        await one.close()
    another = Database(place)
    another.start()
    assert await _refused(another)
    await another.close()


async def test_R152_of_many_tries_at_one_moment_as_many_begin_as_are_free(db: Database) -> None:
    refused = await asyncio.gather(*(_refused(db) for _try in range(20)))
    assert refused.count(False) == FREE_TRIES


async def test_R152_a_right_password_is_forgiven_in_the_store(db: Database) -> None:
    for _try in range(FREE_TRIES):
        await Throttle(db).begin(OWNER)
    await db.write(lambda conn: throttling.succeeded(conn, OWNER))
    assert [await _refused(db) for _try in range(FREE_TRIES)] == [False] * FREE_TRIES


async def test_R152_a_try_that_is_turned_away_writes_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for _try in range(FREE_TRIES):
        await Throttle(db).begin(OWNER)
    before = await everything(db)

    async def write(_work: object) -> None:
        raise AssertionError("a storm of tries would keep the writer from its work")

    monkeypatch.setattr(db, "write", write)
    assert await _refused(db)
    assert await everything(db) == before


async def test_R152_the_table_is_bounded(db: Database) -> None:
    now = await db.read(lambda conn: of(conn).now(conn))
    fill = [Bucket(f"own {n}", tries=1, since=now, last_at=now - seconds(60) + n) for n in range(tries.KEPT)]
    await db.write(lambda conn: tries.save(conn, fill))
    throttle = Throttle(db)
    for n in range(1, ROOM_EVERY + 1):
        await throttle.begin(Caller(f"user {n}", f"10.0.0.{n}"))
        assert await _count(db) == (tries.KEPT + 3 * n if n < ROOM_EVERY else tries.KEPT)
    oldest = [f"own {n}" for n in range(3 * ROOM_EVERY + 1)]
    assert list(await db.read(lambda conn: tries.load(conn, oldest))) == oldest[-1:]


async def test_R152_old_tries_are_forgotten(db: Database) -> None:
    await db.write(lambda conn: tries.save(conn, [Bucket("own old", tries=1, since=NOW, last_at=1)]))
    await Throttle(db).begin(OWNER)
    await db.write(throttling.forget_old)
    assert await db.read(lambda conn: tries.load(conn, ["own old"])) == {}
    assert await _count(db) == 3


async def test_R159_a_password_typed_as_a_name_is_not_stored(db: Database) -> None:
    await Throttle(db).begin(Caller("correct horse battery staple", "192.0.2.1"))
    assert b"horse" not in await everything(db)
