"""Clients of HTTP that cost little: one connection each, one request under way; a new one when the server closes."""

import asyncio
import time
from collections.abc import Sequence

Address = tuple[str, int]


def request(method: str, path: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + body


async def rate(address: Address, clients: Sequence[Sequence[bytes]]) -> float:
    """Requests a second, all answered with 200."""
    began = time.perf_counter()
    await asyncio.gather(*(_client(address, requests) for requests in clients))
    return sum(map(len, clients)) / (time.perf_counter() - began)


async def _client(address: Address, requests: Sequence[bytes]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for one in requests:
        writer.write(one)
        if await _answered(reader):
            writer.close()
            reader, writer = await asyncio.open_connection(*address)
    writer.close()


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Reads one answer; whether the server closes after it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(head.decode())
    await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
    return b"connection: close" in head
