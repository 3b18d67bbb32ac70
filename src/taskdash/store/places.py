"""Where a store is and how it is opened: a file of this machine, or a database of a PostgreSQL server.

Law: beyond `place_of`, nobody asks which of the two it is.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import ClassVar, Protocol

from msgspec import Struct
from sqlalchemy import Connection, Engine

from taskdash.clock import SystemClock
from taskdash.errors import StartRefused, StoreRefused
from taskdash.model.instants import Instant
from taskdash.store import datadir, sqlite
from taskdash.store.backup_files import Copied, before
from taskdash.store.checkpoint import Checkpointer
from taskdash.store.dialect import Dialect, named
from taskdash.store.migrations import runner
from taskdash.store.migrations.steps import is_done


class Keeper(Protocol):
    """What runs beside the writer."""

    def start(self, on_told: Callable[[], object]) -> None:
        """Begin; `on_told` may be called from any thread when another process wrote history."""

    def close(self) -> None:
        """End; no other connection of this process is open any more."""

    def trouble(self) -> StoreRefused | None:
        """Why nothing may be written now, whatever the engine would say. From any thread."""

    def is_open(self) -> None:
        """A reader has the store open, and will have. From any thread."""

    def met(self, refused: StoreRefused) -> None:
        """The engine refused a query or a change. From any thread."""

    def has_committed(self, conn: Connection) -> None:
        """The writer did, has answered, and is between two transactions. In its thread."""


class Place(Protocol):
    """A store. As text: what sentences call it, without secrets."""

    is_shared: ClassVar[bool]
    """Whether any number of processes may serve it."""

    @property
    def dialect(self) -> Dialect:
        """How its engine speaks."""

    def open_engine(self) -> Engine:
        """For who writes."""

    def open_readers(self) -> Engine:
        """For who reads."""

    def open_unchanging(self) -> Engine:
        """For who must not change a byte."""

    def a_keeper(self) -> Keeper:
        """What it needs beside the writer."""

    def owned(self, *, keep_reserve: bool = False) -> AbstractContextManager[None]:
        """Nobody else serves it meanwhile, unless it is shared. Raises StartRefused that says who does."""

    def unserved(self) -> AbstractContextManager[None]:
        """Nobody serves it, and it stays as it is. Raises StartRefused that says who does."""

    def revision(self) -> str | None:
        """Its schema, None when it is still to be made. Changes nothing. Raises StartRefused."""

    def upgrade(self) -> None:
        """Create it or bring it to this program's schema. Raises StartRefused."""

    def backup(self, target: Path) -> Copied:
        """Copy it into a new file. Raises StartRefused."""

    def restore(self, source: Path, now: Instant) -> Path | None:
        """Put a backup in its place; returns where the old store is kept, if there was one. Raises StartRefused."""


class File(Struct, frozen=True):
    """The embedded store."""

    is_shared: ClassVar[bool] = False
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def dialect(self) -> Dialect:
        """SQLite."""
        return named("sqlite")

    def open_engine(self) -> Engine:
        """For who writes."""
        return sqlite.open_engine(self.path)

    open_readers = open_engine

    def open_unchanging(self) -> Engine:
        """For who must not change a byte."""
        return sqlite.open_engine(self.path, read_only=True)

    def a_keeper(self) -> Checkpointer:
        """Keeps the WAL small."""
        return Checkpointer(self.path)

    @contextmanager
    def owned(self, *, keep_reserve: bool = False) -> Iterator[None]:
        """By a lock on its directory."""
        directory = datadir.lock(self.path.parent)
        try:
            if keep_reserve:
                datadir.make_room(directory.path)
            yield
        finally:
            directory.release()

    @contextmanager
    def unserved(self) -> Iterator[None]:
        """By the same lock, where there is one: a file that no server ever had, such as a backup, has none."""
        with self.owned() if (self.path.parent / datadir.LOCK).exists() else nullcontext():
            yield

    def revision(self) -> str | None:
        """Its schema."""
        return runner.revision(self.path)

    def upgrade(self) -> None:
        """Create it or bring it to this program's schema, after a backup of what it was (RELIABILITY R56)."""
        if self.path.exists():
            sqlite.undo_killed(self.path)
        found = self.revision()
        if is_done(found):
            return
        if found is not None:
            self.backup(before(f"upgrade-from-{found}", self.path, SystemClock.wall_now()))
        runner.upgrade(self.path)

    def backup(self, target: Path) -> Copied:
        """Copy it into a new file."""
        from taskdash.store import backup

        return backup.backup(self.path, target)

    def restore(self, source: Path, now: Instant) -> Path | None:
        """Put a backup in its place."""
        from taskdash.store import backup

        with self.owned():
            return backup.restore(self.path, source, now)


class Server(Struct, frozen=True):
    """A database of a PostgreSQL server, by its url."""

    is_shared: ClassVar[bool] = True
    url: str

    def __str__(self) -> str:
        from taskdash.store.migrations import on_server

        return on_server.shown(self.url)

    __repr__ = __str__

    @property
    def dialect(self) -> Dialect:
        """PostgreSQL."""
        return named("postgresql")

    def open_engine(self) -> Engine:
        """For who writes."""
        from taskdash.store import postgres

        return postgres.open_engine(self.url)

    def open_readers(self) -> Engine:
        """For who reads: the server refuses them any change."""
        from taskdash.store import postgres

        return postgres.open_engine(self.url, read_only=True)

    open_unchanging = open_readers

    def a_keeper(self) -> Keeper:
        """The server keeps itself; what others write is listened for."""
        from taskdash.store.listener import Listener

        return Listener(self.url)

    @contextmanager
    def owned(self, *, keep_reserve: bool = False) -> Iterator[None]:
        """Nobody needs to own it: who serves it shares it (`store.leases`)."""
        del keep_reserve
        yield

    @contextmanager
    def unserved(self) -> Iterator[None]:
        """By what instances tell of themselves."""
        from taskdash.store.whole import reading, refuse_served

        with reading(self) as conn:
            refuse_served(conn, self)
        yield

    def revision(self) -> str | None:
        """Its schema."""
        from taskdash.store.migrations import on_server

        return on_server.revision(self.url)

    def upgrade(self) -> None:
        """Create it or bring it to this program's schema."""
        from taskdash.store.migrations import on_server

        on_server.upgrade(self.url)

    def backup(self, target: Path) -> Copied:
        """Copy it into a new file."""
        from taskdash.store import backup_postgres

        return backup_postgres.backup(self, target)

    def restore(self, source: Path, now: Instant) -> Path | None:
        """Put a backup in its place."""
        from taskdash.store import backup_postgres

        return backup_postgres.restore(self, source, now)


def place_of(db: str, data_dir: Path) -> Place:
    """By the settings `db` and `data_dir`."""
    return Server(db) if db else File(data_dir / datadir.DATABASE)


def place_at(url: str) -> Place:
    """By a url of either kind: `sqlite:PATH`, of a file or of a data directory, or `postgresql://…`. Raises StartRefused."""
    if url.startswith(("postgresql:", "postgres:")):
        return Server(url)
    kind, _, path = url.partition(":")
    if kind != "sqlite" or not path:
        raise StartRefused(f"a store is sqlite:PATH or postgresql://…, not {kind}:…", 2)
    return File(Path(path) / datadir.DATABASE if Path(path).is_dir() else Path(path))
