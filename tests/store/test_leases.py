"""Leases and instances in a real store, by its own clock; who woke up late writes nothing."""

import pytest
from sqlalchemy import Connection, update

from taskdash.actions import instances as actions
from taskdash.actions import tasks as task_actions
from taskdash.clock import ManualClock
from taskdash.errors import LeaseLost
from taskdash.instance import Instance
from taskdash.rules.fleet import Report
from taskdash.rules.sharing import ALL_SHARDS, MONITOR, leases_of
from taskdash.store import instances, leases, services, tasks, vouched
from taskdash.store.database import Database
from taskdash.store.tables import instances as instances_table
from taskdash.store.tables import leases as leases_table
from tests.support import NOW, a_service, a_task

ROLES = ("monitor", "collector")
A_LEASE_S = 6.0


async def beat(db: Database, me: str) -> actions.Beat:
    return await actions.beat(db, me, Report(roles=ROLES), A_LEASE_S)


async def lapse(db: Database, instance: str) -> None:
    """As if it had told nothing for long."""

    def change(conn: Connection) -> None:
        conn.execute(update(instances_table).where(instances_table.c.id == instance).values(seen_at=0))
        conn.execute(update(leases_table).where(leases_table.c.holder == instance).values(until=1))

    await db.write(change)


async def test_one_leads_and_another_takes_over_only_when_its_lease_has_lapsed(db: Database) -> None:
    assert (await beat(db, "a")).leads
    assert not (await beat(db, "b")).leads
    assert (await beat(db, "a")).leads
    await lapse(db, "a")
    assert (await beat(db, "b")).leads
    assert not (await beat(db, "a")).leads


async def test_shards_are_shared_out_and_never_held_by_two(db: Database) -> None:
    assert (await beat(db, "a")).shards == ALL_SHARDS
    assert (await beat(db, "b")).shards == frozenset()
    a = (await beat(db, "a")).shards
    await db.write(  # what `a` did not renew lapses
        lambda conn: conn.execute(
            update(leases_table).where(leases_table.c.name.in_(leases_of(list(ALL_SHARDS - a)))).values(until=1)
        )
    )
    b = (await beat(db, "b")).shards
    assert (len(a), len(b), a & b) == (8, 8, frozenset())


async def test_who_leaves_frees_all_at_once(db: Database) -> None:
    await beat(db, "a")
    await beat(db, "b")
    await actions.leave(db, "a")
    b = await beat(db, "b")
    assert (b.leads, b.shards, [one.id for one in b.seen]) == (True, ALL_SHARDS, ["b"])


async def test_one_without_a_role_takes_nothing_of_it(db: Database) -> None:
    web = await actions.beat(db, "web", Report(roles=("web",)), A_LEASE_S)
    assert (web.leads, web.shards) == (False, frozenset())
    a = await beat(db, "a")
    assert (a.leads, a.shards) == (True, ALL_SHARDS)


async def test_what_one_does_that_woke_up_late_is_refused_and_nothing_of_it_is_kept(db: Database) -> None:
    clock = ManualClock(NOW)
    late = Instance(db, clock, ROLES, list, 5.0)
    await late.join()
    fenced = late.fenced([MONITOR])
    await fenced.write(lambda conn: services.save(conn, [a_service(id="before")]))
    clock.advance(60)
    assert not late.leads
    assert late.shards == frozenset()
    await lapse(db, late.id)
    await fenced.write(lambda conn: services.save(conn, [a_service(id="not followed yet")]))
    await beat(db, "b")
    with pytest.raises(LeaseLost):
        await fenced.write(lambda conn: services.save(conn, [a_service(id="after")]))
    with pytest.raises(LeaseLost):
        await late.fenced(leases_of([1, 2])).write(lambda conn: services.save(conn, [a_service(id="after")]))
    known = await db.read(lambda conn: services.load_many(conn, ["before", "not followed yet", "after"]))
    assert set(known) == {"before", "not followed yet"}


async def test_one_that_joins_others_goes_on_from_what_they_have_seen(db: Database) -> None:
    clock = ManualClock(NOW)
    first = Instance(db, clock, ROLES, list, 5.0)
    await first.join()
    clock.advance(3600)
    second = Instance(db, clock, ROLES, list, 5.0)
    await second.join()
    assert second.since == NOW
    await lapse(db, first.id)
    await lapse(db, second.id)
    alone = Instance(db, clock, ROLES, list, 5.0)
    await alone.join()
    assert alone.since == clock.now()


async def test_tasks_that_a_connection_of_a_gone_instance_vouched_for_are_adrift(db: Database) -> None:
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id=task_id)) for task_id in ("x", "y")]))
    await task_actions.vouch(db, ["x"], instance="a")
    await task_actions.vouch(db, ["y"], instance="b")
    assert await task_actions.lose_orphans(db, NOW, ["b"]) == 1
    known = await db.read(lambda conn: tasks.load_many(conn, ["x", "y"]))
    assert (known["x"].adrift, known["y"].adrift) == (True, False)
    assert await task_actions.lose_orphans(db, NOW, ["b"]) == 0


async def test_a_task_that_registered_at_another_instance_since_is_not_lost_with_the_old_connection(db: Database) -> None:
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id="x"))]))
    await task_actions.vouch(db, ["x"], instance="a")
    await task_actions.vouch(db, ["x"], instance="b")
    assert await task_actions.lost_connection(db, "10.0.0.1:5", ["x"], NOW, instance="a") == 0
    assert await db.read(lambda conn: vouched.elsewhere(conn, ["x"], "a")) == {"x"}
    assert await task_actions.lost_connection(db, "10.0.0.1:6", ["x"], NOW, instance="b") == 1


async def test_an_instance_that_told_nothing_lately_is_not_among_those_alive(db: Database) -> None:
    await beat(db, "a")
    await beat(db, "b")
    await lapse(db, "a")
    assert await db.read(instances.alive) == {"b"}
    assert (await db.read(leases.holders)).get(MONITOR) is None
