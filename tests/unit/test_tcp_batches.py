"""Which requests of TCP share one commit (DESIGN 4)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from taskdash.tcp.batches import Gathering
from tests.support import eventually


class Slot:
    """Where nobody listens."""

    def answer(self, body: bytes) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Send nothing."""


class Gathered:
    """What was served together, and a gathering that does."""

    def __init__(self, company_s: float) -> None:
        self.batches: list[list[int]] = []
        self.gathering: Gathering[int] = Gathering(self._serve, company_s)

    async def _serve(self, batch: Sequence[int]) -> Sequence[bytes]:
        self.batches.append(list(batch))
        return [b""] * len(batch)

    def put(self, *requests: int) -> None:
        for request in requests:
            self.gathering.put(request, Slot())

    async def come(self, *batches: list[int]) -> None:
        await eventually(lambda: self.batches == list(batches))


@asynccontextmanager
async def gathering(company_s: float) -> AsyncIterator[Gathered]:
    gathered = Gathered(company_s)
    running = asyncio.create_task(gathered.gathering.run())
    yield gathered
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def some_turns() -> None:
    for _turn in range(20):
        await asyncio.sleep(0)


async def test_the_first_of_a_round_waits_for_as_many_as_came_before() -> None:
    async with gathering(company_s=3_600) as gathered:
        gathered.put(1, 2, 3)
        await gathered.come([1, 2, 3])
        for request in (4, 5):
            gathered.put(request)
            await some_turns()
            assert gathered.batches == [[1, 2, 3]]
        gathered.put(6)
        await gathered.come([1, 2, 3], [4, 5, 6])


async def test_a_company_that_does_not_come_is_waited_for_once() -> None:
    async with gathering(company_s=0.001) as gathered:
        gathered.put(1, 2, 3)
        await gathered.come([1, 2, 3])
        gathered.put(4)
        await gathered.come([1, 2, 3], [4])
        gathered.put(5)
        await some_turns()
        assert gathered.batches == [[1, 2, 3], [4], [5]]


async def test_without_company_nobody_waits() -> None:
    async with gathering(company_s=0.0) as gathered:
        gathered.put(1, 2, 3)
        await gathered.come([1, 2, 3])
        gathered.put(4)
        await some_turns()
        assert gathered.batches == [[1, 2, 3], [4]]
