"""A real store for whoever asks for `db`: on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from taskdash.store.database import Database
from taskdash.store.places import Place
from tests.support import running


@pytest.fixture
async def db(place: Place) -> AsyncIterator[Database]:
    async with running(place) as database:
        yield database
