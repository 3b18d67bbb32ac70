"""R22: the power fails at any moment: what was acknowledged until then is on the disk.

A kill leaves the page cache; so every write, sync and answer of a real `serve` is noted in its order (`power.shim`), and the
disk of each moment is made again from what was synced by then.
"""

import asyncio
import itertools
import json
import os
import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from taskdash.store.check import check
from taskdash.store.places import File
from tests.faults.power.disk import Disk, Kept, Note, Shim
from tests.serving import Serving, serving

LONG = bool(os.environ.get("LONG_FAULTS"))
ACKS, CUTS = (20_000, 400) if LONG else (2_000, 16)
CONNECTIONS = 8
SEED = 22
_DONE = re.compile(rb'"id":"(p\d+)","errid":0')
_TEXT = "x" * 7_000
"""Long enough for checkpoints."""


async def register(server: Serving, numbers: "itertools.count[int]") -> None:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    while (number := next(numbers)) < ACKS:
        body = {"id": f"p{number}", "description": f"{number} {_TEXT}", "status": "running"}
        writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": body}).encode() + b"\n")
        assert json.loads(await reader.readline())["Body"]["errid"] == 0
    writer.close()


async def noted(folder: Path) -> list[Note]:
    """What a server did that took in so many tasks and was killed then."""
    shim = Shim(folder, folder / "data" / "taskdash.db", notes=True)
    async with serving(folder / "data", env=shim.env) as server:
        numbers = itertools.count()
        await asyncio.gather(*(register(server, numbers) for _ in range(CONNECTIONS)))
        server.kill()
        await server.ended()
    return list(shim.notes())


def acknowledged(note: Note) -> set[str]:
    return {found.decode() for found in _DONE.findall(note.data)} if note.kind == "A" else set()


def held(folder: Path) -> set[str]:
    """The tasks that the store has once it was opened again, whole."""
    with closing(sqlite3.connect(folder / "taskdash.db")) as conn:
        found = {name for (name,) in conn.execute("SELECT id FROM tasks")}
    assert check(File(folder / "taskdash.db")) == []
    return found


def test_R22_between_the_last_write_of_a_change_and_its_acknowledgment_lies_a_sync(tmp_path: Path) -> None:
    seen, unsynced = set[str](), set[str]()  # a later change may write a page again before an older one is acknowledged
    acks = syncs = 0
    for note in asyncio.run(noted(tmp_path)):
        if note.path.endswith("-wal") and note.kind in "WS":
            syncs += note.kind == "S"
            names = {name.decode() for name in re.findall(rb"p\d+", note.data)}
            unsynced = set() if note.kind == "S" else unsynced | (names - seen)
            seen |= names
        for name in acknowledged(note):
            acks += 1
            assert name not in unsynced, f"{name} was acknowledged before its sync"
    assert acks == ACKS
    assert syncs > 10


def test_R22_R130_a_power_cut_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    notes = asyncio.run(noted(tmp_path))
    chance = random.Random(SEED)
    first = next(number for number, note in enumerate(notes) if acknowledged(note))
    cuts = sorted(chance.sample(range(first, len(notes)), CUTS))
    disk, known, checkpointed = Disk(), set[str](), 0
    for number, note in enumerate(notes):
        disk.take(note)
        known |= acknowledged(note)
        checkpointed += number > first and note.kind == "S" and note.path.endswith(".db")
        if number not in cuts:
            continue
        kept: Kept
        for kept in ("none", "some", "all"):
            folder = tmp_path / f"{number}-{kept}"
            folder.mkdir()
            disk.leave(folder, kept, chance)
            assert known <= held(folder), f"lost after a cut at {number} with {kept} of what was not synced"
    assert checkpointed
