"""R21, R56: checkpoint, upgrade, backup and restore killed before each change of a file; every released store opens."""

import asyncio
import gzip
import os
import sys
from pathlib import Path

import pytest

from taskdash.store.check import check
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import File
from tests.faults.disk import Disk, environment
from tests.faults.killed import ids
from tests.schemas import make_newer
from tests.serving import start
from tests.store.test_check import filled

IS_LONG = bool(os.environ.get("LONG_FAULTS"))
SOME = {"upgrade": 37, "backup": 37, "restore": 7, "checkpoint": 5}
"""Of how many changes one is a kill in `make test`: primes, so that the kills fall on every kind of change."""
ROOT = Path(__file__).parents[2]
STORES = sorted((ROOT / "tests" / "stores").glob("*.db.gz"))


def put(store: Path, place: Path) -> File:
    """A store as a released program left it."""
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(gzip.decompress(store.read_bytes()))
    return File(place)


async def killed(what: str, directory: Path) -> int:
    """How many kills it survived."""
    disk = Disk(directory / "run", directory)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.killed", what, str(directory), str(1 if IS_LONG else SOME[what])),
        cwd=ROOT,
        env=environment(disk),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return int(output)


@pytest.mark.timeout(600)
async def test_R21_R56_an_upgrade_that_is_killed_anywhere_leaves_the_old_or_the_new_store_and_a_backup(tmp_path: Path) -> None:
    put(STORES[0], tmp_path / "before" / "taskdash.db")
    assert await killed("upgrade", tmp_path) > 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["backup", "restore", "checkpoint"])
async def test_R21_what_is_killed_anywhere_leaves_a_whole_store_and_works_again(tmp_path: Path, what: str) -> None:
    place = File(tmp_path / "before" / "taskdash.db")
    place.path.parent.mkdir()
    place.upgrade()
    await filled(place, tasks_of=2)
    place.backup(place.path.with_name("early"))
    place.path.unlink()
    place.path.with_name("store-id").unlink()
    place.upgrade()
    await filled(place)
    assert await killed(what, tmp_path) > 2


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_R17_R56_every_released_store_is_backed_up_verified_and_upgraded(tmp_path: Path, store: Path) -> None:
    place = put(store, tmp_path / "data" / "taskdash.db")
    schema, had = place.revision(), ids(place)
    place.upgrade()
    assert place.revision() == HEAD
    assert check(place) == []
    assert ids(place) == had
    (kept,) = (path for path in place.path.parent.glob("*.before-upgrade-*") if path.suffix != ".sha256")
    assert f"from-{schema}-" in kept.name
    assert File(kept).revision() == schema
    assert ids(File(kept)) == had


async def test_R17_R56_a_downgrade_is_refused_in_one_sentence_and_no_byte_of_the_store_changes(tmp_path: Path) -> None:
    place = put(STORES[-1], tmp_path / "data" / "taskdash.db")
    place.upgrade()
    make_newer(place, "9999", "9998", "DROP TABLE views")
    before = place.path.read_bytes()
    server = await start(tmp_path / "data")
    assert await server.ended() == 1
    assert len(server.errors) == 1
    assert "newer TaskDash" in server.errors[0]
    assert place.path.read_bytes() == before
    assert not place.path.with_name("taskdash.db-wal").read_bytes()
