"""Every statement of a scenario fails once, before it or after the commit that holds it (RELIABILITY R1-R3, R31, R33, R135)."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from taskdash.actions import schedules
from taskdash.actions.arrivals import Topics
from taskdash.actions.bulk import Item, bulk, hand_over
from taskdash.actions.claims import assign, claim, release
from taskdash.actions.intake import store_batch
from taskdash.actions.services import delete_service
from taskdash.actions.tasks import TaskRequest, apply_batch, lost_connection, transfer
from taskdash.errors import NotFound, StoreRefused
from taskdash.model.instants import seconds
from taskdash.model.records import Actor, Message, TaskFields
from taskdash.rules.binding import Wish
from taskdash.store.places import File, Place
from taskdash.store.tables import groups, users
from tests.faults.fault_store import FaultStore, Moment
from tests.postgres import Cluster
from tests.support import NOW, a_place

TOPICS = Topics()
PEER = Actor(type="connection", id="127.0.0.1:5000", channel="tcp")
ANN = Actor(type="user", id="ann", channel="web", role="lead", groups=("mx",))
ADMIN = Actor(type="user", id="root", channel="web", role="admin")
TABLES = ("services", "tasks", "events", "dead_letters", "senders", "clashes")
REPEATED_MAY_COUNT_TWICE = ("dead_letters", "senders")
SOME = 1 if os.environ.get("LONG_FAULTS") else 3
"""On a server each statement of so many fails: a database for each of them takes most of the time."""
Step = Callable[[FaultStore], Awaitable[Any]]
Fresh = Callable[[], AbstractContextManager[Place]]


def register(service_id: str, name: str) -> Message:
    return Message(TOPICS.services, b'{"id":"%s","name":"%s"}' % (service_id.encode(), name.encode()), NOW, "nsq")


def beat(service_id: str, after_s: float) -> Message:
    return Message(TOPICS.heartbeats, b'{"id":"%s"}' % service_id.encode(), NOW + seconds(after_s), "nsq")


def task(task_id: str, **sent: Any) -> TaskRequest:
    return TaskRequest(kind="register", fields=TaskFields(id=task_id, **sent), actor=PEER)


SCENARIO: dict[str, Step] = {
    "registrations and rubbish": lambda db: store_batch(
        db, [register("s1", "one"), register("s2", "two"), Message(TOPICS.services, b"rubbish", NOW, "nsq")], NOW, TOPICS
    ),
    "first beats, one unknown": lambda db: store_batch(db, [beat("s1", 1), beat("ghost", 1)], NOW + seconds(1), TOPICS),
    "plain beats": lambda db: store_batch(db, [beat("s1", 9)], NOW + seconds(9), TOPICS),
    "tcp requests": lambda db: apply_batch(db, [task("1", group_id="mx"), task("2"), task("3")], NOW, zone=UTC),
    "tcp update": lambda db: apply_batch(
        db, [TaskRequest(kind="update", fields=TaskFields(id="2", user="wsg", status="failed"), actor=PEER)], NOW + 1
    ),
    "lost connection": lambda db: lost_connection(db, PEER.id, ["1", "2"], NOW + 2),
    "claim": lambda db: claim(db, ANN, "1", NOW + 3, until=NOW + seconds(60)),
    "bulk": lambda db: bulk(db, ANN, "claim", [Item("1"), Item("2"), Item("3")], NOW + 4),
    "hand-over": lambda db: hand_over(db, ANN, "ann", "root", NOW + 5, note="night"),
    "transfer": lambda db: transfer(db, ADMIN, "3", "s2", NOW + 6),
    "end of shifts": lambda db: schedules.end_shifts(db, NOW + seconds(61)),
    "release": lambda db: release(db, ADMIN, "3", NOW + 7),
    "removal": lambda db: _removed(db, "s2"),
}  # fmt: skip


async def _removed(db: FaultStore, service_id: str) -> None:
    """Whoever repeats a removal that took effect is told that there is nothing left."""
    try:
        await delete_service(db, ADMIN, service_id, NOW + 8)
    except NotFound:
        return


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """Empty stores, as many as are asked for, on each of the two engines."""
    if request.param == "sqlite":
        return lambda: in_a_directory(tmp_path)
    cluster: Cluster = request.getfixturevalue("server")
    return cluster.fresh


@contextmanager
def in_a_directory(path: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(dir=path) as directory:
        yield a_place(Path(directory))


def rows(place: Place, tables: tuple[str, ...] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored, as another program sees it."""
    with place.open_readers().connect() as other:
        return {n: [tuple(row) for row in other.exec_driver_sql(f"SELECT * FROM {n} ORDER BY 1")] for n in tables}


async def play(place: Place, fail_at: int, moment: Moment) -> tuple[int, list[str]]:
    """The scenario with one fault; what was refused is sent again until it is taken. Returns the number of statements, and
    which steps were refused."""
    db, refused = FaultStore(place, 0, moment), []
    db.start()
    await db.write(lambda conn: conn.execute(insert(users), [{"name": n, "role": "admin"} for n in ("ann", "root")]).rowcount)
    await db.write(lambda conn: conn.execute(insert(groups), [{"id": "mx"}]).rowcount)
    db.seen, db.fail_at = 0, fail_at
    try:
        for name, step in SCENARIO.items():
            is_looked_at = moment == "before" and name != "removal"
            before = rows(place) if is_looked_at and db.fail_at > 0 else {}
            try:
                await asyncio.wait_for(step(db), 10)
            except StoreRefused:
                refused.append(name)
                if is_looked_at:
                    assert rows(place) == before, f"something of a refused {name} was kept"
                await asyncio.wait_for(step(db), 10)
    finally:
        await asyncio.wait_for(db.close(), 10)
    return db.seen, refused


def without_place(stored: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Row numbers aside: a refused insert may leave a hole in them."""
    return {name: [row[1:] for row in found] for name, found in stored.items() if name not in REPEATED_MAY_COUNT_TWICE}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["before", "after commit"])
async def test_R31_R135_whichever_store_call_fails_the_repeated_scenario_ends_as_without_a_fault(
    fresh: Fresh, moment: Moment
) -> None:
    with fresh() as place:
        total, refused = await play(place, 0, moment)
        assert refused == []
        expected, step = rows(place), 1 if moment == "after commit" or isinstance(place, File) else SOME
    faults: set[str] = set()
    for n in range(1, total + 1, step):
        with fresh() as place:
            _seen, refused = await play(place, n, moment)
            stored = rows(place)
        faults.update(refused)
        assert without_place(stored) == without_place(expected), f"fault {n} of {total}, in {refused}"
        assert {row[1:3] for row in stored["dead_letters"]} == {row[1:3] for row in expected["dead_letters"]}
    assert faults == set(SCENARIO)


async def test_R33_a_claim_whose_answer_was_lost_is_the_same_claim_when_it_is_repeated(place: Place) -> None:
    db = FaultStore(place, 0, "after commit")
    db.start()
    await apply_batch(db, [task("1")], NOW)
    db.seen, db.fail_at = 0, 1
    with pytest.raises(StoreRefused):
        await claim(db, ANN, "1", NOW, seen=1)
    assert (await claim(db, ANN, "1", NOW + 1, seen=1)).version == 2
    await db.close()
    assert [row[2] for row in rows(place)["events"]] == ["task.registered", "task.claimed"]


async def test_R31_an_assignment_that_was_refused_can_be_sent_again_with_the_same_version(place: Place) -> None:
    db = FaultStore(place, 0, "before")
    db.start()
    await apply_batch(db, [task("1", group_id="mx")], NOW)
    await db.write(lambda conn: conn.execute(insert(users), [{"name": "bob", "role": "member"}]).rowcount)
    db.seen, db.fail_at = 0, 5
    with pytest.raises(StoreRefused):
        await assign(db, ANN, "1", Wish(user="bob", seen=1), NOW)
    assert (await assign(db, ANN, "1", Wish(user="bob", seen=1), NOW)).version == 2
    await db.close()
