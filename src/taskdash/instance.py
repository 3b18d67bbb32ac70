"""This process among all that share the store: what it holds of the work that is to be done once, and who else is there.

Law: what it believes to hold ends by its own clock before it ends in the store, and every write that follows from it is
fenced in the store. So one that stood still neither goes on asking nor overwrites who followed it.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from taskdash.actions import instances, tasks
from taskdash.actions.instances import Beat
from taskdash.clock import Clock, every
from taskdash.errors import StoreRefused
from taskdash.model.instants import Instant, seconds
from taskdash.rules import sharing
from taskdash.rules.fleet import Heard, Report, Seen
from taskdash.store import leases
from taskdash.store.database import Database, Store

BEAT_EVERY_S, _JOIN_EVERY_S = 1.0, 1.0
MARGIN_S = 1.0
"""So much earlier than the store it lets go."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class Fleet(Protocol):
    """What the parts ask of it."""

    id: str
    since: Instant
    """Since when this instance, or one that it found alive, has seen."""

    @property
    def leads(self) -> bool:
        """Whether it ticks, keeps the incidents and does the chores."""

    @property
    def follows(self) -> bool:
        """Whether it knows that another leads; while it cannot ask the store it does neither."""

    @property
    def shards(self) -> frozenset[int]:
        """Whose services it collects."""

    @property
    def others(self) -> Sequence[Seen]:
        """Who else there is."""

    def fenced(self, names: Collection[str]) -> Store:
        """The store, which refuses every change with LeaseLost once another holds one of these leases."""


class Alone:
    """The one process of an embedded store: all is its own."""

    id = ""
    leads, follows = True, False
    shards = sharing.ALL_SHARDS
    others: Sequence[Seen] = ()

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self.since = clock.now()
        self._has_joined = False

    async def join(self) -> None:
        """No connection of the time before is left. A store that is full at the start can still be read (RELIABILITY R24)."""
        with suppress(StoreRefused):
            while not self._has_joined:
                self._has_joined = not await tasks.lose_orphans(self._db, self._clock.now())

    async def run(self) -> None:
        """Nobody needs to be told; what the store refused at the start is done when it no longer does."""
        await every(self._clock, _JOIN_EVERY_S, self.join)

    async def leave(self) -> None:
        """Nobody takes over."""

    def fenced(self, names: Collection[str]) -> Store:
        """The store as it is."""
        del names
        return self._db


class Instance:
    """One of any number on a PostgreSQL. `join` before the parts run, `run` beside them, `leave` after them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        roles: Sequence[str],
        inputs: Callable[[], Sequence[Heard]],
        longest_asking_s: float,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.since = clock.now()
        self._db, self._clock = db, clock
        self._roles, self._inputs = tuple(roles), inputs
        self._shard_lease_s = instances.MONITOR_LEASE_S + longest_asking_s
        """What is asked before this instance lets go is answered before another may ask."""
        self._known = Beat()
        self._as_of: Instant = 0

    async def join(self) -> None:
        """The first beat; it goes on from what those that are there have seen. Raises StoreRefused."""
        await self._beat()
        self.since = min([self.since, *(one.report.since for one in self.others)])

    async def run(self) -> None:
        """Beat until cancelled; a store that refuses takes away what is held, in time."""
        await every(self._clock, BEAT_EVERY_S, self._try)

    async def _try(self) -> None:
        try:
            await self._beat()
        except StoreRefused as error:
            log.warning("this instance could not tell that it lives: %s", error.detail)

    async def _beat(self) -> None:
        began = self._clock.now()
        report = Report(roles=self._roles, since=self.since, inputs=tuple(self._inputs()))
        self._known = await instances.beat(self._db, self.id, report, self._shard_lease_s)
        self._as_of = began

    async def leave(self) -> None:
        """Give all back; one that cannot is missed when its leases lapse."""
        try:
            await instances.leave(self._db, self.id)
        except StoreRefused as error:
            log.warning("this instance could not tell that it leaves: %s", error.detail)

    def _holds(self, length_s: float) -> bool:
        return self._clock.now() < self._as_of + seconds(length_s - MARGIN_S)

    @property
    def leads(self) -> bool:
        """Whether it ticks, keeps the incidents and does the chores."""
        return self._known.leads and self._holds(instances.MONITOR_LEASE_S)

    @property
    def follows(self) -> bool:
        """Whether it has just learnt that another leads."""
        return not self._known.leads and self._holds(instances.MONITOR_LEASE_S)

    @property
    def shards(self) -> frozenset[int]:
        """Whose services it may begin to ask."""
        return self._known.shards if self._holds(instances.MONITOR_LEASE_S) else frozenset()

    @property
    def others(self) -> Sequence[Seen]:
        """Who else there was at the last beat, their ages as of now."""
        passed = self._clock.now() - self._as_of
        return [Seen(one.id, one.report, one.age + passed) for one in self._known.seen if one.id != self.id]

    def fenced(self, names: Collection[str]) -> Store:
        """The store, which refuses every change with LeaseLost once another holds one of these leases."""
        return _Fenced(self._db, self.id, frozenset(names))


class _Fenced:
    def __init__(self, db: Database, holder: str, names: frozenset[str]) -> None:
        self._holder, self._names = holder, names
        self._db = db

    async def read(self, query: Callable[[Connection], T], *, limit_s: float | None = 5.0) -> T:
        """As the store's."""
        return await self._db.read(query, limit_s=limit_s)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """As the store's, and refused with LeaseLost when a lease is another's."""

        def checked(conn: Connection) -> T:
            leases.check(conn, self._holder, self._names)
            return work(conn)

        return await self._db.write(checked)
