"""The honest floor of a durable write: what TaskDash itself tells the driver, told again by a bare loop that does nothing else.

`recorded` notes every statement of some work on one store; `replayed` runs them on another that is alike: the same rows,
indexes, counters, search grams and history, the same commits, synchronous=FULL, without any of our own code between them.
"""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from taskdash.store import sqlite
from taskdash.store.checkpoint import Checkpointer

Call = tuple[bool, str, Any]
"""(for many rows, statement, values)"""
_WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "WITH")


@contextmanager
def recording(path: Path) -> Iterator[tuple[Connection, list[Call]]]:
    """A connection of the store's own kind, and the list of what the driver is told through it: changes, not queries."""
    calls: list[Call] = []

    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *values: Any) -> "Cursor":
            calls.append((False, statement, *(values or ((),))))
            super().execute(statement, *values)
            return self

        def executemany(self, statement: str, values: Any) -> "Cursor":
            calls.append((True, statement, list(values)))
            super().executemany(statement, values)
            return self

    class Recorder(sqlite3.Connection):
        def cursor(self, *_factory: Any) -> Cursor:
            return super().cursor(Cursor)

        def execute(self, statement: str, *values: Any) -> Cursor:
            return self.cursor().execute(statement, *values)

        def executemany(self, statement: str, values: Any) -> Cursor:
            return self.cursor().executemany(statement, values)

    engine = sqlite.open_engine(path)
    event.listen(engine, "do_connect", lambda _d, _r, args, options: sqlite3.connect(*args, factory=Recorder, **options))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        calls.clear()
        yield conn, calls


class Direct:
    """What an action calls a store: each write at once, on one connection, in a transaction of its own."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        sqlite.rows(self._conn, "BEGIN IMMEDIATE")
        result = work(self._conn)
        sqlite.rows(self._conn, "COMMIT")
        return result


async def recorded(path: Path, act: Callable[[Any], Awaitable[object]]) -> list[Call]:
    """The changes that an action makes to the store at `path`."""
    with recording(path) as (conn, calls):
        await act(Direct(conn))
    return [call for call in calls if call[1].startswith(_WRITES)]


def replayed(conn: sqlite3.Connection, calls: list[Call]) -> float:
    """Seconds to make the same changes."""
    began = time.perf_counter()
    for many, statement, values in calls:
        (conn.executemany if many else conn.execute)(statement, values)
    return time.perf_counter() - began


class Twins:
    """Two stores that are alike: what is recorded on one is replayed on the other, whose WAL is kept as TaskDash keeps its."""

    def __init__(self, made: Path) -> None:
        self._told, bare = made, made.with_name("bare.db")
        shutil.copy(made, bare)
        self._conn = sqlite3.connect(bare, isolation_level=None, cached_statements=512, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "cache_size=-16384"):
            self._conn.execute(f"PRAGMA {pragma}")
        Checkpointer(bare).start(lambda: None)

    async def rate(self, count: int, act: Callable[[Any], Awaitable[object]]) -> float:
        """So many rows a second, by the bare loop alone."""
        calls = await recorded(self._told, act)
        return count / await asyncio.to_thread(replayed, self._conn, calls)
