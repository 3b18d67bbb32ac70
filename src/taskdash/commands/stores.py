"""How commands reach the store: beside a running server, or owning the data directory. No command does SQL.

A change beside a running server is one short transaction of SQLite with a busy timeout; the server reads accounts afresh,
so it sees the change at once (SPEC 9).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from taskdash.clock import SystemClock
from taskdash.errors import StartRefused
from taskdash.model.fields import safe_text
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.settings.model import Settings
from taskdash.store import datadir, sqlite
from taskdash.store.migrations import runner

T = TypeVar("T")

SHELL = Actor(type="system", id="shell", channel="cli", role="admin")
"""Whoever may write the data directory is trusted (RELIABILITY 6)."""


def now() -> Instant:
    """The machine's time: a command does not live long enough for another."""
    return SystemClock.wall_now()


def store_path(settings: Settings) -> Path:
    """The embedded store's file."""
    if settings.db:
        raise StartRefused("this command works on the embedded store only; leave db empty (PostgreSQL has its own tools)", 2)
    return settings.data_dir / datadir.DATABASE


@contextmanager
def owned(settings: Settings) -> Iterator[datadir.DataDir]:
    """The data directory, owned. Raises StartRefused that says the server must be stopped."""
    store_path(settings)
    try:
        directory = datadir.lock(settings.data_dir)
    except StartRefused as refused:
        raise StartRefused(f"{refused}; stop it first" if "in use" in str(refused) else str(refused)) from None
    try:
        yield directory
    finally:
        directory.release()


def read(settings: Settings, query: Callable[[Connection], T]) -> T:
    """What `query` returns."""
    with _connect(settings) as conn:
        return query(conn)


def write(settings: Settings, change: Callable[[Connection], T]) -> T:
    """What `change` returned, once it is durable; nothing of it is kept when it raises."""
    with _connect(settings) as conn:
        sqlite.begin(conn)
        try:
            result = change(conn)
        except BaseException:
            conn.exec_driver_sql("ROLLBACK")
            raise
        conn.exec_driver_sql("COMMIT")
        return result


@contextmanager
def _connect(settings: Settings) -> Iterator[Connection]:
    path = store_path(settings)
    _ready(settings, path)
    try:
        with sqlite.open_engine(path).connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            yield conn
    except DBAPIError as error:
        raise sqlite.refusal(error) from error


def _ready(settings: Settings, path: Path) -> None:
    """A store of this schema: made now when there is none, so that people can be added before the first start."""
    found = runner.revision(path) if path.exists() else None
    if found is None:
        with owned(settings):
            runner.upgrade(path)
    elif found != runner.HEAD:
        raise StartRefused(f"the store {path} has schema {found}; bring it to {runner.HEAD} with `taskdash db upgrade`")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their titles; what would disturb a terminal is replaced."""
    shown = [titles, *([safe_text(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)
