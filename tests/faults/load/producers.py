"""Producers that push into the embedded endpoint as fast as it answers, and know which messages were acknowledged."""

import asyncio
import json
import struct
from collections.abc import Callable, Sequence

from msgspec import Struct

Address = tuple[str, int]
_MAGIC = b"  V2"
_HEARTBEAT = b"_heartbeat_"


class Pushed(Struct):
    """What one producer saw: ids with `OK`, ids without, and how long each `OK` took."""

    acknowledged: list[str] = []
    refused: list[str] = []
    waits_s: list[float] = []


def registration(service_id: str) -> bytes:
    """One TaskService message."""
    body = json.dumps({"id": service_id, "name": service_id}).encode()
    return b"PUB taskdash.services\n" + struct.pack(">i", len(body)) + body


def nonsense(_id: str) -> bytes:
    """A message that cannot be understood."""
    body = b'{"id": 5, "what": [[[[' + b"x" * 200
    return b"PUB taskdash.services\n" + struct.pack(">i", len(body)) + body


async def push(address: Address, ids: Sequence[str], ahead: int, of: Callable[[str], bytes] = registration) -> Pushed:
    """Send one message an id, `ahead` of them unanswered at most, and wait for every answer."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(_MAGIC)
    loop, pushed, room = asyncio.get_running_loop(), Pushed(), asyncio.Semaphore(ahead)
    sent: list[float] = []

    async def send() -> None:
        for service_id in ids:
            await room.acquire()
            sent.append(loop.time())
            writer.write(of(service_id))
            await writer.drain()

    sending = asyncio.create_task(send())
    for n, service_id in enumerate(ids):
        is_ok = await _answer(reader, writer)
        room.release()
        (pushed.acknowledged if is_ok else pushed.refused).append(service_id)
        pushed.waits_s.append(loop.time() - sent[n])
    await sending
    writer.close()
    await writer.wait_closed()
    return pushed


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    while True:
        size, _kind = struct.unpack(">ii", await reader.readexactly(8))
        body = await reader.readexactly(size - 4)
        if body != _HEARTBEAT:
            return body == b"OK"
        writer.write(b"NOP\n")


def p99(waits_s: Sequence[float]) -> float:
    """The wait that one of a hundred exceeds."""
    return sorted(waits_s)[len(waits_s) * 99 // 100]
