"""The tail of the events table, fanned out to bounded subscribers. Law: nothing is skipped, repeated or out of order (R6).

A commit wakes it; it then looks after its own seq. A subscriber that does not keep up is ended ("resume from your id",
RELIABILITY R52), so one slow reader costs nobody anything.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from taskdash.errors import TaskDashError
from taskdash.model.records import Event
from taskdash.store import events
from taskdash.store.database import Database

MOST_PENDING = 1_000
LOOK_EVERY_S = 1.0
"""Changes by another process (the command line) wake nobody here."""
_PAGE = 500


class Subscription:
    """Events after the seq it was opened at. Iterate over it; it ends when it was cut or the feed closed."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._pending: deque[Sequence[Event]] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._waiting = 0
        self._cut = False

    def put(self, batch: Sequence[Event]) -> None:
        """Called by the feed only."""
        self._waiting += len(batch)
        if self._waiting > MOST_PENDING + _PAGE:
            self.cut()
        elif not self._cut:
            self._pending.append(batch)
            self._wake()

    def cut(self) -> None:
        """End it after what it already holds."""
        self._cut = True
        self._wake()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """A bare future wakes it: of five hundred listeners each queue would cost as much as the write."""
        while self._pending or not self._cut:
            while self._pending:
                batch = self._pending.popleft()
                self._waiting -= len(batch)
                yield batch
            if not self._cut:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle


class Feed:
    """Reads new events once for everybody. `wake` is cheap and may be called for every commit."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._wake = asyncio.Event()
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self.seq = 0
        """The last seq that was given to the subscribers."""

    def wake(self, told: bool) -> None:
        """Something was committed; `told`: history among it. Plain beats write none, and are most of all commits.

        While nobody listens, a look a second is enough.
        """
        if told and self._subscriptions:
            self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled; a store that fails is asked again at the next wake-up."""
        begun = False
        self._wake.set()
        while True:
            timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._wake.set)
            await self._wake.wait()
            timer.cancel()
            self._wake.clear()
            try:
                begun = begun or await self._begin()
                await self._catch_up()
            except TaskDashError:
                continue

    async def _begin(self) -> bool:
        """From the newest on; whoever subscribed meanwhile, while the store did not answer, is told what came since."""
        _oldest, newest = await self._db.read(events.bounds)
        self.seq = min([newest, *(subscription.after for subscription in self._subscriptions)])
        return True

    async def _catch_up(self) -> None:
        while batch := await self._db.read(lambda conn: events.after(conn, self.seq, _PAGE)):
            self.seq = batch[-1].seq
            for subscription in list(self._subscriptions):
                subscription.put(batch)

    def subscribe(self, after: int) -> Subscription:
        """Everything after `after`, which is not before `self.seq`; ended at once when the feed is closed."""
        subscription = Subscription(after)
        self._subscriptions.add(subscription)
        self._wake.set()
        if self._closed:
            subscription.cut()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The subscriber has gone."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription, and those to come (drain)."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.cut()
