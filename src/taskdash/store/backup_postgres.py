"""A copy of a database while instances serve it, and the way back, through PostgreSQL's own pg_dump and pg_restore.

Law: a backup is one snapshot, read back and counted before it gets its name. A restore is one transaction of one connection,
from the look at who serves the store to its line of history, so that a kill leaves the old or the new one whole; the old one
is in a backup before anything of it goes. RELIABILITY R21, R163.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from taskdash.errors import StartRefused
from taskdash.model.instants import Instant
from taskdash.store import archive, backup_files, events, postgres, programs_postgres
from taskdash.store.backup_files import Copied
from taskdash.store.migrations import steps
from taskdash.store.places import Server
from taskdash.store.tables import metadata
from taskdash.store.whole import reading, refuse_served, whole, writing

_LINES_AT_ONCE = 1_000
_OURS = {*metadata.tables, "alembic_version", "task_grams"}
_VERSION = "SELECT current_setting('server_version_num')::int / 10000"


def backup(place: Server, target: Path) -> Copied:
    """Copy the store to the new file `target` (0600) with its SHA-256 beside it. Works while it serves.

    Raises StartRefused when `target` exists, cannot be written, or does not hold what the store holds; then nothing is left.
    """
    with _refusing(place), backup_files.being_made(target) as partial:
        with reading(place) as conn:
            rows = _rows(conn)
            _dump(conn, place.url, partial)
        if archive.rows(partial) != rows:
            raise StartRefused(f"the copy of {place} does not hold what the store holds")
    return backup_files.copied(target, rows)


def restore(place: Server, source: Path, now: Instant) -> Path | None:
    """Put the checked backup `source` in the place of the store; returns where the old one is kept, if there was one.

    Raises StartRefused when the backup is not good or instances serve the store; then nothing changed.
    """
    backup_files.check_digest(source)
    _refuse_the_others(source)
    schema, tables = archive.tables(source)
    archive.refuse_newer(source)
    with _refusing(place), writing(place) as conn:
        _refuse_elsewhere(conn, schema, source)
        kept = _keep_old(conn, place, source, now)
        _clear(conn, tables)
        _bring_back(conn, source, schema)
        if not steps.is_done(steps.stored(conn, source)):
            steps.run(conn)
        events.append(conn, [backup_files.restored(source, now)])
        whole(conn).learn(conn)
    return kept


def _dump(conn: Connection, url: str, path: Path) -> None:
    [(version, schema, snapshot)] = postgres.rows(
        conn, f"SELECT ({_VERSION}), quote_ident(current_schema()), pg_export_snapshot()"
    )
    quoted = schema if schema.startswith('"') else f'"{schema}"'  # else it is a pattern
    options = ("--format=custom", "--no-owner", "--no-privileges", "--no-password", f"--schema={quoted}")
    program = programs_postgres.found("pg_dump", version)
    driver: Any = conn.connection.driver_connection
    environment = programs_postgres.environment_of(url, driver.info)  # a snapshot is known only where it was taken
    programs_postgres.run(program, *options, f"--snapshot={snapshot}", f"--file={path}", environment=environment)


def _rows(conn: Connection) -> dict[str, int]:
    quote = conn.dialect.identifier_preparer.quote
    names = sorted(inspect(conn).get_table_names())
    return {name: postgres.rows(conn, f"SELECT count(*) FROM {quote(name)}")[0][0] for name in names}  # noqa: S608  (names of the schema)


def _refuse_the_others(source: Path) -> None:
    engine = backup_files.engine_of(source)
    if engine == "sqlite":
        raise StartRefused(
            f"{source} is a backup of the embedded store: `taskdash db copy --from sqlite:{source} --to postgresql://…` "
            "brings it into an empty database"
        )
    if not engine:
        raise StartRefused(f"{source} holds no TaskDash store")


def _keep_old(conn: Connection, place: Server, source: Path, now: Instant) -> Path | None:
    found = place.revision()
    if found is None:
        return None
    if found > steps.HEAD:
        raise StartRefused(f"the store {place} is of a newer TaskDash (schema {found}); restore into an empty database")
    refuse_served(conn, place)
    kept = backup_files.before("restore", source, now)
    backup(place, kept)
    return kept


def _refuse_elsewhere(conn: Connection, schema: str, source: Path) -> None:
    here = postgres.rows(conn, "SELECT current_schema()")[0][0]
    if schema != here:
        raise StartRefused(f"{source} holds tables of the schema {schema}, and the url of the store leads to {here}")


def _clear(conn: Connection, tables: set[str]) -> None:
    quote = conn.dialect.identifier_preparer.quote
    going = ", ".join(quote(name) for name in sorted(tables | _OURS))
    conn.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
    conn.exec_driver_sql(f"DROP TABLE IF EXISTS {going}")
    conn.exec_driver_sql("DROP FUNCTION IF EXISTS events_at_update(), events_at_delete()")


def _bring_back(conn: Connection, source: Path, schema: str) -> None:
    """Its statements in this very transaction; what they set of the session is set back."""
    driver: Any = conn.connection.driver_connection
    path = postgres.rows(conn, "SHOW search_path")[0][0]
    with archive.statements(source, f"--schema={schema}") as parts:
        for sql, table, lines in parts:
            if table:
                _copy(driver, sql, lines)
            elif sql.strip():
                driver.execute(sql, prepare=False)
    postgres.rows(conn, "SELECT set_config('search_path', %s, false)", (path,))
    whole(conn).take_time(conn)


def _copy(driver: Any, sql: bytes, lines: Iterator[bytes]) -> None:
    with driver.cursor() as cursor, cursor.copy(sql) as copy:
        while some := b"".join(islice(lines, _LINES_AT_ONCE)):
            copy.write(some)


@contextmanager
def _refusing(place: Server) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        told = str(cause).strip().splitlines() or [type(cause).__name__]
        raise StartRefused(f"the store {place} cannot be copied or replaced: {told[0]}; nothing of it changed") from None
