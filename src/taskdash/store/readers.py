"""A few reader threads, each with a connection of its own in autocommit (STORE.md: checkout plus BEGIN costs 3 selects).

Law: no cursor outlives its query, so that no reader holds back a checkpoint (RELIABILITY F6). Threads of our own because a
Find's time is mostly the hop: an executor's costs twice as much.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from taskdash.errors import Busy
from taskdash.store import sqlite

T = TypeVar("T")

MOST_WAITING = 10_000
_Query = tuple[Callable[[Connection], Any], float | None, "asyncio.Future[Any]"]


class Readers:
    """Runs queries for one event loop. `close` lets what is under way end."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
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

    def read(self, query: Callable[[Connection], T], limit_s: float | None) -> "asyncio.Future[T]":
        """Resolves to what `query` returns, Busy (over its limit, or too many wait), or StoreRefused."""
        if self._waiting.qsize() > MOST_WAITING:
            raise Busy("too many queries are waiting; ask again later")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put((query, limit_s, future))
        return future

    def _run(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            while asked := self._waiting.get():
                query, limit_s, future = asked
                self._answer(future, _outcome(conn, query, limit_s))

    def _answer(self, future: "asyncio.Future[Any]", outcome: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve, future, outcome)


def _outcome(conn: Connection, query: Callable[[Connection], Any], limit_s: float | None) -> Any:
    """The query's result, or its exception as a value."""
    try:
        sqlite.limit_query(conn, limit_s)
        return query(conn)
    except DBAPIError as error:
        if sqlite.is_interrupted(error):
            return Busy("the query took too long and was stopped; ask for less")
        return sqlite.refusal(error)
    except Exception as error:
        return error


def resolve(future: "asyncio.Future[Any] | None", outcome: Any) -> None:
    """Give a waiting coroutine its result or its exception, if it still waits."""
    if future is None or future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
