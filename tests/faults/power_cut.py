"""What is left of files when the power fails: the log of a `Disk`, replayed to a moment, without what was not yet synced.

Law: what a finished sync covered is there. Of what was written since, each piece of 512 bytes is there or not, in any
combination: `chance` decides, and None leaves all of it out.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

SECTOR = 512


class Entry(Struct):
    """One line of the log: `write`, `truncate`, `syncing`, `synced`, `unlink`, `rename`, or `send` with the peer's port."""

    kind: str
    name: str
    at: int
    content: bytes


def entries(log: Path) -> list[Entry]:
    """All that the log holds; a last line that was cut off counts as not there."""
    return list(_parsed(log.read_bytes()))


def _parsed(text: bytes) -> Iterator[Entry]:
    at = 0
    while (end := text.find(b"\n", at)) >= 0:
        kind, name, offset, length = text[at:end].decode().split(" ")
        has_content = kind in {"write", "send"}
        at = end + 1 + (int(length) if has_content else 0)
        if at > len(text):
            return
        yield Entry(kind, name, int(offset), text[end + 1 : at])


class Platter:
    """The files of a directory as a disk has them: what is durable, and what is still on its way."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {name: bytearray(content) for name, content in files.items()}
        self._on_the_way: dict[str, list[Entry]] = {}
        self._syncing: dict[tuple[str, int], int] = {}
        self._durable: set[str] = set()
        self._settled: list[bytes] = []

    def apply(self, entry: Entry) -> None:
        """The next line of the log."""
        waiting = self._on_the_way.setdefault(entry.name, [])
        if entry.kind in {"write", "truncate"}:
            waiting.append(entry)
        elif entry.kind == "syncing":
            self._syncing[entry.name, entry.at] = len(waiting)
        elif entry.kind == "synced":
            covered = self._syncing.pop((entry.name, entry.at), 0)
            self._settle(entry.name, covered)
        elif entry.kind == "unlink":
            self.files.pop(entry.name, None)
            self._on_the_way.pop(entry.name, None)

    def _settle(self, name: str, covered: int) -> None:
        file = self.files.setdefault(name, bytearray())
        waiting = self._on_the_way[name]
        for entry in waiting[:covered]:
            change(file, entry)
            self._settled.append(entry.content)
        del waiting[:covered]
        # another thread's sync of the same file that has begun meanwhile covers so much less of what is left
        for key, count in self._syncing.items():
            if key[0] == name:
                self._syncing[key] = max(0, count - covered)

    def durable(self, wanted: re.Pattern[bytes]) -> set[str]:
        """All that matches `wanted` in what was ever synced."""
        for content in self._settled:
            self._durable |= {found.decode() for found in wanted.findall(content)}
        self._settled.clear()
        return self._durable

    def after_a_cut(self, chance: random.Random | None) -> dict[str, bytes]:
        """The files that are found when the power is back."""
        found = {name: bytearray(content) for name, content in self.files.items()}
        for name, waiting in self._on_the_way.items() if chance else ():
            for entry in waiting:
                for piece in pieces(entry):
                    if chance and chance.random() < 0.5:
                        change(found.setdefault(name, bytearray()), piece)
        return {name: bytes(content) for name, content in found.items() if not name.endswith("-shm")}


def pieces(entry: Entry) -> Iterator[Entry]:
    """What of one write may be there without the rest."""
    if entry.kind == "truncate":
        yield entry
    for at in range(0, len(entry.content), SECTOR):
        yield Entry(entry.kind, entry.name, entry.at + at, entry.content[at : at + SECTOR])


def change(file: bytearray, entry: Entry) -> None:
    """Do what the entry says to the file."""
    end = entry.at + len(entry.content)
    if len(file) < end:
        file.extend(bytes(end - len(file)))
    if entry.kind == "truncate":
        del file[entry.at :]
    else:
        file[entry.at : end] = entry.content
