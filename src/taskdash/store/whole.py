"""What a look at a whole store, or a copy of it, needs of the engine: `whole_sqlite` is one, `whole_postgres` the other.

Law: as in `dialect`, nobody asks which engine it is; it asks `whole(conn)`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Column, Connection, Select, Table

from taskdash.errors import StartRefused
from taskdash.store import instances
from taskdash.store.migrations.steps import HEAD, is_done
from taskdash.store.places import Place

_ROWS_AT_ONCE = 1_000


class Whole(Protocol):
    """One engine."""

    def begin_reading(self, conn: Connection) -> None:
        """From here on all that is read is of one moment, however long it takes."""

    def take_time(self, conn: Connection) -> None:
        """The transaction that has begun may last."""

    def damage(self, conn: Connection) -> Iterator[str]:
        """What the engine itself finds wrong."""

    def guards(self, conn: Connection) -> Iterator[str]:
        """Names of the guards of history that are not in force."""

    def fill(self, conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
        """Put rows, of all columns in their order, into a table, as fast as the engine can."""

    def fill_search(self, conn: Connection, documents: Iterable[tuple[int, str]]) -> None:
        """Make the search index, which is empty, of (pk, tokens), all at once."""

    def last_number(self, conn: Connection, key: Column[int]) -> int:
        """The highest number that was ever given to a row of this key's table, as far as the engine remembers."""

    def go_on_after(self, conn: Connection, key: Column[int], number: int) -> None:
        """The next row gets a number above this one."""

    def learn(self, conn: Connection) -> None:
        """Let the planner look at what was filled in."""


def whole(conn: Connection) -> Whole:
    """The engine behind a connection."""
    return _named(conn.dialect.name)


@cache
def _named(name: str) -> Whole:
    if name == "sqlite":
        from taskdash.store import whole_sqlite

        return whole_sqlite
    from taskdash.store import whole_postgres

    return whole_postgres


@contextmanager
def reading(place: Place) -> Iterator[Connection]:
    """One moment of a store of this program's schema; not a byte of it changes. Raises StartRefused when it is not there."""
    found = place.revision()
    if found is None:
        raise StartRefused(f"there is no store at {place}")
    if not is_done(found):
        raise StartRefused(f"the store {place} has schema {found}; bring it to {HEAD} with `taskdash db upgrade`")
    with place.open_unchanging().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        whole(conn).begin_reading(conn)
        yield conn


@contextmanager
def writing(place: Place) -> Iterator[Connection]:
    """One transaction that may last; of what raises within it nothing is kept."""
    dialect = place.dialect
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        dialect.begin(conn)
        try:
            whole(conn).take_time(conn)
            yield conn
        except BaseException:
            dialect.roll_back(conn)
            raise
        dialect.commit(conn)


def streamed(conn: Connection, query: Select[Any]) -> Iterator[Any]:
    """The rows of a query a page at a time, however many there are."""
    with conn.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}) as found:
        yield from found


def refuse_served(conn: Connection, place: Place) -> None:
    """Raises StartRefused while instances tell that they serve the store."""
    if instances.alive(conn):
        raise StartRefused(f"the store {place} is in use by another taskdash")
