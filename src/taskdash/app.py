"""Composition root: everything is built here, in plain sight, and nowhere else (DESIGN law 6).

Order: own the data directory, open the store, build the parts, listen, say `taskdash ready`, run until a signal, drain in
reverse order. A listener that cannot have its address stops the start with one sentence.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskdash.clock import SystemClock
from taskdash.errors import StartRefused
from taskdash.settings.model import Settings
from taskdash.store import datadir
from taskdash.store.database import Database
from taskdash.store.migrations import runner


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The store in the data directory, owned, upgraded and started. Raises StartRefused."""
    if settings.db:
        raise StartRefused("setting db: PostgreSQL is not supported by this version; leave it out to use the embedded store", 2)
    directory = datadir.lock(settings.data_dir)
    try:
        datadir.keep_reserve(directory.path)
        runner.upgrade(directory.database)
        db = Database(directory.database)
        db.start()
        try:
            yield db
        finally:
            await db.close()
    finally:
        directory.release()


class Signals:
    """SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once (RELIABILITY R55)."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.stop.is_set():
            os._exit(1)
        self.stop.set()
