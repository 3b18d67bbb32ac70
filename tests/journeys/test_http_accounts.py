"""Users, groups, tokens over HTTP. SPEC 6, 8."""

from typing import Any

import aiohttp
import pytest

from taskdash.store import accounts
from tests.journeys.http import PASSWORD, Person, Site


async def _call(client: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with client.request(method, f"/api/v1{path}", json=body) as answer:
        return answer.status, await answer.json() if answer.content_length else None


@pytest.fixture
async def root(site: Site) -> Person:
    return await site.person("root", "admin")


async def test_an_admin_adds_a_group_and_a_person_who_can_sign_in(site: Site, root: Person) -> None:
    assert await _call(root.http, "POST", "/groups", {"id": "mx", "name": "Mixed"}) == (
        201,
        {"id": "mx", "name": "Mixed", "members": []},
    )
    status, made = await _call(root.http, "POST", "/users", {"name": "ada", "role": "lead", "groups": ["mx"]})
    assert (status, made["name"], made["role"], made["groups"]) == (201, "ada", "lead", ["mx"])
    client = site.client()
    status, _body = await _call(client, "POST", "/login", {"user": "ada", "password": made["password"]})
    assert status == 200
    assert (await _call(client, "GET", "/me"))[1]["must_change_password"] is True
    assert (await _call(root.http, "GET", "/groups"))[1] == {
        "items": [{"id": "mx", "name": "Mixed", "members": ["ada"]}],
        "next": None,
    }
    assert [user["name"] for user in (await _call(root.http, "GET", "/users"))[1]["items"]] == ["ada", "root"]


async def test_a_password_that_was_given_is_not_told_again(root: Person) -> None:
    wanted = {"name": "ada", "role": "viewer", "password": PASSWORD}
    status, made = await _call(root.http, "POST", "/users", wanted)
    assert (status, made["password"]) == (201, None)


async def test_the_banner_goes_when_the_password_is_changed(site: Site, root: Person) -> None:
    _status, made = await _call(root.http, "POST", "/users", {"name": "ada", "role": "viewer"})
    client = site.client()
    _status, signed_in = await _call(client, "POST", "/login", {"user": "ada", "password": made["password"]})
    client.headers["X-CSRF-Token"] = signed_in["csrf_token"]
    assert await _call(client, "POST", "/me/password", {"old": made["password"], "new": PASSWORD}) == (204, None)
    assert (await _call(client, "GET", "/me"))[1]["must_change_password"] is False


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "a\tb", "role": "viewer"}, 422, "name"),
        ({"name": "", "role": "viewer"}, 422, "name"),
        ({"name": "me", "role": "viewer"}, 422, "name"),
        ({"name": "bob", "role": "king"}, 422, "role"),
        ({"name": "bob"}, 422, "role"),
        ({"name": 133, "role": "viewer"}, 422, "name"),
        ({"name": None, "role": "viewer"}, 422, "name"),
        ({"name": "bob", "role": "viewer", "groups": ["no"]}, 422, "groups"),
        ({"name": "bob", "role": "viewer", "groups": "no"}, 422, "groups"),
        ({"name": "bob", "role": "viewer", "password": "short"}, 422, "password"),
        ({"name": "root", "role": "viewer"}, 409, "name"),
    ],
)
async def test_a_wrong_account_is_refused_by_field(root: Person, body: Any, status: int, field: str | None) -> None:
    answered, problem = await _call(root.http, "POST", "/users", body)
    assert (answered, problem.get("field")) == (status, field)
    assert problem["detail"]


async def test_unknown_fields_are_ignored(root: Person) -> None:
    assert (await _call(root.http, "POST", "/users", {"name": "ada", "role": "viewer", "later": [1]}))[0] == 201


async def test_a_member_changes_their_own_absence_and_language_and_nothing_else(site: Site, root: Person) -> None:
    ada = await site.person("ada")
    change = {"away_until": "2030-01-02T03:04:05+01:00", "language": "zh-CN"}
    status, shown = await _call(ada.http, "PATCH", "/users/ada", change)
    assert (status, shown["away_until"], shown["language"]) == (200, "2030-01-02T02:04:05.000Z", "zh-CN")
    assert (await _call(ada.http, "PATCH", "/users/ada", {"away_until": None}))[1]["away_until"] is None
    for path, body in (
        ("/users/ada", {"role": "admin"}),
        ("/users/ada", {"password": PASSWORD}),
        ("/users/ada", {"groups": []}),
        ("/users/ada", {"disabled": False, "language": "en"}),
        ("/users/root", {"language": "en"}),
    ):
        assert (await _call(ada.http, "PATCH", path, body))[0] == 403, body
    for body in ({"away_until": "tomorrow"}, {"language": "tlh"}):
        assert (await _call(ada.http, "PATCH", "/users/ada", body))[0] == 422


async def test_the_last_admin_cannot_be_disabled_or_demoted(root: Person) -> None:
    for body in ({"disabled": True}, {"role": "lead"}):
        assert (await _call(root.http, "PATCH", "/users/root", body))[0] == 409
    assert (await _call(root.http, "GET", "/me"))[1]["role"] == "admin"


async def test_an_unknown_user_is_404(root: Person) -> None:
    assert (await _call(root.http, "PATCH", "/users/nobody", {"role": "lead"}))[0] == 404
    assert (await _call(root.http, "PATCH", "/groups/nothing", {"name": "x"}))[0] == 404


async def test_a_name_with_a_slash_is_reached_percent_encoded(root: Person) -> None:
    assert (await _call(root.http, "POST", "/users", {"name": "a/b", "role": "viewer"}))[0] == 201
    status, shown = await _call(root.http, "PATCH", "/users/a%2Fb", {"role": "member"})
    assert (status, shown["name"], shown["role"]) == (200, "a/b", "member")


async def test_R148_a_token_is_told_once_works_and_ends_when_revoked(site: Site) -> None:
    ada = await site.person("ada")
    status, made = await _call(ada.http, "POST", "/tokens", {"name": "ci"})
    assert (status, made["user"], made["role"], made["scopes"]) == (201, "ada", "member", [])
    program = site.client({"Authorization": f"Bearer {made['token']}"})
    assert (await _call(program, "GET", "/me"))[1]["csrf_token"] is None
    listed = (await _call(ada.http, "GET", "/tokens"))[1]["items"]
    assert [(each["id"], each["name"]) for each in listed] == [(made["id"], "ci")]
    assert "token" not in listed[0]
    assert (await _call(ada.http, "PATCH", f"/tokens/{made['id']}", {"revoked": False}))[0] == 422
    status, shown = await _call(ada.http, "PATCH", f"/tokens/{made['id']}", {"revoked": True})
    assert status == 200
    assert shown["revoked_at"]
    assert (await _call(program, "GET", "/me"))[0] == 401


async def test_R148_last_use_is_noted(site: Site) -> None:
    await site.account("ada")
    program = await site.program("ada")
    await _call(program, "GET", "/me")
    await site.server._note_use()
    assert [token.last_used_at is not None for token in await site.db.read(accounts.tokens_of)] == [True]


async def test_R148_an_expired_token_is_401(site: Site) -> None:
    await site.account("ada")
    program = await site.program("ada", days=1)
    assert (await _call(program, "GET", "/me"))[0] == 200
    await site.db.write(lambda c: c.exec_driver_sql("UPDATE tokens SET expires_at = 1"))
    site.server.app.state.identities.forget()
    assert (await _call(program, "GET", "/me"))[0] == 401


async def test_R148_a_token_falls_with_its_user(site: Site, root: Person) -> None:
    await site.account("ada", "lead")
    program = await site.program("ada")
    await _call(root.http, "PATCH", "/users/ada", {"role": "viewer"})
    assert (await _call(program, "GET", "/me"))[1]["role"] == "viewer"
    await _call(root.http, "PATCH", "/users/ada", {"disabled": True})
    assert (await _call(program, "GET", "/me"))[0] == 401


async def test_tokens_of_others_are_for_admins(site: Site, root: Person) -> None:
    ada, bob = await site.person("ada"), await site.person("bob")
    _status, made = await _call(ada.http, "POST", "/tokens", {"name": "ci"})
    assert (await _call(bob.http, "GET", "/tokens"))[1]["items"] == []
    assert (await _call(bob.http, "DELETE", f"/tokens/{made['id']}"))[0] == 404
    assert (await _call(bob.http, "POST", "/tokens", {"name": "x", "user": "ada"}))[0] == 403
    assert [each["user"] for each in (await _call(root.http, "GET", "/tokens"))[1]["items"]] == ["ada"]
    assert (await _call(root.http, "DELETE", f"/tokens/{made['id']}"))[0] == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "role": "admin"}, "role"),
        ({"name": "x", "scopes": ["all"]}, None),
        ({"name": "x", "days": -1}, "days"),
        ({"name": "x", "days": "7"}, "days"),
        ({"name": "x", "days": 10**30}, "days"),
        ({"name": ""}, "name"),
    ],
)
async def test_a_wrong_token_is_422(site: Site, body: Any, field: str | None) -> None:
    ada = await site.person("ada")
    status, problem = await _call(ada.http, "POST", "/tokens", body)
    assert status == 422
    assert field is None or problem["field"] == field


async def test_R148_a_bad_crc_never_asks_the_store(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.account("ada")
    text = await site.token("ada")
    asked: list[str] = []
    known = accounts.token_by_digest
    monkeypatch.setattr(
        "taskdash.store.accounts.token_by_digest", lambda conn, digest: asked.append(digest) or known(conn, digest)
    )
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert (await _call(site.client({"Authorization": f"Bearer {wrong}"}), "GET", "/me"))[0] == 401
    assert asked == []
    assert (await _call(site.client({"Authorization": f"Bearer {text}"}), "GET", "/me"))[0] == 200
    assert len(asked) == 1


@pytest.mark.parametrize(("path", "key"), [("/users", "name"), ("/groups", "id"), ("/tokens", "id")])
async def test_accounts_groups_and_tokens_come_in_pages_that_hold_each_once(site: Site, path: str, key: str) -> None:
    root = await site.person("root", "admin", ("g0",))
    for n in range(1, 5):
        await site.account(f"user{n}", "member", (f"g{n}",))
        await site.token(f"user{n}")
    await site.token("root")
    whole = (await _call(root.http, "GET", path))[1]["items"]
    assert len(whole) == 5
    seen, cursor = [], ""
    for _ in range(3):
        page = (await _call(root.http, "GET", f"{path}?limit=2&cursor={cursor}"))[1]
        seen, cursor = [*seen, *page["items"]], page["next"]
    assert cursor is None
    assert [item[key] for item in seen] == [item[key] for item in whole]
    assert (await _call(root.http, "GET", f"{path}?limit=0"))[0] == 422
    assert (await _call(root.http, "GET", f"{path}?cursor=nonsense"))[0] == 400
