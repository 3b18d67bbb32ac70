"""R131: 32 clients claim, release and assign the same few tasks at once while the store fails: one order explains all answers.

The instants are a counter: a call's interval is exact, and no clock is read. `CLAIMS=1000000` says how many calls.
"""

import asyncio
import itertools
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert

from taskdash.actions.claims import assign, claim, release
from taskdash.errors import Conflict, Forbidden, NotShown, OutcomeUnknown, StoreRefused
from taskdash.model.records import Actor, Event, Task
from taskdash.rules.binding import Wish
from taskdash.store import events, tasks
from taskdash.store.places import Place
from taskdash.store.tables import users
from tests.faults.claims_model import Call, Outcome, unexplained
from tests.faults.fault_store import FaultStore
from tests.support import NOW, a_task

CALLS = int(os.environ.get("CLAIMS") or (200_000 if os.environ.get("LONG_FAULTS") else 3_000))
CLIENTS, TASKS, ROUND = 32, 8, 3_000
"""The model looks at one round, of new tasks, at a time."""
FAULT_EVERY, LOST_EVERY = 200, 15
"""Of statements, and of commits that took effect."""
NAMES = [f"p{n}" for n in range(CLIENTS)]


class Flaky(FaultStore):
    """Fails at random statements before they took effect, BEGIN and COMMIT among them; and after a COMMIT did, as it may:
    by a connection that is lost (PostgreSQL) or a sync that is not done (SQLite)."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        super().__init__(place, 0, "before")
        self.chance, self.faults = chance, Counter[str]()
        self.is_failing = False

    def count(self, statement: str, error: Exception, *, is_done: bool) -> None:
        is_wanted = not statement.startswith(("PRAGMA", "ROLLBACK")) and (not is_done or statement.endswith("COMMIT"))
        if self.is_failing and is_wanted and not self.chance.randrange(LOST_EVERY if is_done else FAULT_EVERY):
            self.faults["after COMMIT" if is_done else "before"] += 1
            raise _lost(error) if is_done else error


def _lost(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return psycopg.OperationalError("server closed the connection unexpectedly")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    return error


class Round:
    """All that its clients were told."""

    def __init__(self, db: Flaky, names: list[str], chance: random.Random) -> None:
        self.db, self.names, self.chance = db, names, chance
        self.instants = itertools.count(1)
        self.versions = dict.fromkeys(names, 1)
        self.calls: list[Call] = []

    async def client(self, user: str, calls: int) -> None:
        for _ in range(calls):
            task, what = self.chance.choice(self.names), self.chance.choice(("claim", "claim", "release", "assign"))
            to = self.chance.choice(NAMES) if what == "assign" else ""
            start = next(self.instants)
            who = Actor(type="user", id=user, channel="api", role="admin" if what == "assign" else "member")
            outcome, version = await self._outcome(who, what, task, to)
            end = None if outcome == "unknown" else next(self.instants)
            known: Any = {"user": user, "what": what, "task": task, "to": to, "version": version}
            self.calls.append(Call(start=start, end=end, outcome=outcome, **known))

    async def _outcome(self, who: Actor, what: str, task: str, to: str) -> tuple[Outcome, int]:
        try:
            done = await self._ask(who, what, task, to)
        except (Conflict, Forbidden):
            return "lost", 0
        except StoreRefused as error:
            return ("unknown" if isinstance(error, OutcomeUnknown | NotShown) else "refused"), 0
        self.versions[task] = max(self.versions[task], done.version)
        return "ok", done.version

    async def _ask(self, who: Actor, what: str, task: str, to: str) -> Task:
        if what == "claim":
            return await claim(self.db, who, task, NOW)
        if what == "release":
            return await release(self.db, who, task, NOW)
        return await assign(self.db, who, task, Wish(user=to, seen=self.versions[task]), NOW)


def untold(calls: list[Call], history: list[Event]) -> list[str]:
    """Answers whose version is not the state that history tells, and histories with a gap."""
    holders: dict[tuple[str, int], str] = {}
    wrong = []
    for event in history:
        version = int(event.after["version"])
        before = holders.get((event.subject_id, version - 1), "" if version == 2 else None)
        if before is None or (event.subject_id, version) in holders:
            wrong.append(f"{event.subject_id}: version {version} is out of turn")
        holders[event.subject_id, version] = event.after.get("user", before or "")
    for call in calls:
        meant = {"claim": call.user, "release": "", "assign": call.to}[call.what]
        if call.outcome == "ok" and holders.get((call.task, call.version), "") != meant:
            wrong.append(f"{call} but history says {holders.get((call.task, call.version))!r}")
    return wrong


async def a_round(db: Flaky, number: int, chance: random.Random) -> Round:
    names = [f"{number}-{n}" for n in range(TASKS)]
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(id=name)) for name in names]))
    seen = await db.read(lambda conn: events.bounds(conn)[1])
    told = Round(db, names, chance)
    db.is_failing = True
    await asyncio.gather(*(told.client(user, min(CALLS, ROUND) // CLIENTS) for user in NAMES))
    db.is_failing = False
    history = await db.read(lambda conn: events.after(conn, seen, 100_000))
    assert unexplained(told.calls) == []
    assert untold(told.calls, [event for event in history if "version" in event.after]) == []
    return told


@pytest.mark.timeout(14_400)
async def test_R131_one_order_explains_all_claims_of_many_clients_while_the_store_fails(
    place: Place, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(131)
    db = Flaky(place, chance)
    db.start()
    await db.write(lambda conn: conn.execute(insert(users), [{"name": name, "role": "admin"} for name in NAMES]).rowcount)
    calls: list[Call] = []
    for number in range(max(1, CALLS // ROUND)):
        calls += (await a_round(db, number, chance)).calls
    await db.close()
    outcomes = {call.outcome for call in calls}
    assert outcomes == {"ok", "lost", "refused", "unknown"}
    told = ", ".join(f"{n:,} {when}" for when, n in sorted(db.faults.items()))
    record_property("tries", f"{len(calls):,} calls, faults of the store: {told}")
