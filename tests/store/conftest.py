"""A real store for whoever asks for `db`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskdash.store.database import Database
from taskdash.store.migrations import runner


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "taskdash.db"
    runner.upgrade(path)
    database = Database(path)
    database.start()
    yield database
    await database.close()
