"""R37, R40: files that were deleted or changed while nobody looked. An error or service, never a crash, a hang or a lie."""

import asyncio
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from taskdash.errors import StartRefused, TaskDashError
from taskdash.model.records import NewEvent
from taskdash.store import datadir, events, services, tasks
from taskdash.store.check import check
from taskdash.store.database import Database
from taskdash.store.migrations import runner
from taskdash.store.places import File
from tests.serving import Serving, serving, start
from tests.support import NOW, a_service, a_task

MUTATIONS = 10_000 if os.environ.get("LONG_FAULTS") else 300
SERVED = 20 if os.environ.get("LONG_FAULTS") else 4
FIND = {"MessageID": 2, "Header": {"RequestID": "Find"}, "Body": {"id": "t7"}}
REGISTER = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": "t7", "name": "kept", "status": "running"}}


async def ask(server: Serving, pack: dict[str, object]) -> dict[str, object]:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    writer.write(json.dumps(pack).encode() + b"\n")
    body: dict[str, object] = json.loads(await asyncio.wait_for(reader.readline(), 10))["Body"]
    writer.close()
    return body


@pytest.fixture
async def content(tmp_path: Path) -> bytes:
    """A closed store with some of everything."""
    path = tmp_path / "good" / "taskdash.db"
    path.parent.mkdir()
    runner.upgrade(path)
    database = Database(File(path))
    database.start()
    told = [NewEvent(at=NOW, kind="task.registered", subject_type="task", subject_id=f"t{n}") for n in range(200)]
    await database.write(lambda conn: services.save(conn, [a_service(id=f"s{n}") for n in range(20)]))
    await database.write(lambda conn: tasks.save(conn, [(None, a_task(id=f"t{n}", service_id="s1")) for n in range(200)]))
    await database.write(lambda conn: events.append(conn, told))
    await database.close()
    return await asyncio.to_thread(path.read_bytes)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, a page zeroed or exchanged, a piece cut off or repeated."""
    changed = bytearray(content)
    kind = chance.randrange(5)
    at, page = chance.randrange(len(changed)), 4_096 * chance.randrange(len(changed) // 4_096)
    if kind == 0:
        for _ in range(chance.choice((1, 1, 8, 64))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    elif kind == 1:
        changed[page : page + 4_096] = bytes(4_096)
    elif kind == 2:
        other = 4_096 * chance.randrange(len(changed) // 4_096)
        changed[page : page + 4_096] = content[other : other + 4_096]
    elif kind == 3:
        del changed[at:]
    else:
        changed[chance.randrange(100)] = chance.randrange(256)
    return bytes(changed)


async def use(path: Path) -> str:
    """Open, read and write as `serve` does; what came of it."""
    try:
        runner.upgrade(path)
        check(File(path))
        database = Database(File(path))
        database.start()
    except StartRefused as refused:
        return str(refused)
    try:
        known = await database.read(lambda conn: tasks.load_many(conn, [f"t{n}" for n in range(200)]))
        await database.write(lambda conn: tasks.save(conn, [(None, a_task(id="new"))]))
        return f"{len(known)} tasks"
    except (TaskDashError, ValueError) as error:
        return str(error)
    finally:
        await database.close()


async def test_R40_a_database_file_that_was_changed_at_random_is_an_error_or_serves(content: bytes, tmp_path: Path) -> None:
    outcomes: set[str] = set()
    for number in range(MUTATIONS):
        directory = tmp_path / "mutated"
        directory.mkdir()
        (directory / "taskdash.db").write_bytes(mutate(content, random.Random(number)))
        outcomes.add(await asyncio.wait_for(use(directory / "taskdash.db"), 10))
        shutil.rmtree(directory)
    assert any("corrupt" in outcome for outcome in outcomes), outcomes
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "taskdash.db").write_bytes(content)
    assert await asyncio.wait_for(use(whole / "taskdash.db"), 10) == "200 tasks"


async def test_R40_serve_on_a_changed_database_file_answers_or_ends_with_one_sentence(content: bytes, tmp_path: Path) -> None:
    for number in range(SERVED):
        data_dir = tmp_path / str(number)
        datadir.prepare(data_dir)
        (data_dir / "taskdash.db").write_bytes(mutate(content, random.Random(1_000_003 * (number + 1))))
        server = await start(data_dir)
        if await serves(server):
            assert (await ask(server, FIND))["errid"] in {0, 1001, 1002}
            server.kill()
            await server.ended()
        else:
            assert await server.ended() == 1
            assert [line for line in server.errors if line.startswith("taskdash: ")], server.errors


async def serves(server: Serving) -> bool:
    """True once it is ready, False when it ended instead."""
    try:
        await server.ready()
    except AssertionError:
        return False
    return True


async def test_R37_nothing_is_lost_when_wal_and_shm_are_deleted_after_a_clean_stop(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with serving(data_dir) as server:
        assert (await ask(server, REGISTER))["errid"] == 0
        assert await server.stop() == 0
    for suffix in ("-wal", "-shm"):
        (data_dir / f"taskdash.db{suffix}").unlink(missing_ok=True)
    async with serving(data_dir) as server:
        assert (await ask(server, FIND))["name"] == "kept"
