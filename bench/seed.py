"""Fills a store with services and tasks through the same functions that the program uses, quickly."""

import random
import tempfile
from pathlib import Path

from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service, Task, User
from taskdash.store import accounts, services, tasks
from taskdash.store.accounts import Group
from taskdash.store.dialect import of
from taskdash.store.places import File, Place

NOW: Instant = 1_800_000_000 * seconds(1)
STATUSES = (
    ("running",) * 60 + ("finish",) * 25 + ("waiting",) * 9 + ("restart", "paused", "shutdown", "shutdown", "failed", "failed")
)
WORDS = (
    "行情",
    "采集",
    "账单",
    "推送",
    "对账",
    "风控",
    "扫描",
    "邮件",
    "图片",
    "转码",
    "order",
    "sync",
    "nightly",
    "report",
    "index",
    "mail",
)
BATCH = 10_000
_PRIME = 7_919
"""Any number of tasks that it does not divide gets each id once, in an order of its own."""


def a_service(n: int, chance: random.Random) -> Service:
    state = chance.choice(("up",) * 396 + ("late", "down", "unknown", "left"))
    return Service(
        id=f"service-{n}",
        name=f"服务 {n}",
        state=state,
        since=NOW,
        registered_at=NOW,
        last_beat_at=NOW,
        source="nsq",
        fresh_until=NOW + seconds(3_600),
        due_at=NOW + seconds(31_536_000),
    )


OLD_GROUP = "group-29"
"""Its tasks have not changed for long: what counters cannot know, and a walk from the newest meets last."""


def a_task(n: int, chance: random.Random, service_count: int, number: int | None = None) -> Task:
    """Of a store, the `n`-th; `number` is in its id, so that ids need not follow the order of the rows."""
    words = chance.sample(WORDS, 3)
    group = f"group-{chance.randrange(30)}"
    return Task(
        id=f"task-{n if number is None else number}",
        name=f"{words[0]}{words[1]} {n % 977}",
        description=f"{words[2]} 每日 {'rareword' if n % 9_973 == 0 else 'batch'}",
        status=chance.choice(STATUSES),
        user="" if chance.random() < 0.1 else f"user-{chance.randrange(200)}",
        group_id=group,
        service_id=f"service-{chance.randrange(service_count)}",
        created_at=NOW,
        updated_at=NOW - seconds(chance.randrange(1_000_000) + (10_000_000 if group == OLD_GROUP else 0)),
        status_at=NOW,
        schedule="should_run" if chance.random() < 0.0005 else "none",
    )


def fill(conn: Connection, task_count: int, service_count: int) -> None:
    """Everything of a store of that size, in steps of one transaction each."""
    chance = random.Random(7)
    _in_one(conn, lambda: _people(conn))
    for start in range(0, service_count, BATCH):
        some = [a_service(n, chance) for n in range(start, min(start + BATCH, service_count))]
        _in_one(conn, lambda some=some: services.save(conn, some))
    for start in range(0, task_count, BATCH):
        some = range(start, min(start + BATCH, task_count))
        new = [(None, a_task(n, chance, service_count, n * _PRIME % task_count)) for n in some]
        _in_one(conn, lambda new=new: tasks.save(conn, new))


def _people(conn: Connection) -> None:
    for n in range(30):
        accounts.save_group(conn, Group(id=f"group-{n}"))
    for n in range(200):
        away = NOW + seconds(3_600) if n == 7 else None
        accounts.add_user(conn, User(name=f"user-{n}", role="member", groups=(f"group-{n % 30}",), away_until=away))


def _in_one(conn: Connection, work: object) -> None:
    of(conn).begin(conn)
    work()  # type: ignore[operator]
    of(conn).commit(conn)


def fill_place(place: Place, task_count: int, service_count: int) -> None:
    """As `fill`, a store that is there and empty."""
    with place.open_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        fill(conn, task_count, service_count)


def a_store(task_count: int, service_count: int) -> Path:
    """The path of a new embedded store of that size."""
    place = File(Path(tempfile.mkdtemp()) / "taskdash.db")
    place.upgrade()
    fill_place(place, task_count, service_count)
    place.a_keeper().copy_all()
    return place.path
