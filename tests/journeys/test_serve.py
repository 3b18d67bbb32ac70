"""`taskdash serve` whole: one message from PUB to Find, health, drains, signals, what stops a start (SPEC 9, R15, R55).

On both engines, but for what is about the data directory (R30) or a file that another process holds (R28; the like on a
server is R32), and for what comes before any store is opened.
"""

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.serving import Serving, serving, start
from tests.support import eventually


async def a_task_service(answer: Any) -> tuple[str, web.AppRunner]:
    async def tasks(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/tasks", tasks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    return f"http://{host}:{port}/tasks", runner


async def publish(server: Serving, topic: str, message: dict[str, Any]) -> None:
    host, port = server.addresses["nsq-http"]
    url = f"http://{host}:{port}/pub?topic={topic}"
    async with aiohttp.ClientSession() as session, session.post(url, data=json.dumps(message)) as answer:
        assert (answer.status, await answer.text()) == (200, "OK")


async def find(server: Serving, task_id: str) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    writer.write(json.dumps({"MessageID": 2, "Header": {"RequestID": "Find"}, "Body": {"id": task_id}}).encode() + b"\n")
    body: dict[str, Any] = json.loads(await reader.readline())["Body"]
    writer.close()
    return body


async def test_a_pushed_service_is_collected_listed_claimed_and_found_over_tcp(tmp_path: Path, engine: list[str]) -> None:
    url, service = await a_task_service([{"id": "133", "name": "zxf", "status": "running", "description": "每日行情"}])
    async with serving(tmp_path / "data", *engine) as server, server.signed_in() as session:
        await publish(server, "taskdash.services", {"id": "first-1", "name": "First", "url": url})
        await publish(server, "taskdash.heartbeats", {"id": "first-1"})

        async def listed() -> list[dict[str, Any]]:
            async with session.get("/api/v1/tasks", params={"q": "行情"}) as answer:
                found: list[dict[str, Any]] = (await answer.json())["items"]
                return found

        (task,) = await eventually(listed)
        assert (task["id"], task["service_id"], task["liveness"], task["user"]) == ("133", "first-1", "up", "")
        async with session.post("/api/v1/tasks/133/claim", json={"version": task["version"]}) as answer:
            assert (answer.status, (await answer.json())["user"]) == (200, "admin")
        found = await find(server, "133")
        assert (found["name"], found["user"], found["status"], found["errid"]) == ("zxf", "admin", "running", 0)
        async with session.get("/api/v1/tasks/133/events") as answer:
            kinds = [event["kind"] for event in (await answer.json())["items"]]
        assert kinds == ["task.claimed", "task.registered"]
        assert await server.stop() == 0
    await service.cleanup()


async def test_the_first_password_is_told_once_and_works_at_once(tmp_path: Path, engine: list[str]) -> None:
    async with serving(tmp_path / "data", *engine) as server:
        async with server.signed_in() as session, session.get("/api/v1/me") as answer:
            assert (await answer.json())["name"] == "admin"
        assert sum("sign-in:" in line for line in server.output) == 1
        assert not any(server.admin in line for line in server.errors)
        await server.stop()
    async with serving(tmp_path / "data", *engine) as again:
        assert again.output == []


async def test_R15_health_and_readiness_answer_and_name_the_parts(tmp_path: Path, engine: list[str]) -> None:
    async with serving(tmp_path / "data", *engine) as server, aiohttp.ClientSession(server.url) as session:
        async with session.get("/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")

        async def parts() -> bool:
            async with session.get("/readyz") as answer:
                ready = await answer.json()
            wanted = {"store", "http", "tcp", "nsq", "nsq-http", "collector", "monitor"}
            return ready["ready"] and {part["name"] for part in ready["parts"]} >= wanted

        await eventually(parts)


async def test_R55_a_drain_under_load_answers_what_was_taken_in_and_exits_0(tmp_path: Path, engine: list[str]) -> None:
    acknowledged: set[str] = set()

    async def register_until_closed(server: Serving, name: str) -> None:
        reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
        with contextlib.closing(writer):
            for number in range(100_000):
                task_id = f"{name}-{number}"
                pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": task_id}}
                writer.write(json.dumps(pack).encode() + b"\n")
                line = await reader.readline()
                if not line:
                    return
                if json.loads(line)["Body"]["errid"] == 0:
                    acknowledged.add(task_id)

    async with serving(tmp_path / "data", *engine) as server, server.signed_in() as session:
        async with session.get("/api/v1/stream") as stream:
            half = await asyncio.open_connection(*server.addresses["http"])
            half[1].write(b"GET /api/v1/tasks HTTP/1.1\r\nHost: loc")
            loads = [asyncio.create_task(register_until_closed(server, f"c{n}")) for n in range(8)]
            await eventually(lambda: len(acknowledged) > 200)
            status = await server.stop()
            await asyncio.gather(*loads, return_exceptions=True)
            await stream.read()
            half[1].close()
        assert status == 0
    async with serving(tmp_path / "data", *engine) as again:
        for task_id in sorted(acknowledged)[-50:]:
            assert (await find(again, task_id))["errid"] == 0


async def test_R55_a_second_sigterm_ends_the_process_at_once(tmp_path: Path, engine: list[str]) -> None:
    async with serving(tmp_path / "data", *engine) as server:
        reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
        writer.write(b"  V2PUB taskdash.services\n\x00\x00\x00\x30")  # a message that never ends holds up nothing
        server.kill(signal.SIGTERM)
        server.kill(signal.SIGTERM)
        assert await server.ended() in {0, 1}
        writer.close()
        del reader


async def test_R55_sigterm_during_the_start_ends_it(tmp_path: Path) -> None:
    server = await start(tmp_path / "data")
    server.kill(signal.SIGTERM)
    assert await server.ended() in {0, -signal.SIGTERM}, "a signal that comes before the interpreter runs ends that"


async def test_R55_sigterm_during_a_start_that_has_begun_exits_0(tmp_path: Path) -> None:
    server = await start(tmp_path / "data")
    await eventually((tmp_path / "data").exists)
    server.kill(signal.SIGTERM)
    assert await server.ended() == 0


async def test_R30_a_second_server_on_one_data_directory_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        second = await start(tmp_path / "data")
        assert await second.ended() == 1
        assert f"pid {server.process.pid}" in second.errors[-1]
        assert (await find(server, "x"))["errid"] == 1002


async def test_an_address_that_is_taken_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path / "a") as server:
        host, port = server.addresses["tcp"]
        second = await start(tmp_path / "b", f"--tcp={host}:{port}")
        assert await second.ended() == 1
        assert second.errors == [f"taskdash: cannot listen on tcp {host}:{port}: Address already in use"]


async def test_R28_R15_while_the_store_refuses_readiness_says_so_and_clears_again(tmp_path: Path) -> None:
    import sqlite3

    async with serving(tmp_path / "data") as server, aiohttp.ClientSession(server.url) as session:
        other = sqlite3.connect(tmp_path / "data" / "taskdash.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
        writer.write(b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"1"}}\n')
        assert json.loads(await reader.readline())["Body"]["errid"] == 1001

        async def parts() -> dict[str, dict[str, Any]]:
            async with session.get("/readyz") as answer:
                return {part["name"]: part for part in (await answer.json())["parts"]}

        async def refuses() -> bool:
            return not (await parts())["store"]["ok"]

        await eventually(refuses)
        assert "SQLITE_BUSY" in (await parts())["store"]["reason"]
        other.execute("ROLLBACK")
        other.close()

        async def works() -> bool:
            return bool((await parts())["store"]["ok"])

        await eventually(works)
        writer.write(b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"1"}}\n')
        assert json.loads(await reader.readline())["Body"]["errid"] == 0
        writer.close()
