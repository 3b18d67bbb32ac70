"""What every route keeps: sign-in, CSRF, actions, headers; new routes are walked too. RELIABILITY R142-R146, R155."""

import json
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from litestar.handlers import HTTPRouteHandler, get
from sqlalchemy import Connection

from taskdash.model.records import Role, Scope
from taskdash.rules.roles import NEEDS
from taskdash.store.tables import metadata
from taskdash.web import server as web_server
from taskdash.web.auth import PUBLIC
from taskdash.web.pages import static
from taskdash.web.routes import routes
from tests.journeys.http import Site

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
_CSP += "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"


def _walk(unsafe: bool) -> Iterator[tuple[str, str, str]]:
    """(method, path with its parameters filled in, action) of every route."""
    for handler in routes():
        for method in sorted(handler.http_methods):
            if (method in UNSAFE) == unsafe and method != "OPTIONS":
                for path in sorted(handler.paths):
                    yield method, re.sub(r"\{\w+(:\w+)?\}", "x1", path), handler.opt["action"]


SAFE_ROUTES, UNSAFE_ROUTES = list(_walk(False)), list(_walk(True))
BY_COOKIE = [(method, path) for method, path, action in UNSAFE_ROUTES if action != PUBLIC]
OF_THE_SITE = [(method, path) for method, path, action in SAFE_ROUTES + UNSAFE_ROUTES if action != PUBLIC]


def _contents(conn: Connection) -> dict[str, list[Any]]:
    """Every row of every table, but for the time of last use."""
    return {
        name: [tuple(row) for row in conn.execute(table.select())]
        for name, table in metadata.tables.items()
        if name not in {"sessions", "store_facts"}
    }


async def _status(client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> int:
    """The status of the answer itself; 401 also for a page that sends people to sign in."""
    async with client.request(method, path, allow_redirects=False, **options) as answer:
        to_sign_in = answer.status == 303 and answer.headers["Location"].startswith("/login")
        return 401 if to_sign_in else answer.status


def test_there_are_routes_to_walk() -> None:
    assert len(SAFE_ROUTES) >= 15
    assert len(BY_COOKIE) >= 20


async def test_R142_an_unsafe_route_by_cookie_without_the_csrf_token_is_403_and_changes_nothing(site: Site) -> None:
    root = await site.person("root", "admin")
    before = await site.db.read(_contents)
    for sent in ({"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, {"X-CSRF-Token": "é"}):
        for method, path in BY_COOKIE:
            assert await _status(root.http, method, path, json={}, headers=sent) == 403, (method, path)
    assert await site.db.read(_contents) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    ],
)
async def test_R142_an_unsafe_route_by_cookie_from_another_site_is_403_even_with_the_token(
    site: Site, headers: dict[str, str]
) -> None:
    root = await site.person("root", "admin")
    before = await site.db.read(_contents)
    for method, path in BY_COOKIE:
        assert await _status(root.http, method, path, json={}, headers=headers) == 403, (method, path)
    assert await site.db.read(_contents) == before


async def test_R142_the_token_of_another_session_is_no_good(site: Site) -> None:
    ada, other = await site.person("ada"), await site.again("ada")
    headers = {"X-CSRF-Token": other.csrf_token}
    assert await _status(ada.http, "POST", "/api/v1/logout", headers=headers) == 403
    assert await _status(ada.http, "POST", "/api/v1/logout") == 204


async def test_R142_a_page_of_ours_is_let_in_by_its_origin(site: Site) -> None:
    ada = await site.person("ada")
    headers = {"Origin": site.origin, "Sec-Fetch-Site": "none"}
    assert await _status(ada.http, "POST", "/api/v1/logout", headers=headers) == 204


async def test_R142_a_program_with_a_token_needs_no_csrf_token(site: Site) -> None:
    await site.account("ada")
    program = await site.program("ada")
    body = {"name": "mine", "query": "status=failed"}
    assert await _status(program, "POST", "/api/v1/views", json=body) == 201


async def test_R143_get_and_head_change_nothing(site: Site) -> None:
    root = await site.person("root", "admin")
    before = await site.db.read(_contents)
    for _method, path, _action in SAFE_ROUTES:
        if path == "/api/v1/stream":
            continue
        for method in ("GET", "HEAD"):
            status = await _status(root.http, method, path)
            assert status in {200, 303, 404}, (method, path, status)
    assert await site.db.read(_contents) == before


async def test_a_head_is_a_get_without_its_body(site: Site) -> None:
    root = await site.person("root", "admin")
    async with root.http.get("/api/v1/users") as answer:
        length = answer.headers["Content-Length"]
    async with root.http.head("/api/v1/users") as answer:
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, length, b"")
    async with root.http.head("/api/v1/stream") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_R144_a_cookie_is_ignored_beside_authorization(site: Site) -> None:
    ada = await site.person("ada")
    for value in ("Bearer wrong", "Bearer tdk_" + "a" * 36, "Basic YWRhOng=", "", "Bearer"):
        assert await _status(ada.http, "GET", "/api/v1/me", headers={"Authorization": value}) == 401, value


async def test_R144_a_token_in_the_url_is_no_token(site: Site) -> None:
    await site.account("ada")
    text = await site.token("ada")
    client = site.client()
    for name in ("token", "access_token", "authorization"):
        assert await _status(client, "GET", f"/api/v1/me?{name}={text}") == 401


async def test_R145_no_answer_allows_another_origin(site: Site) -> None:
    ada = await site.person("ada")
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for method, path in (("GET", "/api/v1/me"), ("OPTIONS", "/api/v1/me"), ("OPTIONS", "/api/v1/login"), ("GET", "/nope")):
        async with ada.http.request(method, path, headers=headers) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_R146_every_route_but_the_public_ones_wants_a_sign_in(site: Site) -> None:
    client = site.client()
    before = await site.db.read(_contents)
    for method, path in OF_THE_SITE:
        assert await _status(client, method, path, json={} if method in UNSAFE else None) == 401, (method, path)
    assert await site.db.read(_contents) == before
    async with client.get("/api/v1/me") as answer:
        assert (await answer.json())["errid"] == 1003


def test_R146_the_public_routes_are_these() -> None:
    public = {path for _method, path, action in SAFE_ROUTES + UNSAFE_ROUTES if action == PUBLIC}
    api = {path for path in public if path.startswith("/api/") or "." not in path}
    assert {"/api/v1/login", "/api/v1/openapi.json", "/api/docs", "/healthz", "/readyz", "/metrics"} <= api
    assert all(not path.startswith("/api/v1/") for path in public - {"/api/v1/login", "/api/v1/openapi.json"})


async def _nothing(_request: object) -> None:
    return None


@pytest.mark.parametrize(
    "declared",
    [
        {"opt": {}},
        {"opt": {"action": ""}},
        {"opt": {"action": "everything"}},
        {"opt": {"action": "see"}, "before_request": _nothing},
    ],
)
async def test_R146_a_route_without_a_known_action_or_past_admit_fails_the_start(
    site: Site, monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any]
) -> None:
    @get("/api/v1/forgotten", **declared)
    async def forgotten() -> str:
        return ""

    def with_it() -> list[HTTPRouteHandler]:
        return [*routes(), forgotten]

    monkeypatch.setattr(web_server, "routes", with_it)
    with pytest.raises(ValueError, match="forgotten"):
        web_server.build(site.web)


_RANK: dict[Role, int] = {"viewer": 0, "member": 1, "lead": 2, "admin": 3}


@pytest.mark.parametrize("role", ["viewer", "member", "lead", "admin"])
async def test_R146_a_role_below_what_the_action_needs_is_403(site: Site, role: Role) -> None:
    person = await site.person("ada", role)
    await site.person("root", "admin")
    for method, path, action in SAFE_ROUTES + UNSAFE_ROUTES:
        if action in {PUBLIC, "ingest"} or path in {"/api/v1/stream", "/api/v1/logout", "/logout"}:
            continue
        too_low = _RANK[role] < _RANK[NEEDS[action].role]
        before = await site.db.read(_contents) if too_low else None
        status = await _status(person.http, method, path, json={} if method in UNSAFE else None)
        if too_low and path.startswith("/api/"):
            assert status == 403, (method, path)
        elif not too_low:
            assert status != 403 or action == "change_own_account", (method, path)
        assert before in (None, await site.db.read(_contents)), (method, path)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("read", {"/api/v1/me": 200, "/api/v1/users": 403}),
        ("claim", {"/api/v1/me": 200, "/api/v1/users": 403}),
        ("admin", {"/api/v1/me": 200, "/api/v1/users": 200}),
        ("ingest", {"/api/v1/me": 403, "/api/v1/users": 403}),
    ],
)
async def test_R148_a_scope_narrows_what_a_token_may(site: Site, scope: Scope, allowed: dict[str, int]) -> None:
    await site.account("root", "admin")
    program = await site.program("root", (scope,))
    assert {path: await _status(program, "GET", path) for path in allowed} == allowed


async def test_R148_a_token_with_scope_read_changes_nothing(site: Site) -> None:
    await site.account("root", "admin")
    program = await site.program("root", ("read",))
    before = await site.db.read(_contents)
    for method, path, _action in UNSAFE_ROUTES:
        if path not in {
            "/api/v1/login",
            "/api/v1/logout",
            "/logout",
            "/api/v1/tasks/query",
            "/ui/rows",
            "/ui/columns",
            "/wall/token",
        }:
            assert await _status(program, method, path, json={}) == 403, (method, path)
    assert await site.db.read(_contents) == before


async def test_R155_every_answer_has_the_headers(site: Site) -> None:
    ada = await site.person("ada", "viewer")
    extra = [
        ("GET", "/nope"),
        ("GET", "/api/v1/nope"),
        ("PUT", "/healthz"),
        ("GET", "//"),
        ("GET", "/%ff"),
        ("OPTIONS", "/healthz"),
    ]
    for method, path in [(method, path) for method, path, _action in SAFE_ROUTES + UNSAFE_ROUTES] + extra:
        if path == "/api/v1/stream":
            continue
        async with ada.http.request(method, path, json={} if method in UNSAFE else None) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"] == _CSP, (method, path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store" or "/static/" in path
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers


async def test_R166_a_mistake_of_ours_is_told_by_an_id_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await site.person("ada")

    def broken(_conn: Connection, _name: str) -> None:
        raise RuntimeError("SELECT secret FROM users /home/x")

    monkeypatch.setattr("taskdash.store.accounts.sessions_of", broken)
    async with ada.http.get("/api/v1/me/sessions") as answer:
        text = await answer.text()
        assert answer.status == 500
        assert answer.content_type == "application/problem+json"
    assert "SELECT" not in text
    assert "/home" not in text
    assert re.search(r"[0-9a-f]{12}", json.loads(text)["detail"])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/handover", "to"),
        ("/tasks/a/transfer", "service_id"),
        ("/tasks/bulk", "action"),
        ("/services", "id"),
        ("/services/a/pause", "reason"),
        ("/users", "name"),
        ("/groups", "id"),
        ("/views", "name"),
        ("/tokens", "name"),
    ],
)
async def test_a_required_field_that_is_absent_is_named_by_the_problem(site: Site, path: str, field: str) -> None:
    root = await site.person("root", "admin")
    async with root.http.post(f"/api/v1{path}", json={}) as answer:
        problem = await answer.json()
    assert (answer.status, problem["field"]) == (422, field)


@pytest.mark.parametrize("path", ["/services", "/tasks/query", "/handover"])
@pytest.mark.parametrize("number", ["1e999", "18446744073709551616", "NaN"])
async def test_R63_a_number_that_nobody_can_hold_is_refused_by_the_api(site: Site, path: str, number: str) -> None:
    root = await site.person("root", "admin")
    body = f'{{"id":"a","later":{{"x":{number}}}}}'
    async with root.http.post(f"/api/v1{path}", data=body, headers={"Content-Type": "application/json"}) as answer:
        problem = await answer.json()
    assert (answer.status, problem["field"], problem["errid"]) == (400 if number == "NaN" else 422, "later.x", 1000)
    assert "later.x" in problem["detail"]


async def test_a_page_of_another_version_gets_our_files_and_no_browser_keeps_them(site: Site) -> None:
    ours, theirs = static.href("app.js"), "/static/0123456789/app.js"
    bodies = []
    for path, kept in ((ours, static.FOREVER), (theirs, "no-store")):
        async with site.client().get(path) as answer:
            assert answer.headers.getall("Cache-Control") == [kept]
            bodies.append(await answer.read())
    assert bodies[0] == bodies[1]
    async with site.client().get("/static/0123456789/none.js") as answer:
        assert answer.status == 404
