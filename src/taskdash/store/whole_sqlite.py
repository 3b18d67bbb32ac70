"""`whole` for SQLite."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Table, insert

from taskdash.store.sqlite import add_grams, change_many, rows

Row = TypeVar("Row", bound=tuple[Any, ...])
_GUARDS = ("events_are_kept", "events_are_never_changed")
_ROWS_AT_ONCE = 1_000


def begin_reading(conn: Connection) -> None:
    """From here on all that is read is of one moment, however long it takes."""
    rows(conn, "BEGIN")


def take_time(_conn: Connection) -> None:
    """Nothing limits it here."""


def damage(conn: Connection) -> Iterator[str]:
    """What SQLite's own check finds."""
    for (line,) in rows(conn, "PRAGMA integrity_check(20)"):
        if line != "ok":
            yield f"SQLite: {line}"


def guards(conn: Connection) -> Iterator[str]:
    """Names of the guards of history that are not in force."""
    there = {name for (name,) in rows(conn, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'")}
    yield from (name for name in _GUARDS if name not in there)


def fill(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows, of all columns in their order, into a table."""
    statement = str(insert(table).compile(dialect=conn.dialect))
    for some in _pages(rows):
        change_many(conn, statement, some)


def fill_search(conn: Connection, documents: Iterable[tuple[int, str]]) -> None:
    """Make the search index of (pk, tokens), all at once."""
    for some in _pages(documents):
        add_grams(conn, some)


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    going = iter(rows)
    while some := list(islice(going, _ROWS_AT_ONCE)):
        yield some


def last_number(conn: Connection, key: Column[int]) -> int:
    """The highest number that was ever given; where SQLite gives numbers again, the highest that is there."""
    found = f"SELECT coalesce(max({key.name}), 0) FROM {key.table.name}"  # noqa: S608  (names of ours)
    highest = int(rows(conn, found)[0][0])
    if not key.table.dialect_options["sqlite"]["autoincrement"]:
        return highest
    given = rows(conn, "SELECT seq FROM sqlite_sequence WHERE name = ?", (key.table.name,))
    return max(highest, *(int(number) for (number,) in given), 0)


def go_on_after(conn: Connection, key: Column[int], number: int) -> None:
    """The next row gets a number above this one, or above the highest that is there."""
    if key.table.dialect_options["sqlite"]["autoincrement"]:
        rows(conn, "DELETE FROM sqlite_sequence WHERE name = ?", (key.table.name,))
        rows(conn, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (key.table.name, number))


def learn(_conn: Connection) -> None:
    """SQLite's planner is told by which index to enter."""
