"""Rows to records and back, by column name. JSON columns hold lists and objects; nothing else is translated."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping, Table

R = TypeVar("R", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


def to_json(value: Any) -> str:
    """Compact JSON text for a JSON column."""
    return _encoder.encode(value).decode()


class Shape:
    """How one record is stored in one table: fields that are columns, and which of them hold JSON."""

    def __init__(self, record: type[msgspec.Struct], table: Table, json: Iterable[str] = ()) -> None:
        self.record = record
        self.columns = [c for c in table.columns if c.name in record.__struct_fields__]
        self._names = [c.name for c in self.columns]
        types = {f.name: f.type for f in msgspec.structs.fields(record)}
        self._decoders = {name: msgspec.json.Decoder(types[name]) for name in json}

    def record_of(self, row: RowMapping) -> Any:
        """The record of a row that was selected with `columns`."""
        values = dict(row)
        for name, decoder in self._decoders.items():
            values[name] = decoder.decode(values[name])
        return self.record(**values)

    def row_of(self, record: msgspec.Struct, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """Column values of a record, `without` some (pk, counters that the store keeps)."""
        values = {name: getattr(record, name) for name in self._names if name not in without}
        for name in self._decoders:
            if name in values:
                values[name] = to_json(values[name])
        return values
