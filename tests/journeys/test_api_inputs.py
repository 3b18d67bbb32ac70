"""Values as callers send them: what the API reads, and what it refuses by name. SPEC 1, 8."""


import aiohttp
import pytest

from tests.journeys.api import call, stored
from tests.journeys.http import Site
from tests.support import NOW, a_service, a_task


@pytest.fixture
async def root(site: Site) -> aiohttp.ClientSession:
    """An admin who sees two tasks."""
    await stored(site, a_service(id="orders"), a_task(id="a", status="5", updated_at=NOW), a_task(id="b", updated_at=NOW))
    return (await site.person("root", "admin")).http


async def test_history_is_bounded_by_any_year_but_an_end_beyond_2262_is_not_kept(root: aiohttp.ClientSession) -> None:
    _status, whole = await call(root, "GET", "/events?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:60Z")
    _status, none = await call(root, "GET", "/events?since=9999-01-01T00:00:00Z")
    assert whole["items"]
    assert none["items"] == []
    for method, path, body in (
        ("POST", "/tasks/a/claim", {"until": "2999-01-01T00:00:00Z"}),
        ("POST", "/tasks/a/assign", {"user": "root", "version": 1, "until": "2999-01-01T00:00:00Z"}),
        ("POST", "/services/orders/pause", {"reason": "x", "until": "2999-01-01T00:00:00Z"}),
        ("PATCH", "/users/root", {"away_until": "2999-01-01T00:00:00Z"}),
    ):
        status, problem = await call(root, method, path, body)
        assert (status, problem["field"]) == (422, "away_until" if "users" in path else "until"), path
        assert "before 2262-04-11" in problem["detail"]
