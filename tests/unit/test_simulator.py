"""Promises about liveness, shown on simulated time with the real rules (tests/simulator.py)."""

import os
import random
from collections.abc import Callable

import pytest

from tests.simulator import Program, World, mixed_programs, programs

HALF_AN_HOUR_S = 1_800.0


def first(n: int) -> list[str]:
    return [f"service-{i}" for i in range(n)]


def test_living_services_stay_up_and_nothing_is_told() -> None:
    report = World(programs(300)).run(HALF_AN_HOUR_S)
    assert set(report.states.values()) == {"up"}
    assert report.events == 300, "one event each: it came up"


@pytest.mark.parametrize("seed", range(3))
def test_a_broker_that_stalls_for_90_s_makes_no_service_down(seed: int) -> None:
    for world in (World(programs(200), seed), World(mixed_programs(200, seed), seed)):
        world.stall_broker(600, 90)
        report = world.run(HALF_AN_HOUR_S)
        assert report.false_downs == []
        assert ("unknown", "mass") in report.seen_states
        assert set(report.states.values()) == {"up"}


def test_services_that_a_stall_silenced_are_one_incident() -> None:
    world = World(programs(200))
    world.stall_broker(600, 90)
    report = world.run(HALF_AN_HOUR_S)
    assert [(i.kind, len(i.services)) for i in report.incidents.values()] == [("down", 200)]


@pytest.mark.parametrize("length_s", [11, 20.5, 21, 21.5, 25, 31, 31.5, 40, 60])
def test_a_stall_of_any_length_names_nobody_when_its_backlog_comes_bit_by_bit(length_s: float) -> None:
    for seed in range(3):
        world = World(programs(60), seed)
        world.drain_s = 5.0
        world.stall_broker(600, length_s)
        assert world.run(900).false_downs == []


@pytest.mark.parametrize("off_s", [30, 180, 3_600])
def test_R41_taskdash_off_makes_no_service_down(off_s: float) -> None:
    world = World(mixed_programs(100, 1))
    world.turn_off(600, off_s)
    report = world.run(600 + off_s + HALF_AN_HOUR_S)
    assert report.false_downs == []
    assert set(report.states.values()) == {"up"}


def test_R41_taskdash_stopped_for_a_minute_and_continued_names_nobody() -> None:
    for seed in range(3):
        world = World(mixed_programs(100, seed), seed)
        world.drain_s = 2.0
        world.stand_still(600, 60)
        report = world.run(HALF_AN_HOUR_S)
        assert report.false_downs == []
        assert report.seen_states == {("up", "")}, "queued beats are read before any deadline is judged"


@pytest.mark.parametrize("step_s", [-86_400, -3_600, -30, -5, 5, 3_600, 86_400])
def test_R42_a_node_whose_clock_steps_makes_no_service_down(step_s: float) -> None:
    world = World(mixed_programs(100, 3))
    world.step_node_clock(600, step_s)
    assert world.run(HALF_AN_HOUR_S).false_downs == []


def test_R42_services_of_a_node_with_a_wrong_clock_are_unknown_and_come_back_when_it_is_right_again() -> None:
    world = World(programs(100))
    world.step_node_clock(600, -3_600)
    assert set(world.run(900).states.values()) == {"unknown"}
    world.step_node_clock(900, 3_600)
    assert set(world.run(HALF_AN_HOUR_S).states.values()) == {"up"}


def test_R43_a_broker_that_is_cut_every_3_s_for_10_min_makes_services_unknown_at_worst() -> None:
    for seed in range(3):
        world = World(mixed_programs(100, seed), seed)
        for start in range(600, 1_200, 6):
            world.cut_broker(start, 3)
        report = world.run(HALF_AN_HOUR_S)
        assert report.false_downs == []
        assert set(report.states.values()) == {"up"}


def test_R43_a_broker_that_is_cut_makes_services_unknown_by_input() -> None:
    world = World(programs(100))
    world.cut_broker(600, 300)
    report = world.run(HALF_AN_HOUR_S)
    assert report.false_downs == []
    assert ("unknown", "input") in report.seen_states
    assert set(report.states.values()) == {"up"}


@pytest.mark.parametrize("most_s", [1, 8, 15])
def test_R44_beats_that_come_late_twice_and_out_of_order_name_nobody(most_s: float) -> None:
    for seed in range(3):
        world = World(programs(100), seed)
        world.delay = lambda world=world: world.random.uniform(0, most_s)
        world.repeats = 0.3
        assert world.run(HALF_AN_HOUR_S).false_downs == []


@pytest.mark.parametrize("busy_s", [2, 5, 20, 45])
def test_R45_taskdash_overloaded_names_nobody(busy_s: float) -> None:
    for seed in range(2):
        world = World(mixed_programs(100, seed), seed)
        for start in range(600, 1_200, 60):
            world.stand_still(start, busy_s)
        assert world.run(HALF_AN_HOUR_S).false_downs == []


def test_a_tenth_of_the_beats_lost_names_nobody_whose_url_answers() -> None:
    for seed in range(3):
        report = World(programs(200, loss=0.1, has_url=True), seed).run(HALF_AN_HOUR_S)
        assert report.false_downs == []
        assert ("late", "") in report.seen_states


KILLED: list[tuple[str, dict[str, bool], int, float]] = [
    ("without url", {}, 25, 1.0),
    ("with a url that refuses", {"has_url": True}, 25, 1.0),
    ("with a url that hangs", {"has_url": True, "url_hangs": True}, 25, 6.0),
    ("most of them", {}, 120, 1.0),
    ("one alone", {}, 1, 1.0),
]


@pytest.mark.parametrize(("kind", "fields", "n", "within_s"), KILLED, ids=[row[0] for row in KILLED])
def test_R9_the_dead_are_named_in_time_and_never_early(kind: str, fields: dict[str, bool], n: int, within_s: float) -> None:
    for seed in range(2):
        world = World(programs(200, **fields), seed)
        world.kill(first(n), 601)
        report = world.run(900)
        assert report.false_downs == []
        assert report.missed == [], kind
        assert all(0 <= found.late_s <= within_s for found in report.found)
        assert [len(i.services) for i in report.incidents.values()] == [n], "one incident holds them all"


@pytest.mark.parametrize("interval_s", [1, 2, 5, 60])
def test_R9_holds_for_short_and_long_intervals(interval_s: float) -> None:
    for fields, within_s in (({}, 1.0), ({"has_url": True}, 2.0), ({"has_url": True, "url_hangs": True}, 6.0)):
        world = World(programs(100, interval_s=interval_s, **fields))
        world.kill(first(10), 601)
        report = world.run(601 + 8 * interval_s)
        assert (report.false_downs, report.missed) == ([], [])
        assert all(0 <= found.late_s <= within_s for found in report.found), fields


def test_when_everything_crashes_it_is_unknown_for_the_mass_hold_and_then_down() -> None:
    for fields in ({}, {"has_url": True}):
        world = World(programs(200, **fields))
        world.kill(first(200), 601)
        report = world.run(HALF_AN_HOUR_S)
        assert (report.false_downs, report.missed) == ([], [])
        assert ("unknown", "mass") in report.seen_states
        assert all(119 <= found.late_s <= 122 for found in report.found)
        assert len(report.incidents) == 1


def test_the_survivors_of_a_real_mass_crash_stay_up() -> None:
    world = World(programs(200))
    world.kill(first(120), 601)
    report = world.run(HALF_AN_HOUR_S)
    assert [report.states[f"service-{i}"] for i in range(120, 200)] == ["up"] * 80


def cut(world: World, at: float) -> None:
    world.cut_broker(at, world.random.uniform(1, 120))


def stall(world: World, at: float) -> None:
    world.stall_broker(at, world.random.uniform(5, 100))


def stop(world: World, at: float) -> None:
    world.stand_still(at, world.random.uniform(2, 90))


def off(world: World, at: float) -> None:
    world.turn_off(at, world.random.uniform(5, 200))


def step(world: World, at: float) -> None:
    by = world.random.choice([-86_400, -3_600, -10, 3_600])
    world.step_node_clock(at, by)
    world.step_node_clock(at + world.random.uniform(5, 150), -by)


FAULTS: list[Callable[[World, float], None]] = [cut, stall, stop, off, step]
FAULT_EVERY_S = 600


@pytest.mark.parametrize("seed", range(1_000 if os.environ.get("LONG_FAULTS") else 20))
def test_R134_an_hour_of_random_faults_has_no_false_down_and_finds_every_death(seed: int) -> None:
    chance = random.Random(seed)
    mortal: list[Program] = mixed_programs(100, seed)
    world = World(mortal, seed)
    for at in range(300, 3_600, FAULT_EVERY_S):
        chance.choice(FAULTS)(world, at)
    deaths = {program.id: chance.uniform(60, 3_300) for program in chance.sample(mortal, 10)}
    for name, at in deaths.items():
        world.kill([name], at)
    report = world.run(4_200)
    assert report.false_downs == []
    assert report.missed == []
    for found in report.found:
        if is_quiet_around(deaths[found.id], found.said_s):
            assert -0.001 <= found.late_s <= 6.0, found


def is_quiet_around(died_s: float, said_s: float) -> bool:
    """True when no fault was under way, nor its hold, from the death until it was named."""
    return (died_s - 300) % FAULT_EVERY_S > 420 and (died_s - 300) // FAULT_EVERY_S == (said_s - 300) // FAULT_EVERY_S
