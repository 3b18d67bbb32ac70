"""The proxy of the fault runs does to connections what its words say."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.brokers import HOST, free_port
from tests.faults.proxy import FaultProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """Before a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while read := await reader.read(100):
                writer.write(read)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(echo, HOST, port)
    made = FaultProxy(port)
    await made.start()
    yield made
    await made.close()
    server.close()
    await server.wait_closed()


@pytest.fixture
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    writers = []

    async def connected() -> Streams:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writers.append(writer)
        return reader, writer

    yield connected
    for writer in writers:
        writer.transport.abort()


async def said(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    return await asyncio.wait_for(streams[0].readexactly(len(text)), 5)


async def test_it_passes_on_and_a_cut_resets_old_and_new_connections(proxy: FaultProxy, connect: Connect) -> None:
    before = await connect()
    assert await said(before, b"one") == b"one"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await before[0].read(1)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await said(await connect(), b"two")
    proxy.resume()
    assert await said(await connect(), b"three") == b"three"


async def test_a_stall_holds_back_what_comes_and_gives_it_afterwards(proxy: FaultProxy, connect: Connect) -> None:
    held = await connect()
    assert await said(held, b"one") == b"one"
    proxy.stall()
    held[1].write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held[0].read(1), 0.2)
    proxy.resume()
    assert await held[0].readexactly(3) == b"two"


async def test_a_fault_of_one_process_leaves_the_others_alone(proxy: FaultProxy, connect: Connect) -> None:
    mine = await connect()
    proxy.stall(pid=1)
    assert await said(mine, b"one") == b"one"
    proxy.cut(pid=1)
    assert await said(mine, b"two") == b"two"
    proxy.cut(pid=os.getpid())
    with pytest.raises(ConnectionResetError):
        await mine[0].read(1)
