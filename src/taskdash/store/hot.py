"""Statements that run thousands of times a second: compiled once by Core, then given to the driver as they are.

Executing through Core costs 60 to 150 µs a statement beside the 2 to 20 that the store needs for it. No decisions.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import ClauseElement, Column, Connection, Dialect, bindparam, select

from taskdash.store.dialect import of

Values = Sequence[Any]
_SIZES = (1, 4, 16, 64, 256, 512)


@cache
def compiled(statement: ClauseElement, dialect: Dialect) -> str:
    """Its text, with a place for each value. `statement` must live as long as the program."""
    return str(statement.compile(dialect=dialect))


def rows(conn: Connection, statement: ClauseElement, values: Values = ()) -> list[Any]:
    """The rows as the driver gives them."""
    return of(conn).rows(conn, compiled(statement, conn.dialect), values)


def change_many(conn: Connection, statement: ClauseElement, many: Sequence[Values]) -> int:
    """The statement once for each of `many`; returns how many rows it changed."""
    return of(conn).change_many(conn, compiled(statement, conn.dialect), many) if many else 0


class ByKey:
    """Rows by a unique column. The list of keys is padded to a few sizes, so that few statements are ever compiled."""

    def __init__(self, columns: Sequence[Column[Any]], key: Column[Any]) -> None:
        self._columns = columns
        self._key = key

    def rows(self, conn: Connection, keys: Sequence[Any]) -> Iterator[Any]:
        """The rows of those among `keys` that are stored; each key at most once in `keys`."""
        left = iter(keys)
        while some := list(islice(left, _SIZES[-1])):
            size = next(size for size in _SIZES if size >= len(some))
            yield from of(conn).rows(conn, self._text(size, conn.dialect), some + some[-1:] * (size - len(some)))

    @cache  # noqa: B019  (lives as long as the program)
    def _text(self, size: int, dialect: Dialect) -> str:
        wanted = [bindparam(f"key_{n}", type_=self._key.type) for n in range(size)]
        condition = self._key == wanted[0] if size == 1 else self._key.in_(wanted)
        return str(select(*self._columns).where(condition).compile(dialect=dialect))
