"""Fixtures that every suite shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskdash.store.places import File, Place
from tests import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Cluster]:
    """A PostgreSQL, started when the first test asks for it."""
    with postgres.cluster() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store on each of the two engines, with the schema of this program and empty."""
    if request.param == "sqlite":
        embedded = File(tmp_path / "taskdash.db")
        embedded.upgrade()
        yield embedded
        return
    cluster: postgres.Cluster = request.getfixturevalue("server")
    with cluster.fresh() as there:
        yield there
