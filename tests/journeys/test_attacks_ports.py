"""The second attack: by NSQ and TCP, as a program that can reach the ports. What was found stays shut. R14, R64, R70."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

import taskdash.ingest.inbox as inboxes
from taskdash import telemetry
from taskdash.clock import ManualClock
from taskdash.health import Parts
from taskdash.ingest import http_peer, producer
from taskdash.ingest.http_peer import HttpPeer
from taskdash.ingest.producer import COMMAND_S
from taskdash.ingest.producer import Limits as ProducerLimits
from taskdash.model.admission import NO_ROOM, Unfinished
from taskdash.tcp.connection import MOST_UNANSWERED_BYTES, MOST_WRONG_TOKENS, Limits
from taskdash.tcp.server import TcpServer
from taskdash.turns import PORTION_BYTES
from taskdash.web import bounds
from taskdash.web.bounds import BoundedHttp
from taskdash.wire.nsq import MAGIC, MANY_MESSAGES, CommandReader
from taskdash.wire.pack import HEADER_BYTES, PackReader
from tests.journeys.http import Site
from tests.nsq_endpoint import HEARTBEATS, OK, endpoint, identify, mpub, pub, sized
from tests.support import eventually

CHUNKED = b"POST /pub?topic=taskdash.heartbeats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.asynccontextmanager
async def tcp(limits: Limits | None = None, token: str = "") -> AsyncIterator[tuple[TcpServer, tuple[str, int]]]:
    """The TCP interface over no store at all: every write is done, every Find finds nothing."""

    async def done(batch: Sequence[Any]) -> list[None]:
        return [None] * len(batch)

    async def nothing(*_: Any) -> Any:
        return {}

    clock = ManualClock()
    store = {"apply": done, "read": nothing, "vouch": nothing, "lost": nothing}
    server = TcpServer(**store, clock=clock, parts=Parts(clock), limits=limits or Limits(), token=token)  # type: ignore[arg-type]
    address = await server.start("127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    try:
        yield server, address
    finally:
        await server.drain(2.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Watch:
    """How many bytes a parser was given between two turns of the loop, at most; and in all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.most = self.total = self._now = 0
        read = getattr(owner, name)

        def counted(reader: Any, data: bytes) -> Any:
            self._now += len(data)
            self.total += len(data)
            self.most = max(self.most, self._now)
            return read(reader, data)

        monkeypatch.setattr(owner, name, counted)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._now = 0


async def most_a_turn(watch: Watch, address: tuple[str, int], sent: bytes) -> int:
    """Send all of it at once, read nothing, and look at the parser until a part of it came through."""
    reader, writer = await asyncio.open_connection(*address, limit=1)
    looking = asyncio.create_task(watch.run())
    writer.write(sent)
    await eventually(lambda: watch.total >= 256 * 1024)
    looking.cancel()
    writer.transport.abort()
    assert reader
    return watch.most


async def test_R64_a_flood_of_tiny_packs_is_read_a_portion_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tcp() as (_server, address):
        watch = Watch(monkeypatch, PackReader, "feed")
        assert await most_a_turn(watch, address, b"{}\n" + b"\n" * 2_000_000) <= 2 * PORTION_BYTES


async def test_R64_a_flood_of_tiny_commands_is_read_a_portion_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as at:
        watch = Watch(monkeypatch, CommandReader, "feed")
        most = await most_a_turn(watch, (at.host, at.port), MAGIC + b"NOP\n" * 500_000)
    assert most <= 2 * producer.PORTION_BYTES


async def test_R64_a_flood_of_one_byte_chunks_is_read_a_portion_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as at:
        watch = Watch(monkeypatch, HttpPeer, "_receive")
        most = await most_a_turn(watch, (at.host, at.http_port), CHUNKED + b"1\r\nx\r\n" * 300_000)
    assert most <= 2 * http_peer.PORTION_BYTES


async def test_R64_a_flood_of_pipelined_requests_is_read_a_portion_a_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, BoundedHttp, "_read")
    reader, writer = await asyncio.open_connection(site.host, site.port)
    looking = asyncio.create_task(watch.run())
    writer.write(HEALTH * 1_000)
    for _ in range(1_000):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    looking.cancel()
    writer.close()
    assert watch.total == len(HEALTH) * 1_000
    assert watch.most <= 2 * bounds.PORTION_BYTES


async def test_R70_what_a_peer_asks_without_reading_is_bounded_in_bytes() -> None:
    async with tcp() as (server, address):
        _reader, writer = await asyncio.open_connection(*address, limit=1)
        header = {"RequestID": "Register", "more": "x" * (HEADER_BYTES - 100)}
        one = json.dumps({"MessageID": 2, "Header": header, "Body": {"id": "a"}}).encode() + b"\n"
        for _ in range(2_000):
            writer.write(one)
        await eventually(lambda: any(each._peer_is_slow for each in server._connections))
        (connection,) = server._connections
        assert connection._queued_bytes <= MOST_UNANSWERED_BYTES + len(one)
        assert connection._transport.get_write_buffer_size() <= 2 * MOST_UNANSWERED_BYTES
        writer.transport.abort()


async def test_R70_a_header_that_is_too_large_to_come_back_is_refused() -> None:
    async with tcp() as (_server, address):
        reader, writer = await asyncio.open_connection(*address)
        for size, errid in ((HEADER_BYTES, 1000), (HEADER_BYTES - 100, 0)):
            header = {"RequestID": "Register", "more": "x" * size}
            writer.write(json.dumps({"MessageID": 2, "Header": header, "Body": {"id": "a"}}).encode() + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), 10))
            assert answer["Body"]["errid"] == errid
        writer.close()


async def test_R68_a_stream_that_is_always_in_the_middle_of_a_pack_is_no_pack_that_does_not_end() -> None:
    async with tcp() as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        one = b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":{"id":"a"}}\n'
        writer.write(one[:20])
        await eventually(lambda: any(each.partial_since is not None for each in server._connections))
        (connection,) = server._connections
        for _ in range(3):
            server._clock.advance(6.0)  # type: ignore[attr-defined]
            writer.write(one[20:] + one[:20])
            assert json.loads(await asyncio.wait_for(reader.readline(), 10))["Body"]["errid"] == 1002
            assert not connection.is_overdue(server._clock.now())
        writer.close()


async def test_R73_an_mpub_of_more_messages_than_one_transaction_should_hold_is_refused() -> None:
    async with endpoint() as at:
        wire = await at.dial()
        wire.send(mpub(*[b"x"] * MANY_MESSAGES))
        assert await wire.frame(60) == OK
        wire.send(mpub(*[b"x"] * (MANY_MESSAGES + 1)))
        assert await wire.error() == f"E_BAD_BODY MPUB invalid message count {MANY_MESSAGES + 1}"
        assert len(at.store.messages) == MANY_MESSAGES
        head = f"POST /mpub?topic={HEARTBEATS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * MANY_MESSAGES + 2}\r\n\r\n"
        http = await at.dial(head.encode() + b"x\n" * (MANY_MESSAGES + 1), port=at.http_port)
        assert b" 413 " in await asyncio.wait_for(http.reader.readline(), 10)
        assert len(at.store.messages) == MANY_MESSAGES


LARGE = 120 * 1024
"""Sent of a large command: beyond the 64 KiB that are a connection's own, one of these fits into SMALL_POOL and two do not."""
SMALL_POOL = 100 * 1024


async def test_R14_beginnings_of_large_commands_share_one_pool_and_small_ones_need_none_of_it() -> None:
    async with endpoint() as at:
        at.tcp.unfinished = Unfinished(SMALL_POOL)
        begun = mpub(b"x" * (LARGE * 2), topic=HEARTBEATS)[:LARGE]
        first, second, third = [await at.dial() for _ in range(3)]
        first.send(begun)
        await eventually(lambda: at.tcp.unfinished._total > 0)
        second.send(begun)
        assert await second.error() == f"E_BAD_BODY {NO_ROOM}"
        third.send(pub(b"small"))
        assert await third.frame() == OK
        await first.close()
        await eventually(lambda: at.tcp.unfinished._total == 0)
        third.send(mpub(b"x" * LARGE))
        assert await third.frame() == OK


async def test_R14_beginnings_of_large_packs_share_one_pool_and_small_ones_need_none_of_it() -> None:
    async with tcp() as (server, address):
        server.unfinished = Unfinished(SMALL_POOL)
        begun = b'{"MessageID":2,"Header":{"RequestID":"Find"},' + b" " * LARGE
        (_, first), (told, second), (answers, third) = [await asyncio.open_connection(*address) for _ in range(3)]
        first.write(begun)
        await eventually(lambda: server.unfinished._total > 0)
        second.write(begun)
        assert json.loads(await asyncio.wait_for(told.readline(), 10))["Body"]["detail"] == NO_ROOM
        third.write(b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":{"id":"a"}}\n')
        assert json.loads(await asyncio.wait_for(answers.readline(), 10))["Body"]["errid"] == 1002
        first.close()
        await eventually(lambda: server.unfinished._total == 0)
        for each in (second, third):
            each.close()


async def test_R14_beginnings_of_large_http_bodies_share_one_pool() -> None:
    async with endpoint() as at:
        at.http.unfinished = Unfinished(SMALL_POOL)
        head = f"POST /pub?topic={HEARTBEATS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n".encode()
        first = await at.dial(head + b"x" * LARGE, port=at.http_port)
        await eventually(lambda: at.http.unfinished._total > 0)
        second = await at.dial(head + b"x" * LARGE, port=at.http_port)
        assert (await second.ended()).startswith(b"HTTP/1.1 503")
        await first.close()
        await eventually(lambda: at.http.unfinished._total == 0)


async def test_R14_http_takes_no_more_than_the_inbox_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "CROWDED_BYTES", 10)
    async with endpoint() as at:
        at.store.open.clear()
        body = b"x" * 20
        sent = f"POST /pub?topic={HEARTBEATS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n".encode() + body
        for _ in range(2):  # one is being stored, one waits
            await at.dial(sent, port=at.http_port)
            await eventually(lambda: at.store.under_way == 1)
        await eventually(lambda: at.inbox.is_crowded)
        third = await at.dial(sent, port=at.http_port)
        assert b" 503 " in (await asyncio.wait_for(third.reader.readline(), 10))


async def test_R104_a_command_that_does_not_end_ends_the_connection_of_a_producer_without_heartbeats() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial()
        wire.send(identify(heartbeat_interval=-1))
        await wire.features()
        wire.send(pub(b"x" * 1_000)[:-1])
        (sender,) = at.tcp._producers
        await eventually(lambda: sender._partial_since is not None)
        for _ in range(int(COMMAND_S) + 2):
            clock.advance(1.0)
            await asyncio.sleep(0)
        assert await wire.ended() == b""


def _refused_secrets() -> float:
    return telemetry.registry.get_sample_value("taskdash_secrets_refused_total") or 0.0


async def test_R152_who_guesses_the_token_of_the_tcp_interface_is_counted_told_of_and_cut_after_ten() -> None:
    told: list[str] = []
    before = _refused_secrets()
    async with tcp(Limits(on_refused=told.append), token="the right one") as (_server, address):
        reader, writer = await asyncio.open_connection(*address)
        for number in range(MOST_WRONG_TOKENS + 5):
            header = {"RequestID": "Find", "Token": f"guess {number}"}
            writer.write(json.dumps({"MessageID": 2, "Header": header, "Body": {"id": "a"}}).encode() + b"\n")
        answers = (await asyncio.wait_for(reader.read(), 10)).splitlines()
        assert [json.loads(line)["Body"]["errid"] for line in answers] == [1003] * MOST_WRONG_TOKENS
        writer.close()
    assert told == ["a wrong token on the TCP interface, from 127.0.0.1"] * MOST_WRONG_TOKENS
    assert _refused_secrets() - before == MOST_WRONG_TOKENS


async def test_R152_who_guesses_the_secret_of_nsq_is_counted_and_told_of() -> None:
    told: list[str] = []
    before = _refused_secrets()
    async with endpoint(limits=ProducerLimits(on_refused=told.append), auth="the right one") as at:
        wire = await at.dial()
        wire.send(b"AUTH\n" + sized(b"guess"))
        assert (await wire.error()).startswith("E_UNAUTHORIZED")
        head = f"POST /pub?topic={HEARTBEATS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n"
        http = await at.dial(f"{head}Content-Length: 1\r\n\r\nx".encode(), port=at.http_port)
        assert b" 403 " in await asyncio.wait_for(http.reader.readline(), 10)
    assert [each.partition(", from ")[0] for each in told] == ["a wrong secret on NSQ", "a wrong secret on NSQ by HTTP"]
    assert _refused_secrets() - before == 2
