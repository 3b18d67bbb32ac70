"""TaskDash as a consumer of real nsqd nodes: what is stored, what is given back, what comes again (SPEC 2, R43, R54)."""

import asyncio
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp.web
import pytest

from taskdash.clock import SystemClock
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.ingest import nsq_connection, nsq_consumer
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.lookup import Lookup
from taskdash.ingest.nsq_connection import Config
from taskdash.ingest.nsq_consumer import Consumer
from taskdash.model.records import Message
from tests.brokers import BEATS, HOST, SERVICES, Lookupd, Nsqd, Proxy, free_port, running
from tests.certificates import a_certificate
from tests.support import eventually

SHORT = 0.05


class RecordingStore:
    """Keeps what it is given. `refuses`: takes nothing; `hold` closed: takes its time."""

    def __init__(self) -> None:
        self.kept: list[Message] = []
        self.refusals = 0
        self.refuses = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, messages: Sequence[Message]) -> None:
        await self.hold.wait()
        if self.refuses:
            self.refusals += 1
            raise StoreRefused("the store refused the change (SQLITE_FULL); nothing was kept")
        self.kept.extend(messages)

    @property
    def bodies(self) -> set[bytes]:
        return {message.body for message in self.kept}


class Rig:
    """A consumer over a recording store."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.store = RecordingStore()
        self.inputs, self.parts = Inputs(self.clock), Parts(self.clock)
        self.consumer: Consumer | None = None
        self._runs: list[asyncio.Future[Any]] = []

    def consume(self, nodes: Sequence[str] = (), lookupds: Sequence[str] = (), **config: Any) -> None:
        inbox = Inbox(self.store, self.clock, window_s=0.02)
        lookup = Lookup(lookupds) if lookupds else None
        self.consumer = Consumer(inbox, self.clock, self.inputs, self.parts, Config(**config), (SERVICES, BEATS), nodes, lookup)
        self._runs = [asyncio.ensure_future(run()) for run in self.consumer.runs()]

    async def drain(self) -> None:
        assert self.consumer is not None
        await self.consumer.drain(5.0)

    async def end(self) -> None:
        for run in self._runs:
            run.cancel()
        for ended in await asyncio.gather(*self._runs, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended

    def hears(self, *nodes: str) -> bool:
        return all((seen := self.inputs.get(f"nsqd:{node}")) is not None and seen.healthy for node in nodes)

    def reason(self, node: str) -> str:
        seen = self.inputs.get(f"nsqd:{node}")
        return seen.reason if seen and not seen.healthy else ""

    async def has_kept(self, bodies: Sequence[bytes], deadline_s: float = 20.0) -> None:
        await eventually(lambda: self.store.bodies >= set(bodies), deadline_s)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(nsq_consumer, "SECOND_PAUSE_S", SHORT)
    monkeypatch.setattr(nsq_consumer, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(nsq_consumer, "POLL_EVERY_S", 0.2)
    monkeypatch.setattr(nsq_consumer, "FIRST_POLLS_S", 0.2)
    monkeypatch.setattr(nsq_connection, "PUT_AGAIN_S", 0.1)
    rig = Rig()
    yield rig
    await rig.end()


@pytest.fixture
async def nsqd(tmp_path: Path) -> AsyncIterator[Nsqd]:
    node = Nsqd(tmp_path / "nsqd")
    async with running(node):
        yield node


def beats(count: int, name: str = "s") -> list[bytes]:
    return [b'{"id":"%s%d"}' % (name.encode(), n) for n in range(count)]


async def test_messages_of_both_topics_are_stored_and_then_finished(rig: Rig, nsqd: Nsqd) -> None:
    rig.consume([nsqd.address])
    await nsqd.publish([b'{"id":"s1","name":"S"}'], SERVICES)
    await nsqd.publish(beats(1_000))
    await rig.has_kept([b'{"id":"s1","name":"S"}', *beats(1_000)])
    await eventually(nsqd.is_drained)
    await eventually(lambda: nsqd.is_drained(SERVICES))
    assert Counter(message.topic for message in rig.store.kept) == {SERVICES: 1, BEATS: 1_000}
    assert {message.source for message in rig.store.kept} == {f"nsqd:{nsqd.address}"}


async def test_a_backlog_keeps_the_time_at_which_it_was_published(rig: Rig, nsqd: Nsqd) -> None:
    before = rig.clock.now()
    await nsqd.publish(beats(10))
    published_by = rig.clock.now()
    rig.consume([nsqd.address])
    await rig.has_kept(beats(10))
    assert all(before - 10**6 <= message.sent_at <= published_by for message in rig.store.kept)


async def test_no_message_is_finished_before_the_store_has_returned(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address])
    await nsqd.publish(beats(5))

    async def all_in_flight() -> bool:
        return (await nsqd.channel()).get("in_flight_count") == 5

    await eventually(all_in_flight)
    assert rig.store.kept == []
    rig.store.hold.set()
    await eventually(nsqd.is_drained)
    assert rig.store.bodies == set(beats(5))


async def test_while_the_store_refuses_nothing_is_finished_intake_stops_and_then_all_is_stored(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.refuses = True
    rig.consume([nsqd.address], max_in_flight=50)
    await nsqd.publish(beats(300))
    await eventually(lambda: rig.store.refusals >= 3)
    await eventually(lambda: asks_for_nothing(nsqd))
    await eventually(lambda: all_wait(nsqd, 300))
    assert 0 < (await nsqd.channel())["in_flight_count"] <= 50
    assert rig.reason(nsqd.address) == "the store refused the change (SQLITE_FULL); nothing was kept"
    rig.store.refuses = False
    await rig.has_kept(beats(300))
    await eventually(nsqd.is_drained)
    await eventually(lambda: rig.hears(nsqd.address))
    channel = await nsqd.channel()
    assert (channel["requeue_count"], channel["timeout_count"]) == (0, 0)
    assert len(rig.store.kept) == 300


async def asks_for_nothing(nsqd: Nsqd) -> bool:
    clients = (await nsqd.channel()).get("clients") or []
    return bool(clients) and all(client["ready_count"] == 0 for client in clients)


async def all_wait(nsqd: Nsqd, count: int) -> bool:
    channel = await nsqd.channel()
    return bool(channel["depth"] + channel["in_flight_count"] == count)


async def test_while_the_store_refuses_a_connection_that_comes_new_asks_for_nothing(rig: Rig, nsqd: Nsqd) -> None:
    proxy = Proxy(nsqd.tcp)
    await proxy.start()
    rig.store.refuses = True
    rig.consume([proxy.address], max_in_flight=50)
    await nsqd.publish(beats(300))
    await eventually(lambda: rig.store.refusals >= 1)
    await proxy.cut()
    await eventually(
        lambda: rig.reason(proxy.address) not in {"", "the store refused the change (SQLITE_FULL); nothing was kept"}
    )
    await proxy.start()
    await eventually(lambda: asks_for_nothing(nsqd))
    rig.store.refuses = False
    await rig.has_kept(beats(300))
    await proxy.cut()


async def test_a_connection_that_breaks_with_messages_in_hand_stores_them_all_the_same(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address])
    await nsqd.publish(beats(20))

    async def all_in_flight() -> bool:
        return (await nsqd.channel()).get("in_flight_count") == 20

    await eventually(all_in_flight)
    await nsqd.end()
    rig.store.hold.set()
    await rig.has_kept(beats(20))


async def test_kill_9_and_restart_of_nsqd_is_survived_and_told(rig: Rig, nsqd: Nsqd) -> None:
    rig.consume([nsqd.address])
    await eventually(lambda: rig.hears(nsqd.address))
    await nsqd.publish(beats(10, "before"))
    await rig.has_kept(beats(10, "before"))
    await nsqd.end()
    reason = await eventually(lambda: rig.reason(nsqd.address))
    assert reason
    await nsqd.start()
    await nsqd.publish(beats(10, "after"))
    await rig.has_kept(beats(10, "after"))
    await eventually(lambda: rig.hears(nsqd.address))


async def test_an_nsqd_that_starts_after_the_consumer_is_found(rig: Rig, tmp_path: Path) -> None:
    nsqd = Nsqd(tmp_path / "late")
    rig.consume([nsqd.address])
    await eventually(lambda: "Connect call failed" in rig.reason(nsqd.address))
    async with running(nsqd):
        await nsqd.publish(beats(3))
        await rig.has_kept(beats(3))


async def test_nodes_found_through_nsqlookupd_come_and_go(rig: Rig, tmp_path: Path) -> None:
    lookupd = Lookupd()
    one, two = (Nsqd(tmp_path / name, f"-lookupd-tcp-address={HOST}:{lookupd.tcp}") for name in ("one", "two"))
    async with running(lookupd, one):
        rig.consume(lookupds=[lookupd.address])
        await one.publish(beats(5, "first"))
        await rig.has_kept(beats(5, "first"))
        async with running(two):
            await two.publish(beats(5, "second"))
            await rig.has_kept(beats(5, "second"))
            await eventually(lambda: rig.hears(one.address, two.address))
            await two.end(signal.SIGTERM)
            await eventually(lambda: rig.reason(two.address))
            await eventually(lambda: withdrawn(rig, two.address))
        assert rig.hears(one.address)
        await two.start()
        await two.publish(beats(5, "third"))
        await rig.has_kept(beats(5, "third"))
        await eventually(lambda: rig.hears(one.address, two.address) and not withdrawn(rig, two.address))
        await two.end()


def withdrawn(rig: Rig, node: str) -> bool:
    seen = rig.inputs.get(f"nsqd:{node}")
    return seen is not None and seen.withdrawn_at is not None


async def test_a_drain_stores_and_finishes_what_is_in_hand_and_leaves_nothing_in_flight(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address], max_in_flight=100)
    await nsqd.publish(beats(1_000))

    async def some_in_flight() -> bool:
        return bool((await nsqd.channel()).get("in_flight_count", 0) > 50)

    await eventually(some_in_flight)
    draining = asyncio.ensure_future(rig.drain())
    rig.store.hold.set()
    await draining
    await rig.end()
    channel = await nsqd.channel()
    assert (channel["in_flight_count"], channel["timeout_count"], channel["requeue_count"]) == (0, 0, 0)
    await eventually(lambda: all_wait(nsqd, 1_000 - len(rig.store.kept)))
    assert len(rig.store.bodies) == len(rig.store.kept)


async def test_a_drain_while_the_store_refuses_gives_all_back_at_once(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.refuses = True
    rig.consume([nsqd.address], max_in_flight=100)
    await nsqd.publish(beats(200))
    await eventually(lambda: rig.store.refusals)
    await rig.drain()
    await rig.end()

    async def all_back() -> bool:
        channel = await nsqd.channel()
        return channel["in_flight_count"] == 0 and channel["depth"] == 200

    await eventually(all_back)


async def test_R43_a_broker_that_is_cut_again_and_again_loses_nothing_and_is_reported_as_not_heard(
    rig: Rig, nsqd: Nsqd
) -> None:
    await nsqd.create()
    proxy = Proxy(nsqd.tcp)
    await proxy.start()
    rig.consume([proxy.address], msg_timeout_s=1.0)
    sent: list[bytes] = []
    for flap in range(6):
        await eventually(lambda: rig.hears(proxy.address))
        sent += beats(200, f"flap{flap}-")
        await nsqd.publish(sent[-200:])
        await proxy.cut()
        await eventually(lambda: rig.reason(proxy.address))
        await proxy.start()
    await rig.has_kept(sent)
    await eventually(nsqd.is_drained)
    await proxy.cut()


class FakeLookupd:
    """An nsqlookupd that names whatever it is told."""

    def __init__(self, producers: list[dict[str, Any]], status: int = 200) -> None:
        self.producers, self.status = producers, status
        self.port = free_port()
        application = aiohttp.web.Application()
        application.router.add_get("/lookup", self._answer)
        self._runner = aiohttp.web.AppRunner(application)

    async def _answer(self, _request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"channels": [], "producers": self.producers}, status=self.status)

    async def __aenter__(self) -> "FakeLookupd":
        await self._runner.setup()
        await aiohttp.web.TCPSite(self._runner, HOST, self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


def named(host: str, port: int) -> dict[str, Any]:
    return {
        "remote_address": "x",
        "hostname": "x",
        "broadcast_address": host,
        "tcp_port": port,
        "http_port": 1,
        "version": "1.3.0",
    }


async def test_R54_wrong_dead_and_duplicate_nodes_of_nsqlookupd_do_not_hinder_the_good_one(rig: Rig, nsqd: Nsqd) -> None:
    dead = free_port()
    wrong = [named("", 4150), named("x", 0), named("x", 70_000), named("a..b", 4150), named("no-such-host.invalid", 4150)]
    good = named(HOST, nsqd.tcp)
    async with (
        FakeLookupd([*wrong, named(HOST, dead), good, good]) as one,
        FakeLookupd([good]) as two,
        FakeLookupd([], status=500) as broken,
    ):
        rig.consume([nsqd.address], [one.address, two.address, broken.address, f"{HOST}:{free_port()}"])
        await nsqd.publish(beats(50))
        await rig.has_kept(beats(50))
        await eventually(lambda: rig.hears(nsqd.address))
        await eventually(lambda: rig.reason(f"{HOST}:{dead}"))
        await eventually(lambda: rig.reason("a..b:4150"))
        assert len((await nsqd.channel())["clients"]) == 1
    assert len(rig.store.kept) == 50


async def test_R54_a_dead_node_is_tried_again_only_a_second_or_more_later() -> None:
    assert nsq_consumer.SECOND_PAUSE_S >= 1.0
    assert nsq_consumer.LONGEST_PAUSE_S * 1.5 <= 15.0


async def test_a_node_whose_nsqlookupd_does_not_answer_any_more_is_still_wanted(rig: Rig, nsqd: Nsqd) -> None:
    async with FakeLookupd([]) as empty:
        async with FakeLookupd([named(HOST, nsqd.tcp)]) as one:
            rig.consume(lookupds=[one.address, empty.address])
            await eventually(lambda: rig.hears(nsqd.address))
        await nsqd.end()
        await eventually(lambda: rig.reason(nsqd.address))
        await nsqd.start()
        await nsqd.publish(beats(5))
        await rig.has_kept(beats(5))


async def test_a_node_that_is_no_longer_named_keeps_its_connection_and_is_not_connected_to_again(rig: Rig, nsqd: Nsqd) -> None:
    async with FakeLookupd([named(HOST, nsqd.tcp)]) as lookupd:
        rig.consume(lookupds=[lookupd.address])
        await eventually(lambda: rig.hears(nsqd.address))
        lookupd.producers = []
        await eventually(lambda: withdrawn(rig, nsqd.address))
        await nsqd.publish(beats(5))
        await rig.has_kept(beats(5))
        await nsqd.end()
        await eventually(lambda: rig.reason(nsqd.address) and withdrawn(rig, nsqd.address))


async def test_when_no_nsqlookupd_answers_the_part_nsq_says_so(rig: Rig) -> None:
    rig.consume(lookupds=[f"{HOST}:{free_port()}"])
    part = await eventually(lambda: next((p for p in rig.parts if p.name == "nsq" and not p.ok), None))
    assert "nsqlookupd" in part.reason
    assert "could not be asked" in part.reason


async def test_something_that_is_no_nsqd_is_left_with_a_reason(rig: Rig) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(chatter, HOST, 0)
    node = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    rig.consume([node])
    await eventually(lambda: "did not answer IDENTIFY" in rig.reason(node))
    server.close()


class AuthService:
    """What nsqd asks whether a secret may subscribe."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.port = free_port()
        application = aiohttp.web.Application()
        application.router.add_get("/auth", self._answer)
        self._runner = aiohttp.web.AppRunner(application)

    async def _answer(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        if request.query["secret"] != self._secret:
            return aiohttp.web.Response(status=403)
        allowed = {"topic": ".*", "channels": [".*"], "permissions": ["subscribe", "publish"]}
        return aiohttp.web.json_response({"ttl": 3600, "identity": "taskdash", "authorizations": [allowed]})

    async def __aenter__(self) -> "AuthService":
        await self._runner.setup()
        await aiohttp.web.TCPSite(self._runner, HOST, self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def test_a_node_that_wants_AUTH_gets_the_secret(rig: Rig, tmp_path: Path) -> None:
    async with AuthService("sesame") as service:
        nsqd = Nsqd(tmp_path / "nsqd", f"-auth-http-address={HOST}:{service.port}")
        async with running(nsqd):
            rig.consume([nsqd.address], auth="sesame")
            await nsqd.publish(beats(5))
            await rig.has_kept(beats(5))
            await eventually(nsqd.is_drained)


@pytest.mark.parametrize("secret", ["wrong", ""])
async def test_a_node_that_refuses_the_secret_is_not_heard_and_says_why(rig: Rig, tmp_path: Path, secret: str) -> None:
    async with AuthService("sesame") as service:
        nsqd = Nsqd(tmp_path / "nsqd", f"-auth-http-address={HOST}:{service.port}")
        async with running(nsqd):
            rig.consume([nsqd.address], auth=secret)
            await eventually(lambda: "nsqd refused AUTH: E_" in rig.reason(nsqd.address))


async def test_with_a_CA_messages_come_over_TLS_only(rig: Rig, tmp_path: Path) -> None:
    pair = await a_certificate(tmp_path)
    nsqd = Nsqd(tmp_path / "nsqd", f"-tls-cert={pair.cert}", f"-tls-key={pair.key}", "-tls-required=tcp-https")
    async with running(nsqd):
        rig.consume([nsqd.address], tls=ssl.create_default_context(cafile=pair.cert))
        await nsqd.publish(beats(500))
        await rig.has_kept(beats(500))
        await eventually(nsqd.is_drained)
        clients = (await nsqd.channel())["clients"]
        assert [client["tls"] for client in clients] == [True]
        await rig.drain()
        await nsqd.publish(beats(5, "later"))
        await eventually(lambda: all_wait(nsqd, 5))
        assert (await nsqd.channel())["timeout_count"] == 0


async def test_a_node_with_a_certificate_of_somebody_else_is_not_heard_and_says_why(rig: Rig, tmp_path: Path) -> None:
    mine, theirs = await a_certificate(tmp_path), await a_certificate(tmp_path / "theirs")
    nsqd = Nsqd(tmp_path / "nsqd", f"-tls-cert={theirs.cert}", f"-tls-key={theirs.key}")
    async with running(nsqd):
        rig.consume([nsqd.address], tls=ssl.create_default_context(cafile=mine.cert))
        await eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in rig.reason(nsqd.address))


async def test_a_node_that_offers_no_TLS_is_not_talked_to_in_the_clear(rig: Rig, nsqd: Nsqd, tmp_path: Path) -> None:
    pair = await a_certificate(tmp_path)
    rig.consume([nsqd.address], tls=ssl.create_default_context(cafile=pair.cert))
    await eventually(lambda: "does not offer it" in rig.reason(nsqd.address))
    await nsqd.publish(beats(1))
    assert rig.store.kept == []
