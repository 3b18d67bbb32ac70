"""A consumer over a store in memory, and what nsqd says of it: shared by the journeys of the cluster."""

import asyncio
from collections.abc import Sequence
from typing import Any

from taskdash.clock import Clock, SystemClock
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.lookup import Lookup
from taskdash.ingest.nsq_connection import Config
from taskdash.ingest.nsq_consumer import Consumer
from taskdash.model.records import Message
from tests.brokers import BEATS, SERVICES, Nsqd
from tests.support import eventually


class RecordingStore:
    """Keeps what it is given. `refuses`: takes nothing; `hold` closed: takes its time."""

    def __init__(self) -> None:
        self.kept: list[Message] = []
        self.refusals = 0
        self.refuses = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, messages: Sequence[Message]) -> None:
        await self.hold.wait()
        if self.refuses:
            self.refusals += 1
            raise StoreRefused("the store refused the change (SQLITE_FULL); nothing was kept")
        self.kept.extend(messages)

    @property
    def bodies(self) -> set[bytes]:
        return {message.body for message in self.kept}


class Rig:
    """A consumer over a recording store."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.store = RecordingStore()
        self.inputs, self.parts = Inputs(self.clock), Parts(self.clock)
        self.consumer: Consumer | None = None
        self._runs: list[asyncio.Future[Any]] = []

    def consume(self, nodes: Sequence[str] = (), lookupds: Sequence[str] = (), **config: Any) -> None:
        inbox = Inbox(self.store, self.clock, window_s=0.02)
        lookup = Lookup(lookupds) if lookupds else None
        self.consumer = Consumer(inbox, self.clock, self.inputs, self.parts, Config(**config), (SERVICES, BEATS), nodes, lookup)
        self._runs = [asyncio.ensure_future(run()) for run in self.consumer.runs()]

    async def drain(self) -> None:
        assert self.consumer is not None
        await self.consumer.drain(5.0)

    async def end(self) -> None:
        for run in self._runs:
            run.cancel()
        for ended in await asyncio.gather(*self._runs, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended

    def hears(self, *nodes: str) -> bool:
        return all((seen := self.inputs.get(f"nsqd:{node}")) is not None and seen.healthy for node in nodes)

    def reason(self, node: str) -> str:
        seen = self.inputs.get(f"nsqd:{node}")
        return seen.reason if seen and not seen.healthy else ""

    async def has_kept(self, bodies: Sequence[bytes], deadline_s: float = 20.0) -> None:
        await eventually(lambda: self.store.bodies >= set(bodies), deadline_s)


def beats(count: int, name: str = "s") -> list[bytes]:
    return [b'{"id":"%s%d"}' % (name.encode(), n) for n in range(count)]


async def asks_for_nothing(nsqd: Nsqd) -> bool:
    clients = (await nsqd.channel()).get("clients") or []
    return bool(clients) and all(client["ready_count"] == 0 for client in clients)


async def all_in_flight(nsqd: Nsqd, count: int) -> bool:
    return (await nsqd.channel()).get("in_flight_count") == count


async def all_wait(nsqd: Nsqd, count: int) -> bool:
    channel = await nsqd.channel()
    return bool(channel["depth"] + channel["in_flight_count"] == count)


def withdrawn(rig: Rig, node: str) -> bool:
    seen = rig.inputs.get(f"nsqd:{node}")
    return seen is not None and seen.withdrawn_at is not None
