"""Ten times the beats, services and tasks: the CPU of storing them, in one process. (Page time over size: suite lists.)"""

import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.harness import Row, at_most
from taskdash.actions.arrivals import Topics
from taskdash.actions.intake import store_batch
from taskdash.actions.tasks import TaskRequest, apply_batch
from taskdash.clock import SystemClock
from taskdash.model.records import Actor, Message, TaskFields
from taskdash.store.database import Database
from taskdash.store.migrations import runner
from taskdash.store.places import File

TOPICS = Topics()
CLOCK = SystemClock()
PEER = Actor(type="connection", id="127.0.0.1:1", channel="tcp")
BATCH, FEW, ROUNDS = 500, 5_000, 3
Store = Callable[[Database, Sequence[int]], Awaitable[object]]


async def _beats(db: Database, numbers: Sequence[int]) -> None:
    now = CLOCK.now()
    bodies = [b'{"id":"service-%d"}' % (n % 1_000) for n in numbers]
    await store_batch(
        db, [Message(TOPICS.heartbeats, body, now - 1_000_000 + i, "nsq") for i, body in enumerate(bodies)], now, TOPICS
    )


async def _services(db: Database, numbers: Sequence[int]) -> None:
    now = CLOCK.now()
    bodies = [json.dumps({"id": f"service-{n}", "name": f"服务 {n}"}).encode() for n in numbers]
    await store_batch(db, [Message(TOPICS.services, body, now, "nsq") for body in bodies], now, TOPICS)


async def _tasks(db: Database, numbers: Sequence[int]) -> None:
    fields = [TaskFields(id=f"task-{n}", name=f"任务 {n}", status="running") for n in numbers]
    await apply_batch(db, [TaskRequest(kind="register", fields=one, actor=PEER) for one in fields], CLOCK.now())


async def cpu_s(store: Store, count: int) -> float:
    """Seconds of CPU to store so many, into a new store that knows 1,000 services."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "taskdash.db"
        runner.upgrade(path)
        db = Database(File(path))
        db.start()
        await _services(db, range(1_000))
        began = time.process_time()
        for start in range(0, count, BATCH):
            await store(db, range(start, start + BATCH))
        took = time.process_time() - began
        await db.close()
    return took


async def run() -> list[Row]:
    rows = []
    kinds: tuple[tuple[str, Store], ...] = (("beats", _beats), ("services", _services), ("tasks", _tasks))
    for name, store in kinds:
        few = [await cpu_s(store, FEW) for _ in range(ROUNDS)]
        many = [await cpu_s(store, FEW * 10) for _ in range(ROUNDS)]
        rows.append(at_most(f"{FEW * 10:,} {name} against {FEW:,}: CPU", many, few, 11.0, " s"))
    return rows
