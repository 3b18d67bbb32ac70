"""A store that fails at its n-th statement, or just after its n-th commit took effect (RELIABILITY R31, R33).

It is the real store: the fault is raised where the driver would raise it, so all that follows is the program's own.
"""

import sqlite3
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import event

from taskdash.store.database import Database

Moment = Literal["before", "after commit"]


class FaultStore(Database):
    """`fail_at` 0 never fails. `seen` counts the statements (or commits) of the writer."""

    def __init__(self, path: Path, fail_at: int, moment: Moment) -> None:
        super().__init__(path)
        self.fail_at = fail_at
        self.moment = moment
        self.seen = 0
        event.listen(self._engine, "do_execute", self._one)
        event.listen(self._engine, "do_executemany", self._one)

    def _one(self, cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        """Called in place of the driver's own execute; False lets it go on."""
        if self.moment == "before":
            self._count()
            return False
        if statement != "COMMIT":
            return False
        cursor.execute(statement, parameters)
        self._count()
        return True

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self.fail_at:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR"  # type: ignore[misc]
            raise error
