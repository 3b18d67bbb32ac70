"""Ten times the beats, services and tasks: the CPU of storing them, and the time of a page over them, on both databases."""

import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.charts import Chart, Point
from bench.harness import Row, at_most
from bench.seed import NOW, fill_place
from taskdash.actions.arrivals import Topics
from taskdash.actions.intake import store_batch
from taskdash.actions.tasks import TaskRequest, apply_batch
from taskdash.clock import SystemClock
from taskdash.model.records import Actor, Message, TaskFields
from taskdash.store import task_page
from taskdash.store.database import Database
from taskdash.store.places import File, Place, Server
from taskdash.store.readers import Reader
from taskdash.store.task_filters import Filters
from tests.postgres import Cluster, cluster

TOPICS = Topics()
CLOCK = SystemClock()
PEER = Actor(type="connection", id="127.0.0.1:1", channel="tcp")
BATCH, FEW, ROUNDS = 500, 5_000, 3
SIZES = (1_000, FEW, 20_000, FEW * 10)
PAGE_SIZES = (1_000, 10_000, 100_000, 1_000_000)
LOOKS = {"newest first": (Filters(), "-updated_at"), "failed, by name": (Filters(status=("failed",)), "name")}
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


KINDS: dict[str, Store] = {"beats": _beats, "services": _services, "tasks": _tasks}


@contextmanager
def _place(server: Cluster | None) -> Iterator[Place]:
    """An empty store with our schema: embedded, or a database of the server."""
    if server is not None:
        with server.fresh() as place:
            yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        embedded = File(Path(folder) / "taskdash.db")
        embedded.upgrade()
        yield embedded


async def cpu_s(store: Store, count: int, server: Cluster | None = None) -> float:
    """Seconds of our own CPU to store so many, into a new store that knows 1,000 services."""
    with _place(server) as place:
        db = Database(place)
        db.start()
        await _services(db, range(1_000))
        began = time.process_time()
        for start in range(0, count, BATCH):
            await store(db, range(start, start + BATCH))
        took = time.process_time() - began
        await db.close()
    return took


def page_ms(place: Place, wanted: Filters, sort: str) -> float:
    """The median of one page of 50, server time of the store."""
    reader = Reader(place.open_readers(), place.dialect)
    took = []
    for _ in range(21):
        began = time.perf_counter()
        reader.outcome(lambda conn: task_page.page(conn, wanted, sort, 50, NOW), 1.0)
        took.append((time.perf_counter() - began) * 1_000)
    reader.close()
    return statistics.median(took)


def _settle(place: Place, server: Cluster | None) -> None:
    """What a store does in its first minutes: the WAL copied, or the planner told."""
    if server is not None and isinstance(place, Server):
        server.do("VACUUM ANALYZE", place.url.rpartition("/")[2])
    elif isinstance(place, File):
        place.a_keeper().copy_all()


def page_curves(server: Cluster | None, sizes: Sequence[int]) -> dict[str, list[Point]]:
    """Milliseconds of each look over stores of these sizes."""
    curves: dict[str, list[Point]] = {name: [] for name in LOOKS}
    for size in sizes:
        with _place(server) as place:
            fill_place(place, size, size // 10)
            _settle(place, server)
            for name, (wanted, sort) in LOOKS.items():
                curves[name].append((size, page_ms(place, wanted, sort)))
    return curves


async def run(sizes: Sequence[int] = SIZES, page_sizes: Sequence[int] = PAGE_SIZES) -> list[Row | Chart]:
    found: list[Row | Chart] = []
    with cluster(fsync=True) as server:
        engines = {"SQLite": None, "PostgreSQL": server}
        for kind, store in KINDS.items():
            curves: dict[str, list[Point]] = {}
            for engine, where in engines.items():
                took = {size: [await cpu_s(store, size, where) for _ in range(ROUNDS)] for size in sizes}
                curves[engine] = [(size, statistics.median(values)) for size, values in took.items()]
                many, few = sizes[-1], sizes[-1] // 10
                if few in took:
                    name = f"{engine}: {many:,} {kind} against {few:,}: CPU"
                    found.append(at_most(name, took[many], took[few], 11.0, " s"))
            found.append(Chart(f"bench-{kind}", f"CPU to store so many {kind}, s", "s", curves))
        pages = {engine: page_curves(where, page_sizes) for engine, where in engines.items()}
    for number, look in enumerate(LOOKS):
        curves = {engine: pages[engine][look] for engine in engines}
        found.append(Chart(f"bench-page-{number + 1}", f"One page of 50 over so many tasks, {look}, ms", "ms", curves))
        found += [_flat(engine, look, curve) for engine, curve in curves.items()]
    return found


def _flat(engine: str, look: str, curve: Sequence[Point]) -> Row:
    (small, first), (large, last) = curve[0], curve[-1]
    ratio = last / first
    return Row(
        f"{engine}: a page over {large:,.0f} tasks against {small:,.0f}, {look}",
        f"{last:.2f} ms",
        f"{first:.2f} ms",
        ratio,
        "≤ 1.5 ×" if look == "newest first" else "-",
        ratio <= 1.5 if look == "newest first" else None,
    )
