"""A few reader threads, each with a connection of its own in autocommit (STORE.md: checkout plus BEGIN costs 3 selects).

Law: no cursor outlives its query, so that no reader holds back a checkpoint (RELIABILITY F6); no query waits longer for a store
that says nothing than its limit and a little (R32). Threads of our own because a
Find's time is mostly the hop: an executor's costs twice as much.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from taskdash.errors import Busy, StoreRefused
from taskdash.store.dialect import Dialect

T = TypeVar("T")

MOST_WAITING = 10_000
_Query = tuple[Callable[[Connection], Any], float | None, "asyncio.Future[Any]"]


class Readers:
    """Runs queries for one event loop. `close` lets what is under way end."""

    def __init__(self, engine: Engine, dialect: Dialect, count: int, on_refused: Callable[[StoreRefused], None]) -> None:
        self._engine, self._dialect, self._on_refused = engine, dialect, on_refused
        self._waiting: queue.SimpleQueue[_Query | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"store-reader-{n}", daemon=True) for n in range(count)]
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the threads; call on the event loop that will ask."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads after the queries that wait."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def read(self, query: Callable[[Connection], T], limit_s: float | None) -> "asyncio.Future[T]":
        """Resolves to what `query` returns, Busy (over its limit, or too many wait), or StoreRefused."""
        if self._waiting.qsize() > MOST_WAITING:
            raise Busy("too many queries are waiting; ask again later")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put((query, limit_s, future))
        return future

    def _run(self) -> None:
        reader = Reader(self._engine, self._dialect)
        reader.outcome(_nothing, None)  # opens it now, while there are file descriptors (R46)
        while asked := self._waiting.get():
            query, limit_s, future = asked
            outcome = reader.outcome(query, limit_s)
            if isinstance(outcome, StoreRefused):
                self._on_refused(outcome)
            self._answer(future, outcome)
            if reader.met_silence:
                self._refuse_waiting(outcome)
        reader.close()

    def _refuse_waiting(self, refused: StoreRefused) -> None:
        """What waited behind a silence is refused with it: nobody waits for one after the other."""
        try:
            while asked := self._waiting.get_nowait():
                self._answer(asked[2], StoreRefused(refused.detail, **refused.extra))
            self._waiting.put(None)  # it was for another thread, or for this one
        except queue.Empty:
            return

    def _answer(self, future: "asyncio.Future[Any]", outcome: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve, future, outcome)


class Reader:
    """One thread's connection: opened when it is needed, and again when it was lost."""

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self._engine, self._dialect = engine, dialect
        self._conn: Connection | None = None
        self.met_silence = False
        """The last query was not answered at all."""

    def outcome(self, query: Callable[[Connection], Any], limit_s: float | None) -> Any:
        """The query's result, or its exception as a value. A connection that died since the last query costs nobody a query."""
        may_be_stale, self.met_silence = self._conn is not None, False
        try:
            return self._result(query, limit_s)
        except DBAPIError as error:
            if self._dialect.is_lost(error):
                self.close()
                self.met_silence = self._dialect.is_silent(error)
                may_be_stale = may_be_stale and not self.met_silence
                return self.outcome(query, limit_s) if may_be_stale else self._dialect.refusal(error)
            if self._dialect.is_interrupted(error):
                return Busy("the query took too long and was stopped; ask for less")
            return self._dialect.refusal(error)
        except Exception as error:
            return error

    def _result(self, query: Callable[[Connection], Any], limit_s: float | None) -> Any:
        if self._conn is None:
            self._conn = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._dialect.limit_query(self._conn, limit_s)
        return query(self._conn)

    def close(self) -> None:
        """Give the connection back, alive or not."""
        conn, self._conn = self._conn, None
        if conn is not None:
            self._dialect.roll_back(conn)
            conn.close()


def _nothing(_conn: Connection) -> None:
    return None


def resolve(future: "asyncio.Future[Any] | None", outcome: Any) -> None:
    """Give a waiting coroutine its result or its exception, if it still waits."""
    if future is None or future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
