"""The list of services, worst first (SPEC 8)."""

import random
from collections import Counter

import pytest
from msgspec import structs

from taskdash.store import service_page, service_tasks, services, task_page, tasks
from taskdash.store.database import Database
from taskdash.store.places import Place
from taskdash.store.service_page import WORST_FIRST, ServiceFilters
from taskdash.store.task_filters import Filters, Visible
from tests.store.task_world import stored
from tests.support import NOW, a_service, a_task


@pytest.mark.parametrize("few", [0, service_page.FEW])
async def test_services_page_worst_first_by_every_filter(place: Place, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_page, "FEW", few)
    db, chance = Database(place), random.Random(3)
    db.start()
    made = [
        a_service(
            id=f"s{n}",
            name=chance.choice(("计费结算", "crawler")),
            type=chance.choice(("etl", "web")),
            state=chance.choice(WORST_FIRST),
            archived_at=NOW if chance.random() < 0.2 else None,
        )
        for n in range(60)
    ]
    await db.write(lambda conn: services.save(conn, made))
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id="1", service_id="s4", group_id="mx"))]))
    for wanted, passes in (
        (ServiceFilters(), lambda _s: True),
        (ServiceFilters(state=("down", "up")), lambda s: s.state in {"down", "up"}),
        (ServiceFilters(type=("etl",)), lambda s: s.type == "etl"),
        (ServiceFilters(q="计费"), lambda s: "计费" in s.name),
        (ServiceFilters(archived=True), lambda _s: True),
        (ServiceFilters(visible_to=Visible("ssx", ("mx",))), lambda s: s.id == "s4"),
        (ServiceFilters(visible_to=Visible("ssx", ("pay",))), lambda _s: False),
    ):
        expected = sorted(
            (s for s in made if passes(s) and (s.archived_at is not None) == wanted.archived),  # type: ignore[no-untyped-call]
            key=lambda s: (WORST_FIRST.index(s.state), s.id),
        )
        found, after = [], None
        while True:
            page = await db.read(lambda conn, w=wanted, a=after: service_page.page(conn, w, 7, a))  # type: ignore[misc]
            found += [service.id for service in page.services]
            after = page.next_key
            if after is None:
                break
        assert found == [service.id for service in expected], wanted
        if not wanted.state:
            states = Counter(service.state for service in expected)
            assert await db.read(lambda conn, w=wanted: service_page.counts(conn, w)) == states, wanted  # type: ignore[misc]
    counted = await db.read(lambda conn: service_page.counts(conn, ServiceFilters()))
    assert sum(counted.values()) == sum(1 for s in made if s.archived_at is None)
    await db.close()


@pytest.mark.parametrize("most", [service_tasks.MOST, 0], ids=["one by one", "by what puts them at risk"])
@pytest.mark.parametrize("visible_to", [None, Visible("ssx", ("mx",))], ids=["all", "some"])
async def test_the_numbers_beside_a_service_are_those_of_the_list_behind_their_link(
    place: Place, most: int, visible_to: Visible | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_tasks, "MOST", most)
    async with stored(place, 7) as (_world, db):
        world = await db.read(lambda conn: services.load_many(conn, [f"s{n}" for n in range(12)]))
        found = await db.read(lambda conn: service_tasks.of_services(conn, list(world.values()), NOW, visible_to))
        for key, counted in found.items():
            wanted = Filters(service=(key,), visible_to=visible_to)
            total = await db.read(lambda conn, w=wanted: task_page.count(conn, w, NOW))  # type: ignore[misc]
            narrowed = structs.replace(wanted, at_risk=True)
            at_risk = await db.read(lambda conn, w=narrowed: task_page.count(conn, w, NOW))  # type: ignore[misc]
            assert counted == (total, at_risk), key
        assert any(0 < counted.at_risk < counted.total for counted in found.values())


async def test_types_are_counted_under_the_other_filters(place: Place) -> None:
    async with stored(place, 7) as (_world, db):
        made = [a_service(id="t1", type="etl", state="down"), a_service(id="t2", type="etl"), a_service(id="t3", type="web")]
        await db.write(lambda conn: services.save(conn, made))
        for wanted, expected in (
            (ServiceFilters(), {"etl": 2, "web": 1}),
            (ServiceFilters(type=("web",)), {"etl": 2, "web": 1}),
            (ServiceFilters(type=("web",), state=("down",)), {"etl": 1}),
            (ServiceFilters(archived=True), {}),
        ):
            assert await db.read(lambda conn, w=wanted: service_page.types(conn, w)) == expected  # type: ignore[misc]
