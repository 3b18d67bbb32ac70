"""How commands reach the store: beside a running server, or owning it. No command does SQL.

A change beside a running server is one short transaction that waits for its turn; the server reads accounts afresh, so it
sees the change at once (SPEC 9).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from taskdash.clock import SystemClock
from taskdash.errors import StartRefused
from taskdash.model.fields import safe_text
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.settings.model import Settings
from taskdash.store import events
from taskdash.store.dialect import refusal_of_commit
from taskdash.store.migrations.steps import HEAD, is_done
from taskdash.store.places import Place, place_of

T = TypeVar("T")

SHELL = Actor(type="system", id="shell", channel="cli", role="admin")
"""Whoever may write the data directory is trusted (RELIABILITY 6)."""


def now() -> Instant:
    """The machine's time: a command does not live long enough for another."""
    return SystemClock.wall_now()


def store_of(settings: Settings) -> Place:
    """Where the store is."""
    return place_of(settings.db, settings.data_dir)


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """The store, owned. Raises StartRefused that says the server must be stopped."""
    with stopped(), store_of(settings).owned():
        yield


@contextmanager
def stopped() -> Iterator[None]:
    """Says of a store that is in use what to do about it."""
    try:
        yield
    except StartRefused as refused:
        raise StartRefused(f"{refused}; stop it first" if "in use" in str(refused) else str(refused)) from None


def read(settings: Settings, query: Callable[[Connection], T]) -> T:
    """What `query` returns."""
    with _connect(settings) as conn:
        return query(conn)


def write(settings: Settings, change: Callable[[Connection], T]) -> T:
    """What `change` returned, once it is durable; nothing of it is kept when it raises."""
    dialect = store_of(settings).dialect
    with _connect(settings) as conn:
        dialect.begin(conn)
        try:
            result = change(conn)
        except BaseException:
            dialect.roll_back(conn)
            raise
        try:
            dialect.commit(conn, told=bool(events.were_appended(conn)))
        except DBAPIError as error:
            raise refusal_of_commit(dialect, error) from error
        return result


@contextmanager
def _connect(settings: Settings) -> Iterator[Connection]:
    store = store_of(settings)
    _ready(settings, store)
    try:
        with store.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            yield conn
    except DBAPIError as error:
        raise store.dialect.refusal(error) from error


def _ready(settings: Settings, store: Place) -> None:
    """A store of this schema: made now when there is none, so that people can be added before the first start."""
    found = store.revision()
    if found is None:
        with owned(settings):
            store.upgrade()
    elif not is_done(found):
        raise StartRefused(f"the store {store} has schema {found}; bring it to {HEAD} with `taskdash db upgrade`")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their titles; what would disturb a terminal is replaced."""
    shown = [titles, *([safe_text(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)
