"""Real nsqd nodes that come, go, die, flap, stand still or want proof of who asks (SPEC 2, R43, R54)."""

import asyncio
import contextlib
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp.web
import pytest

from taskdash.clock import ManualClock
from taskdash.ingest import nsq_connection
from taskdash.wire import nsq
from tests.brokers import HOST, Lookupd, Nsqd, Proxy, free_port, running
from tests.certificates import a_certificate
from tests.consuming import Rig, all_wait, beats, withdrawn
from tests.support import eventually

RESTING = 4
"""Sleepers of a consumer of one node with nothing to do: two keepers, the poll, the patience of the inbox."""


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


async def test_an_nsqd_that_stands_still_is_not_heard_until_it_goes_on(
    rig: Rig, nsqd: Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nsq_connection, "HEARTBEAT_S", 1.0)
    monkeypatch.setattr(nsq_connection, "ANSWER_S", 0.5)
    rig.consume([nsqd.address])
    await eventually(lambda: rig.hears(nsqd.address))
    nsqd.tell(signal.SIGSTOP)
    await eventually(lambda: rig.reason(nsqd.address))
    await eventually(lambda: "did not answer IDENTIFY" in rig.reason(nsqd.address))
    nsqd.tell(signal.SIGCONT)
    await eventually(lambda: rig.hears(nsqd.address))
    await nsqd.publish(beats(3))
    await rig.has_kept(beats(3))


async def test_a_node_that_allows_fewer_in_flight_gets_no_more_than_it_allows(rig: Rig, tmp_path: Path) -> None:
    nsqd = Nsqd(tmp_path / "small", "-max-rdy-count=10")
    async with running(nsqd):
        rig.consume([nsqd.address])
        await nsqd.publish(beats(100))
        await rig.has_kept(beats(100))
        assert [client["ready_count"] for client in (await nsqd.channel())["clients"]] == [10]


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
        self.port, self.asked = free_port(), 0
        application = aiohttp.web.Application()
        application.router.add_get("/lookup", self._answer)
        self._runner = aiohttp.web.AppRunner(application)

    async def _answer(self, _request: aiohttp.web.Request) -> aiohttp.web.Response:
        self.asked += 1
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
    tries: list[int] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(clock.now())
        writer.close()

    clock = ManualClock()
    rig = Rig(clock)
    async with await asyncio.start_server(hang_up, HOST, 0) as server:
        rig.consume([f"{HOST}:{server.sockets[0].getsockname()[1]}"])
        for _ in range(120):
            await eventually(lambda: len(clock._sleepers) == RESTING)
            clock.advance(0.5)
        await rig.end()
    by_instant = Counter(tries)
    first, second = sorted(by_instant)[:2]
    assert second - first >= 10**9
    assert 12 <= len(tries) / 2 <= 40


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


async def test_R136_a_node_that_went_is_asked_for_each_second_for_programs_go_back_to_it_at_once() -> None:
    clock = ManualClock()
    async with a_node_that_went(clock) as (_rig, _node, lookupd):
        lookupd.asked = 0
        for _ in range(40):
            await eventually(lambda: len(clock._sleepers) == RESTING)
            clock.advance(0.5)
        assert lookupd.asked / 2 >= 10


async def test_a_node_that_nobody_names_for_a_week_is_forgotten() -> None:
    clock = ManualClock()
    async with a_node_that_went(clock) as (rig, node, _lookupd):
        await eventually(lambda: ahead(clock, 86_400.0) and rig.inputs.get(f"nsqd:{node}") is None)
        assert len(list(rig.inputs)) == 1


@contextlib.asynccontextmanager
async def a_node_that_went(clock: ManualClock) -> AsyncIterator[tuple[Rig, str, FakeLookupd]]:
    """A consumer of two nodes that are not there, one of which its nsqlookupd no longer names."""
    rig, node = Rig(clock), f"{HOST}:{free_port()}"
    async with FakeLookupd([named(HOST, free_port()), named(*split(node))]) as lookupd:
        rig.consume(lookupds=[lookupd.address])
        await eventually(lambda: rig.reason(node))
        lookupd.producers = lookupd.producers[:1]
        await eventually(lambda: ahead(clock, 5.0) and withdrawn(rig, node))
        yield rig, node, lookupd
    await rig.end()


def split(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host, int(port)


def ahead(clock: ManualClock, duration_s: float) -> bool:
    clock.advance(duration_s)
    return True


async def test_when_no_nsqlookupd_answers_the_part_nsq_says_so(rig: Rig) -> None:
    rig.consume(lookupds=[f"{HOST}:{free_port()}"])
    part = await eventually(lambda: next((p for p in rig.parts if p.name == "nsq" and not p.ok), None))
    assert "nsqlookupd" in part.reason
    assert "could not be asked" in part.reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer IDENTIFY"),
        (nsq.frame(nsq.RESPONSE, b"[]"), "answered IDENTIFY with b'[]'"),
        (nsq.frame(nsq.RESPONSE, b'{"max_rdy_count":"many"}'), "answered IDENTIFY with"),
        (nsq.frame(nsq.RESPONSE, b'{"max_rdy_count":1}') + b"\xff" * 100, "did not answer IDENTIFY"),
        (
            nsq.frame(nsq.RESPONSE, b'{"max_rdy_count":1}') + nsq.frame(nsq.ERROR, b"E_BAD_TOPIC no"),
            "refused SUB: E_BAD_TOPIC no",
        ),
        (nsq.frame(nsq.ERROR, b"E_INVALID no"), "refused IDENTIFY: E_INVALID no"),
        (nsq.frame(nsq.MESSAGE, b"short"), "did not answer IDENTIFY"),
    ],
)
async def test_something_that_is_no_nsqd_is_left_with_a_reason(rig: Rig, said: bytes, reason: str) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(chatter, HOST, 0) as server:
        node = f"{HOST}:{server.sockets[0].getsockname()[1]}"
        rig.consume([node])
        await eventually(lambda: reason in rig.reason(node))


class AuthService:
    """What nsqd asks whether a secret may subscribe."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.port, self.asked = free_port(), 0
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
