"""nsqd's HTTP, as curl and nsqadmin use it, over real sockets (NSQ.md C; RELIABILITY R1, R78)."""

import asyncio
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from taskdash.clock import ManualClock
from taskdash.ingest.producer import Limits
from taskdash.wire import nsq
from tests.nsq_endpoint import HEARTBEATS, SERVICES, Endpoint, endpoint, identify, many, sized
from tests.support import eventually

MIB = 1_048_576


@pytest.fixture
async def at() -> AsyncIterator[Endpoint]:
    async with endpoint() as running:
        yield running


async def call(
    at: Endpoint, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of one request."""
    async with (
        aiohttp.ClientSession(f"http://{at.host}:{at.http_port}") as session,
        session.request(method, path, data=io.BytesIO(body), headers=headers) as answer,
    ):
        if path != "/ping":
            assert answer.headers["X-NSQ-Content-Type"] == "nsq; version=1.0"
        return answer.status, await answer.read()


async def raw(at: Endpoint, *pieces: bytes) -> bytes:
    """What is answered to these bytes until the endpoint closes."""
    wire = await at.dial(b"".join(pieces), port=at.http_port)
    return await wire.ended()


def message(text: str) -> bytes:
    return json.dumps({"message": text}, separators=(",", ":")).encode()


async def test_pub_is_answered_ok_and_stored_as_it_came(at: Endpoint) -> None:
    assert await call(at, "POST", f"/pub?topic={SERVICES}", b"one\ntwo") == (200, b"OK")
    (stored,) = at.store.messages
    assert (stored.topic, stored.body, stored.source) == (SERVICES, b"one\ntwo", "nsq-http")
    assert stored.sender.startswith("127.0.0.1:")


async def test_R1_200_is_answered_only_after_the_store_returned(at: Endpoint) -> None:
    at.store.open.clear()
    asking = asyncio.create_task(call(at, "POST", f"/pub?topic={HEARTBEATS}", b"x"))
    await eventually(lambda: at.store.under_way)
    assert not asking.done()
    at.store.open.set()
    assert await asking == (200, b"OK")


async def test_a_store_that_refuses_is_503_with_its_reason_and_ping_says_so(at: Endpoint) -> None:
    at.store.refusal = "the disk is full"
    status, body = await call(at, "POST", f"/pub?topic={HEARTBEATS}", b"x")
    assert (status, body) == (503, message("the message was not stored: the disk is full"))
    assert await call(at, "GET", "/ping") == (500, b"NOK - the disk is full")
    at.store.refusal = ""
    assert await call(at, "POST", f"/mpub?topic={HEARTBEATS}", b"x") == (200, b"OK")
    assert await call(at, "GET", "/ping") == (200, b"OK")
    assert at.store.bodies == [b"x"]


async def test_text_mpub_ends_a_message_at_each_newline_and_drops_empty_lines(at: Endpoint) -> None:
    assert await call(at, "POST", f"/mpub?topic={HEARTBEATS}", b"a\n\nb\n\n\nc") == (200, b"OK")
    assert at.store.bodies == [b"a", b"b", b"c"]
    assert await call(at, "POST", f"/mpub?topic={HEARTBEATS}", b"") == (200, b"OK")


@pytest.mark.parametrize("value", ["true", "1", "whatever", ""])
async def test_binary_mpub_is_taken_whole(at: Endpoint, value: str) -> None:
    path = f"/mpub?topic={HEARTBEATS}&binary={value}"
    assert await call(at, "POST", path, many(b"a\n", b"b")) == (200, b"OK")
    assert at.store.bodies == [b"a\n", b"b"]
    assert [len(batch) for batch in at.store.batches] == [2]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/pub", b"x", 400, "MISSING_ARG_TOPIC"),
        ("/pub?topic=", b"x", 400, "MISSING_ARG_TOPIC"),
        ("/pub?topic=a/b", b"x", 400, "INVALID_TOPIC"),
        ("/pub?topic=orders", b"x", 400, f"INVALID_TOPIC: TaskDash takes {SERVICES} and {HEARTBEATS}"),
        (f"/pub?topic={SERVICES}", b"", 400, "MSG_EMPTY"),
        (f"/pub?topic={SERVICES}&defer=-1", b"x", 400, "INVALID_DEFER"),
        (f"/pub?topic={SERVICES}&defer=3600001", b"x", 400, "INVALID_DEFER"),
        (f"/pub?topic={SERVICES}", b"x" * (MIB + 1), 413, "MSG_TOO_BIG"),
        (f"/mpub?topic={SERVICES}", b"ok\n" + b"x" * (MIB + 1), 413, "MSG_TOO_BIG"),
        (f"/mpub?topic={SERVICES}", b"x" * (5 * MIB + 1), 413, "BODY_TOO_BIG"),
        (f"/mpub?topic={SERVICES}&binary=true", b"\x00\x00\x00\x02" + sized(b"one"), 413, "BAD_BODY"),
        (f"/mpub?topic={SERVICES}&binary=true", b"\x00\x00\x00\x01" + sized(b""), 413, "BAD_MESSAGE"),
        ("/nothing", b"x", 404, "NOT_FOUND"),
        ("/channel/create?topic=a&channel=b", b"", 404, "NOT_FOUND"),
    ],
)
async def test_R78_what_is_wrong_is_answered_with_nsqds_own_word(
    at: Endpoint, path: str, body: bytes, status: int, text: str
) -> None:
    assert await call(at, "POST", path, body) == (status, message(text))
    assert at.store.messages == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/pub"), ("PUT", "/mpub"), ("POST", "/ping"), ("OPTIONS", "/pub")])
async def test_R78_another_method_is_405(at: Endpoint, method: str, path: str) -> None:
    assert await call(at, method, path) == (405, message("METHOD_NOT_ALLOWED"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:4151", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_R78_a_page_in_a_browser_may_not_publish(at: Endpoint, headers: dict[str, str]) -> None:
    status, _body = await call(at, "POST", f"/pub?topic={SERVICES}", b"x", headers)
    assert status == 403
    assert at.store.messages == []


async def test_R78_a_chunked_body_that_never_ends_is_cut_at_the_cap(at: Endpoint) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    answer = await raw(
        at, f"POST /pub?topic={SERVICES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode(), chunk * 90
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_R78_a_length_over_the_cap_is_refused_before_the_body_is_sent(at: Endpoint) -> None:
    head = f"POST /mpub?topic={SERVICES} HTTP/1.1\r\nHost: x\r\nContent-Length: 5242881\r\nExpect: 100-continue\r\n\r\n"
    answer = await raw(at, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_curl_gets_its_100_continue(at: Endpoint) -> None:
    head = f"POST /pub?topic={SERVICES} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    wire = await at.dial(head.encode(), port=at.http_port)
    assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    wire.send(b"x")
    assert (await wire.reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head", [b"POST /pub?topic=t HTTP/1.1\r\nHost", b"POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"]
)
async def test_R78_a_request_that_stays_half_is_408(head: bytes) -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(head, port=at.http_port)

        async def answer() -> bytes:
            clock.advance(1.0)
            try:
                return await wire.ended(deadline_s=0.05)
            except TimeoutError:
                return b""

        assert (await eventually(answer)).startswith(b"HTTP/1.1 408 ")


async def test_a_peer_that_says_nothing_is_closed_after_a_minute() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(b"", port=at.http_port)
        ending = asyncio.create_task(wire.ended())

        async def has_ended() -> bool:
            clock.advance(1.0)
            await asyncio.sleep(0)
            return ending.done()

        began = clock.now()
        await eventually(has_ended)
        assert clock.now() - began > 60 * 1_000_000_000


@pytest.mark.parametrize(
    "request_bytes",
    [nsq.MAGIC + identify(), b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n"],
)
async def test_what_is_no_http_is_answered_with_bytes_that_begin_http(at: Endpoint, request_bytes: bytes) -> None:
    wire = await at.dial(request_bytes, port=at.http_port)
    assert (await wire.reader.readexactly(12)) == b"HTTP/1.1 400"


async def test_requests_on_one_connection_are_answered_in_turn(at: Endpoint) -> None:
    one = f"POST /pub?topic={HEARTBEATS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n".encode()
    last = f"POST /pub?topic={HEARTBEATS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n".encode()
    answer = await raw(at, one, b"1", one, b"2", b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", last, b"3")
    assert answer.count(b"HTTP/1.1 200 ") == 4
    assert at.store.bodies == [b"1", b"2", b"3"]


async def test_a_head_is_answered_without_a_body_and_the_connection_goes_on(at: Endpoint) -> None:
    host = b" HTTP/1.1\r\nHost: x\r\n"
    answer = await raw(at, b"HEAD /info" + host + b"\r\n", b"GET /ping" + host + b"Connection: close\r\n\r\n")
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert rest.endswith(b"OK")


async def test_nsqadmin_finds_what_it_asks_of_an_nsqd(at: Endpoint) -> None:
    await call(at, "POST", f"/pub?topic={SERVICES}", b"1234")
    status, body = await call(at, "GET", "/info")
    told = json.loads(body)
    assert (status, told["version"], told["http_port"]) == (200, "1.3.0", at.http_port)
    assert set(told) == {
        "version",
        "broadcast_address",
        "hostname",
        "http_port",
        "tcp_port",
        "start_time",
        "max_heartbeat_interval",
        "max_output_buffer_size",
        "max_output_buffer_timeout",
        "max_deflate_level",
    }
    stats = json.loads((await call(at, "GET", f"/stats?format=json&topic={SERVICES}&include_clients=false"))[1])
    (topic,) = stats["topics"]
    assert (topic["topic_name"], topic["message_count"], topic["message_bytes"]) == (SERVICES, 1, 4)
    assert (topic["channels"], topic["depth"], stats["producers"]) == ([], 0, None)
    assert SERVICES.encode() in (await call(at, "GET", "/stats"))[1]


async def test_our_topics_can_be_created_and_others_cannot(at: Endpoint) -> None:
    assert await call(at, "POST", f"/topic/create?topic={SERVICES}") == (200, b"")
    assert (await call(at, "POST", "/topic/create?topic=orders"))[0] == 400


async def test_R103_beyond_the_cap_a_peer_is_told_503() -> None:
    async with endpoint(limits=Limits(connections=1)) as at:
        await at.dial(b"", port=at.http_port)
        wire = await at.dial(b"", port=at.http_port)
        assert (await wire.reader.readexactly(12)) == b"HTTP/1.1 503"


async def test_with_a_secret_publishing_needs_it() -> None:
    async with endpoint(auth="opensesame") as at:
        path = f"/pub?topic={SERVICES}"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "opensesame"}):
            assert await call(at, "POST", path, b"x", headers) == (403, message("E_UNAUTHORIZED"))
        assert at.store.messages == []
        assert await call(at, "POST", path, b"x", {"Authorization": "Bearer opensesame"}) == (200, b"OK")


async def test_drain_answers_what_is_under_way(at: Endpoint) -> None:
    at.store.open.clear()
    asking = asyncio.create_task(call(at, "POST", f"/pub?topic={HEARTBEATS}", b"x"))
    await eventually(lambda: at.store.under_way)
    draining = asyncio.create_task(at.http.drain(5.0))
    await eventually(lambda: not next(i for i in at.inputs if i.name == "nsq-http").healthy)
    at.store.open.set()
    assert await asking == (200, b"OK")
    await draining
