"""`python -m tests.faults.killed WHAT DIRECTORY EVERY`: kills WHAT before its n-th change of a file, for each EVERY-th n.

Law: after each kill the store is the old or the new one, whole, and the same command works again without a hand. Runs behind a
`Disk` over DIRECTORY/run, which counts the changes; one process without threads, so that it may fork. Prints how many kills
it survived; what is wrong ends it.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from taskdash.clock import SystemClock
from taskdash.store import sqlite, tables
from taskdash.store.backup_files import check_digest
from taskdash.store.check import check
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import File
from tests.faults.disk import Disk

Look = Callable[[Path], None]
STORE = "taskdash.db"


def ids(place: File) -> set[str]:
    with place.open_unchanging().connect() as conn:
        return set(conn.execute(select(tables.tasks.c.id)).scalars())


def is_whole(run: Path, *allowed: set[str]) -> None:
    place = File(run / STORE)
    assert check(place) == [], check(place)
    assert ids(place) in allowed, ids(place)


# each of the four: what is killed, and what must be so after it


def upgrade(run: Path) -> None:
    File(run / STORE).upgrade()


def after_upgrade(run: Path) -> None:
    place = File(run / STORE)
    upgrade(run)
    assert place.revision() == HEAD
    is_whole(run, ALL)
    assert [path for path in run.glob(f"{STORE}.before-upgrade-*") if not path.name.endswith(".sha256")]


def backup(run: Path) -> None:
    File(run / STORE).backup(run / "copy")


def after_backup(run: Path) -> None:
    is_whole(run, ALL)
    if not (run / "copy").exists():
        backup(run)
    check_digest(run / "copy")
    assert ids(File(run / "copy")) == ALL


def restore(run: Path) -> None:
    File(run / STORE).restore(run / "early", SystemClock.wall_now())


def after_restore(run: Path) -> None:
    is_whole(run, ALL, EARLY)
    restore(run)
    is_whole(run, EARLY)


def checkpoint(run: Path) -> None:
    place = File(run / STORE)
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        sqlite.begin(conn)
        conn.exec_driver_sql("UPDATE store_facts SET value = '7' WHERE key = 'kill'")
        sqlite.commit(conn)
        sqlite.checkpoint(conn)
        sqlite.checkpoint_whole(conn)


def after_checkpoint(run: Path) -> None:
    is_whole(run, ALL)
    checkpoint(run)
    is_whole(run, ALL)


ALL, EARLY = {"t0", "t1", "t2"}, {"t0", "t1"}
WHAT: dict[str, tuple[Look, Look]] = {
    "upgrade": (upgrade, after_upgrade),
    "backup": (backup, after_backup),
    "restore": (restore, after_restore),
    "checkpoint": (checkpoint, after_checkpoint),
}


def is_killed(do: Look, run: Path, disk: Disk, at: int) -> bool:
    """Whether it was killed before its change number `at`; False: it has fewer."""
    disk.set("seen", 0)
    disk.set("kill_at", at)
    child = os.fork()
    if child == 0:
        do(run)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    disk.set("kill_at", 0)
    assert status in {0, signal.SIGKILL}, status
    return status != 0


def main(what: str, directory: Path, every: int) -> None:
    do, look = WHAT[what]
    run, disk = directory / "run", Disk.of_this_process()
    at, kills = 1, 0
    while True:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(directory / "before", run)
        was_killed = is_killed(do, run, disk, at)
        look(run)
        if not was_killed:
            sys.stdout.write(str(kills))
            return
        kills, at = kills + 1, at + every


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
