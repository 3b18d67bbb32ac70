"""Rows to records and back, by column name. JSON columns hold lists and objects; nothing else is translated."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Boolean, Column, Connection, Dialect, Select, Table, bindparam, insert, update

from taskdash.store import hot
from taskdash.store.dialect import of

R = TypeVar("R", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


def to_json(value: Any) -> str:
    """Compact JSON text for a JSON column."""
    return _encoder.encode(value).decode()


class Shape:
    """How one record is stored in one table: fields that are columns, and which of them hold JSON.

    `insert_many` and `update_many` hand tuples to the driver's executemany by a statement compiled once: through Core each
    row costs twice as much (bench tcp, Register).
    """

    def __init__(
        self,
        record: type[msgspec.Struct],
        table: Table,
        json: Iterable[str] = (),
        kept_by_the_store: Sequence[str] = (),
    ) -> None:
        """`kept_by_the_store`: columns that `insert_many` and `update_many` never write (pk, counters)."""
        self.record = record
        self._table = table
        self.columns = [c for c in table.columns if c.name in record.__struct_fields__]
        self._names = [c.name for c in self.columns]
        types = {f.name: f.type for f in msgspec.structs.fields(record)}
        self._decoders = {name: msgspec.json.Decoder(types[name]) for name in json}
        self._write_names = [name for name in self._names if name not in kept_by_the_store]
        self._values = attrgetter(*self._write_names)
        self._json_at = [self._write_names.index(name) for name in json]
        self._flags = [c.name for c in self.columns if isinstance(c.type, Boolean)]
        self._by_key: dict[str, hot.ByKey] = {}

    def record_of(self, row: Mapping[Any, Any]) -> Any:
        """The record of a row that was selected with `columns`."""
        values = dict(row)
        for name, decoder in self._decoders.items():
            values[name] = decoder.decode(values[name])
        return self.record(**values)

    def records(self, conn: Connection, query: Select[Any]) -> list[Any]:
        """The records of a query that selects `columns`, in their order."""
        return self._records(of(conn).plain_rows(conn, query))

    def found(self, conn: Connection, query: Select[Any], values: Sequence[Any] = ()) -> list[Any]:
        """As `records`, for a query that lives as long as the program: compiled once, with a place for each value."""
        return self._records(hot.rows(conn, query, values))

    def load_many(self, conn: Connection, key: Column[Any], values: Iterable[Any]) -> list[Any]:
        """The records whose `key`, a unique column, is among `values`."""
        if key.name not in self._by_key:
            self._by_key[key.name] = hot.ByKey(self.columns, key)
        return self._records(self._by_key[key.name].rows(conn, list(dict.fromkeys(values))))

    def _records(self, rows: Iterable[Any]) -> list[Any]:
        names, record, decoders, flags = self._names, self.record, self._decoders, self._flags
        found = []
        for row in rows:
            values = dict(zip(names, row, strict=True))
            for name in flags:
                values[name] = None if values[name] is None else bool(values[name])
            for name, decoder in decoders.items():
                values[name] = decoder.decode(values[name])
            found.append(record(**values))
        return found

    def row_of(self, record: msgspec.Struct, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """Column values of a record, `without` some (pk, counters that the store keeps)."""
        values = {name: getattr(record, name) for name in self._names if name not in without}
        for name in self._decoders:
            if name in values:
                values[name] = to_json(values[name])
        return values

    def insert_many(self, conn: Connection, records: Sequence[msgspec.Struct]) -> None:
        """One executemany INSERT."""
        if records:
            of(conn).change_many(conn, self._insert(conn.dialect), [self._written(record) for record in records])

    def insert_numbered(self, conn: Connection, records: Sequence[msgspec.Struct], pks: Iterable[int]) -> None:
        """As `insert_many`, each with the pk that it is to have."""
        if records:
            rows = [(pk, *self._written(record)) for pk, record in zip(pks, records, strict=True)]
            of(conn).change_many(conn, self._insert(conn.dialect, "pk"), rows)

    def update_many(self, conn: Connection, records: Sequence[Any]) -> None:
        """One executemany UPDATE by pk."""
        if records:
            rows = [(*self._written(record), record.pk) for record in records]
            of(conn).change_many(conn, self._update(conn.dialect, tuple(self._write_names)), rows)

    def update_changed(self, conn: Connection, changes: Sequence[tuple[Any, Any]]) -> None:
        """UPDATE by pk of (before, after): only the columns that changed, so that no index of the others is written."""
        rows: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        for before, after in changes:
            pairs = zip(self._write_names, self._written(before), self._written(after), strict=True)
            changed = [(name, now) for name, was, now in pairs if was != now]
            if changed:
                names, values = zip(*changed, strict=True)
                rows.setdefault(names, []).append((*values, before.pk))
        for names, some in rows.items():
            of(conn).change_many(conn, self._update(conn.dialect, names), some)

    def _written(self, record: msgspec.Struct) -> tuple[Any, ...]:
        values: tuple[Any, ...] = self._values(record)
        if self._json_at:
            changed: list[Any] = list(values)
            for index in self._json_at:
                changed[index] = to_json(changed[index])
            return tuple(changed)
        return values

    @cache  # noqa: B019  (a shape lives as long as the program)
    def _insert(self, dialect: Dialect, *numbered: str) -> str:
        names = (*numbered, *self._write_names)
        return str(insert(self._table).values({n: bindparam(f"b_{n}") for n in names}).compile(dialect=dialect))

    @lru_cache(1_024)  # noqa: B019  (as above)
    def _update(self, dialect: Dialect, names: tuple[str, ...]) -> str:
        changed: dict[str, Any] = {n: bindparam(f"b_{n}") for n in names}
        statement = update(self._table).where(self._table.c.pk == bindparam("b_pk")).values(changed)
        return str(statement.compile(dialect=dialect))
