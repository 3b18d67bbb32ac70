"""Hears, on a connection of its own, that another process wrote history (PostgreSQL's LISTEN). A wake-up carries no data.

Law: it only wakes. While it is not connected nothing is lost: whoever waits looks for itself once a second.
"""

import contextlib
import threading
from collections.abc import Callable

import psycopg
from sqlalchemy import Connection

from taskdash.errors import StoreRefused
from taskdash.store.postgres import CHANNEL, conninfo_of

_LOOK_EVERY_S, _AGAIN_AFTER_S = 0.5, 1.0


class Listener:
    """A thread; `close` ends it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = threading.Event()
        self._on_told: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)

    def start(self, on_told: Callable[[], object]) -> None:
        """Begin to listen."""
        self._on_told = on_told
        self._thread.start()

    def close(self) -> None:
        """End; returns when the connection is closed."""
        self._end.set()
        self._thread.join()

    def trouble(self) -> None:
        """None: the server itself refuses what it cannot keep."""

    def is_open(self) -> None:
        """Nothing follows from it."""

    def met(self, refused: StoreRefused) -> None:
        """Nothing follows from it."""

    def has_committed(self, conn: Connection) -> None:
        """Nothing follows from it: the commit itself has told the others."""

    def _run(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(psycopg.Error):
                self._listen()
            self._end.wait(_AGAIN_AFTER_S)

    def _listen(self) -> None:
        with psycopg.connect(conninfo_of(self._url), autocommit=True) as conn:
            conn.execute(f"LISTEN {CHANNEL}".encode())
            self._on_told()  # what was written while nobody listened
            while not self._end.is_set():
                for _told in conn.notifies(timeout=_LOOK_EVERY_S, stop_after=1):
                    self._on_told()
