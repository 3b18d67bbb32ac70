"""Resident memory of `serve`, idle and over 100,000 services and 1,000,000 tasks that people look at; time to ready."""

from bench.harness import Row, within
from bench.http import a_people_server, timed
from bench.seed import a_store
from bench.serving import a_server
from taskdash.store.migrations import runner
from tests.faults.load.usage import rss_mib

TASKS, SERVICES = 1_000_000, 100_000
LOOKS = ("/api/v1/tasks", "/api/v1/tasks?sort=risk", "/api/v1/tasks/facets", "/api/v1/services", "/tasks", "/services", "/")


async def run() -> list[Row]:
    async with a_server() as server:
        rows = [
            within("start of `taskdash serve` to ready, new store", server.took_s, 2.0, " s"),
            within("memory, idle", rss_mib(server.process.pid), 110.0, " MiB"),
        ]
    path = a_store(TASKS, SERVICES)
    (path.parent / runner.MARKER).touch()
    async with a_people_server(path.parent) as (big, session):
        rows.append(within(f"start to ready over {TASKS:,} tasks", big.took_s, 2.0, " s"))
        for look in LOOKS:
            await timed(session, look, 5)
        rows.append(within(f"memory, {SERVICES:,} services and {TASKS:,} tasks", rss_mib(big.process.pid), 300.0, " MiB"))
    path.unlink()
    return rows
