"""R133 over real sockets: mutated bytes at all four ports of a real `serve`, which answers from its tables and lives on."""

import asyncio
import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from tests.faults.load.usage import descriptors, rss_mib
from tests.fuzz.mutation import inputs
from tests.serving import Serving, serving
from tests.support import eventually

INPUTS = int(os.environ.get("FUZZ_CONNECTIONS") or (20_000 if os.environ.get("LONG_FAULTS") else 150))
AT_ONCE = 16
ENDS_WITHIN_S = 40.0
"""Ten seconds for a head that is not whole, on a machine that is four times slower: more is a hang."""
STATUSES = {
    200,
    204,
    302,
    303,
    304,
    400,
    401,
    403,
    404,
    405,
    408,
    409,
    411,
    413,
    414,
    415,
    417,
    421,
    422,
    428,
    429,
    431,
    501,
    503,
}
ERRIDS = {0, 1000, 1002}
NSQ_ERRORS = (b"E_BAD_PROTOCOL", b"E_INVALID", b"E_BAD_TOPIC", b"E_BAD_MESSAGE", b"E_BAD_BODY", b"E_AUTH")


def packs(told: bytes) -> None:
    """Answers of 8701: each with an errid that a request can have while the store works."""
    while told:
        size = int.from_bytes(told[:4], "big") if told[:1] == b"\x00" else told.index(b"\n") + 1
        at = 4 if told[:1] == b"\x00" else 0
        assert len(told) >= at + size
        body = json.loads(told[at : at + size])["Body"]
        if isinstance(body, str):
            return  # its form is the parser's test
        assert body["errid"] in ERRIDS, body
        told = told[at + size :]


def frames(told: bytes) -> None:
    """Answers of 4150: responses, and errors of nsqd's own names."""
    while told:
        size, kind = int.from_bytes(told[:4], "big"), int.from_bytes(told[4:8], "big")
        body = told[8 : 4 + size]
        assert len(told) >= 4 + size
        assert kind in {0, 1}
        assert kind == 0 or body.startswith(NSQ_ERRORS), body
        told = told[4 + size :]


def status(told: bytes) -> None:
    """Answers of 4151 and 8700: nothing, or a status of ours. 500 is a mistake."""
    if told:
        version, code, _rest = told.split(b" ", 2)
        assert version == b"HTTP/1.1"
        assert int(code) in STATUSES, told[:300]


PORTS: dict[str, tuple[str, Callable[[bytes], None]]] = {
    "tcp": ("tcp", packs),
    "nsq": ("nsq", frames),
    "nsq-http": ("nsq_http", status),
    "http": ("http", status),
}


async def send(address: tuple[str, int], raw: bytes) -> bytes:
    """Say all, then hear all until the server ends the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(ENDS_WITHIN_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def attack(server: Serving, port: str) -> None:
    name, judge = PORTS[port]
    waiting = islice(inputs(name, 8_701), INPUTS)

    async def one() -> None:
        for raw in waiting:
            told = await send(server.addresses[port], raw)
            try:
                judge(told)
            except (AssertionError, ValueError, KeyError) as error:
                raise AssertionError(f"to be kept in corpus/{name}: {raw!r} was answered {told[:500]!r}") from error

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


@pytest.mark.timeout(7_200)
async def test_R133_a_server_answers_mutated_bytes_on_all_ports_from_its_tables_and_lives_on(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("tries", f"{INPUTS * len(PORTS):,} connections")
    async with serving(tmp_path / "data") as server:
        before = descriptors(server.process.pid)
        await asyncio.gather(*(attack(server, port) for port in PORTS))
        grown = rss_mib(server.process.pid)
        await eventually(lambda: descriptors(server.process.pid) <= before + 10, 60)
        assert b"200 OK" in await send(server.addresses["http"], b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert grown < 400
        assert not [line for line in server.errors if "Traceback" in line]
        assert await server.stop() == 0
