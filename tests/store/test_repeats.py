"""R3: no answer means either; asking again is always safe: one record, no second event."""

import pytest

from taskdash.actions import claims, intake, tasks
from taskdash.actions.arrivals import Topics
from taskdash.actions.tasks import TaskRequest
from taskdash.model.records import Actor, Message, Task, TaskFields
from taskdash.store import events
from taskdash.store import tasks as stored
from taskdash.store.database import Database
from tests.support import NOW

TOPICS = Topics(services="taskdash.services", heartbeats="taskdash.heartbeats")
PEER = Actor(type="connection", id="127.0.0.1:5", channel="tcp")
SSX = Actor(type="user", id="ssx", channel="api", role="member")


async def told(db: Database) -> list[str]:
    return [event.kind for event in await db.read(lambda conn: events.after(conn, 0))]


@pytest.mark.parametrize("kind", ["register", "update"])
async def test_R3_a_tcp_request_that_is_repeated_gives_one_record_and_no_second_event(db: Database, kind: str) -> None:
    first = TaskRequest(kind="register", fields=TaskFields(id="1", status="waiting"), actor=PEER)
    await tasks.apply_batch(db, [first], NOW)
    again = TaskRequest(kind=kind, fields=TaskFields(id="1", status="running", name="a"), actor=PEER)  # type: ignore[arg-type]
    for _ in range(3):
        assert await tasks.apply_batch(db, [again], NOW) == [None]
    assert await told(db) == ["task.registered", "task.changed"]


async def test_R3_a_message_that_comes_again_gives_one_service_and_no_second_event(db: Database) -> None:
    message = Message("taskdash.services", b'{"id":"a","name":"A"}', NOW, "nsq")
    for _ in range(3):
        await intake.store_batch(db, [message], NOW, TOPICS)
    assert await told(db) == ["service.registered"]


async def test_R3_a_claim_that_is_repeated_is_the_same_claim(db: Database) -> None:
    await db.write(lambda conn: stored.save(conn, [(None, Task(id="1"))]))
    versions = [(await claims.claim(db, SSX, "1", NOW)).version for _ in range(3)]
    assert versions == [2, 2, 2]
    assert await told(db) == ["task.claimed"]
