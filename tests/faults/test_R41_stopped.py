"""R41: a TaskDash that stood still finds its connections closed, with messages in hand, and goes on."""

import asyncio
import contextlib
import signal
from pathlib import Path

from tests.brokers import Nsqd, running
from tests.consuming import beats
from tests.serving import Serving, serving
from tests.support import eventually

ROUNDS, MSG_TIMEOUT_S = 3, 1


async def flood(nsqd: Nsqd) -> None:
    while True:
        await nsqd.publish(beats(500))


async def stopped_while_nsqd_dies(server: Serving, nsqd: Nsqd) -> None:
    """For longer than half of the message timeout, so that what is in hand is to be touched."""
    server.kill(signal.SIGSTOP)
    await nsqd.end()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.process.wait(), MSG_TIMEOUT_S)
    server.kill(signal.SIGCONT)
    await nsqd.start()


async def test_R41_a_consumer_that_stood_still_survives_that_its_connections_were_closed(tmp_path: Path) -> None:
    nsqd = Nsqd(tmp_path / "nsqd")
    environ = {"TASKDASH_NSQ__MSG_TIMEOUT": str(MSG_TIMEOUT_S)}
    async with running(nsqd):
        await nsqd.create()
        async with serving(tmp_path / "data", f"--nsqd={nsqd.address}", env=environ) as server:
            for _ in range(ROUNDS):
                flooding = asyncio.ensure_future(flood(nsqd))
                await eventually(lambda: has_taken(nsqd))
                flooding.cancel()
                await asyncio.gather(flooding, return_exceptions=True)
                await stopped_while_nsqd_dies(server, nsqd)
                await eventually(nsqd.is_drained, 30)
                assert server.process.returncode is None, server.errors
            assert await server.stop() == 0


async def has_taken(nsqd: Nsqd) -> bool:
    return bool((await nsqd.channel())["in_flight_count"])
