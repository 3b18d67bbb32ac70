"""The one door of NSQ messages: what arrives is stored by the batch, and settled only after its transaction (RELIABILITY R1).

Law: never more than one transaction under way; what arrives meanwhile is the next batch. A producer waits for its OK, so a
batch starts at once while commits are cheap enough (a token bucket), then 5 ms apart; a consumer's messages, for which nobody
waits, are gathered over a fixed window (NSQ.md A.2).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from taskdash.clock import Clock
from taskdash.errors import StoreRefused, TaskDashError
from taskdash.model.instants import Instant, in_seconds
from taskdash.model.records import Message

MOST_MESSAGES, MOST_BYTES = 5_000, 4 * 1024 * 1024
AT_ONCE = 500
"""So many waiting messages start a batch whatever the pace."""
COMMITS_A_SECOND, BURST, APART_S = 200.0, 1_000.0, 0.005

Store = Callable[[Sequence[Message]], Awaitable[object]]
"""Stores a whole batch durably, or raises StoreRefused."""
Settle = Callable[[StoreRefused | None], None]


class _Put(Struct):
    messages: Sequence[Message]
    settle: Settle


class Inbox:
    """`put` from any entrance; `run` stores. `window_s`: 0 for producers that wait, else the consumer's window."""

    def __init__(self, store: Store, clock: Clock, *, window_s: float = 0.0) -> None:
        self._store = store
        self._clock = clock
        self._window_s = window_s
        self._waiting: deque[_Put] = deque()
        self._count = 0
        self._something = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tokens, self._refilled_at = BURST, clock.now()

    def put(self, messages: Sequence[Message], settle: Settle) -> None:
        """Take messages in; `settle` is called once, on the loop: with None when they are durable, else with the refusal."""
        self._waiting.append(_Put(messages, settle))
        self._count += len(messages)
        self._idle.clear()
        self._something.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._something.wait()
            await self._pace()
            batch = self._take()
            await self._settle(batch)
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

    async def _pace(self) -> None:
        if self._count >= AT_ONCE:
            return
        if self._window_s:
            await self._clock.sleep(self._window_s)
            return
        self._tokens = min(BURST, self._tokens + COMMITS_A_SECOND * in_seconds(self._since_refill()))
        if self._tokens >= 1:
            self._tokens -= 1
        else:
            await self._clock.sleep(APART_S)

    def _since_refill(self) -> Instant:
        before, self._refilled_at = self._refilled_at, self._clock.now()
        return self._refilled_at - before

    def _take(self) -> list[_Put]:
        batch: list[_Put] = []
        messages = size = 0
        while self._waiting and (not batch or (messages < MOST_MESSAGES and size < MOST_BYTES)):
            put = self._waiting.popleft()
            batch.append(put)
            messages += len(put.messages)
            size += sum(len(message.body) for message in put.messages)
        self._count -= messages
        return batch

    async def _settle(self, batch: Sequence[_Put]) -> None:
        refused: StoreRefused | None = None
        try:
            await self._store([message for put in batch for message in put.messages])
        except TaskDashError as error:
            refused = error if isinstance(error, StoreRefused) else StoreRefused(error.detail)
        for put in batch:
            put.settle(refused)
