"""What the embedded store stands on: its files are those that were opened, and there is room to write.

Law: nothing is begun or acknowledged in a file that was removed or replaced (RELIABILITY R36). Who began on a full disk gave
its reserve back to be able to read, and writes nothing until there is room for the reserve again (R24).
"""

from pathlib import Path
from typing import Protocol

from taskdash.errors import OutcomeUnknown, StoreRefused
from taskdash.store import datadir

_FULL = "the disk is full; nothing was kept"
_GONE = (
    "{name} was removed or replaced while TaskDash ran: put it back, or stop TaskDash and restore a backup; nothing was kept"
)
_GONE_AFTER = "{name} was removed or replaced while TaskDash wrote to it; what was to be kept is in the file that is gone"


class Ground(Protocol):
    """Asked by the writer; and by the watch, which tells it."""

    def is_open(self) -> None:
        """A reader has the store open, and will have: from now on nobody may take a file away."""

    def check(self) -> None:
        """Raises StoreRefused when nothing may be written."""

    def check_after(self) -> None:
        """Raises OutcomeUnknown when what was committed is in a file that nobody will read again."""


class Files:
    """Of the store at `path`; `keeps_reserve`: whoever owns the directory holds one, as far as there was room for it."""

    def __init__(self, path: Path, *, keeps_reserve: bool) -> None:
        self._path, self._wal = path, path.with_name(path.name + "-wal")
        self._opened: dict[Path, tuple[int, int]] = {}
        self._has_room = not keeps_reserve or datadir.holds_reserve(path.parent)

    def is_open(self) -> None:
        """Before, whoever closes it as the last takes the log away, and the next one makes another."""
        for path in (self._path, self._wal):
            if (found := _identity(path)) is not None:
                self._opened.setdefault(path, found)

    def check(self) -> None:
        """Both laws."""
        if name := self._gone():
            raise StoreRefused(_GONE.format(name=name))
        self._has_room = self._has_room or datadir.keep_reserve(self._path.parent)
        if not self._has_room:
            raise StoreRefused(_FULL)

    def check_after(self) -> None:
        """The files alone."""
        if name := self._gone():
            raise OutcomeUnknown(_GONE_AFTER.format(name=name))

    def _gone(self) -> Path | None:
        return next((path for path, known in [*self._opened.items()] if _identity(path) != known), None)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Elsewhere:
    """Of a store that a server keeps."""

    def is_open(self) -> None:
        """Nothing to do."""

    def check(self) -> None:
        """The server refuses by itself."""

    def check_after(self) -> None:
        """The server answers for what it said it keeps."""
