"""A copy of the embedded store while it serves, and the way back. `backup_postgres` is the same for PostgreSQL.

Law: a backup is one moment of history, checked before it gets its name; a restore replaces the store by one rename, so that
a kill leaves the old or the new one whole, and the old one is kept. RELIABILITY R21, R163.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from taskdash.errors import StartRefused
from taskdash.model.instants import Instant
from taskdash.store import backup_files, events, sqlite
from taskdash.store.backup_files import Copied
from taskdash.store.migrations import runner

_PAGES_A_STEP = 1_024


def backup(store: Path, target: Path) -> Copied:
    """Copy the store at `store` to the new file `target` (0600) with its SHA-256 beside it. Works while it serves.

    Raises StartRefused when `target` exists, cannot be written, or its check fails; then nothing is left of it.
    """
    if not store.exists() or runner.revision(store) is None:
        raise StartRefused(f"there is no store at {store}")
    with backup_files.being_made(target) as partial:
        rows = _copy(store, partial)
    return backup_files.copied(target, rows)


def restore(store: Path, source: Path, now: Instant) -> Path | None:
    """Put the checked backup `source` in the place of the store; returns where the old one is kept, if there was one.

    The caller owns the store's directory (no server runs on it). Raises StartRefused when the backup is not good; then nothing
    changed.
    """
    backup_files.check_digest(source)
    _refuse_the_others(source)
    if not source.is_file() or runner.revision(source) is None:
        raise StartRefused(f"{source} holds no TaskDash store")
    new = store.with_name(store.name + ".restoring")
    with backup_files.no_leftovers(new):
        backup_files.make_private(new)
        shutil.copyfile(source, new)
        _check_integrity(new)
        runner.upgrade(new)
        _tell(new, source, now)
        backup_files.sync(new)
        kept = _keep_old(store, now)
        os.replace(new, store)
        backup_files.sync(store.parent)
    return kept


def _refuse_the_others(source: Path) -> None:
    if source.is_file() and backup_files.engine_of(source) == "postgresql":
        raise StartRefused(
            f"{source} is a backup of PostgreSQL: restore it into a database there (`--db=postgresql://…`), and then "
            "`taskdash db copy --from postgresql://… --to sqlite:PATH`"
        )


def _copy(store: Path, partial: Path) -> dict[str, int]:
    """In steps within one read transaction: what others commit meanwhile neither shows nor makes the copy start anew."""
    try:
        with closing(_open(store, "ro")) as origin, closing(_open(partial, "rw")) as copy:
            origin.execute("BEGIN")
            rows = _rows(origin)
            origin.backup(copy, pages=_PAGES_A_STEP)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, that opens from a read-only place
            if _rows(copy) != rows:
                raise StartRefused(f"the copy of {store} does not hold what the store holds")
    except sqlite3.Error as error:
        raise StartRefused(f"the store cannot be copied: {error}") from None
    _check_integrity(partial)
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


def _tell(store: Path, source: Path, now: Instant) -> None:
    engine = sqlite.open_engine(store)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        events.append(conn, [backup_files.restored(source, now)])


def _keep_old(store: Path, now: Instant) -> Path | None:
    """The old store under a second name, whole: its WAL goes into it first, or beside it when it is too damaged for that."""
    if not store.exists():
        return None
    kept = backup_files.before("restore", store, now)
    wal = store.with_name(store.name + "-wal")
    with suppress(sqlite3.DatabaseError), closing(_open(store, "rw")) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.link(store, kept)
    if wal.exists():
        os.rename(wal, kept.with_name(kept.name + "-wal"))
    store.with_name(store.name + "-shm").unlink(missing_ok=True)
    return kept
