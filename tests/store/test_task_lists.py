"""The task list against a plain reading of the same tasks: every filter, pair and order (SPEC 6, 8)."""

import random
from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from sqlalchemy import Connection

from taskdash.errors import BadField
from taskdash.store import counters, facets, services, task_page, tasks
from taskdash.store.database import Database
from taskdash.store.places import Place
from taskdash.store.task_filters import Filters
from tests.store.task_world import ONE, PAIRS, STATUSES, WORDS, World, keys, paged, stored
from tests.support import NOW


@pytest.fixture(params=[1, 2, 3])
async def world(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[tuple[World, Database]]:
    async with stored(place, request.param) as made:
        yield made


@pytest.mark.parametrize("sort", sorted(task_page.SORTS))
async def test_every_filter_in_every_order_pages_to_the_end_without_gap_or_repeat(
    world: tuple[World, Database], sort: str
) -> None:
    made, db = world
    pks = {t.id: t.pk for t in (await db.read(lambda conn: tasks.load_many(conn, [t.id for t in made.tasks]))).values()}
    for wanted in ONE:
        rows = await paged(db, lambda conn, after, w=wanted: task_page.page(conn, w, sort, 7, NOW, after))  # type: ignore[misc]
        numbered = [structs.replace(task, pk=pks[task.id]) for task in made.passing(wanted)]
        expected = sorted(numbered, key=keys(sort), reverse=sort.startswith("-"))
        assert [row.task.id for row in rows] == [task.id for task in expected], wanted


async def test_every_pair_of_filters_gives_the_same_rows_count_and_ids(world: tuple[World, Database]) -> None:
    made, db = world
    for wanted in random.Random(made.tasks[0].updated_at).sample(PAIRS, 120):
        expected = {task.id for task in made.passing(wanted)}
        found = await db.read(lambda conn, w=wanted: task_page.page(conn, w, "-updated_at", 500, NOW))  # type: ignore[misc]
        assert {row.task.id for row in found.rows} == expected, wanted
        assert await db.read(lambda conn, w=wanted: task_page.count(conn, w, NOW)) == len(expected), wanted  # type: ignore[misc]
        assert set(await db.read(lambda conn, w=wanted: task_page.ids(conn, w, NOW, 500))) == expected  # type: ignore[misc]


async def test_a_row_says_the_state_of_its_service_and_why_it_is_at_risk(world: tuple[World, Database]) -> None:
    made, db = world
    found = await db.read(lambda conn: task_page.page(conn, Filters(), "id", 500, NOW))
    for row in found.rows:
        original = next(task for task in made.tasks if task.id == row.task.id)
        service = made.service(original)
        assert row.why == made.reasons(original)
        assert row.liveness == (service.state if service else None)


async def test_every_facet_counts_the_rows_that_its_filter_gives(world: tuple[World, Database]) -> None:
    made, db = world
    for wanted in ONE:
        found = await db.read(lambda conn, w=wanted: facets.facets(conn, w, NOW))  # type: ignore[misc]
        assert found.total == len(made.passing(wanted)), wanted
        for name in ("status", "user", "group", "liveness", "service"):
            for bucket in getattr(found, name):
                narrowed = structs.replace(wanted, **{name: (bucket.value or "none",)})
                assert bucket.count == len(made.passing(narrowed)), (wanted, name, bucket)
        assert found.at_risk == len(made.passing(structs.replace(wanted, at_risk=True)))
        assert found.stale == len(made.passing(structs.replace(wanted, stale=True)))


async def test_counters_and_search_index_follow_every_change(world: tuple[World, Database]) -> None:
    made, db = world
    chance = random.Random(5)

    def change(conn: Connection) -> None:
        stored = list(tasks.load_many(conn, [task.id for task in made.tasks]).values())
        changed = [
            structs.replace(
                task,
                status=chance.choice(STATUSES),
                name=chance.choice(WORDS),
                gone_at=chance.choice((None, NOW)),
                user=chance.choice(("", "ssx")),
                service_id=chance.choice(("", "s1", "s2")),
            )
            for task in stored
        ]
        tasks.save(conn, list(zip(stored, changed, strict=True)))
        tasks.remove(conn, changed[:20])
        made.tasks = changed[20:]

    await db.write(change)
    assert await db.read(counters.stored) == await db.read(counters.actual)
    for wanted in ONE:
        found = await db.read(lambda conn, w=wanted: task_page.ids(conn, w, NOW, 500))  # type: ignore[misc]
        assert set(found) == {task.id for task in made.passing(wanted)}, wanted
    totals = {s.id: s.task_total for s in (await db.read(lambda conn: services.load_many(conn, ["s1", "s2"]))).values()}
    listed = [task.service_id for task in made.tasks if task.gone_at is None]
    assert totals == {"s1": listed.count("s1"), "s2": listed.count("s2")}


async def test_an_export_walks_all_rows_once(world: tuple[World, Database]) -> None:
    made, db = world
    seen: list[str] = []
    last = 0
    while rows := await db.read(lambda conn, last=last: task_page.walk(conn, Filters(), NOW, last, 50)):  # type: ignore[misc]
        seen += [row.task.id for row in rows]
        last = rows[-1].task.pk
    assert sorted(seen) == sorted(task.id for task in made.passing(Filters()))


async def test_R85_an_unknown_order_is_refused_by_its_name(world: tuple[World, Database]) -> None:
    with pytest.raises(BadField, match="sort must be"):
        await world[1].read(lambda conn: task_page.page(conn, Filters(), "owner", 10, NOW))
