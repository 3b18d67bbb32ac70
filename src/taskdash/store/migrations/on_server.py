"""Brings a PostgreSQL database to this program's schema, or says in one sentence why it will not touch it.

Law: a database of another program, or of a newer TaskDash beside which this one cannot work, is refused, and nothing of it
changes. All steps run in one
transaction as its only writer: of several that start at once, the others find the work done.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from taskdash.errors import StartRefused
from taskdash.store import postgres
from taskdash.store.migrations import steps

OLDEST = 150_000
"""PostgreSQL 15."""


def shown(url: str) -> str:
    """The url without password and options, for sentences. Raises StartRefused for a url that libpq does not understand."""
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        reason = str(error).strip().partition(': "')[0]  # what follows may be the url, and in it the password
        raise StartRefused(f"setting db is not a PostgreSQL url: {reason}", 2) from None
    where = str(known.get("host") or "") + (f":{known['port']}" if known.get("port") else "")
    user = f"{known['user']}@" if known.get("user") else ""
    return f"postgresql://{user}{where}/{known.get('dbname') or ''}"


def revision(url: str) -> str | None:
    """The schema of the database, None when it is still to be made. Raises StartRefused."""
    with _connected(url, read_only=True) as conn:
        return _revision(conn, url)


def upgrade(url: str) -> None:
    """Create or upgrade the schema. Raises StartRefused."""
    with _connected(url) as conn:
        if steps.is_done(_revision(conn, url)):
            return
        postgres.begin(conn)
        conn.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index over a million rows takes longer than a query may
        if not steps.is_done(_revision(conn, url)):
            steps.run(conn)
        postgres.commit(conn)


@contextmanager
def _connected(url: str, *, read_only: bool = False) -> Iterator[Connection]:
    where = shown(url)
    try:
        engine = postgres.open_engine(url, read_only=read_only)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            _check_server(conn, where)
            yield conn
    except DBAPIError as error:
        raise StartRefused(f"the store {where} cannot be used: {_reason(error)}") from None


def _reason(error: DBAPIError) -> str:
    """The server's own words, without the addresses that were tried."""
    told = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return told[0].rpartition("FATAL:")[2].strip()


def _check_server(conn: Connection, where: str) -> None:
    number, encoding = conn.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
    ).one()
    if number < OLDEST:
        raise StartRefused(f"the store {where} is PostgreSQL {number // 10_000}; TaskDash needs {OLDEST // 10_000} or newer")
    if encoding != "UTF8":
        raise StartRefused(f"the store {where} has the encoding {encoding}; create the database with UTF8")


def _revision(conn: Connection, url: str) -> str | None:
    tables = set(inspect(conn).get_table_names())
    if not tables:
        return None
    if not {"alembic_version", "store_facts", "task_grams"} <= tables:
        raise StartRefused(f"{shown(url)} holds the tables of another program; give TaskDash a database of its own")
    return steps.stored(conn, shown(url))
