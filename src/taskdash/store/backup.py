"""A copy of the embedded store while it serves, and the way back. For PostgreSQL its own pg_dump does both.

Law: a backup is one moment of history, checked before it gets its name; a restore replaces the store by one rename, so that
a kill leaves the old or the new one whole, and the old one is kept. RELIABILITY R21, R163.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from taskdash.errors import StartRefused
from taskdash.model.instants import Instant, to_datetime
from taskdash.model.records import NewEvent
from taskdash.store import events, sqlite
from taskdash.store.datadir import DataDir
from taskdash.store.migrations import runner

_PAGES_A_STEP = 1_024


class Copied(Struct, frozen=True):
    """What a finished backup holds."""

    path: Path
    size_bytes: int
    sha256: str
    rows: dict[str, int]
    """Rows by table."""


def backup(store: Path, target: Path) -> Copied:
    """Copy the store at `store` to the new file `target` (0600) with its SHA-256 beside it. Works while it serves.

    Raises StartRefused when `target` exists, cannot be written, or its check fails; then nothing is left of it.
    """
    if not store.exists() or runner.revision(store) is None:
        raise StartRefused(f"there is no store at {store}")
    if target.exists():
        raise StartRefused(f"{target} exists already; a backup never overwrites a file")
    partial = target.with_name(target.name + ".partial")
    with _no_leftovers(partial):
        rows = _copy(store, partial)
        digest = _sha256(partial)
        _write_private(sha256_path(target), f"{digest}  {target.name}\n")
        os.replace(partial, target)
        _sync(target.parent)
    return Copied(target, target.stat().st_size, digest, rows)


def restore(directory: DataDir, source: Path, now: Instant) -> Path | None:
    """Put the checked backup `source` in the place of the store; returns where the old one is kept, if there was one.

    The caller owns the directory (no server runs on it). Raises StartRefused when the backup is not good; then nothing changed.
    """
    _check_digest(source)
    if not source.is_file() or runner.revision(source) is None:
        raise StartRefused(f"{source} holds no TaskDash store")
    new = directory.database.with_name(directory.database.name + ".restoring")
    with _no_leftovers(new):
        _make_private(new)
        shutil.copyfile(source, new)
        _check_integrity(new)
        runner.upgrade(new)
        _tell(new, source, now)
        _sync(new)
        kept = _keep_old(directory.database, now)
        os.replace(new, directory.database)
        _sync(directory.path)
    return kept


def sha256_path(backup_file: Path) -> Path:
    """Where the SHA-256 of a backup is, in the form of `sha256sum`."""
    return backup_file.with_name(backup_file.name + ".sha256")


def _copy(store: Path, partial: Path) -> dict[str, int]:
    """In steps within one read transaction: what others commit meanwhile neither shows nor makes the copy start anew."""
    _make_private(partial)
    with closing(_open(store, "ro")) as origin, closing(_open(partial, "rw")) as copy:
        origin.execute("BEGIN")
        rows = _rows(origin)
        origin.backup(copy, pages=_PAGES_A_STEP)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, that opens from a read-only place
        if _rows(copy) != rows:
            raise StartRefused(f"the copy of {store} does not hold what the store holds")
    _check_integrity(partial)
    _sync(partial)
    return rows


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=5.0)


def _rows(conn: sqlite3.Connection) -> dict[str, int]:
    names = [
        row[0]
        for row in conn.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
        )
    ]
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
    return {name: conn.execute(f"SELECT count(*) FROM {quoted[name]}").fetchone()[0] for name in names}  # noqa: S608  (names come from the schema)


def _check_integrity(path: Path) -> None:
    with closing(_open(path, "ro")) as conn:
        try:
            found = conn.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise StartRefused(f"{path} is damaged: {found}")


def _check_digest(source: Path) -> None:
    noted = sha256_path(source)
    if noted.exists() and noted.read_text(encoding="utf-8").split(maxsplit=1)[:1] != [_sha256(source)]:
        raise StartRefused(f"{source} is not what was backed up: its SHA-256 differs from {noted.name}")


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from None


def _tell(store: Path, source: Path, now: Instant) -> None:
    """A restore is a line of history in the store that came back (RELIABILITY R160)."""
    told = NewEvent(
        at=now, kind="store.restored", subject_type="system", subject_id="store", channel="cli", after={"from": source.name}
    )
    engine = sqlite.open_engine(store)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        events.append(conn, [told])


def _keep_old(store: Path, now: Instant) -> Path | None:
    """The old store under a second name, whole: its WAL goes into it first, or beside it when it is too damaged for that."""
    if not store.exists():
        return None
    kept = store.with_name(f"{store.name}.before-restore-{to_datetime(now):%Y%m%dT%H%M%S%fZ}")
    wal = store.with_name(store.name + "-wal")
    with suppress(sqlite3.DatabaseError), closing(_open(store, "rw")) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.link(store, kept)
    if wal.exists():
        os.rename(wal, kept.with_name(kept.name + "-wal"))
    store.with_name(store.name + "-shm").unlink(missing_ok=True)
    return kept


@contextmanager
def _no_leftovers(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartRefused(f"{error.filename or path} cannot be written: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StartRefused(f"the store cannot be copied: {error}") from None
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))


def _write_private(path: Path, text: str) -> None:
    _make_private(path)
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
