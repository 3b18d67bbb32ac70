"""Register, Update, transfer, removal and stored deadlines of tasks, over a real store (SPEC 4, 5, 6)."""

import asyncio
from datetime import UTC
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, insert, select

from taskdash.actions import schedules
from taskdash.actions.tasks import TaskRequest, apply_batch, delete, lost_connection, transfer
from taskdash.errors import BadField, Forbidden, UnknownTask
from taskdash.model.instants import Instant, seconds, to_rfc3339
from taskdash.model.records import Actor, Event, Task, TaskFields
from taskdash.store import events, services, task_picks, tasks
from taskdash.store.database import Database
from taskdash.store.tables import clashes
from tests.support import NOW, a_service, a_task

PEER = Actor(type="connection", id="127.0.0.1:5000", channel="tcp")
OTHER = Actor(type="connection", id="127.0.0.1:6000", channel="tcp")
ADMIN = Actor(type="user", id="root", channel="web", role="admin")


def request(kind: Literal["register", "update"], task_id: str = "133", actor: Actor = PEER, **sent: Any) -> TaskRequest:
    return TaskRequest(kind=kind, fields=TaskFields(id=task_id, **sent), actor=actor)


async def stored(db: Database, task_id: str = "133") -> Task:
    found = await db.read(lambda conn: tasks.load(conn, task_id))
    assert found is not None
    return found


async def keep(db: Database, *new: Task) -> None:
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in new]))


async def history(db: Database) -> list[Event]:
    return await db.read(lambda conn: events.after(conn, 0))


async def kinds(db: Database) -> list[str]:
    return [event.kind for event in await history(db)]


async def test_requests_of_many_connections_are_applied_in_order_each_with_its_own_outcome(db: Database) -> None:
    outcomes = await apply_batch(
        db,
        [
            request("register", name="abc", status="waiting"),
            request("update", actor=OTHER, status="running"),
            request("update", "unknown", status="running"),
            request("register", "134"),
        ],
        NOW,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), UnknownTask, type(None)]
    assert str(outcomes[2]) == "no task has the id unknown"
    assert ((await stored(db)).name, (await stored(db)).status) == ("abc", "running")
    lines = [(e.kind, e.subject_id, e.actor_id, e.channel) for e in await history(db)]
    assert lines == [
        ("task.registered", "133", PEER.id, "tcp"),
        ("task.changed", "133", OTHER.id, "tcp"),
        ("task.registered", "134", PEER.id, "tcp"),
    ]


async def test_a_request_that_changes_nothing_writes_nothing(db: Database) -> None:
    await apply_batch(db, [request("register", name="abc")], NOW)
    before = await stored(db)
    await apply_batch(db, [request("register", name="abc"), request("update", name="abc")], NOW + 9)
    assert await stored(db) == before
    assert await kinds(db) == ["task.registered"]


async def test_an_update_of_a_pinned_binding_is_refused_and_nothing_of_it_kept(db: Database) -> None:
    await keep(db, a_task(user="ann", pinned=True))
    (outcome,) = await apply_batch(db, [request("update", user="wsg", status="failed")], NOW)
    assert isinstance(outcome, BadField)
    assert outcome.field == "user"
    assert (await stored(db)).status == "running"
    assert await kinds(db) == []


async def test_register_revives_a_gone_task(db: Database) -> None:
    await keep(db, a_task(gone_at=NOW))
    await apply_batch(db, [request("register")], NOW + 1)
    assert (await stored(db)).gone_at is None
    assert await kinds(db) == ["task.back"]


async def test_the_window_is_looked_at_with_every_change_of_times_or_status(db: Database) -> None:
    await apply_batch(db, [request("register", start_time="00:00", stop_time="00:00", status="waiting")], NOW, zone=UTC)
    assert (await stored(db)).schedule == "should_run"
    await apply_batch(db, [request("update", status="running")], NOW, zone=UTC)
    assert (await stored(db)).schedule == "ok"


async def test_the_tasks_of_a_lost_connection_are_adrift_until_told_again(db: Database) -> None:
    await apply_batch(db, [request("register", "a"), request("register", "b")], NOW)
    assert await lost_connection(db, PEER.id, ["a", "b", "never stored"], NOW + 1) == 2
    assert await lost_connection(db, PEER.id, ["a"], NOW + 2) == 0
    assert (await stored(db, "a")).adrift
    await apply_batch(db, [request("update", "a"), request("register", "b")], NOW + 3)
    assert [(await stored(db, key)).adrift for key in "ab"] == [False, False]
    assert (await kinds(db))[2:] == ["task.changed"] * 4


async def test_an_admin_transfers_a_task_and_its_clash_is_over(db: Database) -> None:
    await db.write(lambda conn: services.save(conn, [a_service(id="a"), a_service(id="b")]))
    await keep(db, a_task(service_id="a"))
    rows = [{"task_id": "133", "service_id": key, "at": NOW} for key in ("b", "c")]
    await db.write(lambda conn: conn.execute(insert(clashes), rows).rowcount)
    moved = await transfer(db, ADMIN, "133", "b", NOW + 1)
    assert (moved.service_id, moved.version) == ("b", 1)
    assert await db.read(lambda conn: conn.execute(select(clashes.c.service_id)).scalars().all()) == ["c"]
    (event,) = await history(db)
    assert (event.kind, event.before, event.after) == ("task.transferred", {"service_id": "a"}, {"service_id": "b"})
    assert await transfer(db, ADMIN, "133", "b", NOW + 2) == moved
    assert len(await history(db)) == 1


async def test_a_transfer_names_a_task_and_a_service_that_are_there_and_needs_an_admin(db: Database) -> None:
    await keep(db, a_task())
    with pytest.raises(BadField, match="no service has the id nowhere"):
        await transfer(db, ADMIN, "133", "nowhere", NOW)
    with pytest.raises(UnknownTask):
        await transfer(db, ADMIN, "unknown", "a", NOW)
    with pytest.raises(Forbidden):
        await transfer(db, Actor(type="user", id="lea", channel="web", role="lead"), "133", "a", NOW)


async def test_an_admin_removes_a_task_and_history_stays(db: Database) -> None:
    await keep(db, a_task(user="ann"))
    await delete(db, ADMIN, "133", NOW)
    assert await db.read(lambda conn: tasks.load(conn, "133")) is None
    (event,) = await history(db)
    assert (event.kind, event.before["user"], event.actor_id) == ("task.removed", "ann", "root")
    with pytest.raises(UnknownTask):
        await delete(db, ADMIN, "133", NOW)


async def test_a_shift_that_is_over_clears_the_user_once(db: Database) -> None:
    over, later = NOW - 5, NOW + 5
    await keep(
        db, a_task(id="a", user="ann", group_id="mx", until=over), a_task(id="b", user="bob", until=later), a_task(id="c")
    )
    assert await schedules.end_shifts(db, NOW) == 1
    assert await schedules.end_shifts(db, NOW) == 0
    ended = await stored(db, "a")
    assert (ended.user, ended.group_id, ended.until, ended.version) == ("", "mx", None, 2)
    (event,) = await history(db)
    assert (event.kind, event.at, event.actor_type) == ("task.released", over, "system")
    assert event.before["until"] == to_rfc3339(over)


async def test_a_window_that_opens_moves_its_task_and_says_so_at_that_moment(db: Database) -> None:
    opens = NOW + seconds(60)
    times = {"start_time": to_rfc3339(opens), "stop_time": to_rfc3339(opens + seconds(60))}
    await apply_batch(
        db, [request("register", "w", status="waiting", **times), request("register", "f", status="finish", **times)], NOW
    )
    assert await schedules.move(db, opens - 1, UTC) == 0
    assert await schedules.move(db, opens + 9, UTC) == 1
    moved = await stored(db, "w")
    assert (moved.schedule, moved.schedule_at, moved.updated_at) == ("should_run", opens + seconds(60), opens + 9)
    event = (await history(db))[-1]
    assert (event.at, event.before, event.after) == (opens, {"schedule": "ok"}, {"schedule": "should_run"})


async def test_a_deadline_that_brings_no_change_is_only_moved_on(db: Database) -> None:
    await keep(db, a_task(start_time="00:00", stop_time="00:00", schedule="ok", schedule_at=NOW, updated_at=NOW))
    assert await schedules.move(db, NOW + 1, UTC) == 1
    moved = await stored(db)
    assert (moved.updated_at, await kinds(db)) == (NOW, [])
    assert (moved.schedule_at or 0) > NOW


async def test_gone_tasks_that_nobody_holds_are_removed_after_a_time_and_counted_in_one_event(db: Database) -> None:
    old: Instant = NOW - seconds(100)
    await keep(
        db,
        a_task(id="a", gone_at=old), a_task(id="b", gone_at=old, group_id="mx"), a_task(id="held", gone_at=old, user="ann"),
        a_task(id="recent", gone_at=NOW), a_task(id="here"),
    )  # fmt: skip
    assert await schedules.purge_gone(db, NOW, keep_s=60) == 2
    assert await schedules.purge_gone(db, NOW, keep_s=60) == 0
    left = await db.read(lambda conn: tasks.load_many(conn, ["a", "b", "held", "recent", "here"]))
    assert sorted(left) == ["held", "here", "recent"]
    (event,) = await history(db)
    assert (event.kind, event.subject_type, event.after) == ("task.removed", "system", {"removed": 2})


async def test_R33_a_repeated_batch_gives_the_same_record_and_no_second_event(db: Database) -> None:
    batch = [request("register", name="abc", user="wsg"), request("update", status="running", group_id="mx")]
    await apply_batch(db, batch, NOW)
    once = await stored(db)
    await apply_batch(db, batch, NOW + 5)
    assert await stored(db) == once
    assert await kinds(db) == ["task.registered", "task.changed", "task.assigned"]


async def test_batches_at_one_moment_do_not_undo_each_other(db: Database) -> None:
    await apply_batch(db, [request("register")], NOW)
    await asyncio.gather(
        apply_batch(db, [request("update", name="abc")], NOW + 1),
        apply_batch(db, [request("update", status="failed")], NOW + 1),
    )
    assert ((await stored(db)).name, (await stored(db)).status) == ("abc", "failed")


async def test_what_one_person_holds_leaves_out_what_is_gone(db: Database) -> None:
    await keep(db, a_task(id="a", user="ann"), a_task(id="b", user="ann", gone_at=NOW), a_task(id="c", user="bob"))

    def held(conn: Connection) -> list[str]:
        return task_picks.held_by(conn, "ann")

    assert await db.read(held) == ["a"]
