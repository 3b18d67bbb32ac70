"""Claim, release, assign, bulk, hand-over over real sockets: who wins, who is told what. SPEC 6, 8; R5."""

import asyncio
import random
from typing import Any

import aiohttp

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.model.instants import seconds, to_rfc3339
from taskdash.model.records import SYSTEM
from taskdash.store import events, tasks
from taskdash.store.places import Place
from tests.journeys.api import call, ids, stored
from tests.journeys.http import Site, a_site
from tests.support import a_service, a_task


async def _claim(http: aiohttp.ClientSession, key: str, body: Any = None) -> tuple[int, Any]:
    return await call(http, "POST", f"/tasks/{key}/claim", body)


async def test_of_two_claims_at_one_moment_one_wins_and_the_other_is_told_who_and_since_when(site: Site) -> None:
    await stored(site, a_task(id="1"))
    ada, bob = await site.person("ada"), await site.person("bob")
    (won, task), (lost, problem) = sorted(
        await asyncio.gather(_claim(ada.http, "1"), _claim(bob.http, "1")), key=lambda a: a[0]
    )
    assert (won, lost) == (200, 409)
    assert problem["holder"]["user"] == task["user"]
    assert problem["holder"]["since"] == task["updated_at"]
    assert problem["task"] == task
    assert task["user"] in problem["detail"]


async def test_R5_200_claims_of_50_tasks_by_16_people_have_50_winners_and_every_loser_knows_who_won(site: Site) -> None:
    keys = [f"t{n}" for n in range(50)]
    await stored(site, *(a_task(id=key) for key in keys))
    people = [await site.person(f"p{n:02}") for n in range(16)]
    chance = random.Random(7)
    tries = [(chance.choice(people), key) for key in keys for _ in range(4)]
    chance.shuffle(tries)
    answers = await asyncio.gather(*(_claim(person.http, key) for person, key in tries))
    winners = {key: body["user"] for (_person, key), (status, body) in zip(tries, answers, strict=True) if status == 200}
    assert len(winners) == 50
    for (person, key), (status, body) in zip(tries, answers, strict=True):
        if status == 200:
            assert body["user"] == person.name == winners[key]
        else:
            assert (status, body["holder"]["user"]) == (409, winners[key])
    stored_now = await site.db.read(lambda conn: tasks.load_many(conn, keys))
    assert {key: task.user for key, task in stored_now.items()} == winners
    assert {task.version for task in stored_now.values()} == {2}
    told = await site.db.read(lambda conn: events.page(conn, kind="task.claimed", limit=500))
    assert {event.subject_id: event.actor_id for event in told} == winners
    assert len(told) == 50


async def test_claiming_what_i_hold_is_fine_and_writes_nothing(site: Site) -> None:
    await stored(site, a_task(id="1"))
    http = (await site.person("ada")).http
    _status, first = await _claim(http, "1", {"version": 1})
    assert (await _claim(http, "1"))[1] == first
    assert first["version"] == 2
    until = to_rfc3339(site.web.clock.now() + seconds(3_600))
    assert (await _claim(http, "1", {"until": until}))[1]["until"] == until


async def test_who_may_not_is_told_so_and_what_is_not_there_is_not_found(site: Site) -> None:
    await stored(site, a_task(id="1"), a_task(id="2", group_id="pay"), a_task(id="3", user="bob"))
    viewer, ada = (await site.person("vic", "viewer")).http, (await site.person("ada")).http
    assert (await _claim(viewer, "1"))[0] == 403
    status, problem = await _claim(ada, "2")
    assert status == 403
    assert "pay" in problem["detail"]
    status, problem = await _claim(ada, "nope")
    assert (status, problem["errid"]) == (404, 1002)
    assert (await call(ada, "POST", "/tasks/3/release"))[0] == 403
    assert (await call(ada, "POST", "/tasks/1/assign", {"user": "ada", "version": 1}))[0] == 403
    assert (await call(ada, "DELETE", "/tasks/1"))[0] == 403
    assert (await call(ada, "POST", "/tasks/1/transfer", {"service_id": "x"}))[0] == 403
    reader = await site.program("ada", ("read",))
    assert (await _claim(reader, "1"))[0] == 403


async def test_a_wrong_field_is_named_and_an_old_version_loses(site: Site) -> None:
    await stored(site, a_task(id="1", user="bob", group_id="pay", user_since=site.web.clock.now(), version=5))
    await site.account("bob")
    lead = (await site.person("lea", "lead", ("pay",))).http

    async def assign(body: Any) -> tuple[int, Any]:
        return await call(lead, "POST", "/tasks/1/assign", body)

    status, problem = await assign({"user": "lea"})
    assert (status, problem["field"]) == (428, "version")
    status, problem = await assign({"user": "lea", "version": 4})
    assert (status, problem["holder"]["user"], problem["task"]["version"]) == (409, "bob", 5)
    for body, field in (
        ({"user": "nobody-known", "version": 5}, "user"),
        ({"user": 7, "version": 5}, "user"),
        ({"user": "lea", "version": "5"}, "version"),
        ({"until": "tomorrow", "version": 5}, "until"),
        ({"until": "2020-01-01T00:00:00Z", "version": 5}, "until"),
        ({"note": "x" * 9_000, "version": 5}, "note"),
    ):
        status, problem = await assign(body)
        assert (status, problem["field"], problem["errid"]) == (422, field, 1000), body
    assert (await assign({"user": "lea", "version": 5}))[1]["user"] == "lea"
    async with lead.post("/api/v1/tasks/1/assign", data=b"{nope", headers={"content-type": "application/json"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["errid"]) == (400, 1000)


async def test_assign_sets_user_and_group_each_alone_and_history_tells_it_with_note_and_channel(site: Site) -> None:
    await stored(site, a_task(id="1"))
    await site.account("ada", groups=("pay",))
    await site.account("lea", "lead", ("pay",))
    lead = await site.program("lea")
    _status, task = await call(lead, "POST", "/tasks/1/assign", {"group_id": "pay", "version": 1})
    assert (task["group_id"], task["user"], task["version"]) == ("pay", "", 2)
    wish = {"user": "ada", "version": 2, "pin": True, "note": "month end"}
    _status, task = await call(lead, "POST", "/tasks/1/assign", wish)
    assert (task["user"], task["group_id"], task["pinned"], task["version"]) == ("ada", "pay", True, 3)
    _status, task = await call(lead, "POST", "/tasks/1/assign", {"user": "", "version": 3})
    assert (task["user"], task["group_id"]) == ("", "pay")
    _status, page = await call(lead, "GET", "/tasks/1/events")
    told = [(e["kind"], e["channel"], e["actor"]["id"], e["evidence"]) for e in page["items"] if e["kind"] != "task.registered"]
    assert told == [
        ("task.released", "api", "lea", ""),
        ("task.assigned", "api", "lea", "month end"),
        ("task.assigned", "api", "lea", ""),
    ]
    assert page["items"][1]["before"] == {"user": "", "pinned": False, "version": 2}
    assert page["items"][1]["after"] == {"user": "ada", "pinned": True, "version": 3}


async def test_bulk_answers_for_each_id_what_one_call_would_have_said(site: Site) -> None:
    await stored(site, a_task(id="1"), a_task(id="2", user="bob"), a_task(id="3"), a_task(id="4", group_id="mx"))
    ada = (await site.person("ada")).http
    items = [{"id": "1", "version": 1}, {"id": "2"}, {"id": "3", "version": 9}, {"id": "4"}, {"id": "nope"}]
    status, body = await call(ada, "POST", "/tasks/bulk", {"action": "claim", "items": items})
    assert (status, body["done"]) == (200, 1)
    results = {each["id"]: each for each in body["results"]}
    assert results["1"] == {"id": "1", "ok": True, "version": 2}
    assert [results[key]["status"] for key in ("2", "3", "4", "nope")] == [409, 409, 403, 404]
    assert results["2"]["holder"]["user"] == "bob"
    assert [each["id"] for each in body["results"]] == ["1", "2", "3", "4", "nope"]


async def test_bulk_by_filter_refuses_another_count_and_changes_nothing(site: Site) -> None:
    await stored(site, *(a_task(id=f"{n}", status="failed") for n in range(5)))
    ada = (await site.person("ada")).http
    wanted = {"action": "claim", "filter": {"status": "failed", "user": "none"}, "expected": 4}
    status, problem = await call(ada, "POST", "/tasks/bulk", wanted)
    assert status == 409
    assert "5" in problem["detail"]
    assert await ids(ada, "user=me") == []
    status, body = await call(ada, "POST", "/tasks/bulk", wanted | {"expected": 5})
    assert (status, body["done"]) == (200, 5)
    for wrong, field in (
        ({"action": "burn", "items": []}, "action"),
        ({"action": "claim"}, "items"),
        ({"action": "claim", "filter": {}}, "expected"),
        ({"action": "claim", "items": [{"id": f"{n}"} for n in range(1_001)]}, "items"),
        ({"action": "claim", "filter": {"sort": "x", "liveness": "dead"}, "expected": 1}, "liveness"),
    ):
        status, problem = await call(ada, "POST", "/tasks/bulk", wrong)
        assert (status, problem["field"]) == (422, field), wrong


async def test_hand_over_moves_all_that_a_person_holds_with_a_note(site: Site) -> None:
    await stored(site, a_task(id="1", user="ada"), a_task(id="2", user="ada"), a_task(id="3", user="bob"))
    await site.account("bob")
    ada = (await site.person("ada")).http
    status, body = await call(ada, "POST", "/handover", {"from": "ada", "to": "bob", "note": "holiday"})
    assert (status, body["done"]) == (200, 2)
    assert sorted(await ids(ada, "user=bob")) == ["1", "2", "3"]
    _status, page = await call(ada, "GET", "/tasks/1/events")
    assert (page["items"][0]["kind"], page["items"][0]["evidence"]) == ("task.handed_over", "holiday")
    status, problem = await call(ada, "POST", "/handover", {"from": "ada", "to": "ghost"})
    assert (status, problem["field"]) == (422, "to")
    status, body = await call(ada, "POST", "/handover", {"from": "bob", "to": "ada"})
    assert (status, body["done"], {each["status"] for each in body["results"]}) == (200, 0, {403})


async def test_an_admin_transfers_and_deletes_a_task(site: Site) -> None:
    await stored(site, a_service(id="s"), a_task(id="1"))
    root = (await site.person("root", "admin")).http
    status, problem = await call(root, "POST", "/tasks/1/transfer", {"service_id": "t"})
    assert (status, problem["field"]) == (422, "service_id")
    _status, task = await call(root, "POST", "/tasks/1/transfer", {"service_id": "s"})
    assert (task["service_id"], task["liveness"]) == ("s", "up")
    assert (await call(root, "DELETE", "/tasks/1"))[0] == 204
    assert (await call(root, "GET", "/tasks/1"))[0] == 404


async def test_an_idempotency_key_makes_a_repeated_claim_one_claim(site: Site) -> None:
    await stored(site, a_task(id="1"))
    ada = (await site.person("ada")).http
    headers = {"Idempotency-Key": "once"}
    first = await call(ada, "POST", "/tasks/1/claim", {}, headers=headers)
    await call(ada, "POST", "/tasks/1/release")
    assert await call(ada, "POST", "/tasks/1/claim", {}, headers=headers) == first
    assert await ids(ada, "user=me") == []


async def test_what_a_person_holds_is_at_risk_while_they_are_away(site: Site) -> None:
    await stored(site, a_task(id="1", user="bob"))
    await site.account("bob")
    ada = (await site.person("ada")).http
    assert await ids(ada, "at_risk=true") == []
    now = site.web.clock.now()
    away = UserChange(away_until=now + seconds(3_600))
    await site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, "bob", away, now))
    _status, body = await call(ada, "GET", "/tasks?at_risk=true")
    assert [(task["id"], [why["reason"] for why in task["why"]]) for task in body["items"]] == [("1", ["away"])]


async def test_R146_what_may_not_be_seen_is_not_there_also_for_who_may_not_change_it(place: Place) -> None:
    async with a_site(place, visibility="groups") as site:
        await stored(
            site, a_task(id="mine", group_id="mx"), a_task(id="hidden", group_id="pay", service_id="s"), a_service(id="s")
        )
        eve = await site.person("eve", "member", ("mx",))
        for key, status in (("mine", 403), ("hidden", 404), ("nothing", 404)):
            body = {"user": "eve", "version": 1}
            assert (await call(eve.http, "POST", f"/tasks/{key}/assign", body))[0] == status
        for key in ("s", "nothing"):
            assert (await call(eve.http, "POST", f"/services/{key}/pause", {"reason": "x"}))[0] == 404
