"""What a client may send: hosts, sizes, deadlines, framing, ids in paths. Raw sockets. RELIABILITY R80-R87, R103."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from taskdash.model.fields import check_id
from taskdash.store import tasks
from taskdash.web import bounds
from tests.journeys.http import Site
from tests.support import a_task

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST


@asynccontextmanager
async def _connected(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(site.host, site.port, limit=1 << 24)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def _all(reader: asyncio.StreamReader, within_s: float = 10) -> bytes:
    """Everything until the server closes."""
    try:
        async with asyncio.timeout(within_s):
            return await reader.read()
    except ConnectionError:
        return b""


async def _exchange(site: Site, sent: bytes) -> bytes:
    async with _connected(site) as (reader, writer):
        try:
            writer.write(sent)
            await writer.drain()
        except ConnectionError:
            pass
        return await _all(reader)


def _statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


@contextmanager
def _shortened(monkeypatch: pytest.MonkeyPatch, **deadlines: float) -> Iterator[None]:
    for name, value in deadlines.items():
        monkeypatch.setattr(bounds, name, value)
    yield


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "127.0.0.1:80", "[::1]:8700", "LOCALHOST"])
async def test_R80_our_own_names_are_served(site: Site, host: str) -> None:
    answer = await _exchange(site, b"GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: " + host.encode() + b"\r\n\r\n")
    assert _statuses(answer) == [200]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8700", "192.0.2.1", "", "[::2]"]
)
async def test_R80_a_host_that_is_not_ours_is_421(site: Site, host: str) -> None:
    answer = await _exchange(site, b"GET /api/v1/me HTTP/1.1\r\nConnection: close\r\nHost: " + host.encode() + b"\r\n\r\n")
    assert _statuses(answer) == [421]
    assert b"problem+json" in answer
    assert b"content-security-policy" in answer


async def test_R80_no_host_is_421_and_two_are_400(site: Site) -> None:
    assert _statuses(await _exchange(site, b"GET /healthz HTTP/1.0\r\n\r\n")) == [421]
    two = b"GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert _statuses(await _exchange(site, two)) == [400]


SMUGGLED = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: -2\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: 2x\r\n\r\n{}" + SMUGGLED,
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}" + SMUGGLED,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + SMUGGLED,
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + SMUGGLED,
        GET + b"X-Note: a\x00b\r\n\r\n" + SMUGGLED,
        GET + b"X Note: a\r\n\r\n" + SMUGGLED,
        b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n" + SMUGGLED,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_R81_framing_that_can_be_read_in_two_ways_is_400_and_closed(site: Site, sent: bytes) -> None:
    answer = await _exchange(site, sent)
    assert _statuses(answer)[-1] == 400
    assert b"openapi" not in answer


async def test_R81_a_megabyte_of_chunk_extensions_is_400(site: Site) -> None:
    sent = POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_048_576 + b"\r\n{\r\n0\r\n\r\n"
    assert _statuses(await _exchange(site, sent)) in ([400], [])


async def test_R81_trailers_are_no_headers(site: Site) -> None:
    await site.account("ada")
    token = await site.token("ada")
    sent = (
        b"POST /api/v1/logout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
    )
    assert _statuses(await _exchange(site, sent)) == [401]


async def test_R82_an_endless_header_is_431_long_before_it_is_whole(site: Site) -> None:
    async with _connected(site) as (reader, writer):
        writer.write(GET + b"X-Note: ")
        sent = 0
        try:
            while sent < 50_000_000 and not reader.at_eof():
                writer.write(b"x" * 65_536)
                sent += 65_536
                await writer.drain()
        except ConnectionError:
            pass
        assert _statuses(await _all(reader)) in ([431], [])
        assert sent < 10_000_000


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (GET + b"X-Note: " + b"x" * 33_000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n", 431),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"x" * 200_000, 414),
    ],
)
async def test_R82_a_head_that_is_too_large_is_refused(site: Site, head: bytes, status: int) -> None:
    answer = await _exchange(site, head)
    assert _statuses(answer) == [status]
    assert b"nosniff" in answer


async def test_R82_a_large_head_within_the_bounds_is_served(site: Site) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 300) for n in range(97))
    answer = await _exchange(
        site, GET.replace(b"/healthz", b"/healthz?" + b"q" * 8_000) + fields + b"Connection: close\r\n\r\n"
    )
    assert _statuses(answer) == [200]


async def test_R83_half_a_head_is_408_at_the_deadline(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with _shortened(monkeypatch, HEADER_S=0.2):
        assert _statuses(await _exchange(site, GET[:-2])) == [408]
        assert _statuses(await _exchange(site, b"\r\n")) == [408]
        assert await _exchange(site, b"") == b""


@pytest.mark.parametrize("rest", [b"GET /hea", b"\r\n"])
async def test_R83_a_second_half_head_on_a_kept_connection_is_408_too(
    site: Site, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    with _shortened(monkeypatch, HEADER_S=0.3):
        async with _connected(site) as (reader, writer):
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"\r\n\r\nok")
            writer.write(rest)
            assert _statuses(await _all(reader)) == [408]


async def test_R83_a_body_that_drips_is_408(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with _shortened(monkeypatch, BODY_WINDOW_S=0.2):
        assert _statuses(await _exchange(site, POST + b"Content-Length: 100\r\n\r\n{")) == [408]


async def test_R83_a_stream_is_not_cut_by_the_deadlines_of_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with _shortened(monkeypatch, HEADER_S=0.2, BODY_WINDOW_S=0.2, LINGER_S=0.2):
        ada = await site.person("ada")
        async with ada.http.get("/api/v1/stream") as answer:
            await answer.content.readline()
            await site.account("bob")
            async with asyncio.timeout(10):
                while b"user.added" not in await answer.content.readline():
                    pass


def test_R83_the_deadlines_are_these() -> None:
    assert (bounds.HEADER_S, bounds.BODY_WINDOW_S, bounds.BODY_WINDOW_BYTES / bounds.BODY_WINDOW_S) == (10, 10, 1_024)


@pytest.mark.parametrize(("path", "cap"), [("/api/v1/login", 4_096), ("/api/v1/users", 1_048_576), ("/nope", 1_048_576)])
async def test_R84_a_body_over_the_cap_is_413_before_it_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str, cap: int
) -> None:
    monkeypatch.setattr(bounds, "LINGER_S", 0.3)
    root = await site.person("root", "admin")
    cookie = next(iter(root.http.cookie_jar)).value.encode()
    head = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nCookie: taskdash="
    head += cookie + b"\r\nX-CSRF-Token: " + root.csrf_token.encode() + b"\r\n"
    wanted = [404] if path == "/nope" else [413]
    assert _statuses(await _exchange(site, head + b"Content-Length: %d\r\n\r\n" % (cap + 1))) == wanted
    chunk = b"%x\r\n" % (cap + 1) + b" " * (cap + 1) + b"\r\n0\r\n\r\n"
    async with _connected(site) as (reader, writer):
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert _statuses(await reader.readuntil(b"\r\n\r\n")) == wanted


async def test_R84_after_a_refusal_the_rest_of_the_body_is_not_awaited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with _shortened(monkeypatch, LINGER_S=0.2):
        answer = await _exchange(site, POST + b"Content-Length: 200000000\r\n\r\n")
    assert _statuses(answer) == [413]


async def test_R84_a_compressed_body_is_415(site: Site) -> None:
    client = site.client({"Content-Type": "application/json", "Content-Encoding": "gzip"})
    async with client.post("/api/v1/login", data=b"\x1f\x8b") as answer:
        assert answer.status == 415


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"]
)
async def test_R86_a_wrong_content_type_on_an_unsafe_method_is_415(site: Site, kind: str) -> None:
    root = await site.person("root", "admin")
    body = b'{"id":"mx"}'
    async with root.http.post("/api/v1/groups", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 415
    async with root.http.post(
        "/api/v1/groups", data=body, headers={"Content-Type": "Application/JSON;charset=utf-8"}
    ) as answer:
        assert answer.status == 201


IDS = [
    "a/b",
    "a%2Fb",
    "..a",
    "a b",
    "a?b#c",
    "%00",
    "任务/一",
    "🚀",
    "a;b=c",
    "claim",
    "export",
    "facets",
    "a+b",
    "é",
    "e\u0301",
]


async def test_R87_an_id_in_a_path_is_exactly_that_object(site: Site) -> None:
    await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(id=check_id(each))) for each in IDS]))
    ada = await site.person("ada")
    for each in IDS:
        path = f"/api/v1/tasks/{quote(each, safe='')}/claim"
        async with ada.http.post(_encoded(path)) as answer:
            body = await answer.json()
            assert (answer.status, body.get("id"), body.get("user")) == (200, each, "ada"), each


def _encoded(path: str) -> Any:
    return URL(path, encoded=True)


@pytest.mark.parametrize(
    "segment",
    ["%00", "%2E%2E", "..", ".", "%2F", "", "%ff", "%C3", "%E2%80%AEa", "x" * 129, "%0A", "133%20", "133%00", "133/", "%"],
)
async def test_R87_what_can_be_no_id_is_never_another_object(site: Site, segment: str) -> None:
    await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(id="133")), (None, a_task(id="claim"))]))
    ada = await site.person("ada")
    async with ada.http.post(_encoded(f"/api/v1/tasks/{segment}/claim")) as answer:
        assert answer.status in {400, 404, 405, 422}
    held = await site.db.read(lambda conn: tasks.load_many(conn, ["133", "claim"]))
    assert [task.user for task in held.values()] == ["", ""]


async def test_R103_connections_have_a_cap_and_one_refusal_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_CONNECTIONS", 3)
    async with _connected(site), _connected(site), _connected(site) as (_reader, third):
        third.write(b"G")
        assert _statuses(await _exchange(site, b"")) == [503]
    assert _statuses(await _exchange(site, GET + b"Connection: close\r\n\r\n")) == [200]


def test_R103_an_address_has_a_cap_but_loopback_and_trusted_proxies_have_none() -> None:
    connections = bounds.Connections((ip_network("192.0.2.0/24"),))
    for address, last in (("198.51.100.1", False), ("127.0.0.1", True), ("::1", True), ("192.0.2.7", True)):
        entered = [connections.entered(address) for _ in range(bounds.MOST_PER_ADDRESS + 1)]
        assert entered == [True] * bounds.MOST_PER_ADDRESS + [last]
    for _ in range(2):
        connections.left("198.51.100.1")
    assert connections.entered("198.51.100.1")
