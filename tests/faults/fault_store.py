"""A store that fails at its n-th statement, or just after its n-th commit took effect (RELIABILITY R31, R33).

It is the real store on either engine: the fault is raised by the driver, so all that follows is the program's own.
"""

import sqlite3
from typing import Any, Literal

import psycopg
from psycopg import errors
from sqlalchemy import event

from taskdash.store.database import Database
from taskdash.store.places import File, Place

Moment = Literal["before", "after commit"]


class FaultStore(Database):
    """`fail_at` 0 never fails. `seen` counts the statements (or commits) of the writer."""

    def __init__(self, place: Place, fail_at: int, moment: Moment) -> None:
        super().__init__(place)
        self.fail_at = fail_at
        self.moment = moment
        self.seen = 0
        if isinstance(place, File):
            event.listen(self._engine, "do_connect", self._connect)
        else:
            event.listen(self._engine, "connect", self._connected)

    def _connect(self, _dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, factory=_faulty(self), **options)

    def _connected(self, connection: psycopg.Connection[Any], _record: Any) -> None:
        connection.cursor_factory = _faulty_cursor(self)

    def count(self, statement: str, error: Exception, *, is_done: bool) -> None:
        """Called by the driver around each statement; raises when this one is to fail."""
        is_commit = statement.endswith("COMMIT")
        wanted = is_commit if self.moment == "after commit" else not statement.startswith("PRAGMA")
        if not wanted or is_done != (self.moment == "after commit"):
            return
        self.seen += 1
        if self.seen == self.fail_at:
            raise error


def _faulty(store: FaultStore) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *values: Any) -> "Cursor":
            return self._around(super().execute, statement, *values)

        def executemany(self, statement: str, *values: Any) -> "Cursor":
            return self._around(super().executemany, statement, *values)

        def _around(self, run: Any, statement: str, *values: Any) -> "Cursor":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR"  # type: ignore[misc]
            store.count(statement, error, is_done=False)
            run(statement, *values)
            store.count(statement, error, is_done=True)
            return self

    class Connection(sqlite3.Connection):
        def cursor(self, *_factory: Any) -> Cursor:
            return super().cursor(Cursor)

        def execute(self, statement: str, *values: Any) -> Cursor:
            return self.cursor().execute(statement, *values)

        def executemany(self, statement: str, *values: Any) -> Cursor:
            return self.cursor().executemany(statement, *values)

    return Connection


def _faulty_cursor(store: FaultStore) -> type[psycopg.Cursor[Any]]:
    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *values: Any, **options: Any) -> "Cursor":
            return self._around(super().execute, query, *values, **options)

        def executemany(self, query: Any, *values: Any, **options: Any) -> None:
            self._around(super().executemany, query, *values, **options)

        def _around(self, run: Any, query: Any, *values: Any, **options: Any) -> "Cursor":
            error = errors.IoError("could not write")
            store.count(str(query), error, is_done=False)
            run(query, *values, **options)
            store.count(str(query), error, is_done=True)
            return self

    return Cursor
