"""Requests of all connections, gathered: one transaction for the writes that wait, one read for the Finds that wait.

Law: never more than one write and one read under way; what arrives meanwhile is the next batch (DESIGN 4). Each request is
answered exactly once, with the body of its answer, after its transaction is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct
from sqlalchemy import Connection as StoreConnection

from taskdash.actions.tasks import TaskRequest, unknown_task
from taskdash.errors import Busy, StoreRefused, TaskDashError
from taskdash.store.finds import find
from taskdash.tcp import replies

MOST_AT_ONCE = 1_024
COMPANY_S = 0.001
"""So long a write waits for as many as came with the one before: the answers of one commit bring the next requests almost
together, and the first of them alone would make a commit of its own."""

Apply = Callable[[Sequence[TaskRequest]], Awaitable[Sequence[TaskDashError | None]]]


Found = Mapping[str, tuple[str, ...]]
"""Task fields in the order of `store.finds.FIELDS`, by id."""


class Find(Struct):
    """One Find that waits."""

    id: str


class Reader(Protocol):
    """What `Database.read` is to this module."""

    async def __call__(self, query: Callable[[StoreConnection], Found]) -> Found:
        """What `query` returns."""
        ...


class Slot(Protocol):
    """Where one request waits for its answer."""

    def answer(self, body: bytes) -> None:
        """Keep the body; the connection sends it in its turn."""
        ...

    def flush(self) -> None:
        """Let the connection send what is answered; called once a batch and connection is enough."""
        ...


R = TypeVar("R")


class Gathering(Generic[R]):
    """A queue that hands all that waits to `serve`, one batch at a time.

    `company_s`: how long it waits for as many as the batch before had; who comes alone again and again never waits. Its loop
    waits on a bare future, not on an Event: for one Find alone the extra turns of the loop would count.
    """

    def __init__(self, serve: Callable[[Sequence[R]], Awaitable[Sequence[bytes]]], company_s: float = 0.0) -> None:
        self._serve = serve
        self._company_s = company_s
        self._waiting: list[tuple[R, Slot]] = []
        self._wanted = 1
        self._enough: asyncio.Future[None] | None = None

    def put(self, request: R, slot: Slot) -> None:
        """Join the next batch."""
        self._waiting.append((request, slot))
        if len(self._waiting) >= self._wanted:
            self._end_wait()

    def _end_wait(self) -> None:
        if self._enough is not None and not self._enough.done():
            self._enough.set_result(None)

    async def _wait_for(self, wanted: int, duration_s: float = 0.0) -> None:
        """Until so many wait; with a duration, at most so long."""
        loop = asyncio.get_running_loop()
        self._wanted, self._enough = wanted, loop.create_future()
        timer = loop.call_later(duration_s, self._end_wait) if duration_s else None
        await self._enough
        if timer is not None:
            timer.cancel()

    async def run(self) -> None:
        """Serve until cancelled."""
        company = 1
        while True:
            if not self._waiting:
                await self._wait_for(1)
            if self._company_s and len(self._waiting) < company:
                await self._wait_for(company, self._company_s)
            company = min(len(self._waiting), MOST_AT_ONCE)
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            bodies = await self._serve([request for request, _slot in batch])
            _hand_out(bodies, [slot for _request, slot in batch])


def _hand_out(bodies: Iterable[bytes], slots: Sequence[Slot]) -> None:
    for body, slot in zip(bodies, slots, strict=True):
        slot.answer(body)
    for slot in slots:
        slot.flush()


def writes(apply: Apply) -> Gathering[TaskRequest]:
    """Register and Update, through one action."""

    async def serve(batch: Sequence[TaskRequest]) -> Sequence[bytes]:
        try:
            outcomes = await apply(batch)
        except TaskDashError as error:
            outcomes = [error] * len(batch)
        return [_written(request, outcome) for request, outcome in zip(batch, outcomes, strict=True)]

    return Gathering(serve, COMPANY_S)


def _written(request: TaskRequest, outcome: TaskDashError | None) -> bytes:
    return replies.refused(request.fields.id, outcome) if outcome else replies.done(request.fields.id)


def finds(read: Reader) -> Gathering[Find]:
    """Find, all that wait through one query."""

    async def serve(batch: Sequence[Find]) -> Sequence[bytes]:
        ids = {one.id for one in batch}
        try:
            known = await read(lambda conn: find(conn, ids))
        except (StoreRefused, Busy) as error:
            refusal = StoreRefused(error.detail)
            return [replies.refused(one.id, refusal) for one in batch]
        return [_found(one.id, known.get(one.id)) for one in batch]

    return Gathering(serve)


def _found(task_id: str, fields: tuple[str, ...] | None) -> bytes:
    return replies.found(fields) if fields else replies.refused(task_id, unknown_task(task_id))
