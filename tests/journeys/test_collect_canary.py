"""A server whose every byte is a canary: none of it comes to what people read of a failed collection, nor to a log. R168."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from taskdash.store import incidents
from taskdash.store.places import Place
from tests.service import speaking
from tests.sweeping import Collector, sweeping

C = "c4n4ry"
OK = "HTTP/1.1 200 OK\r\nConnection: close\r\n"


def said(body: str | bytes, head: str = OK) -> bytes:
    """A whole answer."""
    raw = body if isinstance(body, bytes) else body.encode()
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


def moved(to: str) -> bytes:
    return said("", f"HTTP/1.1 302 {C}\r\nLocation: {to}\r\n")


ANSWERS = {
    "banner of ssh": f"SSH-2.0-{C}\r\n".encode(),
    "banner of smtp": f"220 {C} ESMTP\r\n".encode(),
    "banner of redis": f"-ERR {C}\r\n".encode(),
    "tls alert": b"\x15\x03\x01\x00\x02\x02\x46" + C.encode(),
    "reason": said(C, f"HTTP/1.1 500 {C}\r\n"),
    "unknown status": said(C, f"HTTP/1.1 799 {C}\r\n"),
    "protocol": f"{C}/1.1 200 OK\r\n\r\n".encode(),
    "version": f"HTTP/{C} 200 OK\r\n\r\n".encode(),
    "header": said("[]", f"HTTP/1.1 200 OK\r\n{C} {C}: {C}\r\n"),
    "header of control characters": said(C, f"HTTP/1.1 200 OK\r\nX: {C}\x01{C}\r\n"),
    "length": f"HTTP/1.1 200 OK\r\nContent-Length: {C}\r\n\r\n".encode(),
    "chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{C}\r\n".encode(),
    "transfer encoding": said("[]", f"{OK}Transfer-Encoding: {C}\r\n"),
    "content encoding": said("[]", f"{OK}Content-Encoding: {C}\r\n"),
    "broken gzip": said(b"\x1f\x8b" + C.encode(), f"{OK}Content-Encoding: gzip\r\n"),
    "half of gzip": said(gzip.compress(C.encode() * 50)[:30], f"{OK}Content-Encoding: gzip\r\n"),
    "charset": said(f"{C}", f"{OK}Content-Type: application/json; charset={C}\r\n"),
    "other host": moved(f"http://{C}.test/{C}"),
    "no url": moved(f"http://[{C}/{C}"),
    "other scheme": moved(f"{C}://{C}"),
    "wrong port": moved(f"http://127.0.0.1:{C}/"),
    "userinfo": moved(f"http://{C}:{C}@127.0.0.1/"),
    "next": said(json.dumps({"tasks": [], "next": f"http://{C}.test/{C}"})),
    "next that is none": said(json.dumps({"tasks": [], "next": f"http://[{C}"})),
    "text": said(C),
    "html": said(f"<html><title>{C}</title>"),
    "string": said(json.dumps(C)),
    "half a string": said(f'["{C}'),
    "key": said(json.dumps({C: C})),
    "number at a key": said(f'{{"{C}":NaN}}'),
    "long number at a key": said(f'{{"{C}":{"9" * 40}}}'),
    "null character at a key": said(f'{{"{C}":"\\u0000"}}'),
    "surrogate at a key": said(f'{{"id":"1","{C}":{{"{C}":"\\ud800"}}}}'),
    "bytes that are no text": said(b"\xff" + C.encode()),
    "wrong records": said(json.dumps([{"id": f"{C}\n"}, {C: 1}, {"id": 7, "name": C * 99}, {"id": "1", "url": f"{C}://{C}"}])),
    "wrong lines": said(f'{{"id":"{C}\\u0001"}}\n{C}\n{{"{C}":"\\u0000"}}\n{{"id":"1","start_time":"{C}"}}\n'),
}


@asynccontextmanager
async def canaries() -> AsyncIterator[dict[str, str]]:
    """A server for each answer: its name and its url."""
    async with AsyncExitStack() as stack:
        urls = {}
        for name, raw in ANSWERS.items():

            async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes = raw) -> None:
                writer.write(raw)
                await writer.drain()

            urls[name] = await stack.enter_async_context(speaking(speak))
        yield urls


async def told(collector: Collector) -> str:
    """All that people read of what was asked."""
    services = await collector.services(*ANSWERS)
    shown = [(each.id, each.collect_error, each.collect_problems, each.evidence) for each in services]
    opened = await collector.db.read(lambda conn: incidents.page(conn, limit=500))
    return repr((shown, opened, [(e.before, e.after, e.evidence) for e in await collector.history()]))


async def test_R168_no_byte_of_an_answer_or_a_banner_is_told(
    place: Place, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with canaries() as urls, sweeping(place, whole_s=3.0) as collector:
        await collector.register_many(urls)
        found = {each.id: each for each in await collector.until_collected(*urls, deadline_s=60)}
        quoted = await told(collector)
    assert found.keys() == ANSWERS.keys()
    silent = [name for name, each in found.items() if not (each.collect_error or each.collect_problems)]
    assert silent == [], "each of them is wrong, and somebody is told so"
    assert C not in quoted
    printed = capfd.readouterr()
    assert C not in printed.out + printed.err + caplog.text
