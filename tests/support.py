"""Builders and waiting, shared by every suite."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from taskdash.model.instants import seconds
from taskdash.model.records import Service, Task
from taskdash.store.database import Database
from taskdash.store.places import File, Place
from taskdash.store.tables import metadata

NOW = 1_800_000_000 * seconds(1)


def a_service(**fields: Any) -> Service:
    """A service that beat just now."""
    known = {"id": "billing", "name": "Billing", "state": "up", "since": NOW, "registered_at": NOW, "last_beat_at": NOW}
    return Service(**{**known, **fields})


def a_task(**fields: Any) -> Task:
    """A free, running task."""
    known = {"id": "133", "name": "zxf", "status": "running", "created_at": NOW, "updated_at": NOW, "status_at": NOW}
    return Task(**{**known, **fields})


async def everything(db: Database) -> bytes:
    """All rows of all tables as a query gives them, and the files of an embedded store as they are."""
    rows = await db.read(lambda conn: [conn.execute(select(table)).all() for table in metadata.sorted_tables])
    return repr(rows).encode() + (_bytes_of(db.place.path) if isinstance(db.place, File) else b"")


def _bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def all_rows(place: Place) -> bytes:
    """All that a store holds, as another program sees it."""
    with place.open_readers().connect() as conn:
        return repr([conn.execute(select(table)).all() for table in metadata.sorted_tables]).encode()


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Database]:
    """The store, started; closed at the end."""
    db = Database(place)
    db.start()
    yield db
    await db.close()


def a_place(where: Path | Place) -> Place:
    """A store: the one that is given, or the embedded one in that directory, made if it is not there."""
    if not isinstance(where, Path):
        return where
    path = where / "taskdash.db"
    if not path.exists():
        path.write_bytes(_made())
    return File(path)


@cache
def _made() -> bytes:
    """An empty embedded store: to copy one takes a hundredth of what it takes to make one."""
    with tempfile.TemporaryDirectory() as directory:
        place = File(Path(directory) / "taskdash.db")
        place.upgrade()
        return place.path.read_bytes()


async def eventually(statement: Callable[[], Any], deadline_s: float = 10.0) -> Any:
    """The first true value of `statement` (sync or async); AssertionError with its last value after `deadline_s`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        value = statement()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if loop.time() > end:
            raise AssertionError(f"not within {deadline_s} s; last value {value!r}")
        await asyncio.sleep(0.01)
