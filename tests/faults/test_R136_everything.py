"""R136: on one machine everything goes wrong that can, in the order of a seed, under load; the end is as it was told.

About a minute; LONG_FAULTS=1: an hour (HOUR: so many seconds). Add `-s` to see what happens.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from taskdash.store.check import check
from taskdash.store.places import File
from tests.faults.hour import checks
from tests.faults.hour.alone import Alone, hears_all, scale
from tests.faults.hour.faults import go_wrong
from tests.faults.hour.programs import VICTIM
from tests.faults.load.usage import Used, used
from tests.faults.test_hour import all_findings, loaded, summary, told, watched
from tests.support import eventually
from tools.cluster.programs import Instance

SEED = 136
MORE = 2
"""Descriptors, threads and tasks that may be more or fewer in the end."""


def are_up(stage: Alone) -> bool:
    found = stage.machine.states()
    return len(found) == len(stage.programs.ids) and set(found.values()) == {"up"}


async def what_is_stored(stage: Alone) -> checks.Stored:
    """At the end of the load, once the watchers had the time to see it; which of them has not is told by the check."""
    stored = stage.machine.read()
    with contextlib.suppress(AssertionError):
        await eventually(lambda: all(one.seen and one.seen[-1] >= stored.newest for one in stage.watchers), 45)
    return stored


async def at_the_start(server: Instance) -> Used:
    """Of a server that is new, as the one in the end is: nobody has signed in at it."""
    await server.end()
    await server.start()
    await eventually(lambda: hears_all(server), 60)
    return await used(server.url(), server.pid)


def are_alike(one: Used, other: Used) -> bool:
    return all(abs(a - b) <= MORE for a, b in zip(structs.astuple(one), structs.astuple(other), strict=True))


async def in_the_end(server: Instance, before: Used) -> Used:
    """Once it is as before, or after a minute in which it was not."""

    async def is_back() -> bool:
        return are_alike(before, await used(server.url(), server.pid))

    with contextlib.suppress(AssertionError):
        await eventually(is_back, 60)
    return await used(server.url(), server.pid)


@pytest.mark.timeout(5_400)
async def test_R136_when_everything_goes_wrong_the_end_is_what_was_told_and_nothing_is_left_behind(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    stage = Alone(folder, scale(), SEED)
    async with stage.running():
        await stage.set_up()
        before = await at_the_start(stage.machine.server)
        async with watched(stage):
            async with loaded(stage):
                await eventually(lambda: are_up(stage), 60)
                faults = stage.all_faults()
                await go_wrong(faults[: len(faults) // 2], stage.machine, stage.scale, SEED, told)
                await stage.programs.kill()
                await go_wrong(faults[len(faults) // 2 :], stage.machine, stage.scale, SEED, told)
                await eventually(lambda: stage.machine.states()[VICTIM] == "down", 60 + 4 * stage.scale.interval_s)
            stored = await what_is_stored(stage)
        told(summary(stage, stored))
        record_property("tries", summary(stage, stored))
        assert stage.programs.longest_gap_s < 2.5 * stage.scale.interval_s, "the load itself did not beat in time"
        findings = all_findings(stage, stored)
        told("\n".join(findings))
        assert not findings
        after = await in_the_end(stage.machine.server, before)
        told(f"at the start {before}, in the end {after}")
        assert are_alike(before, after)
        assert await stage.machine.server.end() == 0
        assert await asyncio.to_thread(check, File(stage.machine.store)) == []
