"""The JSON list page against its SQL alone, the board against the JSON page, claims against a route that answers a constant."""

import asyncio
import contextlib
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from bench.harness import Row, at_least, at_most, interleaved, p95, within
from bench.seed import NOW, a_store
from bench.serving import Server, a_server
from taskdash.store import sqlite, task_page
from taskdash.store.migrations import runner
from taskdash.store.task_filters import Filters

TASKS, SERVICES = 100_000, 10_000
PEOPLE = 64
PASSWORD = "bench-kapitaen-77"


async def timed(session: aiohttp.ClientSession, path: str, times: int) -> list[float]:
    """Milliseconds of one request after the other."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        async with session.get(path) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")
        took.append((time.perf_counter() - began) * 1_000)
    return took


def sql_alone(path: Path, times: int = 200) -> float:
    """Milliseconds of the same page's query and rows, median-like mean, without HTTP."""
    with sqlite.open_engine(path).connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        task_page.page(conn, Filters(), "-updated_at", 50, NOW)
        began = time.perf_counter()
        for _ in range(times):
            task_page.page(conn, Filters(), "-updated_at", 50, NOW)
        return (time.perf_counter() - began) * 1_000 / times


async def claims(session: aiohttp.ClientSession, ids: list[str]) -> float:
    """Claims a second by 64 people at once."""
    return await at_once([session], [("POST", f"/api/v1/tasks/{task_id}/claim") for task_id in ids])


async def constants(session: aiohttp.ClientSession, count: int) -> float:
    """Requests a second of a signed-in route that asks the store nothing."""
    return await at_once([session], [("GET", "/api/v1/me")] * count)


async def at_once(sessions: Sequence[aiohttp.ClientSession], calls: Sequence[tuple[str, str]], people: int = PEOPLE) -> float:
    """Calls a second by so many people at once, spread over the sessions."""
    waiting = iter(calls)

    async def person(session: aiohttp.ClientSession) -> None:
        for method, path in waiting:
            async with session.request(method, path, json={} if method == "POST" else None) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{path}: {answer.status}")

    began = time.perf_counter()
    await asyncio.gather(*(person(sessions[n % len(sessions)]) for n in range(people)))
    return len(calls) / (time.perf_counter() - began)


async def pages(session: aiohttp.ClientSession, path: Path) -> list[Row]:
    list_path, board_path = "/api/v1/tasks?limit=50", "/tasks?limit=50"
    await timed(session, list_path, 20)
    json_ms, floor = await interleaved(lambda: mean(session, list_path), lambda: asyncio.to_thread(sql_alone, path))
    rows = [at_most("list page, 50 rows, JSON over HTTP, against its SQL alone", json_ms, floor, 3.0)]
    board, again = await interleaved(lambda: mean(session, board_path), lambda: mean(session, list_path))
    rows.append(at_most("the board as HTML, against the JSON page", board, again, 3.0))
    rows.append(within("list page over HTTP, p95", p95(await timed(session, list_path, 300)), 50.0))
    rows.append(within("board over HTTP, p95", p95(await timed(session, board_path, 100)), 150.0))
    return rows


async def mean(session: aiohttp.ClientSession, path: str) -> float:
    took = await timed(session, path, 100)
    return sum(took) / len(took)


async def run() -> list[Row]:
    path = a_store(TASKS, SERVICES)
    data_dir = path.parent
    (data_dir / runner.MARKER).touch()
    async with a_people_server(data_dir) as (_server, session):
        rows = await pages(session, path)
        free = await unowned(session, 5_000)
        turn = iter([free[n * 1_000 : (n + 1) * 1_000] for n in range(5)])
        ours, floor = await interleaved(lambda: claims(session, next(turn)), lambda: constants(session, 1_000))
        rows.append(at_least("claim over HTTP, 64 people, against a route that asks the store nothing", ours, floor, 0.5))
    return rows


async def unowned(session: aiohttp.ClientSession, count: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    while len(found) < count:
        async with session.get(f"/api/v1/tasks?user=none&limit=500{cursor}") as answer:
            page = await answer.json()
        found += [task["id"] for task in page["items"]]
        cursor = f"&cursor={page['next']}"
    return found[:count]


@contextlib.asynccontextmanager
async def a_people_server(data_dir: Path) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server over a seeded store, and the session of somebody who may claim everything."""
    options = ("--role=admin", "--password-stdin", f"--data-dir={data_dir}")
    add = await asyncio.create_subprocess_exec(
        ".venv/bin/taskdash", "user", "add", "boss", *options, stdin=PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    await add.communicate(f"{PASSWORD}\n".encode())
    async with a_server(data_dir=data_dir, first_admin=False) as server, server.session("boss", PASSWORD) as session:
        yield server, session
