"""Asking one service: forms, methods, validators, pages, bounds. SPEC 4, RELIABILITY R47, R48, R50, R168."""

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from aiohttp import web
from backports import zstd

from taskdash.collector.names import Names
from taskdash.wire.metadata import Answer
from tests import service as services
from tests.service import ONE, TWO, a_fetcher, a_guard, asked, redirects, refuses, running, speaking, streams, tells

LIMIT = 1024 * 1024


async def answer_of(answer: services.Answer, bounds: dict[str, Any] | None = None, **fields: Any) -> Answer:
    async with running(answer) as service, a_fetcher(**bounds or {}) as fetcher:
        return await fetcher.fetch(asked(service.url, **fields))


def ids(answer: Answer) -> list[str]:
    assert answer.ok, answer.error
    return [task.id for task in answer.tasks]


async def test_a_service_is_asked_by_GET_for_json_and_ndjson() -> None:
    async with running(tells([ONE, TWO])) as service, a_fetcher() as fetcher:
        answer = await fetcher.fetch(asked(service.url))
    assert ids(answer) == ["133", "132"]
    assert (answer.method, answer.is_unchanged, answer.error) == ("GET", False, "")
    assert answer.took_ms > 0
    headers = service.requests[0].headers
    assert headers["Accept"] == "application/json, application/x-ndjson"
    assert "If-None-Match" not in headers


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", PACKERS)
async def test_compressed_answers_are_unpacked(encoding: str) -> None:
    body = PACKERS[encoding](json.dumps([ONE]).encode())
    assert ids(await answer_of(tells(body, Content_Encoding=encoding))) == ["133"]


@pytest.mark.parametrize("status", [405, 501])
async def test_a_service_that_knows_no_GET_is_asked_by_POST_with_its_id_and_the_method_is_remembered(status: int) -> None:
    async def post_only(request: web.Request) -> web.StreamResponse:
        return await (tells([ONE]) if request.method == "POST" else refuses(status))(request)

    async with running(post_only) as service, a_fetcher() as fetcher:
        answer = await fetcher.fetch(asked(service.url))
        assert (ids(answer), answer.method) == (["133"], "POST")
        again = await fetcher.fetch(asked(service.url, method=answer.method))
        assert ids(again) == ["133"]
    assert service.methods == ["GET", "POST", "POST"]
    assert json.loads(service.bodies[1]) == {"id": "billing"}


async def test_a_service_whose_remembered_POST_is_no_longer_known_is_asked_by_GET() -> None:
    async def get_only(request: web.Request) -> web.StreamResponse:
        return await (tells([ONE]) if request.method == "GET" else refuses(405))(request)

    answer = await answer_of(get_only, method="POST")
    assert (ids(answer), answer.method) == (["133"], "GET")


async def test_validators_are_sent_back_and_304_is_unchanged() -> None:
    async def with_validators(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"' and request.headers.get("If-Modified-Since") == "yesterday":
            return web.Response(status=304)
        return await tells([ONE], ETag='"v1"', Last_Modified="yesterday")(request)

    async with running(with_validators) as service, a_fetcher() as fetcher:
        first = await fetcher.fetch(asked(service.url))
        assert (first.etag, first.last_modified, first.is_unchanged) == ('"v1"', "yesterday", False)
        known = {"collect_etag": first.etag, "collect_last_modified": first.last_modified, "collect_digest": first.digest}
        second = await fetcher.fetch(asked(service.url, **known))
    assert second.ok
    assert second.is_unchanged


async def test_the_same_content_is_unchanged_without_validators() -> None:
    async with running(tells([ONE])) as service, a_fetcher() as fetcher:
        first = await fetcher.fetch(asked(service.url))
        known = asked(service.url, collect_digest=first.digest)
        assert (await fetcher.fetch(known)).is_unchanged
        service.answer = tells([ONE, TWO])
        assert not (await fetcher.fetch(known)).is_unchanged


async def test_a_304_that_nobody_asked_for_is_a_failure() -> None:
    assert (await answer_of(refuses(304))).error == "it answered with status 304"
    assert not (await answer_of(refuses(304), collect_etag='"v1"')).ok, "an answer that was not applied whole is not known"


async def test_the_same_answer_at_another_url_is_not_unchanged() -> None:
    async with running(tells([ONE])) as service, a_fetcher() as fetcher:
        first = await fetcher.fetch(asked(service.url))
        assert not (await fetcher.fetch(asked(service.at("/other"), collect_digest=first.digest))).is_unchanged


def pages(*contents: Any) -> services.Answer:
    """Page n is at ?page=n; each content is its tasks."""

    async def page(request: web.Request) -> web.StreamResponse:
        n = int(request.query.get("page", "0"))
        following = f"?page={n + 1}" if n + 1 < len(contents) else ""
        return await tells({"tasks": contents[n], "next": following}, ETag='"one page"')(request)

    return page


async def test_all_pages_are_one_answer_and_their_validators_are_not_kept() -> None:
    async with running(pages([ONE], [TWO], [{"id": "1"}])) as service, a_fetcher() as fetcher:
        answer = await fetcher.fetch(asked(service.url))
        assert ids(answer) == ["133", "132", "1"]
        assert answer.etag == ""
        known = asked(service.url, collect_digest=answer.digest)
        assert (await fetcher.fetch(known)).is_unchanged
        service.answer = pages([ONE], [TWO], [{"id": "2"}])
        assert ids(await fetcher.fetch(known)) == ["133", "132", "2"]


async def test_R12_a_page_that_cannot_be_had_fails_the_whole_answer() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return await (refuses(500) if request.query else pages([ONE], [TWO]))(request)

    answer = await answer_of(broken)
    assert (answer.ok, answer.tasks, answer.error) == (False, (), "it answered with status 500")


@pytest.mark.parametrize(
    "following",
    [
        "http://127.0.0.2:{port}/tasks?2",
        "http://localhost:{port}/2",
        "https://127.0.0.1:{port}/2",
        "http://127.0.0.1:1/2",
        "//x/2",
    ],
)
async def test_R178_a_next_page_on_another_scheme_host_or_port_is_not_asked(following: str) -> None:
    async with running(tells([])) as service, a_fetcher() as fetcher:
        service.answer = tells({"tasks": [ONE], "next": following.format(port=service.port)})
        answer = await fetcher.fetch(asked(service.url))
    assert "next page is on another" in answer.error
    assert len(service.requests) == 1


@pytest.mark.parametrize("following", ["javascript:alert(1)", "http://[::1", "http://u:p@127.0.0.1/", "x" * 3000])
async def test_R178_a_next_page_that_is_no_url_is_refused(following: str) -> None:
    answer = await answer_of(tells({"tasks": [ONE], "next": following}))
    assert not answer.ok
    assert following[:20] not in answer.error


async def test_R48_pages_that_go_in_a_circle_are_refused() -> None:
    assert "circle" in (await answer_of(tells({"tasks": [ONE], "next": "/tasks"}))).error


async def test_R48_endless_pages_are_refused() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        return await tells({"tasks": [], "next": f"?page={int(request.query.get('page', '0')) + 1}"})(request)

    async with running(endless) as service, a_fetcher(whole_s=60) as fetcher:
        answer = await fetcher.fetch(asked(service.url))
    assert answer.error == "it has more than 1000 pages"
    assert len(service.requests) == 1000


async def test_R48_too_many_tasks_over_all_pages_are_refused() -> None:
    answer = await answer_of(pages([ONE], [TWO], [{"id": 3}]), {"most_tasks": 2})
    assert answer.error == "it names more than 2 tasks"
    assert ids(await answer_of(pages([ONE], [TWO], []), {"most_tasks": 2})) == ["133", "132"]


@pytest.mark.parametrize("encoding", ["", *PACKERS])
async def test_R48_an_answer_of_one_byte_too_many_is_refused_however_it_is_packed(encoding: str) -> None:
    pack = PACKERS.get(encoding, bytes)
    body = json.dumps([ONE]).encode()
    headers = {"Content_Encoding": encoding} if encoding else {}
    bounds = {"most_bytes": LIMIT}
    just = pack(body + b" " * (LIMIT - len(body)))
    assert ids(await answer_of(tells(just, **headers), bounds)) == ["133"]
    over = pack(body + b" " * (LIMIT - len(body) + 1))
    assert (await answer_of(tells(over, **headers), bounds)).error == "its answer is larger than 1 MiB"


@pytest.mark.parametrize("encoding", PACKERS)
async def test_R48_a_bomb_is_noticed_at_the_limit(encoding: str) -> None:
    bomb = PACKERS[encoding](b" " * 64 * LIMIT)
    assert (await answer_of(tells(bomb, Content_Encoding=encoding))).error == "its answer is larger than 16 MiB"


async def test_R48_the_limit_counts_all_pages_together() -> None:
    answer = await answer_of(pages([ONE], [{"id": "1", "description": "x" * 2000}]), {"most_bytes": 2000})
    assert "larger than 2000 bytes" in answer.error


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,br", "compress", "c4n4ry"])
async def test_R48_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    body = gzip.compress(gzip.compress(json.dumps([ONE]).encode()))
    assert "content encoding" in (await answer_of(tells(body, Content_Encoding=encoding))).error


async def test_big_answers_take_turns_and_all_come_through() -> None:
    body = json.dumps([{"id": str(n), "description": "x" * 8000} for n in range(300)]).encode()
    async with running(tells(body)) as service, a_fetcher() as fetcher:
        answers = await asyncio.gather(*(fetcher.fetch(asked(service.url)) for _ in range(20)))
    assert [len(ids(answer)) for answer in answers] == [300] * 20


# redirects


async def test_redirects_on_the_same_host_are_followed_three_times() -> None:
    assert ids(await answer_of(redirects("/a", "/b", "/c"))) == ["133"]
    assert (await answer_of(redirects("/a", "/b", "/c", "/d"))).error == "it redirects more than 3 times"


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_the_method_is_kept_only_by_307_and_308(status: int, method: str) -> None:
    async with running(redirects("/a", status=status)) as service, a_fetcher() as fetcher:
        assert ids(await fetcher.fetch(asked(service.url, method="POST"))) == ["133"]
    assert service.methods == ["POST", method]
    assert bool(service.bodies[1]) is (method == "POST")


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2/", "//localhost/", "file:///etc/passwd", "http://a:b@127.0.0.1/", "http://[::1"]
)
async def test_R178_a_redirect_to_another_host_is_not_followed(target: str) -> None:
    async with running(redirects(target)) as service, a_fetcher() as fetcher:
        answer = await fetcher.fetch(asked(service.url))
    assert "redirects to" in answer.error
    assert len(service.requests) == 1


# failures


@pytest.mark.parametrize("status", [204, 206, 400, 404, 500, 503])
async def test_R168_another_status_is_a_failure_that_quotes_nothing(status: int) -> None:
    assert (await answer_of(refuses(status))).error == f"it answered with status {status}"


@pytest.mark.parametrize(
    "body", [b"c4n4ry", b"<html>c4n4ry", b'{"c4n4ry":1}', b'["c4n4ry', b'{"tasks":"c4n4ry"}', b"\xffc4n4ry"]
)
async def test_R168_an_answer_that_is_no_metadata_is_a_failure_that_quotes_nothing(body: bytes) -> None:
    answer = await answer_of(tells(body))
    assert answer.error
    assert "c4n4ry" not in answer.error


async def test_R47_a_service_that_never_answers_is_given_up() -> None:
    answer = await answer_of(services.hangs, {"whole_s": 0.2})
    assert answer.error == "it did not answer within 0.2 s"


RAW = {
    "reset": b"",
    "banner": b"SSH-2.0-c4n4ry\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[]",
    "wrong length": b"HTTP/1.1 200 OK\r\nContent-Length: c4n4ry\r\n\r\n[]",
    "bad header": b"HTTP/1.1 200 OK\r\nc4n4ry c4n4ry\r\n\r\n[]",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"c4n4ry" * 20_000,
    "bad gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n\x1f\x8bc4n4ry",
}


@pytest.mark.parametrize("bytes_sent", RAW.values(), ids=RAW)
async def test_R47_R168_what_is_not_a_whole_HTTP_answer_is_a_failure_that_quotes_nothing(bytes_sent: bytes) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes_sent)
        await writer.drain()

    async with speaking(speak) as url, a_fetcher() as fetcher:
        answer = await fetcher.fetch(asked(url))
    assert not answer.ok
    assert answer.error
    assert "c4n4ry" not in answer.error


async def test_R48_interim_answers_without_end_are_cut() -> None:
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 1_000:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)
            await writer.drain()
            sent += 1

    async with speaking(flood) as url, a_fetcher() as fetcher:
        assert (await fetcher.fetch(asked(url))).error == "it sends more than 10 answers of the kind 1xx"
    assert sent < 1_000


async def test_a_few_interim_answers_come_before_the_answer() -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()

    async with speaking(speak) as url, a_fetcher() as fetcher:
        assert ids(await fetcher.fetch(asked(url))) == []


async def test_R47_an_answer_that_drips_byte_by_byte_is_cut() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with speaking(drip) as url, a_fetcher(whole_s=0.3) as fetcher:
        assert (await fetcher.fetch(asked(url))).error == "it did not answer within 0.3 s"


async def test_R47_a_port_that_nobody_listens_on_is_a_refused_connection() -> None:
    async with running(tells([])) as service:
        url = service.url
    async with a_fetcher() as fetcher:
        assert (await fetcher.fetch(asked(url))).error == "the connection was refused"


@pytest.mark.parametrize(
    "url", ["http://2130706433/", "http://127.1/", "http://0177.0.0.1/", "http://x..y/", "https://127.0.0.1:1/"]
)
async def test_a_url_that_leads_nowhere_is_a_failure(url: str) -> None:
    names = Names(a_guard(), look_up=lambda *_args, **_kind: [])
    async with a_fetcher(names=names) as fetcher:
        answer = await fetcher.fetch(asked(url))
    assert not answer.ok
    assert answer.error


async def test_R50_a_name_server_that_hangs_holds_up_its_own_names_only() -> None:
    stop = threading.Event()
    asked_names: list[str] = []

    def look_up(name: str, *_args: Any, **_kind: Any) -> list[tuple[Any, ...]]:
        asked_names.append(name)
        if name.startswith("hung"):
            stop.wait(30)
            raise OSError
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    guard = a_guard()
    names = Names(guard, deadline_s=0.2, threads=4, look_up=look_up)
    try:
        async with running(tells([ONE])) as service, a_fetcher(guard, names) as fetcher:
            urls = [service.at("/", "hung.test")] * 20 + [service.at("/", "good.test")]
            answers = await asyncio.gather(*(fetcher.fetch(asked(url)) for url in urls))
    finally:
        stop.set()
    assert {answer.error for answer in answers[:-1]} == {"its name was not resolved within 0.2 s"}
    assert ids(answers[-1]) == ["133"]
    assert asked_names.count("hung.test") == 1, "one thread for one name, however often it is asked"


async def test_an_answer_in_pieces_is_one_answer() -> None:
    assert ids(await answer_of(streams([b'[{"id":', b'"1"}', b"]"]))) == ["1"]


async def test_a_kept_connection_is_used_again() -> None:
    async with running(tells([ONE])) as service, a_fetcher() as fetcher:
        for _ in range(3):
            await fetcher.fetch(asked(service.url))
    peers = {request.transport for request in service.requests}
    assert len(service.requests) == 3
    assert len(peers) == 1


async def test_cookies_of_services_are_not_kept() -> None:
    async with running(tells([ONE], Set_Cookie="a=b")) as service, a_fetcher() as fetcher:
        await fetcher.fetch(asked(service.url))
        await fetcher.fetch(asked(service.url))
    assert all("Cookie" not in request.headers for request in service.requests)
