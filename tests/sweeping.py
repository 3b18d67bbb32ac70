"""A whole collector over a real store, with a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from taskdash.clock import ManualClock
from taskdash.collector.asking import Bounds
from taskdash.collector.fetch import Fetcher
from taskdash.collector.lanes import Limits
from taskdash.collector.names import Names
from taskdash.collector.sweep import Sweep
from taskdash.health import Parts
from taskdash.model.records import Event, Service, Task
from taskdash.store import events, services, tasks
from taskdash.store.database import Database
from taskdash.store.places import Place
from tests.service import a_guard
from tests.support import NOW, a_place, a_service, eventually


def every_name_is_local(_name: str, *_args: Any, **_kind: Any) -> list[tuple[Any, ...]]:
    """A name server that leads all names to 127.0.0.1, so that each service may have an origin of its own."""
    return [(2, 1, 6, "", ("127.0.0.1", 0))]


class Collector:
    """`until` moves the clock in small steps while the sweep runs."""

    def __init__(self, db: Database, limits: Limits, bounds: Bounds) -> None:
        self.db = db
        self.clock = ManualClock(NOW)
        self.parts = Parts(self.clock)
        guard = a_guard()
        fetcher = Fetcher(guard, self.clock, bounds, Names(guard, look_up=every_name_is_local))
        self.sweep = Sweep(db, self.clock, fetcher, self.parts, UTC, limits)

    async def register(self, service_id: str, url: str, **fields: Any) -> Service:
        service = a_service(**{"id": service_id, "url": url, "collect_at": self.clock.now() if url else None, **fields})
        await self.db.write(lambda conn: services.save(conn, [service]))
        return await self.service(service_id)

    async def register_many(self, urls: dict[str, str], **fields: Any) -> list[Service]:
        known = [a_service(id=key, url=url, collect_at=self.clock.now(), **fields) for key, url in urls.items()]
        await self.db.write(lambda conn: services.save(conn, known))
        return [found for n in range(0, len(known), 500) for found in await self.services(*list(urls)[n : n + 500])]

    async def service(self, service_id: str) -> Service:
        return (await self.services(service_id))[0]

    async def services(self, *ids: str) -> list[Service]:
        return list((await self.db.read(lambda conn: services.load_many(conn, ids))).values())

    async def task(self, task_id: str) -> Task | None:
        return await self.db.read(lambda conn: tasks.load(conn, task_id))

    async def history(self) -> list[Event]:
        return await self.db.read(lambda conn: events.after(conn, 0))

    async def until(self, statement: Callable[[], Any], *, step_s: float = 0.1, deadline_s: float = 20.0) -> Any:
        """Let time pass until the statement is true."""

        async def look() -> Any:
            self.clock.advance(step_s)
            value = statement()
            return await value if asyncio.iscoroutine(value) else value

        return await eventually(look, deadline_s)

    async def pass_time(self, duration_s: float) -> None:
        """Let so much time pass, the sweep looking around meanwhile."""
        for _ in range(round(duration_s / 0.2)):
            self.clock.advance(0.2)
            for _ in range(3):
                await self.db.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar())

    async def until_collected(self, *ids: str, deadline_s: float = 20.0) -> list[Service]:
        """Until each of these was answered or failed, and that is stored."""

        async def collected() -> list[Service]:
            known = await self.services(*ids)
            return known if all(s.collected_at is not None for s in known) else []

        return await self.until(collected, deadline_s=deadline_s)


@asynccontextmanager
async def sweeping(where: Path | Place, limits: Limits | None = None, **bounds: Any) -> AsyncIterator[Collector]:
    """A running collector over an empty store."""
    db = Database(await asyncio.to_thread(a_place, where))
    db.start()
    collector = Collector(db, limits or Limits(), Bounds(**bounds))
    running = asyncio.create_task(collector.sweep.run())
    try:
        yield collector
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await db.close()
