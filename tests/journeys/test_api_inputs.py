"""Values as callers send them: what the API reads, and what it refuses by name. SPEC 1, 8."""

from typing import Any

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
    for bounds in ("from=0001-01-02T00:00&to=9999-12-30T00:00", "from=9999-12-30T00:00"):
        async with root.get(f"/history?{bounds}") as page:
            assert page.status == 200, bounds
    for method, path, body in (
        ("POST", "/tasks/a/claim", {"until": "2999-01-01T00:00:00Z"}),
        ("POST", "/tasks/a/assign", {"user": "root", "version": 1, "until": "2999-01-01T00:00:00Z"}),
        ("POST", "/services/orders/pause", {"reason": "x", "until": "2999-01-01T00:00:00Z"}),
        ("PATCH", "/users/root", {"away_until": "2999-01-01T00:00:00Z"}),
    ):
        status, problem = await call(root, method, path, body)
        assert (status, problem["field"]) == (422, "away_until" if "users" in path else "until"), path
        assert "before 2262-04-11" in problem["detail"]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"status": 5}, "status"),
        ({"status": True}, "status"),
        ({"user": None}, "user"),
        ({"group": {"not": "so"}}, "group"),
        ({"q": None}, "q"),
        ({"q": ["a"]}, "q"),
        ({"stale": "true"}, "stale"),
        ({"gone": 1}, "gone"),
        ({"at_risk": None}, "at_risk"),
        ({"limit": "5"}, "limit"),
        ({"limit": 5.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": 0}, "limit"),
        ({"sort": 1}, "sort"),
    ],
)
async def test_a_query_in_json_is_refused_where_its_type_is_another(
    root: aiohttp.ClientSession, wanted: Any, field: str
) -> None:
    status, problem = await call(root, "POST", "/tasks/query", wanted)
    assert (status, problem["field"], problem["errid"]) == (422, field, 1000)


async def test_a_filter_of_a_bulk_has_the_same_types(root: aiohttp.ClientSession) -> None:
    body = {"action": "claim", "expected": 1, "filter": {"status": 5}}
    status, problem = await call(root, "POST", "/tasks/bulk", body)
    assert (status, problem["field"]) == (422, "filter.status")
    _status, done = await call(root, "POST", "/tasks/bulk", {**body, "filter": {"status": ["5"], "gone": False, "later": 1}})
    assert [each["id"] for each in done["results"]] == ["a"]


async def test_a_query_string_is_text_and_stays_as_it_was(root: aiohttp.ClientSession) -> None:
    _status, page = await call(root, "GET", "/tasks?status=5&stale=false&limit=1&q=")
    assert [task["id"] for task in page["items"]] == ["a"]


async def test_a_user_and_a_group_have_names_of_up_to_256_characters(root: aiohttp.ClientSession) -> None:
    longest = "名" * 256
    assert (await call(root, "POST", "/groups", {"id": longest}))[0] == 201
    status, made = await call(root, "POST", "/users", {"name": longest, "role": "member", "groups": [longest]})
    assert (status, made["name"], made["groups"]) == (201, longest, [longest])
    status, task = await call(root, "POST", "/tasks/a/assign", {"user": longest, "group_id": longest, "version": 1})
    assert (status, task["user"], task["group_id"]) == (200, longest, longest)
    assert (await call(root, "PATCH", f"/users/{longest}", {"language": "en"}))[0] == 200
    for path, body, field in (("/groups", {"id": "g" * 257}, "id"), ("/users", {"name": "u" * 257, "role": "viewer"}, "name")):
        status, problem = await call(root, "POST", path, body)
        assert (status, problem["field"]) == (422, field)
        assert "1 to 256 characters, not 257" in problem["detail"]


async def test_scope_is_another_name_of_scopes_and_never_of_no_days(root: aiohttp.ClientSession) -> None:
    for body, scopes, is_endless in (
        ({"scope": ["read"]}, ["read"], False),
        ({"scopes": ["read", "claim"], "days": "never"}, ["read", "claim"], True),
        ({"scope": ["ingest"]}, ["ingest"], True),
        ({"days": 7}, [], False),
    ):
        status, made = await call(root, "POST", "/tokens", {"name": "x", **body})
        assert (status, made["scopes"], made["expires_at"] is None) == (201, scopes, is_endless)
    for wrong, field in (({"scope": ["all"]}, "scope"), ({"scope": [], "scopes": []}, "scope"), ({"days": "ever"}, "days")):
        status, problem = await call(root, "POST", "/tokens", {"name": "x", **wrong})
        assert (status, problem["field"].partition("[")[0]) == (422, field)


async def test_the_name_of_a_group_may_be_its_id(root: aiohttp.ClientSession) -> None:
    assert await call(root, "POST", "/groups", {"name": "pay"}) == (201, {"id": "pay", "name": "pay", "members": []})
    status, problem = await call(root, "POST", "/groups", {})
    assert (status, problem["field"]) == (422, "id")


async def test_openapi_tells_the_other_names(root: aiohttp.ClientSession) -> None:
    _status, document = await call(root, "GET", "/openapi.json")
    schemas, paths = document["components"]["schemas"], document["paths"]
    assert schemas["NewToken"]["properties"]["scope"]["type"] == "array"
    assert {"enum": ["never"]} in schemas["NewToken"]["properties"]["days"]["anyOf"]
    assert set(schemas["NewGroup"]["properties"]) == {"id", "name"}
    assert paths["/api/v1/groups"]["post"]["requestBody"]["required"] is True
    assert "stale" in schemas["TaskQuery"]["properties"]


async def test_a_view_keeps_the_filters_of_a_query_that_was_not_encoded(root: aiohttp.ClientSession) -> None:
    status, made = await call(root, "POST", "/views", {"name": "v", "query": "?q=名字 1&status=a%20b"})
    assert (status, made["query"]) == (201, "q=%E5%90%8D%E5%AD%97 1&status=a%20b")
    for wrong in ("q=\u202e", "q=\n", "q=" + "名" * 1_000):
        status, problem = await call(root, "POST", "/views", {"name": "v", "query": wrong})
        assert (status, problem["field"]) == (422, "query")


async def test_an_actor_is_sought_by_id_and_by_type_and_id(root: aiohttp.ClientSession) -> None:
    assert (await call(root, "POST", "/tasks/a/claim", {}))[0] == 200
    found = {}
    for actor in ("root", "user:root", "service:root", "user:roo"):
        _status, page = await call(root, "GET", f"/events?actor={actor}")
        found[actor] = [event["kind"] for event in page["items"]]
    assert "task.claimed" in found["root"]
    assert found["user:root"] == found["root"]
    assert (found["service:root"], found["user:roo"]) == ([], [])
