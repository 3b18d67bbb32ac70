"""Keeps the WAL small, on a thread and a connection of its own so that no commit waits for it (STORE.md, group commit).

Past about 4 MB it copies what it can into the database; a long reader delays it, and then it tries again (RELIABILITY R34).
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from taskdash.store import sqlite
from taskdash.store.standing import Standing

WORTH_BYTES = 4 * 1024 * 1024
_LOOK_EVERY_S = 0.25


class Checkpointer:
    """Started beside the writer; `close` leaves no WAL behind."""

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._engine = sqlite.open_engine(path, cache_kib=2_048)
        self._standing = Standing(path)
        self.trouble, self.met, self.is_open = self._standing.trouble, self._standing.met, self._standing.is_open
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpoint", daemon=True)

    def start(self, on_told: Callable[[], object]) -> None:
        """Begin to watch the WAL. No other process of ours tells of what it wrote: the feed looks once a second."""
        del on_told
        self._thread.start()

    def close(self) -> None:
        """Stop watching and copy all that is left; call when no other connection is open, so that no WAL stays behind."""
        self._end.set()
        self._thread.join()
        self.copy_all()

    def copy_all(self) -> None:
        """Copy all of the WAL and empty it."""
        self._copy(sqlite.checkpoint_whole)

    def wal_bytes(self) -> int:
        """Size of the WAL file; 0 when there is none."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _run(self) -> None:
        while not self._end.wait(_LOOK_EVERY_S):
            if self.wal_bytes() >= WORTH_BYTES:
                self._copy(sqlite.checkpoint)

    def _copy(self, how: Callable[[Connection], int]) -> None:
        if self.trouble():
            return
        with (
            contextlib.suppress(DBAPIError),  # a full disk or a busy file: the next look tries again
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn,
        ):
            how(conn)
