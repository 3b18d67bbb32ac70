"""Who holds how much, and what the history of a task tells of its owners (UI 6: Assign, Mine, Task)."""

import pytest

from taskdash.actions import claims
from taskdash.model.instants import seconds
from taskdash.model.records import Actor, NewEvent, User
from taskdash.store import accounts, events, loads, task_story, tasks
from taskdash.store.database import Database
from tests.support import NOW, a_task


async def _people(db: Database, *people: User) -> None:
    for person in people:
        await db.write(lambda conn, person=person: accounts.add_user(conn, person))  # type: ignore[misc]


async def _held(db: Database, **numbers: int) -> None:
    made = [a_task(id=f"{name}-{k}", user=name, group_id="pay") for name, n in numbers.items() for k in range(n)]
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in made]))


@pytest.fixture
async def shift(db: Database) -> Database:
    await _people(
        db,
        User(name="zxf", role="member", groups=("mx",)),
        User(name="lxq", role="member", groups=("pay",)),
        User(name="ssx", role="lead", groups=("pay", "mx")),
        User(name="wsg", role="member", groups=("pay",), away_until=NOW + seconds(60)),
        User(name="back", role="member", groups=("payments",), away_until=NOW - seconds(60)),
        User(name="loud", role="member", groups=("PAY",)),
        User(name="vic", role="viewer", groups=("pay",)),
        User(name="gone", role="member", groups=("pay",), disabled=True),
    )
    await _held(db, lxq=2, ssx=5, wsg=1)
    return db


async def test_people_are_those_who_may_hold_tasks_the_group_first_then_who_holds_least_the_absent_last(
    shift: Database,
) -> None:
    found = await shift.read(lambda conn: loads.people(conn, NOW, groups=["pay"]))
    assert [(load.user.name, load.held) for load in found] == [
        ("lxq", 2),
        ("ssx", 5),
        ("back", 0),
        ("loud", 0),
        ("zxf", 0),
        ("wsg", 1),
    ]


async def test_a_name_or_a_group_is_found_by_a_part_of_it_in_capitals_or_not(shift: Database) -> None:
    assert [load.user.name for load in await shift.read(lambda conn: loads.people(conn, NOW, text="XQ"))] == ["lxq"]
    assert [load.user.name for load in await shift.read(lambda conn: loads.people(conn, NOW, text="mx s"))] == ["ssx"]
    assert await shift.read(lambda conn: loads.people(conn, NOW, text="%")) == []


async def test_of_thousands_of_people_at_most_fifty_are_read(db: Database) -> None:
    crowd = [User(name=f"u{n:04}", role="member") for n in range(3_000)]
    await db.write(lambda conn: [accounts.add_user(conn, one) for one in crowd])
    found = await db.read(lambda conn: loads.people(conn, NOW, text="u2"))
    assert [load.user.name for load in found] == [f"u2{n:03}" for n in range(50)]


async def test_on_duty_is_who_is_in_that_very_group_and_there(shift: Database) -> None:
    found = await shift.read(lambda conn: loads.on_duty(conn, NOW, "pay"))
    assert [(load.user.name, load.held) for load in found] == [("lxq", 2), ("ssx", 5)]
    assert await shift.read(lambda conn: loads.members(conn, NOW)) == {
        "mx": (2, 2),
        "pay": (3, 2),
        "payments": (1, 1),
        "PAY": (1, 1),
    }


async def test_what_somebody_holds_is_told_by_group_and_by_its_end(shift: Database) -> None:
    end = NOW + seconds(3_600)
    new = [a_task(id="a", user="lxq", until=end), a_task(id="b", user="lxq", gone_at=NOW)]
    await shift.write(lambda conn: tasks.save(conn, [(None, task) for task in new]))
    found = await shift.read(lambda conn: loads.held(conn, "lxq"))
    assert (found.groups, found.ends, found.total) == ({"": 1, "pay": 2}, {end: 1}, 3)


async def test_the_owner_before_is_told_by_history_however_much_followed(shift: Database) -> None:
    await shift.write(lambda conn: tasks.save(conn, [(None, a_task(id="t"))]))
    wsg = Actor(type="user", id="wsg", channel="web", role="member")
    assert await shift.read(lambda conn: task_story.last_of_owner(conn, "t")) is None
    await claims.claim(shift, wsg, "t", NOW)
    await claims.release(shift, wsg, "t", NOW + 1)
    boss = Actor(type="user", id="root", channel="web", role="admin")
    for n in range(5):
        await claims.pin(shift, boss, "t", NOW + 2 + n, pinned=n % 2 == 0)
    found = await shift.read(lambda conn: task_story.last_of_owner(conn, "t"))
    assert found is not None
    assert (found.kind, found.before["user"], found.at) == ("task.released", "wsg", NOW + 1)


async def test_changes_of_status_are_told_oldest_first_and_of_this_task_alone(db: Database) -> None:
    def told(task_id: str, at: int, before: str, after: str) -> NewEvent:
        change = {"before": {"status": before}, "after": {"status": after}}
        return NewEvent(at=at, kind="task.changed", subject_type="task", subject_id=task_id, **change)  # type: ignore[arg-type]

    new = [
        told("t", NOW - 5, "a", "b"),
        told("t", NOW, "b", "running"),
        told("u", NOW, "x", "y"),
        told("t", NOW + 9, "running", "z"),
    ]
    new.append(
        NewEvent(at=NOW, kind="task.changed", subject_type="task", subject_id="t", before={"name": "a"}, after={"name": "b"})
    )
    await db.write(lambda conn: events.append(conn, new))
    found = await db.read(lambda conn: task_story.of_status(conn, "t", NOW))
    assert [event.after["status"] for event in found] == ["running", "z"]
