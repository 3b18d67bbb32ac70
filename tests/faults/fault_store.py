"""A store that fails at its n-th statement, or just after its n-th commit took effect (RELIABILITY R31, R33).

It is the real store: the fault is raised by the driver, so all that follows is the program's own.
"""

import sqlite3
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import event

from taskdash.store.database import Database
from taskdash.store.places import File

Moment = Literal["before", "after commit"]


class FaultStore(Database):
    """`fail_at` 0 never fails. `seen` counts the statements (or commits) of the writer."""

    def __init__(self, path: Path, fail_at: int, moment: Moment) -> None:
        super().__init__(File(path))
        self.path = path
        self.fail_at = fail_at
        self.moment = moment
        self.seen = 0
        event.listen(self._engine, "do_connect", self._connect)

    def _connect(self, _dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, factory=_faulty(self), **options)

    def count(self, statement: str, *, is_done: bool) -> None:
        """Called by the driver around each statement; raises when this one is to fail."""
        wanted = statement == "COMMIT" if self.moment == "after commit" else not statement.startswith("PRAGMA")
        if not wanted or is_done != (self.moment == "after commit"):
            return
        self.seen += 1
        if self.seen == self.fail_at:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR"  # type: ignore[misc]
            raise error


def _faulty(store: FaultStore) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *values: Any) -> "Cursor":
            return self._around(super().execute, statement, *values)

        def executemany(self, statement: str, *values: Any) -> "Cursor":
            return self._around(super().executemany, statement, *values)

        def _around(self, run: Any, statement: str, *values: Any) -> "Cursor":
            store.count(statement, is_done=False)
            run(statement, *values)
            store.count(statement, is_done=True)
            return self

    class Connection(sqlite3.Connection):
        def cursor(self, *_factory: Any) -> Cursor:
            return super().cursor(Cursor)

        def execute(self, statement: str, *values: Any) -> Cursor:
            return self.cursor().execute(statement, *values)

        def executemany(self, statement: str, *values: Any) -> Cursor:
            return self.cursor().executemany(statement, *values)

    return Connection
