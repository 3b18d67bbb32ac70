"""When batches start, and what happens behind a slow transaction (NSQ.md A.2; RELIABILITY R1, R2, R27)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from taskdash.clock import ManualClock
from taskdash.errors import StoreRefused
from taskdash.ingest.inbox import AT_ONCE, BURST, MOST_MESSAGES, Inbox
from taskdash.model.records import Message
from tests.nsq_endpoint import HEARTBEATS, MemoryStore
from tests.support import eventually


class Door:
    """An inbox, its store, and what was settled: (label, refusal or None)."""

    def __init__(self, window_s: float) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.inbox = Inbox(self.store, self.clock, window_s=window_s)
        self.settled: list[tuple[str, StoreRefused | None]] = []

    def put(self, label: str, count: int = 1, body: bytes = b"x", sender: str = "") -> None:
        messages = [Message(HEARTBEATS, body, self.clock.now(), "nsq", sender)] * count
        self.inbox.put(messages, lambda refused: self.settled.append((label, refused)))

    def stored(self, *labels: str) -> bool:
        return self.settled == [(label, None) for label in labels]

    async def turns(self, count: int = 20) -> None:
        """Let everything that can run now run."""
        for _ in range(count):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def door(window_s: float = 0.0) -> AsyncIterator[Door]:
    opened = Door(window_s)
    running = asyncio.create_task(opened.inbox.run())
    try:
        yield opened
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def spent(at: Door) -> None:
    """Use the burst of cheap commits up."""
    for number in range(int(BURST)):
        at.put(str(number))
        await at.turns(8)
    assert len(at.settled) == BURST
    at.settled.clear()


async def use_token(at: Door) -> None:
    """Use the one up that 5 ms brought."""
    at.put("token")
    await at.turns()
    assert at.settled.pop() == ("token", None)


async def test_one_transaction_at_a_time_and_what_comes_meanwhile_is_the_next() -> None:
    async with door() as at:
        at.store.open.clear()
        at.put("first")
        await eventually(lambda: at.store.under_way)
        for label in "abc":
            at.put(label)
        await at.turns()
        assert at.settled == []
        at.store.open.set()
        await eventually(lambda: at.stored("first", "a", "b", "c"))
        assert [len(batch) for batch in at.store.batches] == [1, 3]
        assert at.store.most_under_way == 1


async def test_a_producer_does_not_wait_while_commits_are_cheap_and_then_5_ms() -> None:
    async with door() as at:
        await spent(at)
        at.put("beyond the burst")
        await at.turns()
        assert at.settled == []
        at.clock.advance(0.005)
        await at.turns()
        assert at.stored("beyond the burst")
        await use_token(at)


async def test_a_lone_producer_is_not_kept_waiting_for_nobody() -> None:
    async with door() as at:
        await spent(at)
        at.put("learns")
        await at.turns()
        at.clock.advance(0.004)
        await at.turns()
        assert at.settled == []
        at.clock.advance(0.001)
        await at.turns()
        assert at.stored("learns")
        await use_token(at)
        for number in range(60):
            at.put(str(number))
            await at.turns()
            assert len(at.settled) == number + 2


async def test_producers_who_come_together_are_stored_together() -> None:
    async with door() as at:
        await spent(at)
        for label in "abc":
            at.put(label)
        await at.turns()
        at.clock.advance(0.005)
        await at.turns()
        assert at.stored("a", "b", "c")
        at.settled.clear()
        await use_token(at)
        at.put("d")
        at.put("e")
        await at.turns()
        assert at.settled == []
        at.put("f")
        await at.turns()
        assert at.stored("d", "e", "f")
        at.put("who comes alone waits 5 ms, once")
        await at.turns()
        assert len(at.settled) == 3
        at.clock.advance(0.005)
        await at.turns()
        assert [len(batch) for batch in at.store.batches[-4:]] == [3, 1, 3, 1]


async def test_a_consumers_messages_are_gathered_over_the_window() -> None:
    async with door(window_s=0.02) as at:
        at.put("a")
        at.put("b")
        await at.turns()
        assert at.settled == []
        at.clock.advance(0.02)
        await eventually(lambda: at.stored("a", "b"))
        assert len(at.store.batches) == 1


async def test_a_large_batch_does_not_wait_for_the_window() -> None:
    async with door(window_s=0.02) as at:
        at.put("few")
        await at.turns()
        at.put("many", count=AT_ONCE)
        await eventually(lambda: at.stored("few", "many"))


async def test_a_batch_has_bounds_but_one_put_is_never_cut() -> None:
    async with door(window_s=0.02) as at:
        at.put("huge", count=MOST_MESSAGES + 1)
        at.put("big", body=b"x" * 3_000_000)
        at.put("bigger", body=b"x" * 3_000_000)
        at.put("next")
        for _ in range(3):
            await at.turns()
            at.clock.advance(0.02)
        await eventually(lambda: at.stored("huge", "big", "bigger", "next"))
        assert [len(batch) for batch in at.store.batches] == [MOST_MESSAGES + 1, 2, 1]


async def test_a_refusal_reaches_every_put_of_its_batch_and_no_other() -> None:
    async with door() as at:
        at.store.refusal = "the disk is full"
        at.put("a")
        await eventually(lambda: at.settled)
        assert [(label, str(refused)) for label, refused in at.settled] == [("a", "the disk is full")]
        assert at.inbox.trouble == "the disk is full"
        at.store.refusal = ""
        at.put("b")
        await eventually(lambda: len(at.settled) == 2)
        assert at.settled[1] == ("b", None)
        assert at.inbox.trouble == ""


async def test_R27_who_waits_5_s_behind_a_slow_transaction_is_refused_and_who_is_inside_it_waits() -> None:
    async with door() as at:
        at.store.open.clear()
        at.put("inside")
        await eventually(lambda: at.store.under_way)
        at.put("behind")
        for _ in range(6):
            at.clock.advance(1.0)
            await at.turns()
        assert [label for label, refused in at.settled if refused] == ["behind"]
        at.put("later")
        await at.turns()
        assert [label for label, refused in at.settled if refused] == ["behind", "later"]
        at.store.open.set()
        await eventually(lambda: ("inside", None) in at.settled)
        assert [len(batch) for batch in at.store.batches] == [1]
        at.put("after")
        await eventually(lambda: ("after", None) in at.settled)


async def test_R41_what_waited_while_taskdash_stood_still_is_stored_for_the_store_is_not_to_blame() -> None:
    async with door(window_s=0.02) as at:
        await at.turns()
        at.put("before")
        await at.turns()
        at.clock.advance(18.0)
        await eventually(lambda: at.stored("before"))
        at.put("after")
        await at.turns()
        at.clock.advance(0.02)
        await eventually(lambda: at.stored("before", "after"))


async def test_drain_waits_for_what_came() -> None:
    async with door() as at:
        at.store.open.clear()
        at.put("a")
        await eventually(lambda: at.store.under_way)
        assert await at.inbox.drain(0.01) is False
        at.store.open.set()
        assert await at.inbox.drain(5.0) is True
        assert at.stored("a")


async def test_R13_who_sends_much_waits_behind_its_own_and_others_do_not() -> None:
    async with door() as at:
        at.store.open.clear()
        at.put("under way")
        await eventually(lambda: at.store.under_way)
        for number in range(20):
            at.put(f"much {number}", count=MOST_MESSAGES, sender="flood:1")
        at.put("little", sender="other:1")
        at.store.open.set()
        await eventually(lambda: len(at.settled) == 22)
        labels = [label for label, _refused in at.settled]
        assert labels.index("little") <= 3
        assert [label for label in labels if label.startswith("much")] == [f"much {number}" for number in range(20)]
