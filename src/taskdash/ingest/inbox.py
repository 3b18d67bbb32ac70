"""The one door of NSQ messages: what arrives is stored by the batch, and settled only after its transaction (RELIABILITY R1).

Law: never more than one transaction under way; what arrives meanwhile is the next batch. A producer waits for its OK, so a
batch starts at once while commits are cheap enough (a token bucket), then when as many have come as a wait of 5 ms was seen to
bring, so that producers who all wait for us are not kept waiting for nobody; a consumer's messages, for which nobody waits, are
gathered over a fixed window (NSQ.md A.2). Senders are served in turns. Who waits behind a slow transaction for 5 s is refused,
and until that transaction returns so is who comes (R27); what is inside it waits for its outcome, whatever it is (R2).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from taskdash.clock import Clock
from taskdash.errors import StoreRefused, TaskDashError
from taskdash.health import Parts
from taskdash.ingest.fair_queue import FairQueue, Put, Settle
from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.model.records import Message

MOST_MESSAGES, MOST_BYTES = 5_000, 4 * 1024 * 1024
CROWDED_MESSAGES, CROWDED_BYTES = 50_000, 32 * 1024 * 1024
"""With so much waiting, entrances read no more until there is room (R14, R101)."""
AT_ONCE = 500
"""So many waiting messages start a batch whatever the pace."""
COMMITS_A_SECOND, BURST, APART_S, LEARN_EVERY = 200.0, 1_000.0, 0.005, 512
PATIENCE_S, LOOK_EVERY_S = 5.0, 1.0

Store = Callable[[Sequence[Message]], Awaitable[object]]
"""Stores a whole batch durably, or raises StoreRefused."""


class Inbox:
    """`put` from any entrance; `run` stores. `window_s`: 0 for producers that wait, else the consumer's window."""

    def __init__(self, store: Store, clock: Clock, *, window_s: float = 0.0) -> None:
        self._store = store
        self._clock = clock
        self._window_s = window_s
        self._waiting = FairQueue()
        self._count = self._bytes = 0
        self._something, self._enough, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._tokens, self._refilled_at = BURST, clock.now()
        self._paced = self._company = 0
        self._is_storing = self._is_stuck = False
        self.trouble = ""
        """Why the last batch was not stored, empty when it was: an input that ends here is not heard (SPEC 3)."""
        self.on_turn: Callable[[], None] = lambda: None
        """Called on the loop when `trouble` begins or ends."""

    def why_deaf(self, parts: Parts) -> str:
        """Why nothing can be taken in now, empty when it can. The store's own probe ends it when nobody publishes any more."""
        store = next((part for part in parts if part.name == "store"), None)
        return self.trouble if store is None or self._is_stuck else store.reason

    @property
    def is_crowded(self) -> bool:
        """True when entrances should stop reading for a moment."""
        return self._count >= CROWDED_MESSAGES or self._bytes >= CROWDED_BYTES

    def put(self, messages: Sequence[Message], settle: Settle) -> None:
        """Take messages in; `settle` is called once, on the loop: with None when they are durable, else with the refusal."""
        if self._is_stuck:
            asyncio.get_running_loop().call_soon(settle, StoreRefused(self.trouble))
            return
        size = sum(len(message.body) for message in messages)
        self._waiting.append(Put(messages, settle, self._clock.now(), size))
        self._count += len(messages)
        self._bytes += size
        self._idle.clear()
        self._something.set()
        self._mark_enough()

    def _mark_enough(self) -> None:
        if self._count >= AT_ONCE or (self._company and len(self._waiting) >= self._company):
            self._enough.set()
        else:
            self._enough.clear()

    async def run(self) -> None:
        """Store until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._store_on())
            group.create_task(self._lose_patience())

    async def _store_on(self) -> None:
        while True:
            await self._something.wait()
            await self._pace()
            await self._settle(self._take())
            if not self._waiting:
                self._something.clear()
                self._idle.set()

    async def drain(self, deadline_s: float) -> bool:
        """Wait until all that came is settled; False when the deadline came first."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    # when a batch starts

    async def _pace(self) -> None:
        if self._count >= AT_ONCE:
            return
        if self._window_s:
            await self._sleep_until_enough(self._window_s)
            return
        self._tokens = min(BURST, self._tokens + COMMITS_A_SECOND * in_seconds(self._since_refill()))
        if self._tokens >= 1:
            self._tokens -= 1
        else:
            await self._gather()

    async def _gather(self) -> None:
        """Wait for the usual company; now and then, and when it does not come, wait 5 ms and learn what is usual."""
        learnt, self._company = self._company, 0 if self._paced % LEARN_EVERY == 0 else self._company
        self._paced += 1
        self._mark_enough()
        await self._sleep_until_enough(APART_S)
        self._company = max(len(self._waiting), learnt if self._enough.is_set() else 1)
        self._mark_enough()

    async def _sleep_until_enough(self, duration_s: float) -> None:
        if self._enough.is_set():
            return
        either = [asyncio.ensure_future(self._clock.sleep(duration_s)), asyncio.ensure_future(self._enough.wait())]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    def _since_refill(self) -> Instant:
        before, self._refilled_at = self._refilled_at, self._clock.now()
        return self._refilled_at - before

    # a batch

    def _take(self) -> list[Put]:
        batch: list[Put] = []
        messages = size = 0
        while self._waiting and (not batch or (messages < MOST_MESSAGES and size < MOST_BYTES)):
            put = self._pop()
            batch.append(put)
            messages += len(put.messages)
            size += put.size
        return batch

    def _pop(self) -> Put:
        put = self._waiting.popleft()
        self._forget(put)
        return put

    def _forget(self, put: Put) -> None:
        self._count -= len(put.messages)
        self._bytes -= put.size
        self._mark_enough()

    async def _settle(self, batch: Sequence[Put]) -> None:
        if not batch:
            return
        refused: StoreRefused | None = None
        self._is_storing = True
        try:
            await self._store([message for put in batch for message in put.messages])
        except TaskDashError as error:
            refused = error if isinstance(error, StoreRefused) else StoreRefused(error.detail)
        self._is_storing = self._is_stuck = False
        self._turn(refused.detail if refused else "")
        for put in batch:
            put.settle(refused)

    def _turn(self, trouble: str) -> None:
        turned = bool(trouble) != bool(self.trouble)
        self.trouble = trouble
        if turned:
            self.on_turn()

    # a store that hangs

    async def _lose_patience(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            oldest = self._clock.now() - seconds(PATIENCE_S)
            if self._is_storing and (late := self._waiting.pop_until(oldest)):
                self._refuse(late)

    def _refuse(self, late: Sequence[Put]) -> None:
        self._is_stuck = True
        self._turn(f"the store has not answered for {PATIENCE_S:.0f} s; nothing was kept")
        refused = StoreRefused(self.trouble)
        for put in late:
            self._forget(put)
            put.settle(refused)
