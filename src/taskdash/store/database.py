"""The store's one door: `read` runs a query on a reader thread, `write` joins the next group commit.

Law: a `write` is answered only after the transaction that holds it returned from a durable commit (RELIABILITY R1); if that
fails, or the function raises, nothing of it is kept (R2). One writer thread takes all that waits, runs each function in a
savepoint, commits once. Functions are plain synchronous code over a Connection and may be run again after a failure.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from taskdash.errors import StoreRefused, TaskDashError
from taskdash.store import sqlite
from taskdash.store.checkpoint import Checkpointer
from taskdash.store.readers import Readers, resolve

T = TypeVar("T")
Work = Callable[[Connection], Any]

MOST_IN_ONE_COMMIT = 512
MOST_WAITING = 20_000
READERS = 4
PROBE_EVERY_S = 1.0


class _Job(Struct):
    work: Work
    future: "asyncio.Future[Any] | None" = None


class Database:
    """An opened store. Made by `open`; `close` ends its threads after everything waiting was stored."""

    def __init__(self, path: Path, *, readers: int = READERS) -> None:
        self.path = path
        self.on_commit: Callable[[], None] = lambda: None
        """Called on the loop after each commit: a wake-up without data (DESIGN law 4)."""
        self.on_refused: Callable[[str], None] = lambda _reason: None
        """Called on the loop with a sentence when the store refuses, with "" when it works again."""
        self.on_death: Callable[[BaseException], None] = lambda _error: None
        """Called on the loop when the writer thread ended by a mistake of ours: serve nothing rather than half (R29)."""
        self._engine = sqlite.open_engine(path)
        self._waiting: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._refused = False
        self._told = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.checkpointer = Checkpointer(path)
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._readers = Readers(self._engine, readers)

    def start(self) -> None:
        """Start the writer; call on the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self.checkpointer.start()
        self._readers.start()

    async def close(self) -> None:
        """Store all that waits, then end the threads and leave no WAL behind."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self.checkpointer.close)
        self._engine.dispose()

    # reading

    async def read(self, query: Callable[[Connection], T], *, limit_s: float | None = 5.0) -> T:
        """What `query` returns. Raises Busy when it ran longer than `limit_s`, StoreRefused when the store fails."""
        return await self._readers.read(query, limit_s)

    # writing

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, once it is durable. Raises what it raised, or StoreRefused; then nothing of it is kept."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._wake:
            if self._closing:
                raise StoreRefused("TaskDash is stopping; nothing was kept")
            if len(self._waiting) >= MOST_WAITING:
                raise StoreRefused("too many changes are waiting; nothing was kept")
            self._waiting.append(_Job(work, future))
            self._wake.notify()
        return await future

    def _write_loop(self) -> None:
        try:
            while not (self._closing and not self._waiting):
                self._write_until_refused()
        except BaseException as error:
            self._call(self.on_death, error)
            raise

    def _write_until_refused(self) -> None:
        """One connection's life: after a refusal it is closed, never trusted again (RELIABILITY R26)."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                while batch := self._next_batch():
                    refused = self._commit(conn, batch)
                    if refused:
                        return
        except DBAPIError as error:
            self._settle(self._next_batch(), [], sqlite.refusal(error))

    def _next_batch(self) -> list[_Job]:
        """All that waits; a probe each second while the store refuses; nothing when closing."""
        with self._wake:
            while not self._waiting and not self._closing:
                if not self._wake.wait(PROBE_EVERY_S if self._refused else None):
                    return [_Job(_probe)]
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_ONE_COMMIT))]

    def _commit(self, conn: Connection, batch: list[_Job]) -> StoreRefused | None:
        try:
            sqlite.begin(conn)
            results = [self._attempt(conn, job.work) for job in batch]
            sqlite.rows(conn, "COMMIT")
        except DBAPIError as error:
            refused = sqlite.refusal(error)
            _roll_back(conn)
            self._settle(batch, [], refused)
            return refused
        self._settle(batch, results, None)
        return None

    @staticmethod
    def _attempt(conn: Connection, work: Work) -> Any:
        """The work's result, or its exception as a value; then the savepoint is rolled back and the others go on."""
        sqlite.rows(conn, "SAVEPOINT work")
        try:
            result = work(conn)
        except DBAPIError as error:
            result = sqlite.refusal(error)
        except (TaskDashError, SQLAlchemyError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            result = error
        if isinstance(result, Exception):
            sqlite.rows(conn, "ROLLBACK TO work")
        sqlite.rows(conn, "RELEASE work")
        return result

    def _settle(self, batch: list[_Job], results: list[Any], refused: StoreRefused | None) -> None:
        self._refused = refused is not None
        self._call(self._answer, batch, results, refused)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _answer(self, batch: list[_Job], results: list[Any], refused: StoreRefused | None) -> None:
        for index, job in enumerate(batch):
            # an exception of its own each: one that is raised in many places has the traceback of them all
            resolve(job.future, StoreRefused(refused.detail, **refused.extra) if refused else results[index])
        reason = refused.detail if refused else ""
        if reason != self._told:
            self._told = reason
            self.on_refused(reason)
        if not refused:
            self.on_commit()


def _probe(conn: Connection) -> None:
    """The smallest change that must reach the disk."""
    conn.exec_driver_sql(
        "INSERT INTO store_facts (key, value) VALUES ('probe', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
    )


def _roll_back(conn: Connection) -> None:
    """SQLite has often rolled back already (RELIABILITY F3), so only when a transaction is still open."""
    driver: Any = conn.connection.driver_connection
    if driver.in_transaction:
        conn.exec_driver_sql("ROLLBACK")
