"""Writes the same bytes to every connection when told to: the floor of the event stream. One connection says `go`."""

import asyncio
import signal
from typing import Any

import uvloop

EVENT = b"id: 1234567\ndata: " + b"x" * 420 + b"\n\n"
GREETING = b"!"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


class Peer(asyncio.Protocol):
    """A listener, or the one who says when."""

    def __init__(self, everybody: set[asyncio.Transport]) -> None:
        self._everybody = everybody

    def connection_made(self, transport: Any) -> None:
        self._everybody.add(transport)
        transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"go")):
            for transport in self._everybody:
                transport.write(CHUNK)


async def main() -> None:
    loop, everybody = asyncio.get_running_loop(), set[asyncio.Transport]()
    server = await loop.create_server(lambda: Peer(everybody), "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(main())
