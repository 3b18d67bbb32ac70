"""The task list against a plain reading of the same tasks: every filter, pair and order (SPEC 6, 8)."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection

from taskdash.errors import BadField
from taskdash.model.instants import seconds
from taskdash.model.records import Service, Task, User
from taskdash.rules import risk
from taskdash.store import accounts, counters, facets, risk_order, services, task_page, tasks
from taskdash.store.database import Database
from taskdash.store.migrations import runner
from taskdash.store.task_filters import Filters, Visible
from tests.support import NOW, a_service, a_task

STATUSES = ("running", "failed", "waiting", "finish")
STATES = ("up", "up", "up", "late", "down", "unknown", "left", "paused", "new")
WORDS = ("行情采集", "账单推送", "Order sync", "对账 nightly", "crawler-b", "ÄRGER", "50%_off")


class World:
    """Random services, people and tasks, and the same in a store."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        fresh = (None, NOW - seconds(5), NOW + seconds(5))
        self.services = [
            a_service(id=f"s{n}", state=chance.choice(STATES), fresh_until=chance.choice(fresh)) for n in range(12)
        ]
        self.users = [
            User(name="ssx", role="member"),
            User(name="wsg", role="member", away_until=NOW + seconds(60)),
            User(name="lxq", role="member", away_until=NOW - seconds(60)),
            User(name="gone", role="member", disabled=True),
        ]
        self.tasks = [self._a_task(chance, n) for n in range(300)]

    def _a_task(self, chance: random.Random, n: int) -> Task:
        return a_task(
            id=f"{chance.choice('abc')}-{n}",
            name=chance.choice(WORDS),
            description=chance.choice(("", "每日行情", "x" * 20)),
            status=chance.choice(STATUSES),
            user=chance.choice(("", "", "ssx", "wsg", "lxq", "gone")),
            group_id=chance.choice(("", "mx", "pay")),
            service_id=chance.choice(["", *(s.id for s in self.services)]),
            updated_at=NOW - seconds(chance.randrange(50)),
            adrift=chance.random() < 0.05,
            schedule=chance.choice(("none", "none", "ok", "should_run")),
            gone_at=NOW if chance.random() < 0.1 else None,
        )

    def store(self, conn: Connection) -> None:
        services.save(conn, self.services)
        for user in self.users:
            accounts.add_user(conn, user)
        tasks.save(conn, [(None, task) for task in self.tasks])

    def service(self, task: Task) -> Service | None:
        return next((s for s in self.services if s.id == task.service_id), None)

    def reasons(self, task: Task) -> tuple[risk.Reason, ...]:
        holder = next((u for u in self.users if u.name == task.user), None)
        return risk.reasons(task, self.service(task), holder, NOW)

    def passing(self, wanted: Filters) -> list[Task]:
        return [task for task in self.tasks if self._passes(task, wanted)]

    def _passes(self, task: Task, w: Filters) -> bool:
        service = self.service(task)
        text = "\n".join((task.id, task.name, task.description)).lower()
        visible = w.visible_to is None or task.group_id in {"", *w.visible_to.groups} or task.user == w.visible_to.user
        return (
            visible
            and (task.gone_at is not None) == w.gone
            and among(w.status, task.status)
            and among(w.user, task.user or "none")
            and among(w.group, task.group_id or "none")
            and among(w.service, task.service_id or "none")
            and among(w.liveness, service.state if service else "none")
            and among(w.schedule, task.schedule)
            and (w.stale is None or w.stale == (risk.staleness(task, service, NOW) is not None))
            and (w.at_risk is None or w.at_risk == bool(self.reasons(task)))
            and all(word.lower() in text for word in w.q.split())
        )


def among(wanted: tuple[str, ...], value: str) -> bool:
    return not wanted or value in wanted


@pytest.fixture(params=[1, 2, 3])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[World, Database]]:
    runner.upgrade(tmp_path / "taskdash.db")
    db, made = Database(tmp_path / "taskdash.db"), World(request.param)
    db.start()
    await db.write(made.store)
    yield made, db
    await db.close()


ONE: list[Filters] = [
    Filters(),
    Filters(status=("failed",)),
    Filters(status=("failed", "running")),
    Filters(status=("nothing",)),
    Filters(user=("none",)),
    Filters(user=("ssx", "gone")),
    Filters(group=("mx",)),
    Filters(group=("none", "pay")),
    Filters(service=("s1",)),
    Filters(service=("none",)),
    Filters(liveness=("up",)),
    Filters(liveness=("down", "unknown")),
    Filters(liveness=("none", "late")),
    Filters(schedule=("should_run",)),
    Filters(stale=True),
    Filters(stale=False),
    Filters(at_risk=True),
    Filters(at_risk=False),
    Filters(q="行情"),
    Filters(q="crawler-b"),
    Filters(q="nightly 对账"),
    Filters(q="b"),
    Filters(q="%_"),
    Filters(q="order SYNC"),
    Filters(q="ärger"),
    Filters(q="Ä"),
    Filters(q="no such text"),
    Filters(visible_to=Visible("ssx", ("mx",))),
]
PAIRS = [
    structs.replace(a, **{f: getattr(b, f) for f in Filters.__struct_fields__ if getattr(b, f) != getattr(Filters(), f)})
    for a in ONE[1:]
    for b in ONE[1:]
]


def keys(sort: str) -> Callable[[Task], Any]:
    columns = task_page.SORTS[sort].columns
    return lambda task: (*(getattr(task, column) for column in columns), task.pk)


async def paged(db: Database, read: Callable[[Connection, Any], task_page.Page]) -> list[task_page.TaskRow]:
    rows: list[task_page.TaskRow] = []
    after = None
    while True:
        found = await db.read(lambda conn, after=after: read(conn, after))  # type: ignore[misc]
        rows += found.rows
        after = found.next_key
        if after is None:
            return rows


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


def rank(made: World, task: Task) -> int:
    words = {reason.reason for reason in made.reasons(task)}
    unowned = not task.user
    tests = [
        task.status == "failed" and unowned,
        "down" in words and unowned,
        task.status == "failed",
        "down" in words,
        unowned,
        "should_run" in words,
        bool(words & {"away", "disabled"}),
        "late" in words,
        "unknown" in words,
        "stale" in words and not task.adrift,
        task.adrift,
        True,
    ]
    return tests.index(True)


async def test_the_risk_order_shows_first_what_most_needs_a_person(world: tuple[World, Database]) -> None:
    made, db = world
    for wanted in ONE:
        rows = await paged(db, lambda conn, after, w=wanted: risk_order.page(conn, w, 7, NOW, after))  # type: ignore[misc]
        passing = made.passing(wanted)
        assert {row.task.id for row in rows} == {task.id for task in passing}, wanted
        assert len(rows) == len(passing)
        if not wanted.gone:
            ranks = [rank(made, row.task) for row in rows]
            assert [r for r in ranks if r < 9] == sorted(r for r in ranks if r < 9), wanted


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
