"""What each port of a real `serve` says to a change, and what /readyz says of the store meanwhile."""

import asyncio
import json
from contextlib import closing

import aiohttp

from tests.serving import Serving


async def told_by_tcp(server: Serving, task_id: str) -> int:
    """The errid of a Register."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": task_id}}
    with closing(writer):
        writer.write(json.dumps(pack).encode() + b"\n")
        errid: int = json.loads(await reader.readline())["Body"]["errid"]
    return errid


async def told_by_nsq(server: Serving) -> bytes:
    """What a PUB of a service `refused` is answered."""
    reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
    body = b'{"id":"refused","name":"refused"}'
    with closing(writer):
        writer.write(b"  V2PUB taskdash.services\n" + len(body).to_bytes(4, "big") + body)
        frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
    return frame[4:]


async def trouble(session: aiohttp.ClientSession) -> str:
    """What /readyz says of the store; /healthz answers meanwhile."""
    async with asyncio.timeout(0.5), session.get("/healthz") as answer:
        assert answer.status == 200
    async with session.get("/readyz") as answer:
        return str({part["name"]: part["reason"] for part in (await answer.json())["parts"]}["store"])
