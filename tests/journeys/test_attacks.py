"""What was tried against TaskDash with its documents alone, and found: each stays shut. RELIABILITY R142, R146, R148."""

from tests.journeys.api import call
from tests.journeys.http import Site


async def test_R148_who_may_not_register_a_service_makes_no_token_that_may(site: Site) -> None:
    for role, status in (("viewer", 403), ("member", 403), ("lead", 201), ("admin", 201)):
        person = await site.person(f"a-{role}", role)
        assert (await call(person.http, "POST", "/tokens", {"name": "edge", "scopes": ["ingest"]}))[0] == status, role
        assert (await call(person.http, "POST", "/tokens", {"name": "other", "scopes": ["read"]}))[0] == 201


async def test_R146_dead_letters_and_senders_are_not_for_who_sees_only_their_groups(site: Site, closed_site: Site) -> None:
    for of, role, status in ((site, "viewer", 200), (closed_site, "viewer", 403), (closed_site, "lead", 200)):
        person = await of.person(f"b{status}-{role}", role)
        for path in ("/dead-letters", "/senders"):
            assert (await call(person.http, "GET", path))[0] == status
        async with person.http.get("/admin/dead-letters", headers={"Accept": "text/html"}) as page:
            assert page.status == (404 if status == 403 else 200)


async def test_R146_history_tells_of_sessions_and_tokens_only_to_admins_and_of_ones_own(site: Site) -> None:
    other = await site.person("secretive", "member")
    assert (await call(other.http, "POST", "/tokens", {"name": "ci"}))[0] == 201
    await other.http.post("/api/v1/login", json={"user": "secretive", "password": "not the right one"})
    seen: dict[str, set[tuple[str, str]]] = {}
    for role in ("viewer", "lead", "admin"):
        person = await site.person(f"c-{role}", role)
        body = (await call(person.http, "GET", "/events?limit=500"))[1]
        seen[role] = {(str(each["subject"]["type"]), str(each["subject"]["id"])) for each in body["items"]}
    for role in ("viewer", "lead"):
        assert {kind for kind, _id in seen[role]} <= {"user", "group", "session", "system"}
        assert {key for kind, key in seen[role] if kind == "session"} <= {f"c-{role}"}
    assert ("session", "secretive") in seen["admin"]
    assert "token" in {kind for kind, _id in seen["admin"]}


async def test_R142_a_token_is_no_session_also_just_after_its_use(site: Site) -> None:
    person = await site.person("dora", "member")
    token = (await call(person.http, "POST", "/tokens", {"name": "ci"}))[1]["token"]
    stranger = site.client()
    async with stranger.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
    async with stranger.get("/api/v1/me", headers={"Cookie": f"taskdash={token}"}) as answer:
        assert answer.status == 401
