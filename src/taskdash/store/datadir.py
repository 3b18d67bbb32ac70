"""The data directory: one process owns it (flock), files are private, and an unusable one is refused in one sentence.

RELIABILITY R30, R35, R162, F5, F7, F10. No stale-lock logic: kill -9 of the holder frees a flock at once.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from taskdash.errors import StartRefused

DATABASE = "taskdash.db"
LOCK = "LOCK"
RESERVE = "reserve"
RESERVE_BYTES = 8 * 1024 * 1024
_TRIAL, _TRIAL_BYTES = "trial", 256 * 1024


class DataDir:
    """An opened and locked data directory; the lock lives as long as this object."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self.database = path / DATABASE
        self._lock = lock

    def release(self) -> None:
        """Give the directory to the next process."""
        self._lock.close()


def prepare(path: Path) -> None:
    """Make the directory (0700) when it is not there; raises StartRefused with the path when it cannot be used."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"data directory {path} cannot be made: {error.strerror}") from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StartRefused(f"data directory {path} is not writable for uid {os.getuid()}")


def lock(path: Path) -> DataDir:
    """Own the directory. Raises StartRefused naming the pid of the process that owns it already."""
    prepare(path)
    try:
        file = open(path / LOCK, "a+", encoding="ascii", opener=_private)  # noqa: SIM115  (held for life)
    except OSError as error:
        raise StartRefused(f"{path / 'LOCK'} cannot be opened by uid {os.getuid()}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StartRefused(f"data directory {path} is in use by another taskdash (pid {holder})") from None
    _note_pid(file)
    return DataDir(path, file)


def _note_pid(file: IO[str]) -> None:
    """For people; a full disk has no room for it, and the lock holds all the same."""
    with suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())


def is_locked(path: Path) -> bool:
    """True while some process owns the directory."""
    try:
        lock(path).release()
    except StartRefused:
        return True
    return False


def keep_reserve(path: Path) -> bool:
    """Hold 8 MiB that `make_room` gives back when the disk is full at start. False: there is no room for it."""
    if (path / RESERVE).exists():
        return True
    return _is_filled(path / RESERVE, RESERVE_BYTES)


def make_room(path: Path) -> None:
    """At the start: keep the reserve, or on a full disk spend it, since without room a store cannot even be read (F5)."""
    if keep_reserve(path) and not _is_filled(path / _TRIAL, _TRIAL_BYTES):
        (path / RESERVE).unlink(missing_ok=True)
    (path / _TRIAL).unlink(missing_ok=True)


def is_reserve_spent(path: Path) -> bool:
    """A server's directory (it has a LOCK) without its reserve."""
    return (path / LOCK).exists() and not (path / RESERVE).exists()


def _is_filled(path: Path, size_bytes: int) -> bool:
    """A file that takes so much room; False, and no file, when there is not so much."""
    try:
        with open(path, "wb", opener=_private) as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
