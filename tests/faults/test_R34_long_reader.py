"""R34, F6: who reads for long does not make the log of the store long; who does so from outside is told of.

80 MiB are written each time, as fast as they are kept; LONG_FAULTS=1 writes eight times as much, and past the real alarm.
"""

import asyncio
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from taskdash import telemetry
from taskdash.clock import ManualClock
from taskdash.store import checkpoint
from taskdash.store.checkpoint import log_of, size_of
from taskdash.store.database import Database
from taskdash.store.elements import upsert
from taskdash.store.places import File
from taskdash.store.tables import store_facts
from taskdash.web.api import export
from tests.journeys.api import stored
from tests.journeys.commands import taskdash
from tests.journeys.http import a_site
from tests.support import a_place, a_task, eventually, running

MIB = 1024 * 1024
IS_LONG = bool(os.environ.get("LONG_FAULTS"))
WRITTEN = 640 if IS_LONG else 80
"""In MiB, which is in transactions too."""
SECONDS = 600
LONG = "x" * 8_000
BOUND = (64 + 2) * MIB
SLOW_QUERY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT count(*) FROM n, store_facts"
)


class Log:
    """The log of a store, and how long it ever was."""

    def __init__(self, db: Database) -> None:
        assert isinstance(db.place, File)
        self._db, self._path = db, log_of(db.place.path)
        self.longest = 0

    @property
    def size(self) -> int:
        return size_of(self._path)

    async def write(self, number: int) -> None:
        """A MiB, over an older one, in a transaction of its own."""
        text = chr(ord("a") + number % 26) * 8_192
        values = [{"key": f"fact {number % 4} {n}", "value": text} for n in range(128)]

        def save(conn: Connection) -> None:
            new = upsert(store_facts)
            changed = new.on_conflict_do_update(index_elements=["key"], set_={"value": new.excluded.value})
            conn.execute(changed, values)

        await self._db.write(save)
        self.longest = max(self.longest, self.size)


async def read_all_the_time(db: Database, is_done: Callable[[], bool]) -> int:
    """Queries as long as the longest lists, one after the other."""
    read = 0
    while not is_done():
        await db.read(lambda conn: conn.exec_driver_sql(f"{SLOW_QUERY} WHERE key = 'schema'").scalar())
        read += 1
    return read


async def test_R34_the_log_stays_short_while_writers_make_no_pause_and_lists_are_read(tmp_path: Path) -> None:
    async with running(a_place(tmp_path)) as db:
        log = Log(db)
        numbers = iter(range(WRITTEN))

        async def write() -> None:
            for number in numbers:
                await log.write(number)

        writing = [asyncio.ensure_future(write()) for _ in range(3)]

        def is_done() -> bool:
            return all(one.done() for one in writing)

        reading = [asyncio.ensure_future(read_all_the_time(db, is_done)) for _ in range(3)]
        await asyncio.gather(*writing)
        assert min(await asyncio.gather(*reading)) > 0
    print(f"{WRITTEN} MiB written: longest log {log.longest / MIB:.0f} MiB")  # noqa: T201
    assert log.longest <= BOUND


@asynccontextmanager
async def an_export(site: Any, cookie: str) -> Any:
    """One that is asked for by a client that takes little at a time."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        client = stack.enter_context(closing(socket.socket()))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, (site.host, site.port))
        asked = f"GET /api/v1/tasks/export?format=jsonl HTTP/1.1\r\nHost: localhost\r\nCookie: taskdash={cookie}\r\n\r\n"
        await loop.sock_sendall(client, asked.encode())
        yield client


async def test_R34_an_export_that_is_read_at_1_KiB_a_second_leaves_the_log_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes by the clock of the server, while it writes all the time."""
    monkeypatch.setattr(export, "SEND_WITHIN_S", 3_600.0)  # which goes by the loop's clock
    clock, loop = ManualClock(), asyncio.get_running_loop()
    async with a_site(tmp_path, clock) as site:
        await stored(site, *(a_task(id=f"{n:04}", description=LONG, reserved=LONG) for n in range(1_000)))
        await site.account("ada")
        log = Log(site.db)
        async with an_export(site, await site.session("ada")) as client:
            for number in range(WRITTEN):
                await log.write(number)
                clock.advance(SECONDS / WRITTEN)
                assert await loop.sock_recv(client, 1_024 * SECONDS // WRITTEN)
            assert site.server.app.state.export_slots.taken == 1, "it is still under way"
    print(f"{WRITTEN} MiB written: longest log {log.longest / MIB:.0f} MiB")  # noqa: T201
    assert log.longest <= BOUND


def measured(name: str) -> float | None:
    return telemetry.registry.get_sample_value(name)


async def test_R34_a_reader_from_outside_that_does_not_end_raises_the_alarm_and_its_end_clears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = checkpoint.ALARM_BYTES if IS_LONG else 48 * MIB
    monkeypatch.setattr(checkpoint, "ALARM_BYTES", alarm)
    async with running(a_place(tmp_path)) as db:
        log = Log(db)
        await log.write(0)
        await eventually(lambda: measured("taskdash_wal_alarm") == 0 and (measured("taskdash_wal_bytes") or 0) > 0)
        with (
            closing(sqlite3.connect(tmp_path / "taskdash.db")) as outside,
            closing(outside.execute("SELECT * FROM store_facts")) as forgotten,
        ):
            forgotten.fetchone()
            for number in range(alarm // MIB + 2):
                await log.write(number)
            await eventually(lambda: measured("taskdash_wal_alarm") == 1)
            assert (measured("taskdash_wal_bytes") or 0) > alarm
        await eventually(lambda: measured("taskdash_wal_alarm") == 0, 30)
        assert log.size < alarm, "though nothing was written since"


async def test_R34_the_doctor_names_a_log_that_is_too_long(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir(mode=0o700)
    a_place(home)
    free = [f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen")]
    at = [f"--data-dir={home}", *free]
    assert (await taskdash("doctor", *at)).status == 0
    log_of(home / "taskdash.db").touch()
    os.truncate(log_of(home / "taskdash.db"), checkpoint.ALARM_BYTES + 1)
    told = await taskdash("doctor", *at)
    assert told.status == 1
    assert "the log of the store has 256 MiB" in told.output
