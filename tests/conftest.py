"""Fixtures that every suite shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskdash.store.places import Place
from tests import postgres
from tests.support import a_place


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Cluster]:
    """A PostgreSQL, started when the first test asks for it."""
    with postgres.cluster() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store on each of the two engines, with the schema of this program and empty."""
    if request.param == "sqlite":
        yield a_place(tmp_path)
        return
    cluster: postgres.Cluster = request.getfixturevalue("server")
    with cluster.fresh() as there:
        yield there
