"""What a Python task service imports, against a real nsqd (SPEC 2, 4)."""

import asyncio
import contextlib
import json
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Struct

from taskdash.client.api import NotTold, OverHttp, OverNsq, OverNsqHttp, Teller
from taskdash.client.service import TaskService
from tests.support import eventually

NSQD = Path(".tools/nsqd").absolute()


class Nsqd(Struct):
    """A running nsqd."""

    tcp: tuple[str, int]
    http: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.http[0]}:{self.http[1]}"

    async def counts(self) -> dict[str, int]:
        """Messages by topic."""
        stats = json.loads(await asyncio.to_thread(fetch, f"{self.url}/stats?format=json"))
        return {topic["topic_name"]: topic["message_count"] for topic in stats["topics"]}


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


@pytest.fixture
async def nsqd(tmp_path: Path) -> AsyncIterator[Nsqd]:
    options = ["-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0", f"-data-path={tmp_path}"]
    process = await asyncio.create_subprocess_exec(
        NSQD, *options, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert process.stderr
    found: dict[str, tuple[str, int]] = {}
    while len(found) < 2:
        line = (await process.stderr.readline()).decode()
        assert line, "nsqd ended"
        if listening := re.search(r"(TCP|HTTP): listening on ([\d.]+):(\d+)", line):
            found[listening[1]] = (listening[2], int(listening[3]))
    drained = asyncio.create_task(process.stderr.read())
    yield Nsqd(found["TCP"], found["HTTP"])
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    await drained


def a_closed_port() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[str, int] = probe.getsockname()
    return address


@pytest.mark.parametrize("way", ["tcp", "http"])
async def test_a_service_registers_beats_and_says_goodbye_to_a_real_nsqd(nsqd: Nsqd, way: str) -> None:
    teller: Teller = OverNsq(nsqd.tcp) if way == "tcp" else OverNsqHttp(nsqd.url)
    with TaskService(teller, "etl-1", "ETL", heartbeat_interval_s=0.05):

        async def told() -> bool:
            counts = await nsqd.counts()
            return counts.get("taskdash.services", 0) == 1 and counts.get("taskdash.heartbeats", 0) > 3

        await eventually(told)
    if isinstance(teller, OverNsq):
        teller.close()


async def test_a_service_answers_which_tasks_it_runs() -> None:
    with TaskService(OverNsqHttp("http://127.0.0.1:1"), "etl-1", "ETL") as service:
        service.put({"id": "133", "name": "张小凡", "status": "running"})
        service.put({"id": "132", "name": "lxq", "status": "running"})
        service.put({"id": "132", "name": "lxq", "status": "finish"})
        service.put({"id": "131"})
        service.remove("131")
        waiting = asyncio.create_task(asyncio.to_thread(service.wait_until_asked, 10))
        tasks = json.loads(await asyncio.to_thread(fetch, service.url))
        assert [(task["id"], task["status"]) for task in tasks] == [("133", "running"), ("132", "finish")]
        assert await waiting


async def test_a_service_whose_taskdash_is_away_goes_on_and_hears_why() -> None:
    troubles: list[str] = []
    teller = OverNsq(a_closed_port())
    with TaskService(teller, "etl-1", "ETL", heartbeat_interval_s=0.02, on_trouble=troubles.append) as service:
        await eventually(lambda: len(troubles) > 3)
        assert not service.is_registered
        assert not service.wait_until_asked(0)
    assert "does not answer: " in troubles[0]


async def test_a_service_that_comes_up_before_taskdash_registers_once_it_is_there(nsqd: Nsqd) -> None:
    teller = OverNsqHttp(f"http://127.0.0.1:{a_closed_port()[1]}")
    with TaskService(teller, "etl-1", "ETL", heartbeat_interval_s=0.02) as service:
        teller._pub = OverNsqHttp(nsqd.url)._pub
        await eventually(lambda: service.is_registered)
    assert (await nsqd.counts())["taskdash.services"] == 1


async def test_an_idle_connection_that_the_node_closed_costs_no_message(nsqd: Nsqd) -> None:
    teller = OverNsq(nsqd.tcp)
    await asyncio.to_thread(teller.beat, "a")
    assert teller._socket
    teller._socket.shutdown(socket.SHUT_RDWR)
    await asyncio.to_thread(teller.beat, "a")
    assert (await nsqd.counts())["taskdash.heartbeats"] == 2
    assert (await asyncio.to_thread(teller.identify))["version"]
    teller.close()


async def test_a_refusal_says_who_refused_what(nsqd: Nsqd) -> None:
    with pytest.raises(NotTold, match=r"answered E_BAD_TOPIC PUB topic name \"a!b\" is not valid"):
        await asyncio.to_thread(OverNsq(nsqd.tcp, heartbeats_topic="a!b").beat, "a")
    with pytest.raises(NotTold, match=r"was answered 400 Bad Request: INVALID_TOPIC") as refused:
        await asyncio.to_thread(OverNsqHttp(nsqd.url, heartbeats_topic="a!b").beat, "a")
    assert refused.value.status == 400
    with pytest.raises(NotTold, match="is no http or https url"):
        OverHttp("file:///etc/passwd").beat("a")
