"""What the two engines do differently, as one interface: `sqlite` is one, `postgres` the other.

Law: no query and no action asks which engine it runs on; it asks `of(conn)` for what it needs, or uses `elements`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Connection, Select, Table
from sqlalchemy.exc import DBAPIError

from taskdash.errors import OutcomeUnknown, StoreRefused
from taskdash.model.instants import Instant


class Dialect(Protocol):
    """One engine."""

    # statements by the driver alone

    def rows(self, conn: Connection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; the rows it gives, as the driver gives them."""

    def change_many(self, conn: Connection, statement: str, many: Sequence[Sequence[Any]]) -> int:
        """Run a statement once for each of `many`; returns how many rows it changed."""

    def plain_rows(self, conn: Connection, query: Select[Any]) -> list[Any]:
        """The rows as the driver gives them: of ten thousand, half of the cost is to dress them."""

    def next_pks(self, conn: Connection, table: Table, count: int) -> Sequence[int]:
        """Numbers for so many new rows, free as long as this transaction lasts."""

    def now(self, conn: Connection) -> Instant:
        """What the store's own clock says: the same for every instance."""

    # the writer's transaction: begin, then for each change keep or undo, then commit

    def begin(self, conn: Connection) -> None:
        """Begin, as the only writer, and mark where the first change begins. One writer at a time: seq follows commit order."""

    def keep(self, conn: Connection) -> None:
        """The change stays; the next one begins."""

    def undo(self, conn: Connection) -> None:
        """Nothing of this change stays; the next one begins."""

    def commit(self, conn: Connection, *, told: bool = False) -> None:
        """Make what was kept durable. `told`: history is among it, and who waits for that in other processes is woken."""

    def roll_back(self, conn: Connection) -> None:
        """Keep nothing. Never raises for a transaction or a connection that has ended already."""

    # limits and errors

    def limit_query(self, conn: Connection, limit_s: float | None) -> None:
        """Interrupt whatever runs on this connection `limit_s` seconds from now; None: no limit."""

    def wait_at_most(self, conn: Connection, silence_s: float) -> None:
        """Close this connection when the store says nothing for so long to what is asked on it from now on. Of a file nobody
        can say that it is silent: its calls end when they end."""

    def is_silent(self, error: DBAPIError) -> bool:
        """True when `wait_at_most` closed the connection: it is lost too, and another one would fare no better."""

    def is_interrupted(self, error: DBAPIError) -> bool:
        """True when `limit_query` ended the query."""

    def is_lost(self, error: DBAPIError) -> bool:
        """True when the connection is gone: whether what was sent last was done, nobody here knows."""

    def refusal(self, error: DBAPIError) -> StoreRefused:
        """The sentence for people; never holds SQL or values (RELIABILITY R166)."""

    # what the schema needs beside tables, and the search index

    def create_guards(self, conn: Connection) -> None:
        """History is append-only (RELIABILITY R160): no UPDATE ever; DELETE only of what retention freed, never of bindings."""

    def create_search(self, conn: Connection) -> None:
        """The token index of `store.search`."""

    def add_grams(self, conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
        """Index (pk, tokens)."""

    def remove_grams(self, conn: Connection, documents: Sequence[tuple[int, str]]) -> None:
        """Forget (pk, tokens); the tokens must be those that were added."""

    def match_grams(self, conn: Connection, wanted: Sequence[str], limit: int) -> list[int]:
        """Pks that may hold all of `wanted`, at least all that do, in no order; more than `limit` - 1 of them: `limit`."""


def of(conn: Connection) -> Dialect:
    """The engine behind a connection."""
    return named(conn.dialect.name)


@cache
def named(name: str) -> Dialect:
    """By SQLAlchemy's name of it. PostgreSQL's driver is loaded only by those who use it."""
    if name == "sqlite":
        from taskdash.store import sqlite

        return sqlite
    from taskdash.store import postgres

    return postgres


def refusal_of_commit(dialect: Dialect, error: DBAPIError) -> StoreRefused:
    """The sentence when `commit` failed: who was not told that it was done cannot say that it was not."""
    if dialect.is_lost(error):
        return OutcomeUnknown(
            "the store was lost while it committed; whether the change was kept is not known: look before you repeat it",
            code="commit",
        )
    return dialect.refusal(error)
