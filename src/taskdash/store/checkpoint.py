"""Keeps the WAL small, on a thread and a connection of its own so that no commit waits for it (STORE.md, group commit).

Law: past about 4 MB it copies what it can into the database. SQLite begins its log anew only when all of it is copied, and of a
writer without a pause never all is; so past 32 MiB the writer itself copies the rest, between two commits. What is left to
make it long is a reader from outside that does not end: past 256 MiB that is told (RELIABILITY R34, F6).
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from taskdash import telemetry
from taskdash.store import sqlite
from taskdash.store.standing import Standing

WORTH_BYTES = 4 * 1024 * 1024
LONG_BYTES = 32 * 1024 * 1024
ALARM_BYTES = 256 * 1024 * 1024
_LOOK_EVERY_S = 0.25
_PATIENCE_MS = 100
"""So long the writer waits for those who read of the log: a list takes less."""
_AGAIN_AFTER_S = 1.0
"""So long it does not wait again when that was not enough."""


def log_of(path: Path) -> Path:
    """The WAL of the store at `path`."""
    return path.with_name(path.name + "-wal")


def size_of(log: Path) -> int:
    """In bytes; 0 when there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


class Checkpointer:
    """Started beside the writer; `close` leaves no WAL behind."""

    def __init__(self, path: Path) -> None:
        self._wal = log_of(path)
        self._engine = sqlite.open_engine(path, cache_kib=2_048)
        self._standing = Standing(path)
        self.trouble, self.met, self.is_open = self._standing.trouble, self._standing.met, self._standing.is_open
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpoint", daemon=True)
        self._not_before = 0.0
        self._is_alarmed = False

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

    def has_committed(self, conn: Connection) -> None:
        """In the writer's thread, between two commits: of a long WAL copy what is left and begin it anew."""
        if size_of(self._wal) < LONG_BYTES or monotonic() < self._not_before:
            return
        with contextlib.suppress(DBAPIError):  # as in `_copy`
            if sqlite.checkpoint_whole(conn, _PATIENCE_MS):
                self._not_before = monotonic() + _AGAIN_AFTER_S

    def _run(self) -> None:
        while not self._end.wait(_LOOK_EVERY_S):
            size = size_of(self._wal)
            self._tell(size)
            if size >= WORTH_BYTES:
                self._copy(sqlite.checkpoint if size < LONG_BYTES else _copy_and_cut)

    def _tell(self, size: int) -> None:
        was_alarmed, self._is_alarmed = self._is_alarmed, size > ALARM_BYTES
        telemetry.wal_bytes.set(size)
        telemetry.wal_alarm.set(self._is_alarmed)
        if self._is_alarmed and not was_alarmed:
            telemetry.log.warning("the log of the store grows: something reads the store without an end", bytes=size)

    def _copy(self, how: Callable[[Connection], object]) -> None:
        if self.trouble():
            return
        with (
            contextlib.suppress(DBAPIError),  # a full disk or a busy file: the next look tries again
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn,
        ):
            how(conn)


def _copy_and_cut(conn: Connection) -> None:
    """Nothing is waited for: while somebody writes or reads of the log, it is as `sqlite.checkpoint`."""
    if sqlite.checkpoint(conn):
        sqlite.checkpoint_whole(conn, 0)
