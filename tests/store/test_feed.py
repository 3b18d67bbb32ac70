"""The feed over a real store: who subscribes while the store does not answer is skipped nothing. RELIABILITY R6."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from taskdash.errors import StoreRefused
from taskdash.feed import Feed
from taskdash.model.records import NewEvent
from taskdash.store import events
from taskdash.store.database import Database
from tests.support import NOW, eventually


async def test_R6_a_feed_that_could_not_begin_lives_on_and_skips_nothing_for_who_subscribed_meanwhile(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def refuse(_query: Callable[[Connection], Any], **_limit: Any) -> Any:
        nonlocal asked
        asked += 1
        raise StoreRefused("away")

    feed = Feed(db)
    told = NewEvent(at=NOW, kind="task.changed", subject_type="task", subject_id="133")
    with monkeypatch.context() as patch:
        patch.setattr(db, "read", refuse)
        running = asyncio.create_task(feed.run())
        await eventually(lambda: asked > 0)
        subscription = feed.subscribe(0)
        await db.write(lambda conn: events.append(conn, [told]))
    async with asyncio.timeout(10):
        async for batch in subscription:
            assert [event.subject_id for event in batch] == ["133"]
            break
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
