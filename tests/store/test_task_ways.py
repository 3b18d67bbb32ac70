"""Whatever way the rows are reached by, the list is the same: risk order, bounds, ties, gone tasks (STORE.md, Lists)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection

from taskdash.model.records import Task
from taskdash.rules.risk import BLIND
from taskdash.store import facets, risk_order, sqlite, task_page, task_plan, task_terms, tasks
from taskdash.store.database import Database
from taskdash.store.elements import one_of
from taskdash.store.places import Place
from taskdash.store.task_filters import Filters
from tests.store.task_world import ONE, PAIRS, World, keys, paged, stored
from tests.support import NOW, a_place, a_task


@pytest.fixture
async def world(place: Place) -> AsyncIterator[tuple[World, Database]]:
    async with stored(place, 4) as made:
        yield made


def rank(made: World, task: Task) -> int:
    """UI 6: failed unowned, down unowned, failed, down, unowned, should run, owner away, late, unknown, stale; the rest.

    Unowned alone is no risk (SPEC 6): such a task leads the rest."""
    words = {reason.reason for reason in made.reasons(task)}
    service = made.service(task)
    is_blind = service is not None and (service.state in BLIND or (service.fresh_until or NOW) < NOW)
    tests = [
        "failed" in words and not task.user,
        "down" in words and not task.user,
        "failed" in words,
        "down" in words,
        bool(words) and not task.user,
        "should_run" in words,
        bool(words & {"away", "disabled"}),
        "late" in words,
        "unknown" in words,
        is_blind,
        task.adrift,
        not task.user,
        True,
    ]
    return tests.index(True)


async def assert_risk_order(made: World, db: Database, wanted: Filters, limit: int) -> None:
    rows = await paged(db, lambda conn, after: risk_order.page(conn, wanted, limit, NOW, after))
    expected = sorted(made.passing(wanted), key=lambda task: (not wanted.gone and rank(made, task), task.id))
    assert [row.task.id for row in rows] == [task.id for task in expected], wanted


@pytest.mark.parametrize("few", [0, 3_000])
async def test_the_risk_order_shows_first_what_most_needs_a_person(
    world: tuple[World, Database], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk_order, "RARE", few)
    for wanted in [*ONE, *PAIRS[::23]]:
        await assert_risk_order(*world, wanted, 40)
    await assert_risk_order(*world, Filters(), 1)


@pytest.mark.parametrize("gathered", [0, 10**9])
async def test_a_walk_that_ends_at_its_bound_leaves_out_no_row_and_repeats_none(
    world: tuple[World, Database], gathered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, db = world
    monkeypatch.setattr(task_plan, "BOUND", 1_500)
    monkeypatch.setattr(task_plan, "MOST_GATHERED", gathered)
    monkeypatch.setattr(risk_order, "RARE", 0)
    pks = {t.id: t.pk for t in (await db.read(lambda conn: tasks.load_many(conn, [t.id for t in made.tasks]))).values()}
    for wanted in [*ONE, *PAIRS[::41]]:
        for sort in ("-updated_at", "name"):
            rows = await paged(db, lambda conn, after, w=wanted, s=sort: task_page.page(conn, w, s, 20, NOW, after))  # type: ignore[misc]
            numbered = [structs.replace(task, pk=pks[task.id]) for task in made.passing(wanted)]
            expected = sorted(numbered, key=keys(sort), reverse=sort.startswith("-"))
            assert [row.task.id for row in rows] == [task.id for task in expected], (wanted, sort)
        await assert_risk_order(made, db, wanted, 40)


@pytest.mark.parametrize("sort", sorted(task_page.SORTS))
async def test_tasks_that_are_equal_in_the_sort_column_page_by_their_number(db: Database, sort: str) -> None:
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id=f"t{n:03}")) for n in range(100)]))
    rows = await paged(db, lambda conn, after: task_page.page(conn, Filters(), sort, 9, NOW, after))
    ids = [row.task.id for row in rows]
    assert ids == sorted(ids, reverse=sort.startswith("-"))
    assert len(ids) == 100


async def test_gone_tasks_are_asked_for_alone_and_carry_no_risk(world: tuple[World, Database]) -> None:
    made, db = world
    for other in [Filters(), Filters(at_risk=True), Filters(at_risk=False), *ONE]:
        wanted = structs.replace(other, gone=True)
        expected = {task.id for task in made.passing(wanted)}
        for sort in task_page.SORTS:
            found = await db.read(lambda conn, w=wanted, s=sort: task_page.page(conn, w, s, 500, NOW))  # type: ignore[misc]
            assert {row.task.id for row in found.rows} == expected, wanted
        counted = await db.read(lambda conn, w=wanted: facets.facets(conn, w, NOW))  # type: ignore[misc]
        assert counted.total == len(expected)
        assert counted.at_risk == (len(expected) if wanted.at_risk else 0)
        await assert_risk_order(made, db, wanted, 500)


async def test_facets_of_more_tasks_than_a_sample_holds_say_so_and_count_risks_all_the_same(
    world: tuple[World, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, db = world
    for module in ("taskdash.store.samples", "taskdash.store.facets"):
        monkeypatch.setattr(f"{module}.CAP", 10)
    for wanted in ONE:
        if wanted.q:
            continue
        found = await db.read(lambda conn, w=wanted: facets.facets(conn, w, NOW))  # type: ignore[misc]
        assert found.capped == (len(made.passing(wanted)) > 10), wanted
        for name, own in (
            ("at_risk", structs.replace(wanted, at_risk=True)),
            ("stale", structs.replace(wanted, stale=True)),
            ("unowned", structs.replace(wanted, user=("none",))),
            ("should_run", structs.replace(wanted, schedule=("should_run",))),
        ):
            expected = found.total if own == wanted else len(made.passing(own))
            assert getattr(found, name) == expected, (wanted, name)


async def test_a_count_is_exact_up_to_any_cap(world: tuple[World, Database]) -> None:
    made, db = world
    for wanted in (*ONE, *PAIRS):
        known = len(made.passing(wanted))
        for cap in (0, 3, 10, 40, 10_000):
            found = await db.read(lambda conn, w=wanted, c=cap: task_page.count(conn, w, NOW, c))  # type: ignore[misc]
            assert found == min(known, cap + 1), (wanted, cap)


async def test_one_letter_is_sought_among_the_newest_tasks_and_the_page_says_so(
    world: tuple[World, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    _made, db = world
    whole = await db.read(lambda conn: task_page.page(conn, Filters(q="b"), "-updated_at", 500, NOW))
    monkeypatch.setattr(task_terms, "NEWEST", 20)
    some = await db.read(lambda conn: task_page.page(conn, Filters(q="b"), "-updated_at", 500, NOW))
    assert (whole.is_partial, some.is_partial) == (False, True)
    assert some.rows == whole.rows[: len(some.rows)]
    assert 0 < len(some.rows) < len(whole.rows)


async def test_no_list_reads_the_whole_table_or_sorts_what_an_index_has_sorted(tmp_path: Path) -> None:
    """On SQLite each way names its index; a plan that it cannot follow would raise. PostgreSQL plans by what a table holds."""
    asked = task_plan.Asked(task_terms.is_listed(Filters()), (), 1, 1)
    with a_place(tmp_path).open_readers().connect() as conn:
        for sort in task_page.SORTS.values():
            plan = _plan(conn, asked, sort)
            assert not [line for line in plan if "TEMP B-TREE" in line], (sort, plan)


async def test_rows_known_by_their_numbers_are_looked_up_and_not_searched_for(tmp_path: Path) -> None:
    with a_place(tmp_path).open_readers().connect() as conn:
        query = task_terms.by_index(task_plan.select(task_plan.c.pk).where(one_of(task_plan.c.pk, [1, 2])), "")
        sql = str(query.compile(conn, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    assert plan[0] == "SEARCH tasks USING INTEGER PRIMARY KEY (rowid=?)", plan


def _plan(conn: Connection, asked: task_plan.Asked, sort: task_plan.Sort) -> list[Any]:
    way = next(task_plan.ways(asked, sort, 50))
    query = task_terms.by_index(task_plan.select(*task_plan.columns_of(sort)).where(*asked.where(way)), way.index)
    columns = task_plan.columns_of(sort)
    ordered = query.order_by(*(column.desc() if sort.descending else column for column in columns))
    sql = str(ordered.compile(conn, compile_kwargs={"literal_binds": True}))
    return [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]


def test_the_casefold_of_a_store_is_that_of_python(tmp_path: Path) -> None:
    with sqlite.open_engine(tmp_path / "x.db", is_new=True).connect() as conn:
        assert conn.exec_driver_sql("SELECT casefold('ÄÖÜ straße')").scalar() == "äöü strasse"
