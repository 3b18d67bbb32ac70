"""Pieces of SQL that the two engines write differently; how, `sqlite` and `postgres` say, each for itself.

A query uses them as it uses a column, and never asks which engine it will run on.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, Table, literal
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.functions import FunctionElement

ESCAPE = "/"


class _Condition(FunctionElement[bool]):
    """Stands as it is among others: the `= 1` that SQLAlchemy adds for SQLite would keep it from entering an index."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """What the engines write needs no more brackets."""
        del against
        return self


class Holds(_Condition):
    """(column, LIKE pattern): the column is like the pattern, ASCII letters in capitals or not."""

    inherit_cache = True


class HoldsFolded(_Condition):
    """(column, LIKE pattern): as `Holds`, after casefolding both."""

    inherit_cache = True


class OneOf(_Condition):
    """(column, JSON list of numbers): the column is among them."""

    inherit_cache = True


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """The column holds the text somewhere, in capitals or not. LIKE by itself knows that of ASCII only."""
    if all(letter.isascii() or letter == letter.upper() == letter.casefold() for letter in text):
        return Holds(column, literal(_anywhere(text), String))
    return HoldsFolded(column, literal(_anywhere(text.casefold()), String))


def _anywhere(text: str) -> str:
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return f"%{text}%"


def one_of(column: ColumnElement[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """The column is among these numbers, however many: one parameter."""
    return OneOf(column, literal(json.dumps(list(numbers)), String))


def upsert(table: Table) -> Insert:
    """INSERT with ON CONFLICT: of PostgreSQL's making, and understood by both."""
    return insert(table)


def arguments(element: FunctionElement[Any], compiler: Any, **options: Any) -> list[str]:
    """The SQL of an element's parts, for those who write it."""
    return [compiler.process(clause, **options) for clause in element.clauses]
