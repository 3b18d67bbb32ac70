"""8,000 claims over HTTP by 16 people on 2,000 tasks: exactly 2,000 winners, and every loser is told who won (RELIABILITY R5).

    .venv/bin/python -m bench.claims [CLAIMS] [TASKS] [PEOPLE]

Prints claims a second and the percentiles of one claim; leaves with 1 when the answers, the tasks and the history disagree.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from taskdash.model.records import Task
from taskdash.store import events, tasks
from tests.journeys.api import call, stored
from tests.journeys.http import Person, Site, a_site

AT_ONCE = 64
Answer = tuple[str, str, int, str, float]
"""(task, who asked, status, who holds it by the answer, seconds)."""


async def main(claims: int, task_count: int, people_count: int) -> int:
    """Run it once over a throw-away store."""
    with tempfile.TemporaryDirectory() as folder:
        async with a_site(Path(folder)) as site:
            keys = [f"t{n}" for n in range(task_count)]
            await stored(site, *(Task(id=key, name=key, status="waiting") for key in keys))
            people = [await site.person(f"p{n:02}") for n in range(people_count)]
            tries = [(keys[n % task_count], random.choice(people)) for n in range(claims)]
            random.shuffle(tries)
            began = time.perf_counter()
            answers = await _race(tries)
            took_s = time.perf_counter() - began
            wrong = await _wrong(site, keys, answers)
    latencies = sorted(answer[4] * 1_000 for answer in answers)
    cuts = statistics.quantiles(latencies, n=100)
    print(f"{claims} claims, {task_count} tasks, {people_count} people, {AT_ONCE} at once: {claims / took_s:,.0f}/s")
    print(f"one claim: median {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms")
    won = {answer[0] for answer in answers if answer[2] == 200}
    again = sum(answer[2] == 200 for answer in answers) - len(won)
    print(f"{len(won)} tasks won once each, {again} claims repeated by their holder; wrong: {wrong or 'nothing'}")
    return 1 if wrong else 0


async def _race(tries: list[tuple[str, Person]]) -> list[Answer]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(key: str, person: Person) -> Answer:
        async with gate:
            began = time.perf_counter()
            status, body = await call(person.http, "POST", f"/tasks/{key}/claim", {})
            holder = body["user"] if status == 200 else body.get("holder", {}).get("user", "")
            return key, person.name, status, holder, time.perf_counter() - began

    return list(await asyncio.gather(*(one(key, person) for key, person in tries)))


async def _wrong(site: Site, keys: list[str], answers: list[Answer]) -> list[str]:
    """What the answers, the stored tasks and the history do not agree on."""
    known = await site.db.read(lambda conn: tasks.load_many(conn, keys), limit_s=None)
    told = await site.db.read(lambda conn: events.page(conn, kind="task.claimed", limit=len(keys) * 2), limit_s=None)
    winners = {event.subject_id: event.actor_id for event in told}
    found = [
        f"{key}: told {holder!r}, held by {known[key].user!r}" for key, _, _, holder, _ in answers if holder != known[key].user
    ]
    found += [f"{key}: {who} was told 200" for key, who, status, _, _ in answers if status == 200 and who != known[key].user]
    found += [f"{key}: status {status}" for key, _, status, _, _ in answers if status not in {200, 409}]
    if winners != {key: task.user for key, task in known.items()} or len(told) != len(keys):
        found.append(f"history tells {len(told)} claims of {len(keys)} tasks")
    return found[:20]


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(uvloop.run(main(*(numbers + [8_000, 2_000, 16][len(numbers) :]))))
