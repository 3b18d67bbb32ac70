"""The bench runs: its floors write what TaskDash writes, and a comparison measures every operation."""

import sqlite3
import sys
from pathlib import Path

import pytest

from bench import compare
from bench.compare import Operation
from bench.nsq import beating, registering
from bench.replay import Twins
from taskdash.store.migrations import runner


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as conn:
        names = [
            name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%fts%'")
        ]
        return {name: sorted(conn.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


async def test_a_floor_that_is_told_the_changes_of_an_action_holds_the_same_rows_after_it(tmp_path: Path) -> None:
    path = tmp_path / "told.db"
    runner.upgrade(path)
    twins = Twins(path)
    assert await twins.rate(20, registering(0, 2, 10, prefix="service")) > 0
    assert await twins.rate(20, beating(20, 10)) > 0
    told, bare = rows(path), rows(tmp_path / "bare.db")
    assert len(told["services"]) == 20
    assert told == bare


async def test_a_comparison_measures_every_operation_of_a_real_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [Operation(one.name, max(one.count // 100, 400 * ("MPUB" in one.name), 64), one.send) for one in compare.OPERATIONS]
    for name, value in (("TASKS", 3 * 64), ("ROUNDS", 2), ("SETTLE_S", 0.0)):
        monkeypatch.setattr(compare, name, value)
    async with compare.a_side(Path(sys.executable), tmp_path / "data") as side:
        found = await compare.compared([side] * 3, small)
    assert [one.operation for one in found.values()] == [one.name for one in compare.OPERATIONS]
    assert all(len(costs) == 2 and min(costs) > 0 for one in found.values() for costs in (one.time.before, one.time.ours))
    assert all(one.operation in compare.table([*found.values()]) for one in found.values())
