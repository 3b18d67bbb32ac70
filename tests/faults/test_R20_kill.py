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


async def register_over_tcp(server: Serving, ledger: Ledger) -> None:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    try:
        while True:
            name = ledger.new("task")
            pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": name, "status": "running"}}
            writer.write(json.dumps(pack).encode() + b"\n")
            line = await reader.readline()
            if not line:
                return
            if json.loads(line)["Body"]["errid"] == 0:
                ledger.tasks.add(name)
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


WRITERS: list[Writer] = [pub_over_tcp, pub_over_http, register_over_tcp, claim_over_http] * 2


async def write_until_killed(server: Serving, ledger: Ledger, after_s: float) -> None:
    loads = [asyncio.create_task(write(server, ledger)) for write in WRITERS]
    await asyncio.wait(loads, timeout=after_s)
    server.kill()
    await server.ended()
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    lost = (OSError, EOFError, aiohttp.ClientError, type(None))
    assert all(isinstance(outcome, lost) for outcome in outcomes), outcomes


def stored(place: Place, query: str) -> set[str]:
    with place.open_readers().connect() as conn:
        if isinstance(place, File):
            assert conn.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
        return set(conn.exec_driver_sql(query).scalars())


async def a_token(server: Serving) -> str:
    async with (
        server.signed_in() as session,
        session.post("/api/v1/tokens", json={"name": "kill", "scopes": ["claim"]}) as answer,
    ):
        made: dict[str, Any] = await answer.json()
        assert answer.status in {200, 201}, made
        return str(made["token"])


@pytest.mark.timeout(600)
async def test_R20_killed_under_load_nothing_acknowledged_is_lost(tmp_path: Path, engine: list[str], served: Place) -> None:
    ledger, chance = Ledger(), random.Random(20)
    cycles = CYCLES if isinstance(served, File) else CYCLES // FEWER
    async with serving(tmp_path / "data", *engine) as server:
        ledger.token = await a_token(server)
        await server.stop()
    for _ in range(cycles):
        async with serving(tmp_path / "data", *engine) as server:
            await write_until_killed(server, ledger, chance.uniform(0.05, 1.0))
        assert ledger.services <= stored(served, "SELECT id FROM services")
        assert ledger.tasks <= stored(served, "SELECT id FROM tasks")
        assert ledger.claimed <= stored(served, "SELECT id FROM tasks WHERE tasks.user = 'admin'")
    assert len(ledger.services) > cycles
    assert len(ledger.tasks) > cycles
    assert ledger.claimed
