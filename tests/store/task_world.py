"""Random services, people and tasks, a plain reading of every filter over them, and the same in a store."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs
from sqlalchemy import Connection

from taskdash.model.instants import seconds
from taskdash.model.records import Service, Task, User
from taskdash.rules import risk
from taskdash.store import accounts, services, task_page, tasks
from taskdash.store.database import Database
from taskdash.store.places import Place
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


@asynccontextmanager
async def stored(place: Place, seed: int) -> AsyncIterator[tuple[World, Database]]:
    db, made = Database(place), World(seed)
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
