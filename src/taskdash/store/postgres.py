"""What only PostgreSQL needs: how to connect, the lock of writers, error names, the query deadline. No other module names it.

One session-wide habit differs from SQLite in nothing that a query can see: one writer at a time (an advisory lock that ends
with the transaction), autocommit for readers, text compared byte for byte (`tables.Words`).
"""

import math
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import psycopg
from psycopg import errors
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Connection, Engine, Select, Table, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool

from taskdash.errors import RowRefused, StoreRefused
from taskdash.model.instants import Instant
from taskdash.store.elements import ESCAPE, Holds, HoldsFolded, OneOf, arguments
from taskdash.store.patience import PatientConnection, Silence
from taskdash.store.tables import BINDING_KINDS, KEPT_KINDS

WRITERS = 0x5441534B
"""`TASK`: the advisory lock that a writer holds from its BEGIN to its COMMIT."""
CHANNEL = "taskdash"
"""Where a commit with history in it is told of, without data."""
_CONNECTING = {
    "application_name": "taskdash",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What a url may say otherwise: a server that is cut off is noticed within about ten seconds."""
_SESSION = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply'",
    "SET statement_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '3s'",
    "SET jit = off",
    "SET max_parallel_workers_per_gather = 0",
    "SET random_page_cost = 1.1",
    "SET work_mem = '16MB'",
)
"""A commit is durable; a writer that was stopped half-way holds nobody up for long. Queries are short: neither a compiler nor
other processes are worth their start, and what is asked all the time lies in memory, where no page is far from another."""
_OF_THE_ROW = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    errors.ProgramLimitExceeded,
    errors.RaiseException,
)
"""The errors of a row that is wrong, while the store is well."""
_READING = "SET default_transaction_read_only = on"
_LIMIT = "the limit of this connection's queries in ms"
CONNECT_S = 5.0
"""To a server that accepts a connection and then says nothing."""
BEYOND_LIMIT_S = 1.0
"""A query that reaches its limit is ended by the server; so much later nothing more will come."""
UNLIMITED_S = 60.0
"""Of a query without a limit, the longest silence."""


class _Whole(Loader):
    """A sum of whole numbers is NUMERIC here; nothing else that TaskDash reads is."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class _NoHints(PGCompiler_psycopg):
    """Leaves out by which index a query is to enter: this planner has statistics."""

    def format_from_hint_text(self, sqltext: str, table: Any, hint: str, iscrud: bool) -> str:
        """The table alone."""
        del table, hint, iscrud
        return sqltext


class _Storable(StrDumperUnknown):
    """PostgreSQL has no text with U+0000. SPEC 1 lets none in, so who asks for one is to find nothing, as on SQLite."""

    def dump(self, obj: str) -> Buffer | None:
        """The text with U+0001 in its place, which no stored text has either."""
        return super().dump(obj.replace("\0", "\1") if "\0" in obj else obj)


def conninfo_of(url: str) -> str:
    """How to connect. Raises psycopg.ProgrammingError for what libpq does not understand."""
    return make_conninfo(**(_CONNECTING | conninfo_to_dict(url)))  # type: ignore[arg-type]


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine without a pool: whoever needs a connection opens one and keeps it."""
    conninfo = conninfo_of(url)
    session = ";".join((*_SESSION, *([_READING] if read_only else ())))

    def connect() -> psycopg.Connection[Any]:
        connection = PatientConnection.connect(conninfo, autocommit=True)
        connection.adapters.register_loader("numeric", _Whole)
        connection.adapters.register_dumper(str, _Storable)
        connection.patience_s = CONNECT_S
        connection.execute(session.encode())
        connection.patience_s = None
        return connection

    engine = create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=NullPool, paramstyle="format", use_native_hstore=False
    )
    engine.dialect.statement_compiler = _NoHints
    return engine


def rows(conn: Connection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement by the driver alone; the rows it gives, as the driver gives them."""
    driver = _driver(conn)
    try:
        found: list[Any] = driver.execute(statement, values).fetchall()
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error
    return found


def change_many(conn: Connection, statement: str, many: Sequence[Sequence[Any]]) -> int:
    """Run a statement by the driver alone, once for each of `many`, in one round trip; returns how many rows it changed."""
    driver = _driver(conn)
    try:
        with driver.cursor() as cursor:
            cursor.executemany(statement, many)
            changed: int = cursor.rowcount
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error
    return changed


def _driver(conn: Connection) -> Any:
    """The driver's connection. SQLAlchemy has given up one that it saw die; that is the same as one that dies now."""
    if conn.invalidated:
        raise DBAPIError(None, None, psycopg.OperationalError("the connection is gone"))
    return conn.connection.driver_connection


def plain_rows(conn: Connection, query: Select[Any]) -> list[Any]:
    """The rows as the driver gives them."""
    with conn.execute(query) as result:
        cursor: Any = result.cursor
        found: list[Any] = cursor.fetchall()
    return found


def next_pks(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """Numbers for so many new rows, never given to anybody else."""
    drawn = f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'pk')) FROM generate_series(1, %s)"  # noqa: S608  (a name of ours)
    return [row[0] for row in rows(conn, drawn, (count,))]


def now(conn: Connection) -> Instant:
    """The server's clock, to the microsecond; it moves within a transaction."""
    found = rows(conn, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT * 1000")
    return int(found[0][0])


# the writer's transaction: each of these is one round trip


def begin(conn: Connection) -> None:
    """Wait for the writer before: what it drew from a sequence is then visible or undone, so no reader skips a seq."""
    _run(conn, f"BEGIN; SELECT pg_advisory_xact_lock({WRITERS}); SAVEPOINT work")


def keep(conn: Connection) -> None:
    """The change stays; the next one begins."""
    _run(conn, "RELEASE work; SAVEPOINT work")


def undo(conn: Connection) -> None:
    """Nothing of this change stays; the next one begins."""
    _run(conn, "ROLLBACK TO work")


def commit(conn: Connection, *, told: bool = False) -> None:
    """Make what was kept durable, and wake who listens in other processes when history is among it."""
    _run(conn, f"NOTIFY {CHANNEL}; COMMIT" if told else "COMMIT")


def roll_back(conn: Connection) -> None:
    """A connection that is gone has rolled back, or the server does it when it notices."""
    driver: Any = None if conn.invalidated else conn.connection.driver_connection
    if driver is not None and driver.closed:
        conn.invalidate()
    elif driver is not None:
        driver.rollback()


def _run(conn: Connection, statements: str) -> None:
    driver = _driver(conn)
    try:
        driver.execute(statements, prepare=False)
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error


# limits and errors


def limit_query(conn: Connection, limit_s: float | None) -> None:
    """Each statement of this connection ends after `limit_s` seconds; None: no limit."""
    limit_ms = 0 if limit_s is None else math.ceil(limit_s * 1_000)
    wait_at_most(conn, UNLIMITED_S if limit_s is None else limit_s + BEYOND_LIMIT_S)
    if conn.info.get(_LIMIT) != limit_ms:
        _run(conn, f"SET statement_timeout = {limit_ms}")
        conn.info[_LIMIT] = limit_ms


def wait_at_most(conn: Connection, silence_s: float) -> None:
    """Give the connection up when the server says nothing for so long."""
    _driver(conn).patience_s = silence_s


def is_silent(error: DBAPIError) -> bool:
    """True when `wait_at_most` ended the wait, or nobody answered who connected."""
    return isinstance(error.orig, (Silence, errors.ConnectionTimeout))


def is_interrupted(error: DBAPIError) -> bool:
    """True when `limit_query` ended the query."""
    return isinstance(error.orig, errors.QueryCanceled)


def is_lost(error: DBAPIError) -> bool:
    """The server or the network went away, or the server ended the session."""
    orig = error.orig
    ended = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout)
    if isinstance(orig, ended):
        return True
    state = getattr(orig, "sqlstate", None) or "08"
    return isinstance(orig, (psycopg.OperationalError, psycopg.InterfaceError)) and state.startswith("08")


def refusal(error: DBAPIError) -> StoreRefused:
    """The sentence for people; never holds SQL or values (RELIABILITY R166)."""
    name = type(error.orig).__name__
    if is_silent(error):
        waited_s = getattr(error.orig, "waited_s", CONNECT_S)
        return StoreRefused(f"the store has not answered for {waited_s:.0f} s; nothing was kept", code=name)
    kind = RowRefused if isinstance(error.orig, _OF_THE_ROW) else StoreRefused
    return kind(f"the store refused the change ({name}); nothing was kept", code=name)


# schema


def create_guards(conn: Connection) -> None:
    """History is append-only (RELIABILITY R160): no UPDATE ever; DELETE only of what retention freed, never of bindings."""
    kept = " OR ".join(f"OLD.kind LIKE '{kind}%%'" for kind in KEPT_KINDS)
    bindings = ", ".join(f"'task.{kind}'" for kind in BINDING_KINDS)
    freed = "SELECT CAST(value AS BIGINT) FROM store_facts WHERE key = 'events_kept_from'"
    for when in ("UPDATE", "DELETE"):
        let = f"NOT ({kept} OR OLD.kind IN ({bindings}) OR OLD.at >= COALESCE(({freed}), 0))" if when == "DELETE" else "false"
        conn.exec_driver_sql(
            f"CREATE FUNCTION events_at_{when}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {let} THEN RETURN OLD; END IF; RAISE EXCEPTION 'history is append-only'; END $$"
        )
        conn.exec_driver_sql(
            f"CREATE TRIGGER events_at_{when} BEFORE {when} ON events FOR EACH ROW EXECUTE FUNCTION events_at_{when}()"
        )
    conn.exec_driver_sql("CREATE TRIGGER events_at_truncate BEFORE TRUNCATE ON events EXECUTE FUNCTION events_at_update()")


def create_search(conn: Connection) -> None:
    """The token index of `store.search`: a number for each token, so that a million tasks stay small.

    Two tokens of one number only make a candidate more: the text is compared afterwards. Few rows wait outside the index.
    """
    conn.exec_driver_sql("CREATE TABLE task_grams (pk BIGINT PRIMARY KEY, grams INTEGER[] NOT NULL)")
    conn.exec_driver_sql("CREATE INDEX task_grams_grams ON task_grams USING gin (grams) WITH (gin_pending_list_limit = 1024)")


def add_grams(conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
    """Index (pk, tokens)."""
    if documents:
        numbered = [(pk, numbers(document.split())) for pk, document in documents]
        change_many(conn, "INSERT INTO task_grams (pk, grams) VALUES (%s, %s::INTEGER[])", numbered)


def remove_grams(conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
    """Forget (pk, tokens)."""
    if documents:
        change_many(conn, "DELETE FROM task_grams WHERE pk = %s", [(pk,) for pk, _document in documents])


def match_grams(conn: Connection, wanted: Sequence[str], limit: int) -> list[int]:
    """Pks that may hold all of `wanted`, at most `limit`, in no order."""
    query = "SELECT pk FROM task_grams WHERE grams @> %s::INTEGER[] LIMIT %s"
    return [row[0] for row in rows(conn, query, (numbers(wanted), limit))]


def numbers(tokens: Sequence[str]) -> list[int]:
    """The numbers of tokens, of 32 bits with a sign."""
    return [number - (number >> 31 << 32) for number in (crc32(token.encode()) for token in tokens)]


# what `elements` are here


@compiles(OneOf, "postgresql")
def _one_of(element: OneOf, compiler: Any, **options: Any) -> str:
    column, numbers = arguments(element, compiler, **options)
    return f"{column} = ANY (translate({numbers}, '[]', '{{}}')::BIGINT[])"


@compiles(Holds, "postgresql")
def _holds(element: Holds, compiler: Any, **options: Any) -> str:
    """By collation C, ILIKE knows the case of ASCII letters only."""
    column, pattern = arguments(element, compiler, **options)
    return f"({column} ILIKE {pattern} ESCAPE '{ESCAPE}')"


@compiles(HoldsFolded, "postgresql")
def _holds_folded(element: HoldsFolded, compiler: Any, **options: Any) -> str:
    """Upper case of lower case is what casefold makes equal, ß and ss and the two sigmas too; LIKE then as it is."""
    folded = [f'upper(lower({part} COLLATE "und-x-icu"))' for part in arguments(element, compiler, **options)]
    return f"({folded[0]} LIKE {folded[1]} ESCAPE '{ESCAPE}')"
