"""RELIABILITY R53: peers whose network drops everything are given up at the limits of SPEC 5, and their descriptors come back.

A proxy holds every connection open and moves no byte: the server hears neither a word nor an end.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.faults.load.usage import descriptors
from tests.faults.proxy import FaultProxy
from tests.serving import Serving, serving
from tests.support import eventually

PEERS = 10
SHORT = {"TASKDASH_TCP__IDLE": "2", "TASKDASH_TCP__HEARTBEAT_SILENCE": "1"}
REGISTER = b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"a task"}}\n'
NOTICE = b'{"MessageID":1392,"Header":null,"Body":null}\n'
_WISH = json.dumps({"feature_negotiation": True, "heartbeat_interval": 1_000}).encode()
IDENTIFY = b"  V2IDENTIFY\n" + struct.pack(">i", len(_WISH)) + _WISH
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
SAID = {"tcp": [REGISTER, REGISTER + NOTICE], "nsq": [IDENTIFY], "http": [HEAD], "nsq-http": [b"GET /ping HTTP/1.1\r\n"]}
if os.environ.get("LONG_FAULTS") == "1":
    SAID["http"].append(HEAD + b"\r\n")  # a connection that is kept for a minute


@asynccontextmanager
async def _behind_proxies(server: Serving) -> AsyncIterator[dict[str, FaultProxy]]:
    """A proxy before each listener."""
    proxies = {name: FaultProxy(port) for name, (_host, port) in server.addresses.items()}
    async with AsyncExitStack() as stack:
        for proxy in proxies.values():
            await proxy.start()
            stack.push_async_callback(proxy.close)
        yield proxies


async def _connected(proxies: dict[str, FaultProxy]) -> list[asyncio.StreamWriter]:
    writers = []
    for name, sentences in SAID.items():
        for said in sentences * PEERS:
            _reader, writer = await asyncio.open_connection("127.0.0.1", proxies[name].port)
            writer.write(said)
            writers.append(writer)
    return writers


async def test_R53_peers_that_silently_went_are_given_up_and_cost_nothing_any_more(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", env=SHORT) as server, _behind_proxies(server) as proxies:
        pid = server.process.pid
        before = descriptors(pid)
        writers = await _connected(proxies)
        await eventually(lambda: descriptors(pid) >= before + PEERS, 30)
        for proxy in proxies.values():
            proxy.stall()
        assert not any(writer.is_closing() for writer in writers)
        await eventually(lambda: descriptors(pid) <= before + 2, 200)
        for proxy in proxies.values():
            proxy.resume()
        for writer in writers:
            writer.close()
        assert await server.stop() == 0
