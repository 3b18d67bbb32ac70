"""Who is asked when: by the stored `collect_at`, each url once at a time, its turn given by the lanes. SPEC 4.

Law: nothing that one service, or the store, does wrong ends the sweep or makes it ask in a circle. Results of unchanged and
failed answers are gathered for a second and written by one transaction; a changed answer is applied at once.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import partial

from msgspec import Struct

from taskdash import telemetry
from taskdash.actions import collection
from taskdash.actions.collection import Result
from taskdash.clock import Clock, every
from taskdash.collector.fetch import Fetcher
from taskdash.collector.lanes import Lanes, Limits, Turn, is_slow
from taskdash.collector.patience import Patience
from taskdash.errors import LeaseLost, TaskDashError
from taskdash.health import Parts
from taskdash.instance import Alone, Fleet
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service
from taskdash.rules import sharing
from taskdash.rules.liveness import UrlAnswer
from taskdash.store import collected, services
from taskdash.store.collected import Asked
from taskdash.store.database import Database, Store

PART = "collector"
LOOK_EVERY_S, WRITE_EVERY_S = 0.2, 1.0
ELSEWHERE_S = 10.0
"""So long a person's wish waits for another instance."""
HOLD_S = 5.0
"""A service whose answer could not be stored is not asked again before that."""
MOST_NEW = 1_000
MOST_IN_HAND = 100_000
log = logging.getLogger(__name__)


class _Errand(Struct, eq=False):
    """One asking under way."""

    service: Service
    urgent: bool
    hangs: bool = False
    has_turn: bool = False
    task: "asyncio.Task[UrlAnswer] | None" = None

    @property
    def turn(self) -> Turn:
        """The kind of turn it needs now."""
        slow = self.hangs or is_slow(self.service, urgent=self.urgent)
        return Turn(urgent=self.urgent, slow=slow, new=not self.urgent and not slow and not self.service.collect_digest)

    @property
    def only_waits(self) -> bool:
        """It has no place yet and nobody waits for its answer."""
        return not self.has_turn and not self.urgent


class _CutError(Exception):
    """The url had not begun to answer when others wanted its place."""


class Sweep:
    """The collector role. `run` until cancelled; `probe` and `collect_now` ask at once."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        fetcher: Fetcher,
        parts: Parts,
        zone: tzinfo,
        limits: Limits,
        fleet: Fleet | None = None,
    ) -> None:
        self._db = db
        self._fleet = fleet or Alone(db, clock)
        self._clock = clock
        self._fetcher = fetcher
        self._parts = parts
        self._zone = zone
        self._lanes = Lanes(limits)
        self._patience_s = limits.patience_s
        self._errands: dict[Asked, _Errand] = {}
        self._newest: dict[int, Asked] = {}
        self._tasks: set[asyncio.Task[UrlAnswer]] = set()
        self._results: list[Result] = []
        self._held: dict[Asked, Instant] = {}
        self._writing = asyncio.Lock()
        self._refusal, self._refused_at = "", 0

    async def run(self) -> None:
        """Sweep until cancelled."""
        self._parts.report(PART)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(every(self._clock, LOOK_EVERY_S, self._look))
                group.create_task(every(self._clock, WRITE_EVERY_S, self._write))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Close all connections; `run` does so itself."""
        await self._fetcher.close()

    async def probe(self, wanted: Sequence[Service]) -> Mapping[str, UrlAnswer]:
        """Ask the urls of these at once, for liveness; a good answer counts as a collection too."""
        asked = {service.id: self._ask(service, urgent=True) for service in wanted if service.url}
        answers = await asyncio.gather(*map(asyncio.shield, asked.values()), return_exceptions=True)
        return {key: answer for key, answer in zip(asked, answers, strict=True) if isinstance(answer, UrlAnswer)}

    async def collect_now(self, ids: Sequence[str]) -> None:
        """Ask these services at once and store what they answer; those that another instance collects are asked by it."""
        known = await self._db.read(lambda conn: services.load_many(conn, ids))
        mine = [service for service in known.values() if self._collects(service)]
        theirs = [service.pk for service in known.values() if service.url and not self._collects(service)]
        await asyncio.gather(self.probe(mine), self._collect_elsewhere(theirs))
        await self._write()

    async def _collect_elsewhere(self, pks: Sequence[int]) -> None:
        """Their time has come now; wait a while until that shows."""
        if not pks:
            return
        now = self._clock.now()
        await self._db.write(lambda conn: collected.ask_now(conn, pks, now))
        end = now + seconds(ELSEWHERE_S)
        while self._clock.now() < end and await self._db.read(lambda conn: collected.not_since(conn, pks, now)):
            await self._clock.sleep(LOOK_EVERY_S)

    def _collects(self, service: Service) -> bool:
        return sharing.shard_of(service.pk) in self._fleet.shards

    async def _look(self) -> None:
        """Take up whose time has come."""
        now = self._clock.now()
        self._held = {asked: until for asked, until in self._held.items() if until > now}
        shards = self._fleet.shards
        in_hand = self._errands.keys() | self._held.keys() | self._noted()
        room = min(MOST_NEW, max(0, MOST_IN_HAND - len(in_hand)))
        try:
            due = await self._db.read(lambda conn: collected.due(conn, now, in_hand, room, shards))
        except TaskDashError as error:
            self._parts.report(PART, error.detail)
            return
        self._tell("" if self._store_recovered() else self._refusal)
        just_asked = self._noted() | self._held.keys()
        for service in due:
            if service.url and _asked(service) not in just_asked:
                self._ask(service)

    def _noted(self) -> set[Asked]:
        return {_asked(result.service) for result in self._results}

    def _ask(self, service: Service, *, urgent: bool = False) -> "asyncio.Task[UrlAnswer]":
        """One asking of a url at a time, whoever wants it; an urgent one takes the place of one that waits for its turn."""
        known = self._errands.get(_asked(service))
        if known is not None and known.task is not None:
            if known.has_turn or known.urgent or not urgent:
                known.urgent = known.urgent or urgent
                return known.task
            known.task.cancel()  # nobody waits for what is not urgent
        self._forget_older_url(service)
        errand = _Errand(service, urgent, hangs=known is not None and known.hangs)
        errand.task = task = asyncio.create_task(self._run_errand(errand))
        self._errands[_asked(service)] = errand
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget_older_url(self, service: Service) -> None:
        """A url that it had before, and that still waits for its turn, is not asked any more: urls can change every second."""
        before = self._newest.get(service.pk)
        self._newest[service.pk] = _asked(service)
        if before is None or before == _asked(service):
            return
        older = self._errands.get(before)
        if older is not None and older.task is not None and older.only_waits:
            older.task.cancel()
            del self._errands[before]

    async def _run_errand(self, errand: _Errand) -> UrlAnswer:
        service = errand.service
        try:
            try:
                return await self._in_turn(errand)
            except _CutError:
                errand.has_turn, errand.hangs = False, True
                return await self._in_turn(errand)
        except Exception as error:
            self._hold(service)
            log.exception("collecting the service %s failed unexpectedly", service.id)
            return UrlAnswer(False, self._clock.now(), error=f"TaskDash could not ask it ({type(error).__name__})")
        finally:
            if self._errands.get(_asked(service)) is errand:
                del self._errands[_asked(service)]
                if self._newest.get(service.pk) == _asked(service):
                    del self._newest[service.pk]

    async def _in_turn(self, errand: _Errand) -> UrlAnswer:
        turn = errand.turn
        async with self._lanes.turn(errand.service.url, turn):
            errand.has_turn = True
            patience = Patience(self._patience_s, partial(self._lanes.is_wanted, turn))
            return await self._collect(errand.service, None if turn.slow else patience)

    async def _collect(self, service: Service, patience: Patience | None) -> UrlAnswer:
        at = self._clock.now()
        async with self._fetcher.asked(service, patience) as answer:
            if answer.is_cut:
                raise _CutError
            telemetry.collections.inc()
            if not answer.ok:
                telemetry.collect_failures.inc()
            await self._keep(Result(service, answer, at))
        return UrlAnswer(answer.ok, at, answer.took_ms, answer.error)

    async def _keep(self, result: Result) -> None:
        """An answer that was only asked for liveness, of a service that another instance collects, is not kept."""
        if not self._collects(result.service):
            return
        if not result.answer.ok or result.answer.is_unchanged:
            self._results.append(result)
            return
        try:
            await collection.apply(self._fenced([result]), result, self._zone)
        except LeaseLost:
            self._tell("")
        except TaskDashError as error:
            self._hold(result.service)
            self._tell(error.detail)
        else:
            self._tell("")

    def _fenced(self, results: Sequence[Result]) -> Store:
        return self._fleet.fenced(sharing.leases_of([result.service.pk for result in results]))

    def _tell(self, refusal: str) -> None:
        """Why the store did not take the last answer; empty when it did. Looking around well does not take that back."""
        self._refused_at = self._clock.now() if refusal and not self._refusal else self._refused_at
        self._refusal = refusal
        self._parts.report(PART, refusal)

    def _store_recovered(self) -> bool:
        """Whoever holds no shards any more, or has nobody to ask for long, has no answer that would show it (R15)."""
        return any(part.name == "store" and part.ok and part.since > self._refused_at for part in self._parts)

    def _hold(self, service: Service) -> None:
        self._held[_asked(service)] = self._clock.now() + seconds(HOLD_S)

    async def _write(self) -> None:
        """The results of about the last second, as one transaction; they are in hand until they are stored."""
        async with self._writing:
            self._results = [result for result in self._results if self._collects(result.service)]
            results = list(self._results)
            if not results:
                return
            try:
                await collection.note(self._fenced(results), results)
            except LeaseLost:
                return
            except TaskDashError as error:
                self._tell(error.detail)
                return
            except Exception:
                log.exception("results of %d services could not be noted; they are asked again", len(results))
                for result in results:
                    self._hold(result.service)
            else:
                self._tell("")
            del self._results[: len(results)]


def _asked(service: Service) -> Asked:
    return service.pk, service.url
