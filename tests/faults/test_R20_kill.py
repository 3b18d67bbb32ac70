"""R20: killed under load on all four ports, again and again: what was acknowledged is there, what was refused is not."""

import asyncio
import itertools
import json
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from taskdash.store.places import File, Place
from tests.serving import Serving, serving

CYCLES = 200 if os.environ.get("LONG_FAULTS") else 30
FEWER = 3
"""A kill cannot harm a server's files: so many times fewer cycles there."""
Writer = Callable[[Serving, "Ledger"], Awaitable[None]]


class Ledger:
    """What each client was told: acknowledged ids must exist, refused ones must not, the rest may be either."""

    def __init__(self) -> None:
        self.services: set[str] = set()
        self.tasks: set[str] = set()
        self.refused: set[str] = set()
        self.asked: set[str] = set()
        """Every task that was sent: what is neither acknowledged nor refused is unknown."""
        self.claimed: set[str] = set()
        self.numbers = itertools.count()
        self.token = ""
        self.has_tasks = asyncio.Event()

    def new(self, kind: str) -> str:
        return f"{kind}-{next(self.numbers)}"


async def pub_over_tcp(server: Serving, ledger: Ledger) -> None:
    reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
    writer.write(b"  V2")
    try:
        while True:
            name = ledger.new("nsq")
            body = json.dumps({"id": name, "name": name}).encode()
            writer.write(b"PUB taskdash.services\n" + len(body).to_bytes(4, "big") + body)
            size = int.from_bytes(await reader.readexactly(4), "big")
            frame = await reader.readexactly(size)
            if frame[4:] == b"OK":
                ledger.services.add(name)
    finally:
        writer.close()


async def pub_over_http(server: Serving, ledger: Ledger) -> None:
    host, port = server.addresses["nsq-http"]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        while True:
            names = [ledger.new("http") for _ in range(3)]
            body = "\n".join(json.dumps({"id": name}) for name in names)
            async with session.post("/mpub?topic=taskdash.services", data=body) as answer:
                if answer.status == 200 and await answer.text() == "OK":
                    ledger.services.update(names)


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, task: str) -> int | None:
    """The errid; None when the connection ended before."""
    body = {"id": task, "status": "running"}
    writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": what}, "Body": body}).encode() + b"\n")
    line = await reader.readline()
    return int(json.loads(line)["Body"]["errid"]) if line else None


async def be_refused_over_tcp(server: Serving, ledger: Ledger) -> None:
    """An update of what is not there: it must not come to be."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    try:
        while True:
            name = ledger.new("refused")
            if (errid := await answered(reader, writer, "Update", name)) is None:
                return
            assert errid, "an update of an unknown id was acknowledged"
            ledger.refused.add(name)
    finally:
        writer.close()


async def register_over_tcp(server: Serving, ledger: Ledger) -> None:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    try:
        while True:
            name = ledger.new("task")
            ledger.asked.add(name)
            if (errid := await answered(reader, writer, "Register", name)) is None:
                return
            (ledger.refused if errid else ledger.tasks).add(name)
            ledger.has_tasks.set()
    finally:
        writer.close()


async def claim_over_http(server: Serving, ledger: Ledger) -> None:
    headers = {"Authorization": f"Bearer {ledger.token}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        while True:
            await ledger.has_tasks.wait()
            chosen = random.choice(sorted(ledger.tasks))
            async with session.post(f"/api/v1/tasks/{chosen}/claim", json={}) as answer:
                if answer.status == 200:
                    ledger.claimed.add(chosen)


WRITERS: list[Writer] = [pub_over_tcp, pub_over_http, register_over_tcp, claim_over_http] * 2 + [be_refused_over_tcp]


async def write_until_killed(server: Serving, ledger: Ledger, after_s: float) -> None:
    loads = [asyncio.create_task(write(server, ledger)) for write in WRITERS]
    await asyncio.wait(loads, timeout=after_s)
    server.kill()
    await server.ended()
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    lost = (OSError, EOFError, aiohttp.ClientError, type(None))
    assert all(isinstance(outcome, lost) for outcome in outcomes), outcomes


async def repeat(server: Serving, unknown: set[str]) -> None:
    """Ask again for all of which nobody knows, twice, as a client may."""
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    for name in sorted(unknown) * 2:
        assert await answered(reader, writer, "Register", name) == 0
    writer.close()


def listed(place: Place, query: str) -> list[str]:
    with place.open_readers().connect() as conn:
        if isinstance(place, File):
            assert conn.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
        return list(conn.exec_driver_sql(query).scalars())


def stored(place: Place, query: str) -> set[str]:
    return set(listed(place, query))


def assert_kept(place: Place, ledger: Ledger) -> None:
    tasks = stored(place, "SELECT id FROM tasks")
    assert ledger.services <= stored(place, "SELECT id FROM services")
    assert ledger.tasks <= tasks
    assert not ledger.refused & tasks
    assert ledger.claimed <= stored(place, "SELECT id FROM tasks WHERE tasks.user = 'admin'")


async def a_token(server: Serving, *scopes: str) -> str:
    """Of the admin."""
    async with (
        server.signed_in() as session,
        session.post("/api/v1/tokens", json={"name": "faults", "scopes": list(scopes)}) as answer,
    ):
        made: dict[str, Any] = await answer.json()
        assert answer.status in {200, 201}, made
        return str(made["token"])


@pytest.mark.timeout(3_600)
async def test_R20_R130_killed_under_load_what_was_acknowledged_is_kept_what_was_refused_is_not_and_a_repeat_is_done_once(
    tmp_path: Path, engine: list[str], served: Place, record_property: Callable[[str, object], None]
) -> None:
    ledger, chance = Ledger(), random.Random(20)
    cycles = CYCLES if isinstance(served, File) else CYCLES // FEWER
    async with serving(tmp_path / "data", *engine) as server:
        ledger.token = await a_token(server, "claim")
        await server.stop()
    for _ in range(cycles):
        async with serving(tmp_path / "data", *engine) as server:
            await write_until_killed(server, ledger, chance.uniform(0.05, 1.0))
        assert_kept(served, ledger)
    unknown = ledger.asked - ledger.tasks - ledger.refused
    async with serving(tmp_path / "data", *engine) as server:
        await repeat(server, unknown)
        await server.stop()
    events = listed(served, "SELECT subject_id FROM events WHERE kind = 'task.registered'")
    assert sorted(events) == sorted(ledger.tasks | unknown)
    assert stored(served, "SELECT id FROM tasks") == ledger.tasks | unknown
    assert min(len(ledger.services), len(ledger.tasks), len(ledger.refused)) > cycles
    assert ledger.claimed
    assert unknown
    record_property("tries", f"{cycles} kills, {type(served).__name__}")
