"""RELIABILITY R51: a collector that is killed in the middle of a large answer leaves each task old or new, never half."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from taskdash.store import tasks
from taskdash.store.places import Place, Server
from tests.service import running, tells
from tests.sweeping import sweeping

COLLECT_AND_DIE = """
import asyncio, os, signal, sys
from datetime import UTC
from pathlib import Path
from taskdash.actions import collection
from taskdash.store.database import Database
from taskdash.store import services
from taskdash.store.places import place_of
from taskdash.wire.metadata import Answer, decode_page

async def main(url, directory, cut):
    db = Database(place_of(url, Path(directory)))
    db.start()
    service = (await db.read(lambda conn: services.load_many(conn, ["billing"])))["billing"]
    tasks = decode_page(sys.stdin.buffer.read()).tasks
    answer = Answer(ok=True, url=service.url, digest="new", tasks=tuple(tasks))
    whole = collection._Whole(collection.Result(service, answer, service.since), UTC)
    for _ in range(cut):
        await db.write(whole.store_some)
        whole.go_on()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

CHANGES = "SELECT subject_id, count(*) FROM events WHERE kind = 'task.changed' GROUP BY subject_id"


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_R51_what_a_kill_interrupts_is_finished_by_the_next_collection(place: Place, tmp_path: Path, cut: int) -> None:
    old = [{"id": f"t{n}", "status": "waiting", "description": "old"} for n in range(1_700)]
    new = [{"id": f"t{n}", "status": "running", "description": "new"} for n in range(1_100)]
    async with running(tells(old)) as service:
        async with sweeping(place) as collector:
            await collector.register("billing", service.url)
            await collector.until_collected("billing")
            digest = (await collector.service("billing")).collect_digest
        url = place.url if isinstance(place, Server) else ""
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COLLECT_AND_DIE, url, tmp_path, str(cut), stdin=asyncio.subprocess.PIPE
        )
        await killed.communicate(json.dumps(new).encode())
        assert killed.returncode == -signal.SIGKILL
        service.answer = tells(new)
        async with sweeping(place) as collector:
            assert (await collector.service("billing")).collect_digest == digest
            half = await collector.db.read(lambda conn: tasks.load_many(conn, [f"t{n}" for n in range(1_700)]))
            assert {(t.status, t.description) for t in half.values()} == {("waiting", "old"), ("running", "new")}
            await collector.sweep.collect_now(["billing"])
            found = await collector.service("billing")
            whole = await collector.db.read(lambda conn: tasks.load_many(conn, [f"t{n}" for n in range(1_700)]))
            told = await collector.db.read(lambda conn: conn.exec_driver_sql(CHANGES).fetchall())
    assert found.collect_digest != digest
    there = {t.id for t in whole.values() if t.gone_at is None and t.status == "running"}
    assert there == {f"t{n}" for n in range(1_100)}
    assert sum(t.gone_at is not None for t in whole.values()) == 600
    assert sorted(told) == sorted((f"t{n}", 1) for n in range(1_100)), "one event a task, kill or no kill"
