"""Once a second: judge whose deadline has passed, keep the incidents, do the chores whose time has come. SPEC 3, 7.

Law: TaskDash looks at itself before it judges anybody. Its own stalls and the health of its inputs are part of every
verdict (RELIABILITY R10), and nothing that goes wrong here ends the loop: it is told in `Parts` and tried again. Of several
instances one leads: the others follow the inputs and do nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, structs

from taskdash.actions import incidents, liveness
from taskdash.clock import Clock
from taskdash.errors import LeaseLost, StoreRefused
from taskdash.health import Inputs, Part, Parts
from taskdash.instance import Alone, Fleet
from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.model.records import Incident
from taskdash.monitor.asking import Asking, Probe
from taskdash.monitor.lag import LagWatch
from taskdash.monitor.together import Together
from taskdash.rules import conditions, sight
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Condition
from taskdash.rules.sharing import MONITOR
from taskdash.rules.sight import Sight, Span
from taskdash.store.database import Database

TICK_EVERY_S = 1.0
LOOK_INTO_STORE_EVERY_S = 5.0
SLOW_S = 1.0
"""A tick that takes longer than this was itself a stall."""
PART = "monitor"
STORE = "store"
MOST_PAGES = 100
_FROM_STORE = ("collect", "clash", "dead_letters")
log = logging.getLogger(__name__)


class Chore(Struct):
    """Something else that stored deadlines drive: ends of shifts, windows, gone tasks. `act` does at most a page and says
    how many it did; while that is `page` it is called again at once."""

    name: str
    act: Callable[[Instant], Awaitable[int]]
    every_s: float = 1.0
    page: int = 500
    next_at: Instant = 0


class Ticker:
    """The monitor role. `run` until cancelled; `step` is one look."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        inputs: Inputs,
        parts: Parts,
        probe: Probe,
        limits: Limits,
        chores: Sequence[Chore] = (),
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet = fleet or Alone(db, clock)
        self._db = self._fleet.fenced([MONITOR])
        self._clock = clock
        self._parts = parts
        self._limits = limits
        self._chores = list(chores)
        self._together = Together(self._fleet, inputs, limits.redelivery_s)
        self._lag = LagWatch(clock)
        self._asking = Asking(clock, probe)
        self._next_look_at = 0
        self._store_trouble: list[Condition] = []
        self._known_stalls: tuple[Span, ...] = ()
        self.bad_rows = 0
        """How many services could not be judged, since the start."""

    async def run(self) -> None:
        """Tick for ever; a slow tick delays only itself."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lag.run())
            try:
                while True:
                    began = self._clock.now()
                    await self.step()
                    await self._clock.sleep(max(0.0, TICK_EVERY_S - in_seconds(self._clock.now() - began)))
            finally:
                await self._asking.close()

    async def step(self) -> None:
        """One look; whatever fails is told and tried again with the next."""
        began = self._clock.now()
        try:
            await self._look(began)
        except LeaseLost:
            self._parts.report(PART)
        except StoreRefused as error:
            self._lag.note(began)
            self._parts.report(PART, error.detail)
        except Exception as error:
            log.exception("the monitor failed and goes on")
            self._parts.report(PART, f"the last look failed ({type(error).__name__})")
        else:
            self._parts.report(PART)

    async def _look(self, now: Instant) -> None:
        self._together.look(now)
        self._look_at_itself()
        if not self._fleet.leads:
            self._leave_to_the_leader()
            return
        if not self._lag.is_settling:
            await self._judge(now)
        await self._keep_incidents(now)
        for chore in self._chores:
            await self._do(chore, now)

    def _leave_to_the_leader(self) -> None:
        """What this instance had to tell of the store is another's now: told later, it would be told twice."""
        if self._fleet.follows:
            self._store_trouble = []

    def _look_at_itself(self) -> None:
        self._lag.look()
        self._distrust_after_a_stall()
        part = self._part(STORE)
        if part is not None and not part.ok:
            self._store_trouble = conditions.of_store(part.since, part.reason)

    def _distrust_after_a_stall(self) -> None:
        if self._lag.stalls != self._known_stalls:
            self._known_stalls = self._lag.stalls
            self._asking.distrust()

    async def _judge(self, now: Instant) -> None:
        """Page by page, so that no transaction is long."""
        seen = Sight(started_at=self._fleet.since, sources=self._together.sources, stalls=self._stalls())
        for _ in range(MOST_PAGES):
            ticked = await liveness.tick(self._db, now, seen, self._asking.answers, self._limits)
            self.bad_rows += ticked.bad
            self._asking.ask(ticked.asks)
            if not ticked.is_whole_page:
                break
            seen = structs.replace(seen, crowds=ticked.crowds)
        if self._clock.now() - now > seconds(SLOW_S):
            self._note_slow_look(now)
        self._asking.forget_old()

    def _stalls(self) -> tuple[Span, ...]:
        return sight.joined(self._lag.stalls, self._together.stalls)

    def _note_slow_look(self, began: Instant) -> None:
        """The urls were asked beside it, so their answers hold: else a look at thousands that hang would undo each asking."""
        self._distrust_after_a_stall()
        self._lag.note(began)
        self._known_stalls = self._lag.stalls

    async def _keep_incidents(self, now: Instant) -> None:
        opened = await incidents.opened(self._db)
        known = {incident.cause for incident in opened if incident.kind == "input"}
        lost = conditions.of_inputs(self._together.sources.values(), now, self._limits, known)
        await self._keep_if_needed(("input",), lost, opened, now)
        await self._keep_store(opened, now)
        if now >= self._next_look_at:
            self._next_look_at = now + seconds(LOOK_INTO_STORE_EVERY_S)
            await incidents.keep(
                self._db, _FROM_STORE, await incidents.found_in_store(self._db, now, self._limits), now, self._limits
            )
        if any(incident.kind in incidents.OF_SERVICES for incident in opened):
            await incidents.settle(self._db, now)
        if any((incident.next_reminder_at or now + 1) <= now for incident in opened):
            await incidents.remind(self._db, now, self._limits)

    async def _keep_if_needed(
        self, kinds: tuple[str, ...], wrong: list[Condition], opened: list[Incident], now: Instant
    ) -> None:
        if wrong or any(incident.kind in kinds for incident in opened):
            await incidents.keep(self._db, kinds, wrong, now, self._limits)

    async def _keep_store(self, opened: list[Incident], now: Instant) -> None:
        """While the store refuses nothing can be written: its incident is written when it works again, and then ends."""
        trouble, self._store_trouble = self._store_trouble, []
        try:
            if trouble or any(incident.kind == STORE for incident in opened):
                await incidents.keep_past(self._db, STORE, trouble, now, self._limits)
        except StoreRefused:
            self._store_trouble = trouble
            raise

    def _part(self, name: str) -> Part | None:
        return next((part for part in self._parts if part.name == name), None)

    async def _do(self, chore: Chore, now: Instant) -> None:
        if now < chore.next_at:
            return
        chore.next_at = now + seconds(chore.every_s)
        for _ in range(MOST_PAGES):
            if await chore.act(now) < chore.page:
                return
