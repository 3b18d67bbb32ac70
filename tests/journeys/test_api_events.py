"""History and the live stream over HTTP: nothing skipped, repeated or out of order. SPEC 8; R6, R52, R85, R132, R147."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec
import pytest

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.clock import ManualClock
from taskdash.feed import MOST_PENDING
from taskdash.model.records import SYSTEM, Event, NewEvent
from taskdash.store import accounts, events
from taskdash.store.places import Place
from taskdash.web import shapes
from taskdash.web import stream as stream_module
from tests.journeys.api import call, stored
from tests.journeys.http import Person, Site, a_site
from tests.support import NOW, a_service, a_task, eventually


def an_event(n: int, **fields: Any) -> NewEvent:
    known = {"at": NOW + n, "kind": "task.changed", "subject_type": "task", "subject_id": f"{n}", "evidence": f"no {n}"}
    return NewEvent(**{**known, **fields})


async def append(site: Site, *new: NewEvent) -> None:
    await site.db.write(lambda conn: events.append(conn, list(new)))


async def table(site: Site) -> list[Event]:
    return await site.db.read(lambda conn: events.after(conn, 0, 100_000))


def as_told(event: Event) -> Any:
    return msgspec.json.decode(msgspec.json.encode(shapes.event(event)))


class Told(msgspec.Struct):
    """One message of the stream: `id` None for a reset or a comment."""

    id: int | None = None
    event: str = ""
    data: Any = None
    comment: str = ""
    retry: int | None = None


async def listen(
    http: aiohttp.ClientSession, path: str = "/api/v1/stream", last_id: int | None = None
) -> AsyncGenerator[Told, None]:
    """The messages of a stream until it ends."""
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    async with http.get(path, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = Told()
        async for raw in answer.content:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if not line:
                yield told
                told = Told()
            elif name == "data":
                told.data = msgspec.json.decode(value)
            elif name == "event":
                told.event = value
            elif name in {"id", "retry"}:
                setattr(told, name, int(value))
            else:
                told.comment = value


async def take(stream: AsyncGenerator[Told, None], n: int) -> list[Told]:
    """The next `n` messages that are events."""
    found: list[Told] = []
    async with asyncio.timeout(20):
        while len(found) < n:
            told = await anext(stream)
            if told.data is not None:
                found.append(told)
    return found


@pytest.fixture
async def ada(site: Site) -> Person:
    """An admin who watches."""
    return await site.person("ada", "admin")


async def test_history_is_newest_first_and_ascending_after_a_seq(site: Site, ada: Person) -> None:
    await append(site, *(an_event(n) for n in range(7)))
    known = await table(site)
    _status, body = await call(ada.http, "GET", "/events")
    assert body["items"] == [as_told(event) for event in reversed(known)]
    assert " ".join(body["items"][0]) == "seq at kind subject actor channel before after evidence"
    _status, body = await call(ada.http, "GET", f"/events?after={known[3].seq}")
    assert [each["seq"] for each in body["items"]] == [event.seq for event in known[4:]]
    for start in ("", "after=0&"):
        found, cursor = [], ""
        while True:
            _status, body = await call(ada.http, "GET", f"/events?{start}limit=3{cursor}")
            found += [each["seq"] for each in body["items"]]
            if not body["next"]:
                break
            cursor = f"&cursor={body['next']}"
        seqs = [event.seq for event in known]
        assert found == (seqs if start else seqs[::-1])


async def test_every_filter_of_history_finds_its_lines(site: Site, ada: Person) -> None:
    await append(
        site,
        an_event(1, kind="task.claimed", actor_type="user", actor_id="bob", channel="web"),
        an_event(2, kind="task.released", actor_type="user", actor_id="bob", channel="api"),
        an_event(3, kind="service.state", subject_type="service", subject_id="a:b", after={"state": "down"}),
    )
    for query, expected in (
        ("kind=task.claimed", ["no 1"]),
        ("kind=task.*", ["no 2", "no 1"]),
        ("subject=task:1", ["no 1"]),
        ("subject=service:a:b", ["no 3"]),
        ("subject=a:b", ["no 3"]),
        ("subject=2", ["no 2"]),
        ("actor=bob", ["no 2", "no 1"]),
        ("actor=bob&channel=web", ["no 1"]),
        ("since=2027-01-15T08:00:00Z&kind=task.*", ["no 2", "no 1"]),
        ("until=2020-01-01T00:00:00Z", []),
        ("kind=nothing", []),
    ):
        _status, body = await call(ada.http, "GET", f"/events?{query}")
        assert [each["evidence"] for each in body["items"]] == expected, query
    for query, field in (("since=yesterday", "since"), ("after=-1", "after"), ("after=x", "after"), ("limit=0", "limit")):
        status, body = await call(ada.http, "GET", f"/events?{query}")
        assert (status, body["field"]) == (422, field), query


async def test_the_history_of_a_task_and_a_service_is_their_own(site: Site, ada: Person) -> None:
    await stored(site, a_task(id="a/b"), a_service(id="s"))
    await append(site, an_event(1, subject_id="a/b"), an_event(2), an_event(3, subject_type="service", subject_id="s"))
    for path, expected in (("/tasks/a%2Fb/events", ["no 1"]), ("/services/s/events", ["no 3"])):
        _status, body = await call(ada.http, "GET", path)
        assert [each["evidence"] for each in body["items"]] == expected
    assert (await call(ada.http, "GET", "/tasks/nope/events"))[0] == 404
    assert (await call(ada.http, "GET", "/services/nope/events"))[0] == 404


async def test_R6_what_happens_is_told_live_with_its_seq_and_no_event_name(site: Site, ada: Person) -> None:
    stream = listen(ada.http)
    first = await anext(stream)
    assert 1_000 <= (first.retry or 0) <= 5_000
    before = (await table(site))[-1].seq
    await append(site, *(an_event(n) for n in range(3)))
    told = await take(stream, 3)
    assert [each.id for each in told] == [before + 1, before + 2, before + 3]
    assert [each.data for each in told] == [as_told(event) for event in (await table(site))[-3:]]
    assert {each.event for each in told} == {""}


async def test_R6_after_and_last_event_id_resume_where_they_say(site: Site, ada: Person) -> None:
    await append(site, *(an_event(n) for n in range(450)))
    known = await table(site)
    for path, last_id, begin in (
        ("/api/v1/stream?after=0", None, 0),
        (f"/api/v1/stream?after={known[9].seq}", None, 10),
        ("/api/v1/stream?after=0", known[-6].seq, len(known) - 5),
    ):
        told = await take(listen(ada.http, path, last_id), len(known) - begin)
        assert [each.data for each in told] == [as_told(event) for event in known[begin:]]


async def test_R6_an_id_too_old_or_never_given_is_a_reset_and_then_goes_on(site: Site, ada: Person) -> None:
    await append(site, *(an_event(n) for n in range(10)))
    newest = (await table(site))[-1].seq
    stream = listen(ada.http, last_id=newest + 1_000)
    (reset,) = await take(stream, 1)
    assert (reset.event, reset.id, reset.data) == ("reset", None, {"oldest": 1, "newest": newest})
    await append(site, an_event(99))
    (told,) = await take(stream, 1)
    assert told.id == newest + 1
    assert (await call(ada.http, "GET", "/stream?after=x"))[0] == 422


async def follow(http: aiohttp.ClientSession, heard: list[Any], cut_after: int) -> None:
    """Add to `heard` what a stream tells that resumes after its last one; cut it after so many."""
    stream = listen(http, "/api/v1/stream?after=0", heard[-1]["seq"] if heard else None)
    async with contextlib.aclosing(stream):
        async for message in stream:
            if message.data is not None:
                assert message.event == ""
                heard.append(message.data)
                cut_after -= 1
            if not cut_after:
                return


async def a_round(site: Site, told: list[list[Any]], *, drain: bool) -> None:
    """While 120 lines are written each listener is cut once and resumes; then the server drains, or just stops."""
    people = [await site.again("ada") for _ in told]
    cut = [asyncio.ensure_future(follow(p.http, h, 7 + 11 * n)) for n, (p, h) in enumerate(zip(people, told, strict=True))]
    for n in range(60):
        await append(site, an_event(n), an_event(n, kind="task.claimed"))
    await asyncio.gather(*cut)
    newest = (await table(site))[-1].seq
    resumed = [asyncio.ensure_future(follow(p.http, h, 10**9)) for p, h in zip(people, told, strict=True)]
    await eventually(lambda: all(heard[-1]["seq"] == newest for heard in told))
    if drain:
        await site.server.drain()
        await asyncio.gather(*resumed)
    for each in resumed:
        each.cancel()
    await asyncio.gather(*resumed, return_exceptions=True)


async def test_R132_streams_that_are_cut_and_a_server_that_restarts_tell_the_whole_table_once(place: Place) -> None:
    told: list[list[Any]] = [[] for _ in range(5)]
    for round_ in range(4):
        async with a_site(place) as site:
            if not round_:
                await site.account("ada", "admin")
            await a_round(site, told, drain=bool(round_ % 2))
            expected = [as_told(event) for event in await table(site)]
    assert len(expected) > 480
    assert all(heard == expected for heard in told)


async def test_R147_a_stream_ends_when_its_session_ends_or_its_account_is_disabled(site: Site) -> None:
    await site.person("root", "admin")
    for name, end in (("bob", "session"), ("cyd", "account")):
        person = await site.person(name)
        stream = listen(person.http)
        await anext(stream)
        if end == "session":
            assert (await call(person.http, "POST", "/logout", {}))[0] == 204
        else:
            change, now = UserChange(disabled=True), site.web.clock.now()
            await site.db.write(lambda c, n=name, ch=change, at=now: account_actions.change_user(c, SYSTEM, n, ch, at))
        async with asyncio.timeout(3):
            async for _told in stream:
                pass


async def test_R147_with_visibility_by_groups_a_stream_tells_only_what_may_be_seen(place: Place) -> None:
    async with a_site(place, visibility="groups") as site:
        await stored(site, a_task(id="1", group_id="pay"), a_task(id="2", group_id="mx", service_id="s"), a_service(id="s"))
        eve = await site.person("eve", "member", ("mx",))
        stream = listen(eve.http)
        await anext(stream)
        s_state = an_event(3, kind="service.state", subject_type="service", subject_id="s")
        other = an_event(4, kind="service.state", subject_type="service", subject_id="other")
        await append(site, an_event(1), other, an_event(2), s_state, an_event(5, subject_type="user", subject_id="bob"))
        told = await take(stream, 2)
        assert [each.data["evidence"] for each in told] == ["no 2", "no 3"]
        _status, body = await call(eve.http, "GET", "/events?kind=task.*")
        assert {each["evidence"] for each in body["items"]} >= {"no 2"}
        assert "no 1" not in {each["evidence"] for each in body["items"]}


async def test_R147_a_stream_goes_on_with_the_groups_that_its_listener_has_now(place: Place) -> None:
    async with a_site(place, visibility="groups") as site:
        await stored(site, a_task(id="1", group_id="pay"), a_task(id="2", group_id="mx"))
        await site.account("pia", "lead", ("pay",))
        eve = await site.person("eve", "member", ("mx",))
        stream = listen(eve.http)
        await anext(stream)
        moved, now = UserChange(groups=("pay",)), site.web.clock.now()
        await site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, "eve", moved, now))
        await append(site, an_event(2), an_event(1))
        told = [each.data for each in await take(stream, 2)]
        assert [(each["kind"], each["evidence"]) for each in told] == [("user.changed", ""), ("task.changed", "no 1")]


async def test_a_comment_every_15_seconds_keeps_the_line_open(place: Place) -> None:
    clock = ManualClock()
    async with a_site(place, clock) as site:
        stream = listen((await site.person("ada")).http)
        await anext(stream)
        for _ in range(2):
            heard = asyncio.ensure_future(anext(stream))
            await eventually(lambda heard=heard: (clock.advance(1), heard.done())[1])
            assert (await heard).comment


async def test_R52_a_listener_that_never_reads_is_ended_and_costs_the_others_nothing(
    site: Site, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "SEND_WITHIN_S", 0.5)
    lazy = socket.create_connection((site.host, site.port))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    text = await site.token("ada")
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: {site.host}:{site.port}\r\nAuthorization: Bearer {text}\r\n\r\n"
    await asyncio.to_thread(lazy.sendall, head.encode())
    stream = listen(ada.http)
    await anext(stream)
    listeners = site.web.feed._subscriptions
    await eventually(lambda: len(listeners) == 2)
    for _ in range(40):
        await append(site, *(an_event(n, evidence="e" * 2_000) for n in range(MOST_PENDING // 10)))
        await take(stream, MOST_PENDING // 10)
    await eventually(lambda: len(listeners) == 1)
    await eventually(lambda: len(site.server._server.server_state.connections) == 1)
    lazy.close()


async def test_a_sign_in_that_is_told_holds_no_secret(site: Site, ada: Person) -> None:
    _status, body = await call(ada.http, "GET", "/events")
    session = (await site.db.read(lambda conn: accounts.sessions_of(conn, "ada")))[0]
    assert session.csrf_token not in str(body)
