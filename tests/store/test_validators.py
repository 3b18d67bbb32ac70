"""A service whose task was changed from outside is asked as if for the first time (SPEC 4)."""

from collections.abc import Awaitable, Callable

import pytest

from taskdash.actions import tasks as actions
from taskdash.model.records import Actor
from taskdash.store import services, tasks
from taskdash.store.database import Database
from tests.support import NOW, a_service, a_task

ADMIN = Actor(type="user", id="boss", channel="api", role="admin")
Change = Callable[[Database], Awaitable[object]]
CHANGES: list[Change] = [
    lambda db: actions.delete(db, ADMIN, "133", NOW),
    lambda db: actions.transfer(db, ADMIN, "133", "b", NOW),
    lambda db: actions.lost_connection(db, "10.0.0.1:5", ["133"], NOW),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_after_a_change_from_outside_an_unchanged_answer_is_applied_again(db: Database, change: Change) -> None:
    made = [a_service(id=key, url="http://localhost:8080/t", collect_digest="d", collect_etag="e") for key in ("a", "b")]
    await db.write(lambda conn: services.save(conn, made))
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(service_id="a"))]))
    await change(db)
    service = await db.read(lambda conn: services.load(conn, "a"))
    assert service is not None
    assert (service.collect_digest, service.collect_etag) == ("", "")
