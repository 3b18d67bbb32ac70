"""`whole` for PostgreSQL."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from sqlalchemy import Column, Connection, Table
from sqlalchemy.exc import DBAPIError

from taskdash.store.postgres import numbers, rows
from taskdash.store.tables import metadata

_GUARDS = ("events_at_delete", "events_at_truncate", "events_at_update")
_OURS = "JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = current_schema()"
_IN_FORCE = (
    f"SELECT g.tgname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid {_OURS} "  # noqa: S608  (only constants of this module)
    "WHERE t.relname = 'events' AND g.tgenabled IN ('O', 'A')"
)
_INVALID = (
    f"SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid {_OURS} "  # noqa: S608  (as above)
    "WHERE NOT (i.indisvalid AND i.indisready) ORDER BY 1"
)
_UNSOUGHT = "SELECT count(*) FROM tasks t FULL JOIN task_grams g USING (pk) WHERE t.pk IS NULL OR g.pk IS NULL"


def begin_reading(conn: Connection) -> None:
    """From here on all that is read is of one moment, however long it takes."""
    conn.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    take_time(conn)


def take_time(conn: Connection) -> None:
    """The transaction that has begun may last."""
    conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
    conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def damage(conn: Connection) -> Iterator[str]:
    """What the server knows to be unfinished, and whether the search knows each task and no other."""
    for (index,) in rows(conn, _INVALID):
        yield f"PostgreSQL: the index {index} is not valid: REINDEX INDEX {index}"
    missed = rows(conn, _UNSOUGHT)[0][0]
    if missed:
        yield f"the search index differs from the tasks in {missed} of them"


def guards(conn: Connection) -> Iterator[str]:
    """Names of the guards of history that are not in force."""
    there = {name for (name,) in rows(conn, _IN_FORCE)}
    yield from (name for name in _GUARDS if name not in there)


def fill(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows, of all columns in their order, into a table: as one COPY."""
    quote = conn.dialect.identifier_preparer.quote
    _copy(conn, f"{quote(table.name)} ({', '.join(quote(column.name) for column in table.columns)})", rows)


def fill_search(conn: Connection, documents: Iterable[tuple[int, str]]) -> None:
    """Make the search index of (pk, tokens), all at once."""
    _copy(conn, "task_grams (pk, grams)", ((pk, _array(document)) for pk, document in documents))


def _array(document: str) -> str:
    """As the server reads a list of numbers: the driver would take them one by one."""
    return f"{{{','.join(map(str, numbers(document.split())))}}}"


def _copy(conn: Connection, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    driver: Any = conn.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error


def last_number(conn: Connection, key: Column[int]) -> int:
    """The highest number that was ever given."""
    highest = f"SELECT coalesce(max({key.name}), 0) FROM {key.table.name}"  # noqa: S608  (names of ours)
    given = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(%s, %s)::regclass), 0)"
    return max(int(rows(conn, highest)[0][0]), int(rows(conn, given, (key.table.name, key.name))[0][0]))


def go_on_after(conn: Connection, key: Column[int], number: int) -> None:
    """The next row gets a number above this one."""
    sequence = "pg_get_serial_sequence(%s, %s)"
    rows(conn, f"SELECT setval({sequence}, %s, %s)", (key.table.name, key.name, max(number, 1), number > 0))


def learn(conn: Connection) -> None:
    """Let the planner look at what was filled in: the server would do so a minute later."""
    names = (conn.dialect.identifier_preparer.quote(table.name) for table in metadata.sorted_tables)
    conn.exec_driver_sql(f"ANALYZE {', '.join(names)}, task_grams")
