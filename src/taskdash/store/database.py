"""The store's one door: `read` runs a query on a reader thread, `write` joins the next group commit.

Law: a `write` is answered only after the transaction that holds it returned from a durable commit (RELIABILITY R1); if that
fails, or the function raises, nothing of it is kept (R2). One writer thread takes all that waits, runs each function in a
savepoint, commits once. Functions are plain synchronous code over a Connection and may be run again after a failure.
"""

import asyncio
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from sqlalchemy import BigInteger, Connection, Text, cast
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from taskdash import telemetry
from taskdash.errors import OutcomeUnknown, StoreRefused, TaskDashError
from taskdash.store import events
from taskdash.store.dialect import refusal_of_commit
from taskdash.store.elements import upsert
from taskdash.store.places import Place
from taskdash.store.readers import Readers, resolve
from taskdash.store.tables import store_facts
from taskdash.store.watch import Watch

T = TypeVar("T")
Work = Callable[[Connection], Any]

MOST_IN_ONE_COMMIT = 512
MOST_WAITING = 20_000
READERS = 4
BEGIN_S = 5.0
ANSWER_S = 10.0
"""So long the store may say nothing when a transaction is to begin, and within one: then its connection is given up."""
QUESTION_S = 5.0
PROBE_EVERY_S = 1.0
SWITCH_EVERY_S = 0.0005
"""A thread that comes back from the disk gets the interpreter after so long, not after Python's 5 ms: while the event loop is
busy, that wait was most of a commit."""


class _Job(Struct):
    work: Work
    future: "asyncio.Future[Any] | None" = None
    asked_at: float = 0.0

    def refuse(self, refused: StoreRefused) -> None:
        resolve(self.future, refused)


class Store(Protocol):
    """What reads and writes, to who has to do with no more of it."""

    async def read(self, query: Callable[[Connection], T], *, limit_s: float | None = 5.0) -> T:
        """What `query` returns."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, once it is durable."""


class Database:
    """An opened store. Made by `open`; `close` ends its threads after everything waiting was stored."""

    def __init__(self, place: Place, *, readers: int = READERS) -> None:
        self.place = place
        self.on_commit: Callable[[bool], None] = lambda _told: None
        """Called on the loop after each commit, with whether it wrote history, and when another process wrote some: a wake-up
        without data (DESIGN law 4)."""
        self.on_refused: Callable[[str], None] = lambda _reason: None
        """Called on the loop with a sentence when the store refuses, with "" when it works again."""
        self.on_death: Callable[[BaseException], None] = lambda _error: None
        """Called on the loop when the writer thread ended by a mistake of ours: serve nothing rather than half (R29)."""
        self._engine, self._dialect = place.open_engine(), place.dialect
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        """None is the end; written to on the loop only."""
        self._closing = self._ended = False
        self._refused = False
        self._unsent: list[_Job] = []
        """What a connection was to do that turned out to be gone before it had begun."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper = place.a_keeper()
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._readers = Readers(place.open_readers(), place.dialect, readers, self._keeper.met)
        self._watch = Watch(self._waiting, self._question, self._tell)

    def start(self) -> None:
        """Start the writer; call on the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_EVERY_S)
        self._writer.start()
        self._keeper.start(lambda: self._call(self.on_commit, True))
        self._readers.start()
        self._watch.start()

    async def close(self) -> None:
        """Store all that waits, then end the threads and leave nothing half done behind."""
        self._closing = True
        self._waiting.put(None)
        await asyncio.to_thread(self._writer.join)
        self._watch.stop()
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._keeper.close)
        self._engine.dispose()

    # reading

    async def read(self, query: Callable[[Connection], T], *, limit_s: float | None = 5.0) -> T:
        """What `query` returns. Raises Busy when it ran longer than `limit_s`, StoreRefused when the store fails."""
        return await self._readers.read(query, limit_s)

    def _question(self, is_with_the_store: Callable[[], None]) -> "asyncio.Future[Any]":
        """The smallest one."""

        def ask(conn: Connection) -> None:
            is_with_the_store()
            if trouble := self._keeper.trouble():
                raise trouble
            self._dialect.rows(conn, "SELECT 1")
            self._keeper.is_open()

        return self._readers.read(ask, QUESTION_S)

    def _tell(self, reason: str) -> None:
        self.on_refused(reason)

    # writing

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, once it is durable. Raises what it raised, or StoreRefused; then nothing of it is kept."""
        if self._closing:
            raise StoreRefused("TaskDash is stopping; nothing was kept")
        if self._waiting.qsize() >= MOST_WAITING:
            raise StoreRefused("too many changes are waiting; nothing was kept")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Job(work, future, monotonic()))
        return await future

    def _write_loop(self) -> None:
        try:
            while not self._ended:
                self._write_until_refused()
        except BaseException as error:
            self._call(self.on_death, error)
            raise

    def _write_until_refused(self) -> None:
        """One connection's life: after a refusal it is closed, never trusted again (RELIABILITY R26); who stops opens none."""
        if self._closing and self._refused:
            self._settle(self._next_batch(), [], StoreRefused("TaskDash is stopping; nothing was kept"))
            return
        if self._refused and (trouble := self._keeper.trouble()):
            self._settle(self._next_batch(), [], trouble)
            return
        self._watch.tries()
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                self._watch.worked()
                has_worked = False
                while batch := self._next_batch():
                    self._watch.tries()
                    if not self._has_begun(conn, batch, has_worked) or self._commit(conn, batch):
                        return
                    has_worked = True
        except DBAPIError as error:
            self._settle(self._next_batch(), [], self._dialect.refusal(error))

    def _has_begun(self, conn: Connection, batch: list[_Job], has_worked: bool) -> bool:
        """False: the batch is refused; or, when the connection died of idleness or a restart, waits for the next one."""
        if trouble := self._keeper.trouble():
            self._settle(batch, [], trouble)
            return False
        try:
            self._dialect.wait_at_most(conn, BEGIN_S)
            self._dialect.begin(conn)
            self._dialect.wait_at_most(conn, ANSWER_S)
        except DBAPIError as error:
            self._dialect.roll_back(conn)
            if has_worked and self._dialect.is_lost(error) and not self._dialect.is_silent(error):
                self._unsent = batch
            else:
                self._settle(batch, [], self._dialect.refusal(error))
            return False
        return True

    def _next_batch(self) -> list[_Job]:
        """All that waits; a probe each second while the store refuses; nothing when closing."""
        batch, self._unsent = self._unsent, []
        if batch:
            return batch
        try:
            while not self._ended and len(batch) < MOST_IN_ONE_COMMIT:
                job = self._waiting.get_nowait() if batch else self._waiting.get(timeout=self._patience_s())
                self._ended = job is None
                batch += [job] if job else []
        except queue.Empty:
            return batch or [_Job(_probe)]
        return batch

    def _patience_s(self) -> float | None:
        return PROBE_EVERY_S if self._refused else None

    def _commit(self, conn: Connection, batch: list[_Job]) -> StoreRefused | None:
        try:
            results = [self._attempt(conn, job.work, is_last=job is batch[-1]) for job in batch]
        except DBAPIError as error:
            return self._refuse(conn, batch, self._dialect.refusal(error))
        told = events.were_appended(conn)
        try:
            self._dialect.commit(conn, told=bool(told))
        except DBAPIError as error:
            self._write_over(conn)
            return self._refuse(conn, batch, refusal_of_commit(self._dialect, error))
        telemetry.events_written.inc(told)
        if trouble := self._keeper.trouble():  # committed, but perhaps into a file that nobody will find
            return self._refuse(conn, batch, OutcomeUnknown(trouble.detail))
        self._settle(batch, results, None, told=bool(told))
        self._keeper.has_committed(conn)
        return None

    def _write_over(self, conn: Connection) -> None:
        """Of a commit that failed at its sync SQLite's log holds all, and a restart would find what was refused; so something
        else takes its place before it is refused (RELIABILITY R2, R26)."""
        with suppress(DBAPIError):
            self._dialect.roll_back(conn)
            self._dialect.begin(conn)
            _probe(conn)
            self._dialect.commit(conn)

    def _refuse(self, conn: Connection, batch: list[_Job], refused: StoreRefused) -> StoreRefused:
        self._dialect.roll_back(conn)
        self._settle(batch, [], refused)
        return refused

    def _attempt(self, conn: Connection, work: Work, *, is_last: bool) -> Any:
        """The work's result, or its exception as a value; then the savepoint is rolled back and the others go on."""
        try:
            result = work(conn)
        except DBAPIError as error:
            if self._dialect.is_lost(error):
                raise
            result = self._dialect.refusal(error)
            self._keeper.met(result)
            if self._keeper.trouble():
                raise
        except (TaskDashError, SQLAlchemyError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            result = error
        if isinstance(result, Exception):
            self._dialect.undo(conn)
        elif not is_last:
            self._dialect.keep(conn)
        return result

    def _settle(self, batch: list[_Job], results: list[Any], refused: StoreRefused | None, *, told: bool = False) -> None:
        self._refused = refused is not None
        if refused:
            self._keeper.met(refused)
        else:
            self._watch.worked()
        self._call(self._answer, batch, results, refused, told)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _answer(self, batch: list[_Job], results: list[Any], refused: StoreRefused | None, told: bool) -> None:
        for index, job in enumerate(batch):
            # an exception of its own each: one that is raised in many places has the traceback of them all
            resolve(job.future, type(refused)(refused.detail, **refused.extra) if refused else results[index])
        self._watch.say("writer", refused.detail if refused else "")
        if not refused:
            self.on_commit(told)


def _probe(conn: Connection) -> None:
    """The smallest change that must reach the disk."""
    conn.execute(_PROBE)


_NEW = upsert(store_facts).values(key="probe", value="1")
_PROBE = _NEW.on_conflict_do_update(
    index_elements=["key"], set_={"value": cast(cast(store_facts.c.value, BigInteger) + 1, Text)}
)
