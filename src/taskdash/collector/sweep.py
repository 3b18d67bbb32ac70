"""Who is asked when: by the stored `collect_at`, many at once, few an origin, and the slow in a lane of their own. SPEC 4.

Law: one bad service never delays another's collection (RELIABILITY R13, R49). Results of unchanged and failed answers are
gathered for a second and written by one transaction; a changed answer is applied at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from urllib.parse import urlsplit

from msgspec import Struct

from taskdash import telemetry
from taskdash.actions import collection
from taskdash.actions.collection import Result
from taskdash.clock import Clock, every
from taskdash.collector.fetch import Fetcher
from taskdash.errors import StoreRefused, TaskDashError
from taskdash.health import Parts
from taskdash.model.records import Service
from taskdash.rules.liveness import UrlAnswer
from taskdash.store import services
from taskdash.store.database import Database

PART = "collector"
LOOK_EVERY_S, WRITE_EVERY_S = 0.2, 1.0
SLOW_MS = 1_000.0
PROBE_AGAIN_S = 1.0


class Limits(Struct, frozen=True):
    """How much at once."""

    at_once: int = 512
    an_origin: int = 4
    slow_lane: int = 128


class Sweep:
    """The collector role. `run` until cancelled; `probe` and `collect_now` ask at once."""

    def __init__(self, db: Database, clock: Clock, fetcher: Fetcher, parts: Parts, zone: tzinfo, limits: Limits) -> None:
        self._db = db
        self._clock = clock
        self._fetcher = fetcher
        self._parts = parts
        self._zone = zone
        self._limits = limits
        self._lane = asyncio.Semaphore(limits.at_once)
        self._slow_lane = asyncio.Semaphore(limits.slow_lane)
        self._origins: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.an_origin))
        self._busy: dict[str, asyncio.Task[UrlAnswer]] = {}
        self._results: list[Result] = []

    async def run(self) -> None:
        """Sweep until cancelled."""
        self._parts.report(PART)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(every(self._clock, LOOK_EVERY_S, self._look))
                group.create_task(every(self._clock, WRITE_EVERY_S, self._write))
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Close all connections; `run` does so itself."""
        await self._fetcher.close()

    async def probe(self, wanted: Sequence[Service]) -> Mapping[str, UrlAnswer]:
        """Ask the urls of these at once, for liveness; a good answer counts as a collection too."""
        asked = {service.id: self._ask(service) for service in wanted if service.url}
        answers = await asyncio.gather(*asked.values(), return_exceptions=True)
        return {key: answer for key, answer in zip(asked, answers, strict=True) if isinstance(answer, UrlAnswer)}

    async def collect_now(self, ids: Sequence[str]) -> None:
        """Ask these services at once and store what they answer."""
        known = await self._db.read(lambda conn: services.load_many(conn, ids))
        await asyncio.gather(*(self._ask(service) for service in known.values() if service.url))
        await self._write()

    async def _look(self) -> None:
        now = self._clock.now()
        limit = len(self._busy) + len(self._results) + self._limits.at_once
        try:
            due = await self._db.read(lambda conn: services.collect_due(conn, now, limit))
        except TaskDashError as error:
            self._parts.report(PART, error.detail)
            return
        self._parts.report(PART)
        noted = {result.service.id for result in self._results}
        for service in due:
            if service.url and service.id not in self._busy and service.id not in noted:
                self._ask(service)

    def _ask(self, service: Service) -> "asyncio.Task[UrlAnswer]":
        """One asking of a service at a time, whoever wants it."""
        known = self._busy.get(service.id)
        if known is not None:
            return known
        task = asyncio.get_running_loop().create_task(self._collect(service))
        self._busy[service.id] = task
        task.add_done_callback(lambda _task: self._busy.pop(service.id, None))
        return task

    async def _collect(self, service: Service) -> UrlAnswer:
        is_slow = service.collect_failures > 0 or (service.collect_took_ms or 0.0) > SLOW_MS
        lane = self._slow_lane if is_slow else self._lane
        async with lane, self._origins[_origin(service.url)]:
            at = self._clock.now()
            async with self._fetcher.asked(service) as answer:
                result = Result(service, answer, at)
                await self._keep(result)
        telemetry.collections.inc()
        if not answer.ok:
            telemetry.collect_failures.inc()
        return UrlAnswer(answer.ok, at, answer.took_ms, answer.error)

    async def _keep(self, result: Result) -> None:
        if result.answer.ok and not result.answer.is_unchanged:
            try:
                await collection.apply(self._db, result, self._zone)
            except StoreRefused as error:
                self._parts.report(PART, error.detail)
        else:
            self._results.append(result)

    async def _write(self) -> None:
        """The results of about the last second, as one transaction."""
        results, self._results = self._results, []
        if not results:
            return
        try:
            await collection.note(self._db, results)
        except StoreRefused as error:
            self._parts.report(PART, error.detail)


def _origin(url: str) -> str:
    return urlsplit(url).netloc
