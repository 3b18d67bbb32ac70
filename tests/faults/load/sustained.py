"""A load that stays the same for as long as one likes: services that beat, tasks that change, people who read and listen.

Law: whoever can connect anew does so again and again, as what is not given back shows only then.
"""

import asyncio
import itertools
import json
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import aiohttp
from msgspec import Struct

from tests.brokers import BEATS, SERVICES
from tests.serving import Serving

TICK_S, LISTENS_S, AT_ONCE = 0.1, 5.0, 500
T = TypeVar("T")
Part = Callable[[], Awaitable[None]]


class Sustained(Struct, frozen=True, kw_only=True):
    """How much. Beats a second are `services / interval_s`."""

    services: int
    interval_s: float
    tasks: int
    listeners: int
    length_s: float


class Load:
    """All of it against one server. `waits_s`: how long each read took, in the order of their ends."""

    def __init__(self, server: Serving, size: Sustained, token: str) -> None:
        self._server, self._size = server, size
        self._headers = {"Authorization": f"Bearer {token}"}
        self._random = random.Random(100)
        self.waits_s: list[float] = []
        self.beats = self.events = 0

    async def begin(self) -> None:
        """Register all services and tasks, and have each service beat once."""
        interval = json.dumps({"heartbeat_interval": self._size.interval_s})
        told = [json.dumps({"id": f"svc-{n}", "name": f"svc-{n}", "reserved": interval}) for n in range(self._size.services)]
        for some in _batches(told):
            await self._publish(some, SERVICES)
        for some in _batches(range(self._size.services)):
            await self._beat(some)
        for some in _batches(range(self._size.tasks)):
            await self._ask("Register", some)

    def parts(self) -> Sequence[Part]:
        """What runs until cancelled."""
        return [self._beats, self._changes, self._finds, self._lists, *[self._listens] * self._size.listeners]

    async def _beats(self) -> None:
        """Each service once an interval, spread over it."""
        ticks = max(1, round(self._size.interval_s / TICK_S))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for tick in itertools.count():
            await self._beat(range(tick % ticks, self._size.services, ticks))
            await asyncio.sleep(max(0.0, began + (tick + 1) * TICK_S - loop.time()))

    async def _beat(self, numbers: Sequence[int]) -> None:
        await self._publish([json.dumps({"id": f"svc-{n}"}) for n in numbers], BEATS)
        self.beats += len(numbers)

    async def _publish(self, bodies: Sequence[str], topic: str) -> None:
        body = struct.pack(">i", len(bodies)) + b"".join(struct.pack(">i", len(one)) + one.encode() for one in bodies)
        host, port = self._server.addresses["nsq-http"]
        where = f"http://{host}:{port}/mpub?topic={topic}&binary=true"
        async with aiohttp.ClientSession(trust_env=False) as session, session.post(where, data=body) as answer:
            assert answer.status == 200, await answer.text()

    async def _changes(self) -> None:
        for number in itertools.count():
            await self._ask("Update", [self._random.randrange(self._size.tasks)], number)
            await asyncio.sleep(TICK_S)

    async def _finds(self) -> None:
        while True:
            await self._timed(self._ask("Find", [self._random.randrange(self._size.tasks)]))

    async def _ask(self, what: str, numbers: Sequence[int], value: int = 0) -> None:
        reader, writer = await asyncio.open_connection(*self._server.addresses["tcp"])
        try:
            writer.writelines(_packs(what, numbers, value))
            for _ in numbers:
                assert json.loads(await reader.readline())["Body"]["errid"] == 0
        finally:
            writer.close()
            await writer.wait_closed()

    async def _lists(self) -> None:
        while True:
            await self._timed(self._list())

    async def _list(self) -> None:
        async with (
            aiohttp.ClientSession(self._server.url, headers=self._headers, trust_env=False) as session,
            session.get("/api/v1/tasks", params={"limit": "50", "q": str(self._random.randrange(100))}) as answer,
        ):
            assert answer.status == 200
            await answer.read()

    async def _timed(self, reading: Awaitable[None]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await reading
        self.waits_s.append(loop.time() - began)
        await asyncio.sleep(TICK_S)

    async def _listens(self) -> None:
        """For a while, then anew."""
        while True:
            limit = aiohttp.ClientTimeout(total=LISTENS_S * self._random.uniform(0.5, 1.5))
            try:
                async with (
                    aiohttp.ClientSession(self._server.url, headers=self._headers, timeout=limit, trust_env=False) as session,
                    session.get("/api/v1/stream") as answer,
                ):
                    async for line in answer.content:
                        self.events += line.startswith(b"id: ")
            except TimeoutError:
                continue


async def moments(length_s: float, count: int) -> AsyncIterator[int]:
    """So many, spread evenly over the time in which a load runs."""
    for moment in range(count):
        await asyncio.sleep(length_s / count)
        yield moment


def _batches(many: Sequence[T]) -> Iterator[Sequence[T]]:
    return (many[n : n + AT_ONCE] for n in range(0, len(many), AT_ONCE))


def _packs(what: str, numbers: Sequence[int], value: int) -> Iterator[bytes]:
    for number in numbers:
        body = {"id": f"task-{number}", **({} if what == "Find" else {"description": str(value), "status": "running"})}
        yield json.dumps({"MessageID": 2, "Header": {"RequestID": what}, "Body": body}).encode() + b"\n"
