"""`taskdash demo`: what a newcomer sees first (SPEC 9)."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from tests.journeys.commands import begin, end, taskdash
from tests.support import eventually

FREE = [f"--{name}=127.0.0.1:0" for name in ("http", "tcp", "nsq-listen", "nsq-http-listen")]


class Shown(Struct):
    """A demo that said where to look."""

    process: Process
    url: str
    passwords: dict[str, str]

    @contextlib.asynccontextmanager
    async def signed_in(self, user: str) -> AsyncIterator[aiohttp.ClientSession]:
        """A session of that user."""
        async with aiohttp.ClientSession(self.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.post("/api/v1/login", json={"user": user, "password": self.passwords[user]}) as answer:
                assert answer.status == 200, await answer.text()
                session.headers["X-CSRF-Token"] = (await answer.json())["csrf_token"]
            yield session


async def shown(process: Process) -> Shown:
    assert process.stdout
    assert process.stderr
    url, passwords = "", {}
    while not url or len(passwords) < 3:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert line, (await process.stderr.read()).decode()
        word, _, rest = line.strip().partition(" ")
        if word == "open":
            url = rest.strip()
        elif word == "sign-in:":
            name, _, passwords[name] = rest.partition(" ")
    return Shown(process, url, passwords)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Shown]:
    process = await begin("demo", *FREE, env={"TMPDIR": str(tmp_path)})
    yield await shown(process)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


async def listed(session: aiohttp.ClientSession, what: str) -> dict[str, dict[str, Any]]:
    async with session.get(f"/api/v1/{what}", params={"limit": 100}) as answer:
        assert answer.status == 200, await answer.text()
        return {item["id"]: item for item in (await answer.json())["items"]}


async def test_the_demo_shows_the_tasks_of_the_seed_and_lets_its_people_claim_and_assign(demo: Shown) -> None:
    async with demo.signed_in("ssx") as ssx, demo.signed_in("wsg") as wsg:

        async def all_collected() -> bool:
            return len(await listed(ssx, "tasks")) >= 39

        await eventually(all_collected, 60)
        tasks, services = await listed(ssx, "tasks"), await listed(ssx, "services")
        told = {key: (tasks[key]["name"], tasks[key]["status"]) for key in ("133", "132", "131", "130", "137")}
        assert told == {
            "133": ("zxf", "running"),
            "132": ("lxq", "finish"),
            "131": ("lb", "shutdown"),
            "130": ("zgl", "restart"),
            "137": ("zy", "running"),
        }
        assert (tasks["133"]["user"], tasks["133"]["group_id"]) == ("ssx", "mx")
        assert sorted(services) == ["etl-01", "mx-runner", "notify-gw", "pay-batch", "report-center"]
        assert {task["group_id"] for task in tasks.values()} == {"mx", "pay", "data"}
        async with ssx.post("/api/v1/tasks/137/claim", json={}) as claimed:
            task = await claimed.json()
            assert (claimed.status, task["user"]) == (200, "ssx")
        assigned = {"user": "wsg", "version": task["version"]}
        async with ssx.post("/api/v1/tasks/137/assign", json=assigned) as refused:
            assert refused.status == 403
        async with wsg.post("/api/v1/tasks/137/assign", json=assigned) as done:
            assert (done.status, (await done.json())["user"]) == (200, "wsg")


async def test_after_a_signal_nothing_is_left_of_the_demo(demo: Shown, tmp_path: Path) -> None:
    demo.process.send_signal(signal.SIGTERM)
    ended = await end(demo.process)
    assert ended.status == 0, ended.errors
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  (a test)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(demo.url)


async def test_the_server_does_not_outlive_a_demo_that_was_killed(demo: Shown) -> None:
    demo.process.kill()
    await demo.process.wait()

    async def is_gone() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                await session.get(f"{demo.url}/healthz")
            except aiohttp.ClientError:
                return True
        return False

    await eventually(is_gone, 30)


async def test_a_demo_whose_port_is_taken_says_so_and_ends(demo: Shown, tmp_path: Path) -> None:
    address = demo.url.removeprefix("http://")
    ended = await taskdash("demo", *FREE, "--http", address, env={"TMPDIR": str(tmp_path)})
    assert (ended.status, ended.output) == (1, "")
    assert ended.errors.startswith(f"taskdash: cannot listen on http {address}: ")
    assert ended.errors.count("\n") == 1


async def test_the_demo_takes_no_cluster() -> None:
    ended = await taskdash("demo", *FREE, env={"TASKDASH_NSQD": "127.0.0.1:4150"})
    assert (ended.status, ended.output) == (2, "")
    assert "it has its own NSQ endpoint and store" in ended.errors
