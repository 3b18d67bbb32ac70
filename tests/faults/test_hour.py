"""The scripted hour: a cluster of real programs under load while everything in it is killed, stopped, cut and stalled.

For every change about two minutes; `LONG_FAULTS=1` a quarter of an hour, `HOUR=3600` the hour, with 2,000 services and 100,000
tasks. Add `-s` to see what happens.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.hour import checks
from tests.faults.hour.faults import all_faults, go_wrong
from tests.faults.hour.programs import VICTIM
from tests.faults.hour.scale import scale
from tests.faults.hour.stage import Stage
from tests.support import eventually

INSTANCES = int(os.environ.get("HOUR_INSTANCES", "2"))
SEED = 54


def told(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextlib.asynccontextmanager
async def loaded(stage: Stage) -> AsyncIterator[None]:
    """Programs, writers and people at work; a load that dies of itself is a mistake of this test."""
    running = [asyncio.create_task(one.run()) for one in (stage.programs, *stage.writers, *stage.people)]
    try:
        yield
        assert not [one for one in running if one.done()]
    finally:
        for one in running:
            one.cancel()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


@contextlib.asynccontextmanager
async def watched(stage: Stage) -> AsyncIterator[None]:
    """The watchers listen all the time."""
    running = [asyncio.create_task(one.run()) for one in stage.watchers]
    try:
        yield
        assert not [one for one in running if one.done()]
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def what_is_stored(stage: Stage) -> checks.Stored:
    """At the end of the load, once the watchers had the time to see it; which of them has not is told by the check."""
    stored = await asyncio.to_thread(checks.read, stage.cluster.database)
    with contextlib.suppress(AssertionError):
        await eventually(lambda: all(one.seen and one.seen[-1] >= stored.newest for one in stage.watchers), 45)
    return stored


async def states(stage: Stage) -> dict[str, str]:
    return await asyncio.to_thread(checks.states, stage.cluster.database)


async def are_up(stage: Stage) -> bool:
    found = await states(stage)
    return len(found) == len(stage.programs.ids) and set(found.values()) == {"up"}


async def is_found_dead(stage: Stage) -> bool:
    return (await states(stage))[VICTIM] == "down"


def all_findings(stage: Stage, stored: checks.Stored) -> list[str]:
    written = {task: known for writer in stage.writers for task, known in writer.written.items()}
    calls = [call for person in stage.people for call in person.calls]
    return [
        *(strange for person in stage.people for strange in person.strange),
        *checks.lost_writes(written, stored),
        *checks.unknown_services(stage.programs.ids, stored),
        *checks.false_downs(stored),
        *checks.repeated_states(stored),
        *checks.repeated_incidents(stored),
        *checks.wrong_claims(calls, stored),
        *checks.wrong_streams(stage.watchers, stored),
    ]


def summary(stage: Stage, stored: checks.Stored) -> str:
    calls = [call for person in stage.people for call in person.calls]
    outcomes = {name: sum(call.outcome == name for call in calls) for name in ("ok", "lost", "refused", "unknown")}
    written = [known for writer in stage.writers for known in writer.written.values()]
    return (
        f"{stage.programs.beats} beats (longest gap {stage.programs.longest_gap_s:.1f} s), {len(stored.tasks)} tasks, "
        f"writes: {sum(len(one.unknown) for one in written)} unknown, {sum(len(one.refused) for one in written)} refused, "
        f"claims {outcomes}, {len(stored.events)} events, {len(stored.incidents)} incidents, "
        f"streams opened {sum(watcher.connections for watcher in stage.watchers)} times"
    )


@pytest.mark.timeout(5_400)
async def test_R20_R32_R54_the_scripted_hour_loses_repeats_and_accuses_nothing(folder: Path) -> None:
    stage = Stage(folder, scale(), INSTANCES, SEED)
    async with stage.running():
        await stage.set_up()
        async with watched(stage):
            async with loaded(stage):
                await eventually(lambda: are_up(stage), 60)
                faults = all_faults(stage.cluster, stage.proxies)
                await go_wrong(faults[: len(faults) // 2], stage.cluster, stage.scale, SEED, told)
                await stage.programs.kill()
                await go_wrong(faults[len(faults) // 2 :], stage.cluster, stage.scale, SEED, told)
                await eventually(lambda: is_found_dead(stage), 60 + 4 * stage.scale.interval_s)
            stored = await what_is_stored(stage)
        told(summary(stage, stored))
        assert stage.programs.longest_gap_s < 2.5 * stage.scale.interval_s, "the load itself did not beat in time"
        findings = all_findings(stage, stored)
        told("\n".join(findings))
        assert not findings
