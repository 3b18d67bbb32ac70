"""The task list at 10,000, 100,000 and 1,000,000 tasks: filters, pairs, orders, facets, search; server time of the store."""

import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from msgspec import structs
from sqlalchemy import Connection

from bench.harness import Row, p95, within
from bench.seed import NOW, OLD_GROUP, STATUSES, a_store, fill_place
from taskdash.errors import Busy
from taskdash.model.instants import seconds
from taskdash.store import facets, risk_order, task_page, tasks
from taskdash.store.dialect import of
from taskdash.store.places import File, Place
from taskdash.store.readers import Reader
from taskdash.store.task_filters import Filters, Visible
from tests.faults.load.usage import rss_mib
from tests.postgres import cluster

SIZES = ((10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000))
REPEATS = 21
ONE = {
    "no filter": Filters(),
    "status=failed": Filters(status=("failed",)),
    "status=running": Filters(status=("running",)),
    "user=none": Filters(user=("none",)),
    "user=user-3": Filters(user=("user-3",)),
    "group=group-3": Filters(group=("group-3",)),
    "service=service-3": Filters(service=("service-3",)),
    "liveness=down": Filters(liveness=("down",)),
    "liveness=up": Filters(liveness=("up",)),
    "stale": Filters(stale=True),
    "at risk": Filters(at_risk=True),
    "should run": Filters(schedule=("should_run",)),
    "visible to one person": Filters(visible_to=Visible("user-3", ("group-3",))),
}
PAIRS = {
    "status=failed user=none": Filters(status=("failed",), user=("none",)),
    "status=running group=group-3": Filters(status=("running",), group=("group-3",)),
    "group=group-3 user=none": Filters(group=("group-3",), user=("none",)),
    "at risk user=user-3": Filters(at_risk=True, user=("user-3",)),
    "liveness=down status=running": Filters(liveness=("down",), status=("running",)),
    "service=service-3 status=failed": Filters(service=("service-3",), status=("failed",)),
    "group=group-29 (all old) user=none": Filters(group=(OLD_GROUP,), user=("none",)),
    "group=group-29 (all old) at risk": Filters(group=(OLD_GROUP,), at_risk=True),
}
TEXTS = {
    "q=行情 (common, two characters)": Filters(q="行情"),
    "q=order (common)": Filters(q="order"),
    "q=rareword": Filters(q="rareword"),
    "q=task-123456": Filters(q="task-123456"),
    "q=no such text": Filters(q="zzzqqq"),
    "q=b (one letter)": Filters(q="b"),
    "q=行情 user=none": Filters(q="行情", user=("none",)),
}
USUAL_MS, ANY_MS = 50.0, 250.0
HARD = {f"{name}, {what}" for name in TEXTS if "user=" in name or "letter" in name for what in ("count", "facets", "risk")}
"""A text together with more: any combination."""
SORTS = ("-updated_at", "name", "status", "id")


def timed(reader: Reader, work: Callable[[Connection], Any]) -> list[float]:
    """Milliseconds of each repeat; the query's own deadline is part of it."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        outcome = reader.outcome(work, 0.25)
        if isinstance(outcome, Exception) and not isinstance(outcome, Busy):
            raise outcome
        took.append((time.perf_counter() - began) * 1_000)
    return took


def queries() -> dict[str, Callable[[Connection], Any]]:
    found: dict[str, Callable[[Connection], Any]] = {}
    for name, wanted in {**ONE, **PAIRS, **TEXTS}.items():
        for sort in SORTS if name in ONE else SORTS[:1]:
            found[f"{name}, {sort}"] = lambda c, w=wanted, s=sort: task_page.page(c, w, s, 50, NOW)
        found[f"{name}, risk"] = lambda c, w=wanted: risk_order.page(c, w, 50, NOW)
        found[f"{name}, count"] = lambda c, w=wanted: task_page.count(c, w, NOW)
    for name, wanted in {**ONE, **PAIRS, **TEXTS}.items():
        found[f"{name}, facets"] = lambda c, w=wanted: facets.facets(c, w, NOW)
    found["no filter, -updated_at, deep"] = lambda c: task_page.page(c, Filters(), "-updated_at", 50, NOW, DEEP)
    return found


DEEP = (NOW - seconds(700_000), 1)
"""The key of a page far from the first."""
BATCH = 500


def writes(place: Place) -> Row:
    """Changes of status a second, in batches, each committed."""
    chance = random.Random(11)
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        rates = [_written(conn, chance, n) for n in range(REPEATS)]
    rate = statistics.median(rates)
    return Row("changes of status, 500 a commit", f"{rate:,.0f}/s", "-", None, "≥ 4,000/s", rate >= 4_000)


def _written(conn: Connection, chance: random.Random, n: int) -> float:
    ids = [f"task-{chance.randrange(10_000)}" for _ in range(BATCH)]
    known = tasks.load_many(conn, ids).values()
    at = NOW + n
    changes = [(t, structs.replace(t, status=chance.choice(STATUSES), status_at=at, updated_at=at)) for t in known]
    began = time.perf_counter()
    of(conn).begin(conn)
    tasks.save(conn, changes)
    of(conn).commit(conn)
    return len(changes) / (time.perf_counter() - began)


def measure(place: Place) -> dict[str, list[float]]:
    reader = Reader(place.open_readers(), place.dialect)
    try:
        return {name: timed(reader, work) for name, work in queries().items()}
    finally:
        reader.close()


def on_a_server() -> list[Row]:
    """The same at the largest size on PostgreSQL as Debian configures it, fsync on; `python -m bench lists_postgres`."""
    task_count, service_count = SIZES[-1]
    with cluster(fsync=True) as server, server.fresh() as place:
        fill_place(place, task_count, service_count)
        server.do("VACUUM ANALYZE", place.url.rpartition("/")[2])
        took = measure(place)
        name = f"PostgreSQL, {task_count:,} tasks"
        rows = [within(f"{name}: {what}", p95(ms), ANY_MS if what in HARD else USUAL_MS) for what, ms in took.items()]
        return [*rows, writes(place)]


def run(sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Row]:
    rows: list[Row] = []
    medians: dict[int, float] = {}
    for task_count, service_count in sizes:
        path = a_store(task_count, service_count)
        took = measure(File(path))
        medians[task_count] = statistics.median(took["no filter, -updated_at"])
        for name, values in took.items():
            if task_count == sizes[-1][0]:
                rows.append(within(f"{task_count:,} tasks: {name}", p95(values), ANY_MS if name in HARD else USUAL_MS))
        if task_count == sizes[-1][0]:
            rows.append(writes(File(path)))
        size = path.stat().st_size / 1024 / 1024
        rows.append(Row(f"{task_count:,} tasks: database", f"{size:,.0f} MiB", "-", None, "-", None))
        path.unlink()
    first, last = sizes[0][0], sizes[-1][0]
    ratio = medians[last] / medians[first]
    name = f"page one at {last:,} against {first:,}"
    rows.append(Row(name, f"{medians[last]:.2f} ms", f"{medians[first]:.2f} ms", ratio, "≤ 1.5 ×", ratio <= 1.5))
    rows.append(within("memory of the process that read and filled all three", rss_mib(os.getpid()), 300.0, " MiB"))
    return rows
