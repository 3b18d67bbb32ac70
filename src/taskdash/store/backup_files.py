"""What backups of both engines have in common: private files, named when they are whole, with a SHA-256 beside each.

RELIABILITY R162, R163.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from taskdash.errors import StartRefused
from taskdash.model.instants import Instant, to_datetime
from taskdash.model.records import NewEvent

_BEGINNINGS = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}


class Copied(Struct, frozen=True):
    """What a finished backup holds."""

    path: Path
    size_bytes: int
    sha256: str
    rows: dict[str, int]
    """Rows by table."""


def engine_of(path: Path) -> str:
    """Whose backup a file is, by how it begins: `sqlite`, `postgresql`, or empty for neither. Raises StartRefused."""
    try:
        with open(path, "rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from None
    return next((engine for beginning, engine in _BEGINNINGS.items() if begins.startswith(beginning)), "")


def sha256_path(backup_file: Path) -> Path:
    """Where the SHA-256 of a backup is, in the form of `sha256sum`."""
    return backup_file.with_name(backup_file.name + ".sha256")


@contextmanager
def being_made(target: Path) -> Iterator[Path]:
    """A private file to write to, that becomes `target` at the end; of what fails nothing is left. Raises StartRefused."""
    if target.exists():
        raise StartRefused(f"{target} exists already; a backup never overwrites a file")
    partial = target.with_name(target.name + ".partial")
    with no_leftovers(partial):
        make_private(partial)
        yield partial
        sync(partial)
        _write_private(sha256_path(target), f"{sha256(partial)}  {target.name}\n")
        os.replace(partial, target)
        sync(target.parent)


def copied(path: Path, rows: dict[str, int]) -> Copied:
    """What is to be told of a finished backup."""
    return Copied(path, path.stat().st_size, sha256_path(path).read_text(encoding="utf-8").split()[0], rows)


def check_digest(source: Path) -> None:
    """Raises StartRefused when the file is not what its SHA-256 was taken of."""
    noted = sha256_path(source)
    if noted.exists() and noted.read_text(encoding="utf-8").split(maxsplit=1)[:1] != [sha256(source)]:
        raise StartRefused(f"{source} is not what was backed up: its SHA-256 differs from {noted.name}")


def sha256(path: Path) -> str:
    """Of the whole file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from None


def restored(source: Path, now: Instant) -> NewEvent:
    """A restore is a line of history in the store that came back (RELIABILITY R160)."""
    return NewEvent(
        at=now, kind="store.restored", subject_type="system", subject_id="store", channel="cli", after={"from": source.name}
    )


def before(what: str, path: Path, now: Instant) -> Path:
    """The name under which is kept what a store was before a `restore`, or an `upgrade-from-` its schema."""
    return path.with_name(f"{path.name}.before-{what}-{to_datetime(now):%Y%m%dT%H%M%S%fZ}")


@contextmanager
def no_leftovers(path: Path) -> Iterator[None]:
    """A file that is there only meanwhile, and what SQLite lays beside it: also what was left by one that was killed (R21)."""
    try:
        _remove(path)
        yield
    except OSError as error:
        raise StartRefused(f"{error.filename or path} cannot be written: {error.strerror}") from None
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def make_private(path: Path) -> None:
    """An empty file that nobody else may read."""
    os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))


def _write_private(path: Path, text: str) -> None:
    make_private(path)
    path.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Make a file, or the names in a directory, durable."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
