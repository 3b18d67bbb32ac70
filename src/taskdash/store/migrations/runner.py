"""Brings a SQLite store to this program's schema, or says in one sentence why it will not touch it.

Law: a store of another program, of a newer TaskDash, or an emptied one is refused and not a byte of it changes (RELIABILITY
R17, R39). All steps run in one transaction, so that a kill leaves the old or the new schema (R21).
"""

from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from taskdash.errors import StartRefused
from taskdash.store import sqlite
from taskdash.store.migrations import steps

HEAD = steps.HEAD
APPLICATION_ID = 0x5441534B
"""`TASK`, in the header of the database file."""
MARKER = "store-id"
"""A file beside the database that says one was made here: a marker beside an empty database is a lost store."""
_UNREADABLE = (SQLAlchemyError, UnicodeError)
"""What reading a damaged schema raises; UnicodeError: SQLite's own message about it holds the damaged bytes."""


def upgrade(path: Path) -> None:
    """Create or upgrade the store at `path`. Raises StartRefused."""
    try:
        if not steps.is_done(revision(path)):
            _upgrade(path)
    except _UNREADABLE as error:
        raise StartRefused(_unusable(path, _code_of(error))) from None


def revision(path: Path) -> str | None:
    """The schema of the store at `path`, None when it is still to be made. Changes no byte. Raises StartRefused."""
    if not path.exists():
        _refuse_lost(path)
        return None
    try:
        with sqlite.open_engine(path, read_only=True).connect() as conn:
            return _revision(conn, path)
    except _UNREADABLE as error:
        raise StartRefused(_unusable(path, _code_of(error))) from None


def _upgrade(path: Path) -> None:
    with sqlite.open_engine(path, is_new=True).connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        sqlite.begin(conn)
        steps.run(conn)
        conn.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        sqlite.commit(conn)
    _write_marker(path)


def _refuse_lost(path: Path) -> None:
    if (path.parent / MARKER).exists():
        raise StartRefused(f"the store {path} is empty but had been filled; restore a backup with `taskdash db restore`")


def _code_of(error: Exception) -> str:
    return str(sqlite.refusal(error).extra["code"]) if isinstance(error, DBAPIError) else "SQLITE_CORRUPT"


def _unusable(path: Path, code: str) -> str:
    hint = "; put a backup in its place with `taskdash db restore`" if code in {"SQLITE_CORRUPT", "SQLITE_NOTADB"} else ""
    return f"the store {path} cannot be used ({code}){hint}"


def _revision(conn: Connection, path: Path) -> str | None:
    application = conn.exec_driver_sql("PRAGMA application_id").scalar_one()
    tables = inspect(conn).get_table_names()
    if not tables:
        _refuse_lost(path)
        return None
    if application != APPLICATION_ID:
        raise StartRefused(f"{path} is a database of another program (application_id {application})")
    return steps.stored(conn, path)


def _write_marker(path: Path) -> None:
    marker = path.parent / MARKER
    if not marker.exists():
        marker.write_text("This directory holds a TaskDash store.\n", encoding="ascii")
