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

    Its loop waits on a bare future, not on an Event: for one Find alone the extra turns of the loop would count.
    """

    def __init__(self, serve: Callable[[Sequence[R]], Awaitable[Sequence[bytes]]]) -> None:
        self._serve = serve
        self._waiting: list[tuple[R, Slot]] = []
        self._idle: asyncio.Future[None] | None = None

    def put(self, request: R, slot: Slot) -> None:
        """Join the next batch."""
        self._waiting.append((request, slot))
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            if not self._waiting:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
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

    return Gathering(serve)


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
