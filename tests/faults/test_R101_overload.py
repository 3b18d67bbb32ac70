"""RELIABILITY R101, R102, R14: more than a server can store, and messages half of which are nonsense.

The small part runs always; LONG_FAULTS=1 runs as long as the rows say.
"""

import asyncio
import os
import sqlite3
from pathlib import Path

from tests.faults.load.producers import Pushed, nonsense, p99, push
from tests.faults.load.usage import MIB, usage
from tests.serving import Serving, serving
from tests.support import eventually

IS_LONG = os.environ.get("LONG_FAULTS") == "1"
PRODUCERS = 20
EACH = 30_000 if IS_LONG else 500
AHEAD = 1_024
SINGLE = 1_000 if IS_LONG else 200


def _stored(data_dir: Path) -> set[str]:
    with sqlite3.connect(f"file:{data_dir / 'taskdash.db'}?mode=ro", uri=True) as conn:
        return {row[0] for row in conn.execute("SELECT id FROM services")}


async def _largest(server: Serving, stop: asyncio.Event) -> int:
    largest = 0
    while not stop.is_set():
        largest = max(largest, usage(server.process.pid).rss)
        await asyncio.wait([asyncio.ensure_future(stop.wait())], timeout=0.1)
    return largest


async def _flood(server: Serving) -> tuple[list[Pushed], int]:
    """What all producers saw, and the most memory that the server had meanwhile."""
    stop = asyncio.Event()
    looking = asyncio.create_task(_largest(server, stop))
    ids = [[f"p{producer}-{n}" for n in range(EACH)] for producer in range(PRODUCERS)]
    pushed = await asyncio.gather(*(push(server.addresses["nsq"], some, AHEAD) for some in ids))
    stop.set()
    return list(pushed), await looking


async def test_R101_R14_an_overload_is_answered_late_and_every_answer_is_true(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        await push(server.addresses["nsq"], ["warm"], 1)
        before = usage(server.process.pid).rss
        pushed, largest = await _flood(server)
        loop, over_at = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        await eventually(lambda: _is_quick(server), 50)
        calm_s = loop.time() - over_at
        acknowledged = {service_id for one in pushed for service_id in one.acknowledged}
        refused = {service_id for one in pushed for service_id in one.refused}
        waits_s = [wait for one in pushed for wait in one.waits_s]
        print(  # noqa: T201
            f"{len(acknowledged)} acknowledged, {len(refused)} refused, p99 {p99(waits_s):.2f} s, "
            f"RSS {before / MIB:.0f} to {largest / MIB:.0f} MiB, normal after {calm_s:.2f} s"
        )
        assert await server.stop() == 0
    stored = _stored(tmp_path / "data")
    assert acknowledged <= stored, "no acknowledgement without storing"
    assert not refused & stored, "nothing refused was kept"
    assert largest - before < 128 * MIB


async def _is_quick(server: Serving) -> bool:
    return (await push(server.addresses["nsq"], ["calm"], 1)).waits_s[0] < 1.0


async def _singles(server: Serving, name: str) -> list[float]:
    pushed = await push(server.addresses["nsq"], [f"{name}{n}" for n in range(SINGLE)], 4)
    assert len(pushed.acknowledged) == SINGLE
    return pushed.waits_s


async def test_R102_R13_bad_messages_beside_good_ones_delay_no_good_one(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        await _singles(server, "warm")
        other, _ = await asyncio.gather(_singles(server, "clean"), _singles(server, "other"))
        bad = push(server.addresses["nsq"], ["bad"] * SINGLE, 4, nonsense)
        beside, told = await asyncio.gather(_singles(server, "beside"), bad)
        print(f"p99 beside good {p99(other) * 1e3:.1f} ms, beside bad {p99(beside) * 1e3:.1f} ms")  # noqa: T201
        assert len(told.acknowledged) == SINGLE, "a message that cannot be understood is finished"
        assert p99(beside) < 20 * p99(other), "ten times the figure of twice"
        assert await server.stop() == 0
    assert {f"beside{n}" for n in range(SINGLE)} <= _stored(tmp_path / "data")
