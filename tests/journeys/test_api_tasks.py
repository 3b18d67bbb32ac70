"""The task list over HTTP: filters, sorts, cursors, facets, visibility. SPEC 6, 8; R85, R87, R146."""

import re
from typing import Any

import aiohttp
import pytest
from yarl import URL

from taskdash.model.instants import seconds, to_rfc3339
from taskdash.store import tasks
from taskdash.store.places import Place
from tests.journeys.api import call, ids, of_id, stored
from tests.journeys.http import Site, a_site
from tests.support import NOW, a_service, a_task

TASK_FIELDS = (
    "id name url user group_id description status start_time stop_time reserved service_id version pinned until "
    "created_at updated_at status_at stale gone at_risk why liveness schedule"
)


def a_board() -> list[Any]:
    return [
        a_service(id="billing", state="down", since=NOW - seconds(60), evidence="no beat"),
        a_service(id="orders"),
        a_task(id="1", name="日终对账", status="running", service_id="billing", user="ada", group_id="pay", updated_at=NOW + 1),
        a_task(id="2", name="beta", status="failed", service_id="orders", group_id="pay", updated_at=NOW + 2),
        a_task(id="3", name="Alpha", status="waiting", service_id="orders", user="bob", group_id="mx", updated_at=NOW + 3),
        a_task(id="4", name="over tcp", status="finish", description="a long story", updated_at=NOW + 4, schedule="ok"),
        a_task(id="5", name="gone one", service_id="orders", gone_at=NOW, updated_at=NOW + 5),
        a_task(id="6", name="late to work", status="waiting", schedule="should_run", user="ada", updated_at=NOW + 6),
    ]


@pytest.fixture
async def ada(site: Site) -> aiohttp.ClientSession:
    """Somebody who sees the board."""
    await stored(site, *a_board())
    return (await site.person("ada", "member", ("pay",))).http


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "12346"),
        ("status=running", "1"),
        ("status=running&status=failed", "12"),
        ("service=orders", "23"),
        ("service=none", "46"),
        ("user=me", "16"),
        ("user=none", "24"),
        ("user=bob", "3"),
        ("group=pay", "12"),
        ("group=none", "46"),
        ("liveness=down", "1"),
        ("liveness=up&liveness=none", "2346"),
        ("q=对账", "1"),
        ("q=alpha", "3"),
        ("q=long story", "4"),
        ("q=%25", ""),
        ("q=_", ""),
        ('q="*', ""),
        ("stale=true", "1"),
        ("stale=false", "2346"),
        ("at_risk=true", "126"),
        ("at_risk=0", "34"),
        ("gone=true", "5"),
        ("gone=false", "12346"),
        ("schedule=should_run", "6"),
        ("user=me&status=waiting", "6"),
        ("tomorrow=unknown", "12346"),
    ],
)
async def test_every_filter_and_any_two_together_find_their_tasks(
    ada: aiohttp.ClientSession, query: str, expected: str
) -> None:
    assert sorted(await ids(ada, query)) == list(expected)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("risk", "21643"),
        ("updated_at", "12346"),
        ("-updated_at", "64321"),
        ("name", "32641"),
        ("-name", "14623"),
        ("id", "12346"),
        ("-id", "64321"),
        ("status", "24136"),
        ("-status", "63142"),
    ],
)
async def test_every_sort_walks_its_pages_without_gap_or_repeat(ada: aiohttp.ClientSession, sort: str, expected: str) -> None:
    whole = await ids(ada, f"sort={sort}")
    assert whole == list(expected)
    paged: list[str] = []
    query = f"sort={sort}&limit=2"
    while query:
        _status, body = await call(ada, "GET", f"/tasks?{query}")
        paged += [task["id"] for task in body["items"]]
        query = f"sort={sort}&limit=2&cursor={body['next']}" if body["next"] else ""
    assert paged == whole


async def test_a_task_has_exactly_the_fields_of_the_contract(ada: aiohttp.ClientSession) -> None:
    _status, body = await call(ada, "GET", "/tasks?q=对账")
    (task,) = body["items"]
    assert " ".join(task) == TASK_FIELDS
    assert task["liveness"] == "down"
    assert (task["stale"], task["gone"], task["at_risk"]) == (True, False, True)
    since = to_rfc3339(NOW - seconds(60))
    assert task["why"] == [{"reason": "down", "since": since}, {"reason": "stale", "since": since}]
    assert task["created_at"] == to_rfc3339(NOW)
    assert (task["until"], task["pinned"], task["version"], task["schedule"]) == (None, False, 1, "none")
    status, same = await call(ada, "GET", "/tasks/1")
    assert (status, same) == (200, task)
    _status, other = await call(ada, "GET", "/tasks/4")
    assert other["liveness"] is None


async def test_the_same_names_as_json_find_the_same_tasks(ada: aiohttp.ClientSession) -> None:
    wanted = {"status": ["waiting", "failed"], "user": "none", "at_risk": True, "limit": 10, "sort": "id", "cursor": None}
    status, body = await call(ada, "POST", "/tasks/query", wanted)
    assert status == 200
    assert [task["id"] for task in body["items"]] == ["2"]
    status, body = await call(ada, "POST", "/tasks/query", {"status": {"not": "so"}})
    assert (status, body["field"], body["errid"]) == (422, "status", 1000)


async def test_facets_count_what_the_list_shows_each_without_itself(ada: aiohttp.ClientSession) -> None:
    status, body = await call(ada, "GET", "/tasks/facets")
    assert status == 200
    assert " ".join(body) == "total capped status service user group liveness at_risk unowned stale should_run"
    assert (body["total"], body["capped"]) == (5, False)
    assert {b["value"]: b["count"] for b in body["status"]} == {"waiting": 2, "running": 1, "failed": 1, "finish": 1}
    assert (body["at_risk"], body["unowned"], body["stale"], body["should_run"]) == (3, 2, 1, 1)
    _status, body = await call(ada, "GET", "/tasks/facets?status=waiting")
    assert body["total"] == 2
    assert {b["value"]: b["count"] for b in body["status"]}["running"] == 1
    assert {b["value"]: b["count"] for b in body["user"]} == {"ada": 1, "bob": 1}
    for name, key in (("status", "status"), ("user", "user"), ("group", "group"), ("service", "service")):
        _status, body = await call(ada, "GET", "/tasks/facets?q=a")
        for bucket in body[key]:
            found = await ids(ada, f"q=a&{name}={bucket['value'] or 'none'}")
            assert len(found) == bucket["count"], (name, bucket)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("limit=0", 422, "limit"),
        ("limit=-1", 422, "limit"),
        ("limit=501", 422, "limit"),
        ("limit=1000000000", 422, "limit"),
        ("limit=ten", 422, "limit"),
        ("limit=1&limit=2", 422, "limit"),
        ("sort=unknown", 422, "sort"),
        ("sort=id;drop", 422, "sort"),
        ("liveness=dead", 422, "liveness"),
        ("stale=maybe", 422, "stale"),
        ("q=" + "x" * 257, 422, "q"),
        ("status=" + "x" * 300, 422, "status"),
        ("cursor=AAAA", 400, None),
        ("cursor=" + "x" * 5_000, 400, None),
        ("cursor=%FF", 400, None),
    ],
)
async def test_R85_what_breaks_a_rule_is_named_and_never_guessed(
    ada: aiohttp.ClientSession, query: str, status: int, field: str | None
) -> None:
    got, body = await call(ada, "GET", f"/tasks?{query}")
    assert got == status
    assert body["status"] == status
    assert field is None or body["field"] == field
    assert body["errid"] == 1000


async def test_R85_a_cursor_of_one_order_is_refused_by_another(ada: aiohttp.ClientSession) -> None:
    _status, body = await call(ada, "GET", "/tasks?sort=name&limit=1")
    status, problem = await call(ada, "GET", f"/tasks?sort=id&limit=1&cursor={body['next']}")
    assert (status, problem["errid"]) == (400, 1000)
    status, _problem = await call(ada, "GET", f"/tasks?sort=name&limit=1&cursor={body['next'][:-2]}AA")
    assert status == 400


@pytest.mark.parametrize(
    "key", ["a/b", "a/../b", "..%2F", "%00%2Fx", "日终 对账", "50%", "a?b=c&d#e", "🙂", ".hidden", "tasks"]
)
async def test_R87_an_id_with_any_character_in_the_path_finds_its_task_and_no_other(site: Site, key: str) -> None:
    await stored(site, a_task(id=key), a_task(id="b"), a_task(id="a"))
    http = (await site.person("ada")).http
    status, body = await call(http, "GET", f"/tasks/{of_id(key)}")
    assert (status, body["id"]) == (200, key)
    status, body = await call(http, "POST", f"/tasks/{of_id(key)}/claim")
    assert (status, body["id"], body["user"]) == (200, key, "ada")
    assert await ids(http, "user=ada") == [key]


@pytest.mark.parametrize("key", ["assign", "bulk", "claim", "export", "facets", "query"])
async def test_R87_a_task_whose_id_is_a_word_of_ours_is_reached_by_the_api_and_by_the_link_of_its_page(
    site: Site, key: str
) -> None:
    await stored(site, a_task(id=key, name=f"the task {key}"))
    ada = (await site.person("ada")).http
    path = f"%{ord(key[0]):02X}{key[1:]}"

    def url(text: str) -> URL:
        return URL(site.origin + text, encoded=True)

    async with ada.get(url(f"/api/v1/tasks/{path}")) as answer:
        assert answer.status == 200
        assert (await answer.json())["id"] == key
    async with ada.post(url(f"/api/v1/tasks/{path}/claim"), json={}) as answer:
        assert answer.status == 200
        assert (await answer.json())["user"] == "ada"
    async with ada.get(url(f"/api/v1/tasks/{path}/events")) as answer:
        assert [event["kind"] for event in (await answer.json())["items"]] == ["task.claimed"]
    async with ada.get("/tasks") as answer:
        href = next(iter(re.findall(r'href="(/tasks/[^"?]+)', await answer.text())))
    async with ada.get(url(href)) as answer:
        assert answer.status == 200
        assert f"the task {key}" in await answer.text()


async def test_R87_what_is_no_id_is_not_found(ada: aiohttp.ClientSession) -> None:
    for path in ("/tasks/999", "/tasks/%00", "/tasks/1%2F..", "/tasks/1%E2%80%AE"):
        status, body = await call(ada, "GET", path)
        assert (status, body["errid"]) == (404, 1002), path


async def test_with_visibility_by_groups_lists_facets_and_objects_hide_the_same(place: Place) -> None:
    async with a_site(place, visibility="groups") as site:
        await stored(site, *a_board())
        eve = (await site.person("eve", "member", ("mx",))).http
        assert sorted(await ids(eve, "")) == ["3", "4", "6"]
        _status, body = await call(eve, "GET", "/tasks/facets")
        assert body["total"] == 3
        assert (await call(eve, "GET", "/tasks/1"))[0] == 404
        assert (await call(eve, "POST", "/tasks/2/claim"))[0] == 404
        assert (await call(eve, "GET", "/tasks/1/events"))[0] == 404
        assert (await call(eve, "GET", "/services/billing"))[0] == 404
        assert (await call(eve, "GET", "/services/orders"))[0] == 200
        _status, body = await call(eve, "GET", "/services")
        assert [each["id"] for each in body["items"]] == ["orders"]
        lead = (await site.person("lea", "lead")).http
        assert len(await ids(lead, "")) == 5


async def test_lists_need_a_sign_in(site: Site) -> None:
    for path in ("/tasks", "/tasks/facets", "/tasks/1", "/services", "/events", "/stream", "/incidents", "/views"):
        status, body = await call(site.client(), "GET", path)
        assert (status, body["errid"]) == (401, 1003), path


async def test_a_page_of_one_hundred_tasks_is_cut_at_the_limit(site: Site) -> None:
    await stored(site, *(a_task(id=f"{n:03}") for n in range(100)))
    http = (await site.person("ada")).http
    assert len(await ids(http, "")) == 50
    assert len(await ids(http, "limit=500")) == 100
    await site.db.write(lambda conn: tasks.remove(conn, list(tasks.load_many(conn, ["000"]).values())))
    assert (await call(http, "GET", "/tasks/facets"))[1]["total"] == 99
