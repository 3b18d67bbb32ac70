"""What only SQLite needs: pragmas, BEGIN IMMEDIATE, error names, the checkpoint, the query deadline. No other module names it.

RELIABILITY F1-F10: WAL with synchronous=FULL, `journal_size_limit`, classification by `sqlite_errorname`.
"""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, Table, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool

from taskdash.clock import SystemClock
from taskdash.errors import RowRefused, StoreRefused
from taskdash.model.instants import Instant
from taskdash.store.elements import ESCAPE, Holds, HoldsFolded, OneOf, arguments
from taskdash.store.tables import BINDING_KINDS, BY_PK, ID_INDEX, KEPT_KINDS

BUSY_TIMEOUT_MS = 5_000
LOG_KEPT_BYTES = 16 * 1024 * 1024
"""To so much the WAL is cut when it begins anew."""
_STEPS_BETWEEN_LOOKS = 4_000
_OF_THE_ROW = ("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG", "Interface", "Programming", "Data", "Integrity")
"""How an error's name begins when a row was wrong and not the store."""
CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
"""How an error's name begins when the file itself is wrong."""
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA journal_size_limit={LOG_KEPT_BYTES}",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
)


_OWN_NAMES = {BY_PK: "NOT INDEXED", ID_INDEX: "INDEXED BY sqlite_autoindex_tasks_1"}


class _IndexedBy(SQLiteCompiler):
    """Writes `INDEXED BY` where a query names its index: the planner has no statistics, our counters have (STORE.md)."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        """The hint is the name of an index."""
        del table
        return _OWN_NAMES.get(text, f"INDEXED BY {text}") if text else None


def open_engine(path: Path, *, cache_kib: int = 16_384, read_only: bool = False, is_new: bool = False) -> Engine:
    """An engine without a pool: whoever needs a connection opens one and keeps it. `read_only` changes no byte of the file;
    only with `is_new` one is made where none is: a store that vanished must not come back empty (RELIABILITY R36)."""
    mode = "ro" if read_only else "rwc" if is_new else "rw"
    engine = create_engine(
        f"sqlite:///file:{path}?mode={mode}&uri=true",
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
    )

    engine.dialect.statement_compiler = _IndexedBy

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.create_function("casefold", 1, str.casefold, deterministic=True)
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        for pragma in () if read_only else (*_PRAGMAS, f"PRAGMA cache_size=-{cache_kib}"):
            connection.execute(pragma)

    return engine


def undo_killed(path: Path) -> None:
    """Roll back what a kill left in a journal: who only reads cannot (RELIABILITY R21). Only for the owner of the file."""
    if path.with_name(path.name + "-journal").exists():
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as conn, suppress(sqlite3.DatabaseError):
            conn.execute("SELECT count(*) FROM sqlite_schema")


def begin(conn: Connection) -> None:
    """Take the write lock at once, so that no transaction fails half-way for it."""
    rows(conn, "BEGIN IMMEDIATE")
    rows(conn, "SAVEPOINT work")


def keep(conn: Connection) -> None:
    """The change stays; the next one begins."""
    rows(conn, "RELEASE work")
    rows(conn, "SAVEPOINT work")


def undo(conn: Connection) -> None:
    """Nothing of this change stays; the next one begins."""
    rows(conn, "ROLLBACK TO work")


def commit(conn: Connection, *, told: bool = False) -> None:
    """Make what was kept durable. Nobody else serves this store."""
    del told
    rows(conn, "COMMIT")


def roll_back(conn: Connection) -> None:
    """SQLite has often rolled back already (RELIABILITY F3), so only when a transaction is still open."""
    driver: Any = conn.connection.driver_connection
    if driver.in_transaction:
        rows(conn, "ROLLBACK")


def rows(conn: Connection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement by the driver alone; the rows it gives, as the driver gives them."""
    driver: Any = conn.connection.driver_connection
    try:
        found: list[Any] = driver.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise DBAPIError(None, None, error) from error
    return found


def change_many(conn: Connection, statement: str, many: Sequence[Sequence[Any]]) -> int:
    """Run a statement by the driver alone, once for each of `many`; returns how many rows it changed."""
    driver: Any = conn.connection.driver_connection
    try:
        changed: int = driver.executemany(statement, many).rowcount
    except sqlite3.Error as error:
        raise DBAPIError(None, None, error) from error
    return changed


def next_pks(conn: Connection, table: Table, count: int) -> range:
    """Numbers for so many new rows, free as long as this transaction lasts: nobody else writes meanwhile."""
    first = rows(conn, f"SELECT coalesce(max(pk), 0) + 1 FROM {table.name}")[0][0]  # noqa: S608  (a name of ours)
    return range(first, first + count)


def now(conn: Connection) -> Instant:
    """The machine's clock: the store is a file of this machine."""
    del conn
    return SystemClock.wall_now()


def checkpoint(conn: Connection) -> bool:
    """Copy the WAL into the database as far as no reader hinders it; True when nothing is left to copy."""
    _busy, pages, done = conn.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
    return bool(pages == done)


def checkpoint_whole(conn: Connection, patience_ms: int = BUSY_TIMEOUT_MS) -> bool:
    """Copy all of the WAL into the database and empty it, if within `patience_ms` nobody writes and nobody reads of the WAL;
    True when somebody did. While another connection copies nothing is done, nor when two close at once."""
    conn.exec_driver_sql(f"PRAGMA busy_timeout={patience_ms}")
    try:
        busy, pages, _done = conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    finally:
        conn.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return bool(busy and pages >= 0)


def limit_query(conn: Connection, limit_s: float | None) -> None:
    """Interrupt whatever runs on this connection `limit_s` seconds from now; None: no limit."""
    driver: Any = conn.connection.driver_connection
    if limit_s is None:
        driver.set_progress_handler(None, 0)
        return
    end = time.monotonic() + limit_s
    driver.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)


def wait_at_most(conn: Connection, silence_s: float) -> None:
    """A call into a file ends when it ends; `limit_query` and the busy timeout bound what can be bounded."""
    del conn, silence_s


def is_silent(error: DBAPIError) -> bool:
    """Never."""
    del error
    return False


def is_interrupted(error: DBAPIError) -> bool:
    """True when `limit_query` ended the query."""
    return getattr(error.orig, "sqlite_errorname", "") == "SQLITE_INTERRUPT"


def is_lost(error: DBAPIError) -> bool:
    """Only when a sync failed: what it was for lies in the WAL, and a crash may find it there or not (RELIABILITY R26)."""
    return getattr(error.orig, "sqlite_errorname", "") == "SQLITE_IOERR_FSYNC"


def refusal(error: DBAPIError) -> StoreRefused:
    """The sentence for people; never holds SQL or values (RELIABILITY R166)."""
    name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
    kind = RowRefused if name.startswith(_OF_THE_ROW) else StoreRefused
    if name.startswith(CORRUPT):
        return corrupt(name)
    if name == "SQLITE_FULL":
        return StoreRefused("disk full; nothing was kept", code=name)
    return kind(f"the store refused the change ({name}); nothing was kept", code=name)


def corrupt(name: str = "SQLITE_CORRUPT") -> StoreRefused:
    """The file holds what SQLite never wrote: it is kept as it is, for rescue (RELIABILITY R38)."""
    return StoreRefused(
        "the store is corrupt; nothing is written: stop TaskDash and put a backup in its place by `taskdash db restore`",
        code=name,
    )


def create_guards(conn: Connection) -> None:
    """History is append-only (RELIABILITY R160): no UPDATE ever; DELETE only of what retention freed, never of bindings."""
    kept = " OR ".join(f"OLD.kind LIKE '{kind}%'" for kind in KEPT_KINDS)
    bindings = ", ".join(f"'task.{kind}'" for kind in BINDING_KINDS)
    conn.exec_driver_sql(
        "CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events "
        "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
    )
    conn.exec_driver_sql(
        "CREATE TRIGGER events_are_kept BEFORE DELETE ON events "  # noqa: S608  (only constants of this module)
        f"WHEN {kept} OR OLD.kind IN ({bindings}) OR OLD.at >= "
        "COALESCE((SELECT CAST(value AS INTEGER) FROM store_facts WHERE key = 'events_kept_from'), 0) "
        "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
    )


def create_search(conn: Connection) -> None:
    """The token index of `store.search`: contentless, without positions, so that a million tasks stay small.

    The ascii tokenizer takes all letters beyond ASCII as they are, also those that are younger than SQLite.
    """
    conn.exec_driver_sql(
        "CREATE VIRTUAL TABLE task_grams USING fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii')"
    )


def add_grams(conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
    """Index (pk, tokens)."""
    if documents:
        change_many(conn, "INSERT INTO task_grams (rowid, grams) VALUES (?, ?)", documents)


def remove_grams(conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
    """Forget (pk, tokens); the tokens must be those that were added."""
    if documents:
        change_many(conn, "INSERT INTO task_grams (task_grams, rowid, grams) VALUES ('delete', ?, ?)", documents)


def match_grams(conn: Connection, wanted: Sequence[str], limit: int) -> list[int]:
    """Pks whose tokens hold all of `wanted`, at most `limit`, in no order."""
    query = " AND ".join(f'"{token}"' for token in wanted)
    rows = conn.exec_driver_sql("SELECT rowid FROM task_grams WHERE task_grams MATCH ? LIMIT ?", (query, limit))
    return [row[0] for row in rows]


def plain_rows(conn: Connection, query: Select[Any]) -> list[Any]:
    """The rows as the driver gives them: of ten thousand, half of the cost is to dress them."""
    with conn.execute(query) as result:
        cursor: Any = result.cursor
        try:
            rows: list[Any] = cursor.fetchall()
        except sqlite3.Error as error:
            raise DBAPIError(None, None, error) from error
    return rows


@compiles(OneOf, "sqlite")
def _one_of(element: OneOf, compiler: Any, **options: Any) -> str:
    column, numbers = arguments(element, compiler, **options)
    return f"({column} IN (SELECT value FROM json_each({numbers})))"  # noqa: S608  (both parts are compiled)


@compiles(Holds, "sqlite")
def _holds(element: Holds, compiler: Any, **options: Any) -> str:
    column, pattern = arguments(element, compiler, **options)
    return f"({column} LIKE {pattern} ESCAPE '{ESCAPE}')"


@compiles(HoldsFolded, "sqlite")
def _holds_folded(element: HoldsFolded, compiler: Any, **options: Any) -> str:
    column, pattern = arguments(element, compiler, **options)
    return f"(casefold({column}) LIKE {pattern} ESCAPE '{ESCAPE}')"
