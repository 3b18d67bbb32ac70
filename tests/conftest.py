"""Fixtures that every suite shares."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskdash.store.places import File, Place, Server
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


@pytest.fixture
def engine(place: Place) -> list[str]:
    """The options by which `serve` uses each of the two engines."""
    return [f"--db={place.url}"] if isinstance(place, Server) else []


@pytest.fixture
def at(engine: list[str], tmp_path: Path) -> list[str]:
    """The options by which `serve` and the commands find one store, on each of the two engines."""
    return [f"--data-dir={tmp_path / 'data'}", *engine]


@pytest.fixture
def served(place: Place, tmp_path: Path) -> Place:
    """The store that they find there."""
    return place if isinstance(place, Server) else File(tmp_path / "data" / "taskdash.db")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Below a directory that every user can reach, PostgreSQL's too, as pytest's own are not. Kept when HOUR_KEEP says so."""
    made = Path(tempfile.mkdtemp(prefix="taskdash-test-"))
    yield made
    if not os.environ.get("HOUR_KEEP"):
        shutil.rmtree(made)
