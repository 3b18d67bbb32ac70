"""Fixtures of the journeys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskdash.ingest import nsq_connection, nsq_consumer
from taskdash.store.places import Place
from tests import brokers
from tests.brokers import Nsqd
from tests.consuming import Rig
from tests.journeys.http import Site, a_site


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """The web over an empty store."""
    async with a_site(place) as running:
        yield running


@pytest.fixture
async def closed_site(place: Place) -> AsyncIterator[Site]:
    """The same, where members see what is of their groups."""
    async with a_site(place, visibility="groups") as running:
        yield running


@pytest.fixture(name="rig")
async def a_consumer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """A consumer that is in a hurry, over a store in memory."""
    monkeypatch.setattr(nsq_consumer, "SECOND_PAUSE_S", 0.05)
    monkeypatch.setattr(nsq_consumer, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(nsq_consumer, "POLL_EVERY_S", 0.2)
    monkeypatch.setattr(nsq_consumer, "FIRST_POLLS_S", 0.2)
    monkeypatch.setattr(nsq_connection, "PUT_AGAIN_S", 0.1)
    rig = Rig()
    yield rig
    await rig.end()


@pytest.fixture
async def nsqd(tmp_path: Path) -> AsyncIterator[Nsqd]:
    """One real nsqd."""
    node = Nsqd(tmp_path / "nsqd")
    async with brokers.running(node):
        yield node
