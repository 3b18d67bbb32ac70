"""The tiles of the wall and who may look at it: pure parts. UI 6 (Wall)."""

import pytest

from taskdash.model.instants import seconds
from taskdash.model.records import Actor, Role, Scope, Service
from taskdash.rules.sight import Source
from taskdash.web.pages import texts, wall_tiles
from taskdash.web.pages.wall_access import reads_only

EN = texts.load("en")
NOW = seconds(1_000_000)


@pytest.mark.parametrize("count", range(1, 80))
def test_no_other_number_of_columns_leaves_fewer_gaps(count: int) -> None:
    chosen = wall_tiles.columns(count)
    assert 4 <= chosen <= 8
    assert -count % chosen == min(-count % n for n in range(4, 9))


@pytest.mark.parametrize(("count", "columns"), [(0, 4), (1, 4), (5, 5), (8, 4), (11, 6), (12, 6), (13, 7), (14, 7), (16, 8)])
def test_among_equals_two_rows_come_before_one_and_wide_before_high(count: int, columns: int) -> None:
    assert wall_tiles.columns(count) == columns


@pytest.mark.parametrize(("count", "density"), [(7, "tall"), (12, "roomy"), (32, "close"), (59, "dense")])
def test_the_more_rows_the_less_a_tile_says(count: int, density: str) -> None:
    assert wall_tiles.density(count) == density


def test_what_is_told_elsewhere_on_the_wall_has_no_tile() -> None:
    known = [Service(id=key, name=key.upper(), state="up", task_total=n) for n, key in enumerate("abc")]
    found = wall_tiles.of_services(EN, known, {"b"}, NOW)
    assert [(tile.name, tile.word.text, tile.side) for tile in found] == [("A", "Up", ""), ("C", "Up", "2 tasks")]


def test_a_new_service_says_since_when_and_one_that_was_heard_shows_its_beats() -> None:
    new = Service(id="n", state="new", since=NOW - seconds(4))
    heard = Service(id="h", state="late", last_beat_at=NOW, beat_bits=1, beat_known=3)
    one, other = wall_tiles.of_services(EN, [new, heard], (), NOW)
    assert (one.side, one.beats) == ("4 s ago", [])
    assert (other.beats[-2:], other.strip_tone) == ([False, True], "w")


def test_each_state_has_its_number_the_worst_first() -> None:
    found = wall_tiles.of_states({"up": 1_240, "late": 3, "down": 12, "left": 0})
    assert [(tile.name, tile.word.text) for tile in found] == [("12", "Down"), ("3", "Late"), ("1,240", "Up")]


def an_input(name: str, *, healthy: bool) -> Source:
    return Source(name=name, healthy=healthy, since=NOW, last_message_at=NOW - seconds(2))


def test_the_inputs_share_a_tile_that_names_those_that_are_lost() -> None:
    (one,) = wall_tiles.of_inputs(EN, [an_input("nsq", healthy=True)], NOW)
    assert (one.name, one.word.text, one.side) == ("Input nsq", "Connected", "2 s ago")
    (two,) = wall_tiles.of_inputs(EN, [an_input("a", healthy=True), an_input("b", healthy=False)], NOW)
    assert (two.name, two.word.tone, two.side) == ("Inputs", "un", "b")
    assert wall_tiles.of_inputs(EN, [], NOW) == []


@pytest.mark.parametrize(
    ("role", "scopes", "allowed"),
    [
        ("viewer", (), True),
        ("viewer", ("read",), True),
        ("lead", ("read",), True),
        ("member", (), False),
        ("member", ("claim",), False),
        ("viewer", ("read", "ingest"), False),
        ("viewer", ("admin",), False),
    ],
)
def test_a_walls_token_can_only_read(role: Role, scopes: tuple[Scope, ...], allowed: bool) -> None:
    assert reads_only(Actor(type="user", id="wall", channel="api", role=role, scopes=scopes)) is allowed
