"""A look of the monitor over 100,000 services: nobody due, and 1 % due, all of whom change state, against the select alone."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, update

from bench.harness import ROUNDS, Row, at_most, interleaved, within
from bench.seed import NOW, a_store
from taskdash.actions.liveness import tick
from taskdash.model.instants import seconds
from taskdash.rules.sight import Sight, Source
from taskdash.store import services as stored
from taskdash.store.database import Database
from taskdash.store.places import File
from taskdash.store.tables import services

SERVICES, DUE = 100_000, 1_000
LONG_AGO = NOW - seconds(86_400)
SIGHT = Sight(started_at=LONG_AGO, sources={"nsq": Source(name="nsq", healthy=True, since=LONG_AGO, last_message_at=NOW)})


async def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1_000


def fall_silent(conn: Connection) -> None:
    """1 % beat 21.5 s ago: late at this look."""
    some = services.c.pk.in_(range(1, SERVICES, SERVICES // DUE))
    changed = {"state": "up", "since": LONG_AGO, "reason": "", "flaps": "[]", "flapping": False, "due_at": NOW - 1}
    conn.execute(update(services).where(some).values(**changed, last_beat_at=NOW - seconds(21.5), registered_at=LONG_AGO))


async def run() -> list[Row]:
    path = a_store(0, SERVICES)
    db = Database(File(path))
    db.start()

    async def look() -> float:
        return await timed(lambda: tick(db, NOW, SIGHT, {}))

    async def look_at_the_late() -> float:
        await db.write(fall_silent)
        return await look()

    async def select_alone() -> float:
        await db.write(fall_silent)
        return await timed(lambda: db.read(lambda conn: stored.due(conn, NOW, DUE)))

    await look()
    idle = statistics.median([await look() for _ in range(ROUNDS * 20)])
    rows = [within(f"a look at {SERVICES:,} services, nobody due", idle, 1.0)]
    ours, floor = await interleaved(look_at_the_late, select_alone)
    rows.append(at_most("the same, 1 % due, all changing state, against the select alone", ours, floor, 3.0))
    await db.close()
    path.unlink()
    return rows
