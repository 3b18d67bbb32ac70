"""A TCP proxy whose connections can be cut, stalled and slowed, all or only those of one process.

Law: a fault holds until `resume`, also for connections that come meanwhile. A cut is a reset; a stall keeps every connection
open and moves no byte, as a network that drops everything does.
"""

import asyncio
import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Literal

from tests.brokers import HOST, free_port

Kind = Literal["", "cut", "stall", "delay"]
_RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Passes on to the port `to`. `port`: where it listens itself."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.StreamWriter, asyncio.StreamWriter | None] = {}
        self._kind: Kind = ""
        self._pid, self._delay_s = 0, 0.0
        self._resumed = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Pass on."""
        self._server = await asyncio.start_server(self._pass_on, HOST, self.port)

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        self._resumed.set()
        await asyncio.gather(*self._running, return_exceptions=True)

    def cut(self, pid: int = 0) -> None:
        """Reset the connections, and those to come; of that process, or of all."""
        self._fail("cut", pid)
        for writer in [writer for writer in self._pairs if self._is_hit(writer)]:
            self._reset(writer)

    def stall(self, pid: int = 0) -> None:
        """Nothing moves in either direction."""
        self._fail("stall", pid)

    def delay(self, delay_s: float, pid: int = 0) -> None:
        """Each piece comes that much later."""
        self._fail("delay", pid)
        self._delay_s = delay_s

    def resume(self) -> None:
        """Pass on as before, with what was held back."""
        self._kind = ""
        self._resumed.set()

    def _fail(self, kind: Kind, pid: int) -> None:
        self.resume()
        self._resumed = asyncio.Event()
        self._kind, self._pid = kind, pid

    def _is_hit(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("peername")
        return bool(self._kind) and (not self._pid or (peer is not None and _holds(self._pid, peer[1], self.port)))

    def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running = asyncio.ensure_future(self._connect(reader, writer))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pairs[writer] = None
        try:
            if self._kind == "cut" and self._is_hit(writer):
                raise ConnectionResetError
            there_reader, there = await asyncio.open_connection(HOST, self._to)
        except OSError:
            self._reset(writer)
            return
        self._pairs[writer] = there
        await asyncio.gather(self._copy(writer, reader, there), self._copy(writer, there_reader, writer))
        self._pairs.pop(writer, None)

    async def _copy(self, client: asyncio.StreamWriter, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while read := await reader.read(65_536):
                await self._hold(client)
                to.write(read)
                await to.drain()
        to.close()

    async def _hold(self, client: asyncio.StreamWriter) -> None:
        if self._kind == "delay" and self._is_hit(client):
            await asyncio.sleep(self._delay_s)
        while self._kind == "stall" and self._is_hit(client):
            await self._resumed.wait()

    def _reset(self, client: asyncio.StreamWriter) -> None:
        for writer in (client, self._pairs.pop(client, None)):
            if writer is not None and not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()


def _holds(pid: int, local: int, remote: int) -> bool:
    """Whether that process has the connection from the port `local` to the port `remote` (Linux's own lists)."""
    ends = (f":{local:04X}", f":{remote:04X}")
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    inodes = {f"socket:[{f[9]}]" for f in lines if f[1].endswith(ends[0]) and f[2].endswith(ends[1])}
    for number in _descriptors(pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/{number}") in inodes:
                return True
    return False


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
