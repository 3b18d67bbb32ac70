"""Services, incidents and views over HTTP; registration and beat without NSQ. SPEC 3, 7, 8."""

from collections.abc import Sequence

import aiohttp
from msgspec import structs
from sqlalchemy import insert

from taskdash.model.instants import seconds, to_rfc3339
from taskdash.model.records import Incident, Service
from taskdash.store import incidents, senders
from taskdash.store import services as stored_services
from taskdash.store.places import Place
from taskdash.store.tables import clashes
from tests.journeys.api import call, of_id, stored
from tests.journeys.http import Site, a_site
from tests.support import NOW, a_service, a_task

SERVICE_FIELDS = (
    "id name type url description reserved interval_s beats registered_at updated_at last_beat_at archived liveness collect"
)


async def test_a_program_registers_and_beats_by_plain_http_with_an_ingest_token(site: Site) -> None:
    await site.account("robot")
    program = await site.program("robot", ("ingest",))
    asked = {"id": "a/b", "name": "Crawler", "type": "crawl", "reserved": '{"heartbeat_interval": 5}', "future": 1}
    status, service = await call(program, "POST", "/services", asked)
    assert status == 200
    assert " ".join(service) == SERVICE_FIELDS
    assert (service["id"], service["interval_s"], service["liveness"]["state"], service["last_beat_at"]) == (
        "a/b",
        5,
        "new",
        None,
    )
    assert service["beats"] == [None] * 30
    assert (await call(program, "PUT", f"/services/{of_id('a/b')}/heartbeat"))[0] == 204
    assert (await call(program, "PUT", f"/services/{of_id('a/b')}/heartbeat", {"reserved": ""}))[0] == 204
    assert (await call(program, "GET", "/services"))[0] == 403
    viewer = (await site.person("vic", "viewer")).http
    _status, seen = await call(viewer, "GET", f"/services/{of_id('a/b')}")
    assert seen["liveness"]["state"] == "up"
    assert seen["beats"][-1] is True
    assert (await call(viewer, "POST", "/services", asked))[0] == 403
    assert (await call(viewer, "PUT", f"/services/{of_id('a/b')}/heartbeat"))[0] == 403


async def test_a_beat_of_an_unknown_id_is_404_and_listed_as_a_sender(site: Site) -> None:
    await site.account("robot")
    program = await site.program("robot", ("ingest",))
    status, problem = await call(program, "PUT", "/services/ghost/heartbeat")
    assert (status, problem["status"]) == (404, 404)
    assert [each.id for each in await site.db.read(senders.page)] == ["ghost"]
    for body, field in (({"id": "other"}, "id"), ({"reserved": 7}, "reserved"), ({"reserved": "x" * 9_000}, "reserved")):
        status, problem = await call(program, "PUT", "/services/ghost/heartbeat", body)
        assert (status, problem["field"]) == (422, field)


async def test_a_registration_that_breaks_a_rule_is_refused_by_name(site: Site) -> None:
    await site.account("robot")
    program = await site.program("robot", ("ingest",))
    for body, field in (
        ({"id": 133}, "id"),
        ({"name": "no id"}, None),
        ({"id": " x"}, "id"),
        ({"id": "x", "url": "javascript:alert(1)"}, "url"),
        ({"id": "x", "name": "n" * 257}, "name"),
    ):
        status, problem = await call(program, "POST", "/services", body)
        assert (status, problem["errid"]) == (422, 1000)
        assert field is None or problem["field"] == field


async def test_services_are_listed_worst_first_by_pages_with_filters(site: Site) -> None:
    states = {"d": "down", "l": "late", "u": "unknown", "n": "new", "p": "up", "q": "up"}
    await stored(site, *(a_service(id=key, state=state, name=f"name {key}") for key, state in states.items()))
    await stored(site, a_service(id="old", archived_at=NOW, state="left"))
    http = (await site.person("ada")).http
    _status, body = await call(http, "GET", "/services")
    assert [each["id"] for each in body["items"]] == list("dlunpq")
    paged, query = [], "?limit=4"
    while query:
        _status, body = await call(http, "GET", f"/services{query}")
        paged += [each["id"] for each in body["items"]]
        query = f"?limit=4&cursor={body['next']}" if body["next"] else ""
    assert paged == list("dlunpq")
    for wanted, expected in (
        ("state=down", ["d"]),
        ("liveness=up", ["p", "q"]),
        ("q=name l", ["l"]),
        ("archived=true", ["old"]),
    ):
        _status, body = await call(http, "GET", f"/services?{wanted}")
        assert [each["id"] for each in body["items"]] == expected, wanted
    for wrong, status in (("state=dead", 422), ("limit=0", 422), ("cursor=xx", 400)):
        assert (await call(http, "GET", f"/services?{wrong}"))[0] == status


async def test_a_lead_pauses_resumes_archives_and_collects_and_a_member_does_not(place: Place) -> None:
    asked: list[str] = []

    async def collect_now(keys: Sequence[str]) -> None:
        asked.extend(keys)

    async with a_site(place, collect_now=collect_now) as site:
        await stored(site, a_service(id="s", url="http://localhost:9/x"), a_service(id="t"))
        member, lead = (await site.person("ada")).http, (await site.person("lea", "lead")).http
        for act in ("collect", "pause", "resume", "archive"):
            status, _problem = await call(member, "POST", f"/services/s/{act}", {"reason": "x"})
            assert status == 403, act
        until = to_rfc3339(site.web.clock.now() + seconds(600))
        _status, service = await call(lead, "POST", "/services/s/pause", {"reason": "upgrade", "until": until})
        liveness = service["liveness"]
        assert (liveness["state"], liveness["reason"], liveness["until"]) == ("paused", "upgrade", until)
        assert liveness["last_known"] == "up"
        status, problem = await call(lead, "POST", "/services/s/pause", {"reason": " "})
        assert (status, problem["field"]) == (422, "reason")
        status, problem = await call(lead, "POST", "/services/s/pause", {"reason": "x", "until": "2001-01-01T00:00:00Z"})
        assert (status, problem["field"]) == (422, "until")
        _status, service = await call(lead, "POST", "/services/s/resume")
        assert service["liveness"]["state"] != "paused"
        _status, service = await call(lead, "POST", "/services/s/archive")
        assert service["archived"] is True
        assert (await call(lead, "POST", "/services/s/collect"))[0] == 200
        assert asked == ["s"]
        assert (await call(lead, "POST", "/services/t/collect"))[0] == 422
        assert (await call(lead, "POST", "/services/nope/pause", {"reason": "x"}))[0] == 404
        assert (await call(lead, "DELETE", "/services/s"))[0] == 403
        root = (await site.person("root", "admin")).http
        assert (await call(root, "DELETE", "/services/s"))[0] == 204
        assert (await call(root, "GET", "/services/s"))[0] == 404
        _status, page = await call(root, "GET", "/events?subject=service:s&kind=service.paused")
        assert [each["after"]["reason"] for each in page["items"]] == ["upgrade"]


async def test_a_service_shows_its_beats_its_collection_and_both_sides_of_a_clash(site: Site) -> None:
    now = site.web.clock.now()
    await stored(
        site,
        a_service(id="owner", last_beat_at=now, beat_bits=0b101, beat_known=0b111, collect_ok=False, collect_error="refused"),
        a_service(id="other", collect_problems=({"id": "9", "problem": "name is a number"},)),
        a_task(id="1", service_id="owner"),
    )
    await site.db.write(lambda conn: conn.execute(insert(clashes), [{"task_id": "1", "service_id": "other", "at": NOW}]))
    http = (await site.person("ada")).http
    _status, owner = await call(http, "GET", "/services/owner")
    assert owner["beats"][-4:] == [None, True, False, True]
    assert (owner["collect"]["ok"], owner["collect"]["error"], owner["collect"]["tasks"]) == (False, "refused", 1)
    assert owner["collect"]["problems"] == [{"id": "1", "problem": "the service other reports this id too"}]
    _status, other = await call(http, "GET", "/services/other")
    assert [each["id"] for each in other["collect"]["problems"]] == ["9", "1"]
    assert "owner" in other["collect"]["problems"][1]["problem"]


async def _an_incident(site: Site, **fields: object) -> Incident:
    known = Incident(id="in-1", kind="down", cause="nsq", opened_at=NOW, sentence="s is down", services=("s",))
    made = structs.replace(known, **fields)
    await site.db.write(lambda conn: incidents.save(conn, [made]))
    return made


async def test_an_incident_counts_its_tasks_and_is_acknowledged_by_a_member(site: Site) -> None:
    await stored(
        site, a_service(id="s", state="down"), a_task(id="1", service_id="s"), a_task(id="2", service_id="s", user="ada")
    )
    await _an_incident(site)
    await _an_incident(site, id="in-2", cause="other", state="resolved", opened_at=NOW + 1, services=())
    viewer, ada = (await site.person("vic", "viewer")).http, (await site.person("ada")).http
    _status, body = await call(viewer, "GET", "/incidents")
    assert [each["id"] for each in body["items"]] == ["in-2", "in-1"]
    assert (body["items"][1]["tasks"], body["items"][1]["unowned"], body["items"][1]["services"]) == (2, 1, ["s"])
    _status, body = await call(viewer, "GET", "/incidents?state=open&kind=down&service=s")
    assert [each["id"] for each in body["items"]] == ["in-1"]
    assert (await call(viewer, "GET", "/incidents?state=bad"))[0] == 422
    assert (await call(viewer, "POST", "/incidents/in-1/acknowledge"))[0] == 403
    _status, shown = await call(ada, "POST", "/incidents/in-1/acknowledge")
    assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "ada")
    assert (await call(ada, "POST", "/incidents/nope/acknowledge"))[0] == 404


async def test_incidents_come_by_pages(site: Site) -> None:
    for n in range(5):
        await _an_incident(site, id=f"in-{n}", cause=f"{n}", opened_at=NOW + n, services=())
    http = (await site.person("ada")).http
    found, query = [], "?limit=2"
    while query:
        _status, body = await call(http, "GET", f"/incidents{query}")
        found += [each["id"] for each in body["items"]]
        query = f"?limit=2&cursor={body['next']}" if body["next"] else ""
    assert found == ["in-4", "in-3", "in-2", "in-1", "in-0"]


async def test_views_are_ones_own_or_a_groups(site: Site) -> None:
    ada = (await site.person("ada", "member", ("pay",))).http
    bob = (await site.person("bob", "member", ("pay",))).http
    eve = (await site.person("eve", "lead", ("mx",))).http

    async def names(http: aiohttp.ClientSession) -> list[str]:
        return [each["name"] for each in (await call(http, "GET", "/views"))[1]["items"]]

    status, own = await call(ada, "POST", "/views", {"name": "Mine", "query": "?user=me&status=failed"})
    assert (status, own["query"], own["user"]) == (201, "user=me&status=failed", "ada")
    _status, shared = await call(ada, "POST", "/views", {"name": "Night", "query": "at_risk=true", "group_id": "pay"})
    assert await names(ada) == ["Mine", "Night"]
    assert await names(bob) == ["Night"]
    assert await names(eve) == []
    assert (await call(bob, "DELETE", f"/views/{shared['id']}"))[0] == 403
    assert (await call(eve, "DELETE", f"/views/{shared['id']}"))[0] == 404
    assert (await call(bob, "DELETE", f"/views/{own['id']}"))[0] == 404
    assert (await call(ada, "DELETE", f"/views/{own['id']}"))[0] == 204
    assert await names(ada) == ["Night"]
    for body, status in (
        ({"name": "", "query": ""}, 422),
        ({"name": "x"}, 422),
        ({"name": "x", "query": "a\nb"}, 422),
        ({"name": "x", "query": "", "group_id": "mx"}, 403),
    ):
        assert (await call(ada, "POST", "/views", body))[0] == status


async def test_a_service_of_ten_thousand_characters_is_shown_whole(site: Site) -> None:
    long = "描" * 8_192
    await stored(site, a_service(id="s", description=long))
    http = (await site.person("ada")).http
    _status, service = await call(http, "GET", "/services/s")
    assert service["description"] == long
    known: Service | None = await site.db.read(lambda conn: stored_services.load(conn, "s"))
    assert known is not None
