"""What the shim noted, and the disk that a power cut at any of these moments would leave.

Law: of a file there is what was synced; of what was written since, the disk may have kept all, none, or any sectors of 512
bytes. A removal is kept at once: SQLite removes a file only when it needs it no more.
"""

import os
import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

SOURCE = Path(__file__).with_name("shim.c")
SECTOR = 512
_HEAD = struct.Struct("=QIHcx")
Kept = Literal["none", "some", "all"]


class Note(Struct, frozen=True):
    """`kind`: W written, T truncated to `offset`, S synced, U removed, A about to be sent (an answer, perhaps)."""

    kind: Literal["W", "T", "S", "U", "A"]
    path: str
    offset: int
    data: bytes


def built(folder: Path) -> Path:
    """The shim, compiled with the C compiler of this machine."""
    library = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


class Shim:
    """The environment of a process on a disk that is watched, and may fail its syncs."""

    def __init__(self, folder: Path, files: Path, *, notes: bool = False) -> None:
        self.log, self._faults = folder / "notes", folder / "faults"
        self.env = {"LD_PRELOAD": str(built(folder)), "SHIM_FILES": str(files), "SHIM_FAULTS": str(self._faults)}
        if notes:
            self.env["SHIM_LOG"] = str(self.log)
        self.syncs()

    def syncs(self, *, error: int = 0, after_ms: int = 0) -> None:
        """From now on each sync fails with this errno (0: none), or takes so long."""
        opened = os.open(self._faults, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(opened, struct.pack("=ii", error, after_ms), 0)
        os.close(opened)

    def notes(self) -> Iterator[Note]:
        """All that was noted; what a kill cut off in the middle is left out."""
        with self.log.open("rb") as log:
            while len(head := log.read(_HEAD.size)) == _HEAD.size:
                offset, size, named, kind = _HEAD.unpack(head)
                path, held = log.read(named), size if kind in b"WA" else 0
                data = log.read(held)
                if len(data) == held:
                    yield Note(kind.decode(), path.decode(), offset, data)


class Disk:
    """Is told the notes in their order."""

    def __init__(self) -> None:
        self._synced: dict[str, bytearray] = {}
        self._since: dict[str, list[Note]] = {}

    def take(self, note: Note) -> None:
        """What the process did next."""
        if note.kind in "WT":
            self._since.setdefault(note.path, []).append(note)
        elif note.kind == "S":
            content = self._synced.setdefault(note.path, bytearray())
            for waiting in self._since.pop(note.path, []):
                _apply(content, waiting)
        elif note.kind == "U":
            self._synced.pop(note.path, None)
            self._since.pop(note.path, None)

    def leave(self, folder: Path, kept: Kept, chance: random.Random) -> None:
        """The files as they are when the power is back."""
        for path in self._synced.keys() | self._since.keys():
            content = bytearray(self._synced.get(path, b""))
            for waiting in self._since.get(path, []) if kept != "none" else []:
                for part in [waiting] if kept == "all" else _survivors(waiting, chance):
                    _apply(content, part)
            (folder / Path(path).name).write_bytes(content)


def _survivors(note: Note, chance: random.Random) -> Iterator[Note]:
    if note.kind == "T":
        if chance.random() < 0.5:
            yield note
        return
    for start in range(0, len(note.data), SECTOR):
        if chance.random() < 0.5:
            yield Note("W", note.path, note.offset + start, note.data[start : start + SECTOR])


def _apply(content: bytearray, note: Note) -> None:
    if note.kind == "T":
        del content[note.offset :]
        content.extend(bytes(note.offset - len(content)))
        return
    content.extend(bytes(max(0, note.offset - len(content))))
    content[note.offset : note.offset + len(note.data)] = note.data
