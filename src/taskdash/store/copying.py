"""A store moves whole to another place, of the same engine or the other: `taskdash db copy`.

Law: the source is read as one moment and not a byte of it changes; the target is empty before, and gets all of it in one
transaction that ends only after every table was read back and found to be the same. Numbers go on where the source was.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Table, select
from sqlalchemy.exc import DBAPIError

from taskdash.errors import StartRefused
from taskdash.store import search
from taskdash.store.dialect import Dialect
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import Place
from taskdash.store.tables import metadata, store_facts, tasks
from taskdash.store.whole import reading, refuse_served, streamed, whole, writing

_TABLES = metadata.sorted_tables
_encode = msgspec.msgpack.Encoder().encode


def copy(source: Place, target: Place) -> dict[str, int]:
    """Put all of `source` into `target`; returns rows by table. Nobody may serve either.

    Raises StartRefused; then nothing was kept.
    """
    with _refusing(source.dialect), ExitStack() as held:
        held.enter_context(source.unserved())
        origin = held.enter_context(reading(source))
        _refuse_newer(source)
        held.enter_context(target.owned())
        target.upgrade()
        _refuse_newer(target)
        with _refusing(target.dialect), writing(target) as conn:
            _refuse_filled(conn, target)
            return _moved(origin, conn)


def _refuse_newer(place: Place) -> None:
    if (found := place.revision()) != HEAD:
        raise StartRefused(f"the store {place} has schema {found} and this program knows {HEAD}; copy with the newer program")


def _refuse_filled(conn: Connection, target: Place) -> None:
    refuse_served(conn, target)
    for table in _TABLES:
        if table is not store_facts and conn.execute(select(*table.primary_key).limit(1)).first():
            raise StartRefused(f"the store {target} holds {table.name} already; give the copy an empty database")


def _moved(origin: Connection, conn: Connection) -> dict[str, int]:
    conn.execute(store_facts.delete())
    rows: dict[str, int] = {}
    for table in _TABLES:
        told = _Digest()
        whole(conn).fill(conn, table, told.of(_rows(origin, table)))
        if told.of_all(_rows(conn, table)) != told.value:
            raise StartRefused(f"what was read back of {table.name} differs from the source")
        rows[table.name] = told.count
    for key in (column for table in _TABLES for column in table.primary_key if isinstance(column.type, BigInteger)):
        whole(conn).go_on_after(conn, key, whole(origin).last_number(origin, key))
    whole(conn).fill_search(conn, _documents(origin))
    whole(conn).learn(conn)
    return rows


class _Digest:
    """What rows are, as one value: those of a table, in the order of its key."""

    def __init__(self) -> None:
        self.count, self._sum = 0, hashlib.sha256()

    def of(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """The same rows, taken in as they pass."""
        for row in rows:
            self._sum.update(_encode(row))
            self.count += 1
            yield row

    @property
    def value(self) -> tuple[int, bytes]:
        """How many rows and what they hold."""
        return self.count, self._sum.digest()

    @staticmethod
    def of_all(rows: Iterable[tuple[Any, ...]]) -> tuple[int, bytes]:
        """The value of these."""
        other = _Digest()
        for _row in other.of(rows):
            pass
        return other.value


def _rows(conn: Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    return map(tuple, streamed(conn, select(*table.columns).order_by(*table.primary_key)))


def _documents(conn: Connection) -> Iterator[tuple[int, str]]:
    searched = streamed(conn, select(tasks.c.pk, tasks.c.id, tasks.c.name, tasks.c.description).order_by(tasks.c.pk))
    return ((pk, search.document_of(texts)) for pk, *texts in searched)


@contextmanager
def _refusing(dialect: Dialect) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StartRefused(f"nothing was copied: {dialect.refusal(error)}") from None
    except UnicodeError:
        raise StartRefused("nothing was copied: the source holds a text that is not UTF-8") from None
