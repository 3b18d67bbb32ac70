"""Whether the embedded store may be written: its file is the one that was opened, is not corrupt, and its disk was not full.

Law: nothing is acknowledged into a file that is gone (RELIABILITY R36), nothing is written to one that is corrupt (R38), and
after a start on a full disk only once there is room again (R24). Asked before and after each transaction, from any thread.
"""

import os
import threading
from pathlib import Path
from time import monotonic

from taskdash.errors import StoreRefused
from taskdash.store import datadir, sqlite

_LOOK_FOR_ROOM_EVERY_S = 1.0


class Standing:
    """Of the store at `path`, as it is when this is made."""

    def __init__(self, path: Path) -> None:
        self._path, self._log = path, path.with_name(path.name + "-wal")
        self._opened = {path: _identity(path)}
        self._is_corrupt = False
        self._is_full = datadir.is_reserve_spent(path.parent)
        self._look_at, self._looking = 0.0, threading.Lock()

    def trouble(self) -> StoreRefused | None:
        """Why nothing may be written now."""
        if any(_identity(path) != known for path, known in [*self._opened.items()]):
            return StoreRefused(
                "a file of the store was removed or replaced while TaskDash runs; nothing is written until it is started anew"
            )
        if self._is_corrupt:
            return sqlite.corrupt()
        if self._is_full and not self._has_room_again():
            return StoreRefused("disk full; nothing is written until 8 MiB are free")
        return None

    def is_open(self) -> None:
        """A reader has it open, and will have: from now on SQLite takes its log away no more, nor makes another."""
        if (found := _identity(self._log)) is not None:
            self._opened.setdefault(self._log, found)

    def met(self, refused: StoreRefused) -> None:
        """A query or a change was refused: of a corrupt file not a byte is changed from now on."""
        if str(refused.extra.get("code", "")).startswith(sqlite.CORRUPT):
            self._is_corrupt = True

    def _has_room_again(self) -> bool:
        """Room is there when the reserve can be kept again."""
        with self._looking:  # who asks meanwhile waits for what is found
            if monotonic() >= self._look_at:
                self._look_at = monotonic() + _LOOK_FOR_ROOM_EVERY_S
                self._is_full = not datadir.keep_reserve(self._path.parent)
            return not self._is_full


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
