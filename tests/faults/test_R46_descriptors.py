"""RELIABILITY R46: a server with 64 file descriptors, and 200 peers at each port who stay."""

import asyncio
import contextlib
import resource
from pathlib import Path

import pytest

from taskdash.clock import ManualClock
from taskdash.descriptors import SAY_EVERY_S, Crowding, share
from tests.faults.load.crowd import crowd
from tests.faults.load.usage import descriptors, usage
from tests.faults.ports import told_by_tcp
from tests.serving import serving
from tests.support import eventually

FEW = 64
PORTS = ("http", "tcp", "nsq", "nsq-http")


async def test_R46_with_few_descriptors_who_is_connected_works_on_and_others_are_told_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", prefix=("prlimit", f"--nofile={FEW}:{FEW}")) as server, server.signed_in() as browser:
        reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
        before = usage(server.process.pid)
        with contextlib.ExitStack() as stack:
            for port in PORTS:
                stack.enter_context(crowd(server.addresses[port], 50))
            for n in range(20):
                writer.write(b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"%d"}}\n' % n)
                assert b'"errid":0' in await asyncio.wait_for(reader.readline(), 20), "what is connected is still served"
            async with browser.get("/api/v1/tasks") as answer:
                assert answer.status == 200, "and reads through the store's own descriptors"
            await eventually(lambda: descriptors(server.process.pid) < FEW - 10, 30)
            during = usage(server.process.pid)
        told = f"descriptors {before.descriptors}, {during.descriptors} of {FEW}; {during.cpu_s - before.cpu_s:.2f} s of CPU"
        print(told)  # noqa: T201
        assert len([line for line in server.errors if "connections are turned away" in line]) == 1, "one line a minute"
        writer.close()
        await eventually(lambda: descriptors(server.process.pid) <= before.descriptors + 2, 30)
        assert await told_by_tcp(server, "late") == 0, "there is room again"
        assert await server.stop() == 0


def test_R46_descriptors_are_shared_out_before_anybody_connects() -> None:
    assert share(65_536, 4_096) == 4_096
    assert share(1_024, 4_096) == 196
    assert share(64, 4_096) == 4
    assert share(10, 4_096) == 1
    assert share(resource.RLIM_INFINITY, 4_096) == 4_096


async def test_R46_that_none_is_left_is_said_once_a_minute_with_how_often(capsys: pytest.CaptureFixture[str]) -> None:
    clock, loop = ManualClock(), asyncio.get_running_loop()
    crowding = Crowding(clock)
    for _ in range(2_879):
        crowding.on_loop_error(loop, {"message": "accept", "exception": OSError(24, "Too many open files")})
    clock.advance(SAY_EVERY_S)
    crowding.on_loop_error(loop, {"message": "accept", "exception": OSError(24, "Too many open files")})
    lines = [line for line in capsys.readouterr().out.splitlines() if "turned away" in line]
    assert len(lines) == 2
    assert "2879" in lines[1]
