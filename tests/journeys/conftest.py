"""Fixtures of the journeys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.http import Site, a_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The web over an empty store."""
    async with a_site(tmp_path) as running:
        yield running
