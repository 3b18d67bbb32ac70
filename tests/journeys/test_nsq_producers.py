"""Producers that know nothing of TaskDash, unchanged, against `taskdash serve`: each registers a service (SPEC 2).

What they speak does not depend on the engine; what a kill -9 leaves does, and is tried on both.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.brokers import BEATS, HOST, SERVICES, Nsqd, free_port, running
from tests.certificates import a_certificate
from tests.serving import Serving, serving
from tests.support import eventually

REGISTERED = '{"id":"%s","name":"%s","type":"%s"}'
BEAT = '{"id":"%s","reserved":""}'


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as running_server:
        yield running_server


async def output_of(*command: str, sent: bytes = b"") -> str:
    """What a program says; it must end well."""
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    out, _ = await asyncio.wait_for(program.communicate(sent), 60)
    assert program.returncode == 0, out.decode()
    return out.decode()


async def the_service(server: Serving, service_id: str) -> dict[str, Any]:
    """The service as the API shows it, once it has beaten."""
    async with server.signed_in() as session:

        async def has_beaten() -> Any:
            async with session.get(f"/api/v1/services/{service_id}") as answer:
                found = await answer.json()
                return found if answer.status == 200 and found["last_beat_at"] else None

        found: dict[str, Any] = await eventually(has_beaten)
        return found


def shown(service: dict[str, Any]) -> tuple[str, str, str]:
    return service["name"], service["type"], service["liveness"]["state"]


def where(server: Serving, name: str = "nsq") -> str:
    host, port = server.addresses[name]
    return f"{host}:{port}"


async def test_go_nsq_publishes_one_by_one_pipelined_and_many_at_once(receiver: Serving) -> None:
    said = (await output_of(".tools/gonsq", where(receiver), "go-1")).splitlines()
    refused = 'E_BAD_TOPIC PUB topic name "somebody.elses" is not one of TaskDash\'s: taskdash.services and taskdash.heartbeats'
    assert said[-2:] == [refused, "done"]
    assert shown(await the_service(receiver, "go-1")) == ("go", "go-nsq", "up")


async def test_go_nsq_over_TLS_with_AUTH(tmp_path: Path) -> None:
    pair = await a_certificate(tmp_path / "tls")
    secured = {"TASKDASH_NSQ__TLS_CERT": pair.cert, "TASKDASH_NSQ__TLS_KEY": pair.key, "TASKDASH_NSQ__AUTH": "sesame"}
    async with serving(tmp_path / "store", env=secured) as server:
        client = (".tools/gonsq", where(server), "go-2", "tls_v1=true", f"tls_root_ca_file={pair.cert}", "auth_secret=sesame")
        assert (await output_of(*client)).splitlines()[-1] == "done"
        assert shown(await the_service(server, "go-2")) == ("go", "go-nsq", "up")


async def test_nsqjs_publishes(receiver: Serving) -> None:
    host, port = receiver.addresses["nsq"]
    assert await output_of("node", "tests/clients/nsqjs/pub.js", host, str(port), "node-1") == "done\n"
    assert shown(await the_service(receiver, "node-1")) == ("node", "nsqjs", "up")


async def test_pynsq_publishes(receiver: Serving) -> None:
    said = await output_of(sys.executable, "tests/clients/pynsq_pub.py", where(receiver), "py-1")
    assert said == "done\n"
    assert shown(await the_service(receiver, "py-1")) == ("python", "pynsq", "up")


async def test_to_nsq_publishes_a_line_each(receiver: Serving) -> None:
    to_nsq = (".tools/to_nsq", f"-nsqd-tcp-address={where(receiver)}")
    await output_of(*to_nsq, f"-topic={SERVICES}", sent=(REGISTERED % ("to-1", "line", "to_nsq")).encode() + b"\n")
    await output_of(*to_nsq, f"-topic={BEATS}", sent=(BEAT % "to-1" + "\n").encode() * 100)
    assert shown(await the_service(receiver, "to-1")) == ("line", "to_nsq", "up")


async def test_curl_publishes_one_and_many(receiver: Serving) -> None:
    curl = ("curl", "-sS", "--fail-with-body", "--data-binary")
    http = f"http://{where(receiver, 'nsq-http')}"
    registered = REGISTERED % ("curl-1", "curl", "curl")
    assert await output_of(*curl, registered, f"{http}/pub?topic={SERVICES}") == "OK"
    assert await output_of(*curl, "@-", f"{http}/mpub?topic={BEATS}", sent=(BEAT % "curl-1" + "\n").encode() * 3) == "OK"
    assert shown(await the_service(receiver, "curl-1")) == ("curl", "curl", "up")


async def test_a_cluster_of_two_real_nodes_feeds_one_taskdash_and_survives_the_death_of_a_node(tmp_path: Path) -> None:
    one, two = Nsqd(tmp_path / "one"), Nsqd(tmp_path / "two")
    async with running(one, two), serving(tmp_path / "store", f"--nsqd={one.address}", f"--nsqd={two.address}") as server:
        await one.publish([(REGISTERED % ("c-1", "both", "cluster")).encode()], SERVICES)
        await one.publish([(BEAT % "c-1").encode()])
        assert shown(await the_service(server, "c-1")) == ("both", "cluster", "up")
        await one.end()
        await two.publish([(REGISTERED % ("c-2", "second", "cluster")).encode()], SERVICES)
        await two.publish([(BEAT % "c-2").encode()])
        assert shown(await the_service(server, "c-2")) == ("second", "cluster", "up")
        assert await server.stop() == 0
        channel = await two.channel()
        assert (channel["in_flight_count"], channel["timeout_count"], channel["requeue_count"]) == (0, 0, 0)


async def test_kill_9_of_taskdash_in_the_middle_of_a_backlog_loses_nothing(tmp_path: Path, engine: list[str]) -> None:
    nsqd = Nsqd(tmp_path / "nsqd")
    ids = {f"k-{n}" for n in range(400)}
    short = {"TASKDASH_NSQ__MSG_TIMEOUT": "1", "TASKDASH_NSQ__MAX_IN_FLIGHT": "250"}
    async with running(nsqd):
        await nsqd.create()
        async with serving(tmp_path / "store", f"--nsqd={nsqd.address}", *engine, env=short) as server:
            await nsqd.publish([(REGISTERED % (one, one, "x")).encode() for one in sorted(ids)], SERVICES)
            await eventually(lambda: has_finished_some(nsqd))
            server.kill()
            await server.ended()
            password = server.admin
        async with (
            serving(tmp_path / "store", f"--nsqd={nsqd.address}", *engine, env=short) as again,
            again.signed_in(password=password) as session,
        ):

            async def registered() -> set[str]:
                async with session.get("/api/v1/services?limit=500") as answer:
                    return {item["id"] for item in (await answer.json())["items"]}

            await eventually(lambda: nsqd.is_drained(SERVICES), 30)
            assert await registered() == ids


async def has_finished_some(nsqd: Nsqd) -> bool:
    channel = await nsqd.channel(SERVICES)
    return bool(channel["message_count"] - channel["depth"] - channel["in_flight_count"] > 0)


async def test_nsqadmin_shows_our_topics(receiver: Serving) -> None:
    port = free_port()
    admin = await asyncio.create_subprocess_exec(
        ".tools/nsqadmin",
        f"-http-address={HOST}:{port}",
        f"-nsqd-http-address={where(receiver, 'nsq-http')}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:

            async def topics() -> Any:
                try:
                    async with session.get("/api/topics") as answer:
                        return await answer.json() if answer.status == 200 else None
                except aiohttp.ClientError:
                    return None

            assert sorted((await eventually(topics))["topics"]) == [BEATS, SERVICES]
            async with session.get(f"/api/topics/{BEATS}") as answer:
                assert (answer.status, (await answer.json())["message"]) == (200, "")
            async with session.get("/api/nodes") as answer:
                assert (await answer.json())["message"] == ""
    finally:
        admin.kill()
        await admin.wait()
