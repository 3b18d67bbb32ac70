"""The programs of docs/guides/protocols.md, run as they stand against a real server (only its ports are others).

They speak protocols, which do not depend on the engine: on the embedded store only.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.journeys.commands import taskdash
from tests.serving import Serving, serving
from tests.support import eventually

GUIDE = Path("docs/guides/protocols.md").read_text(encoding="utf-8")
PORTS = {"8700": "http", "8701": "tcp", "4150": "nsq", "4151": "nsq-http"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path / "data") as ready:
        yield ready


def example(server: Serving, language: str, holding: str) -> str:
    """The first program in `language` that holds that text, with this server's ports."""
    programs: list[str] = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.S)
    text = next(program for program in programs if holding in program)
    for usual, name in PORTS.items():
        text = re.sub(rf"(127\.0\.0\.1[: ]){usual}\b", rf"\g<1>{server.addresses[name][1]}", text)
    return text


async def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def service(session: aiohttp.ClientSession, service_id: str) -> dict[str, Any]:
    async with session.get(f"/api/v1/services/{service_id}") as answer:
        found: dict[str, Any] = await answer.json() if answer.status == 200 else {}
    return found


async def task(session: aiohttp.ClientSession, task_id: str) -> dict[str, Any]:
    async with session.get(f"/api/v1/tasks/{task_id}") as answer:
        found: dict[str, Any] = await answer.json() if answer.status == 200 else {}
    return found


async def seen(session: aiohttp.ClientSession, service_id: str, task_id: str = "") -> None:
    """The service is up, and its task was collected."""

    async def is_seen() -> bool:
        known = await service(session, service_id)
        is_up = bool(known) and known["liveness"]["state"] == "up"
        return is_up and (not task_id or (await task(session, task_id)).get("status") == "running")

    await eventually(is_seen, 60)


async def test_the_shell_service_of_the_guide(server: Serving) -> None:
    async with server.signed_in() as session:
        assert await run("sh", "-ec", example(server, "sh", "sh-1")) == "OKOK"
        await seen(session, "sh-1")


async def test_the_python_service_of_the_guide(server: Serving) -> None:
    async with server.signed_in() as session:
        await run(sys.executable, "-c", example(server, "python", "py-1"))
        assert (await task(session, "py-task-1"))["status"] == "finish"
        assert (await service(session, "py-1"))["liveness"]["state"] == "left"


@pytest.mark.parametrize("language", ["go", "js"])
async def test_the_service_of_the_guide_in_another_language(server: Serving, language: str, tmp_path: Path) -> None:
    name, command = {"go": ("go-1", ["go", "run", "main.go"]), "js": ("node-1", ["node", "main.mjs"])}[language]
    (tmp_path / command[-1]).write_text(example(server, language, name), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, start_new_session=True)
    try:
        async with server.signed_in() as session:
            await seen(session, name, f"{name.removesuffix('-1')}-task-1")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_plain_http_with_a_token_as_in_the_guide(server: Serving, tmp_path: Path) -> None:
    made = await taskdash(
        "token", "create", "--user", "admin", "--name", "edge", "--scope", "ingest", f"--data-dir={tmp_path / 'data'}"
    )
    script = example(server, "sh", "edge-1").replace(
        "$(taskdash token create --user admin --name edge --scope ingest)", made.output.strip()
    )
    await run("sh", "-ec", script)
    async with server.signed_in() as session:
        await seen(session, "edge-1")


async def test_the_tcp_interface_as_in_the_guide(server: Serving) -> None:
    output = await run("sh", "-c", example(server, "sh", "1234567"))
    answers = [json.loads(line)["Body"] for line in output.splitlines()]
    assert [(a["id"], a["errid"], a["errmsg"]) for a in answers] == [("1234567", 0, "正确")] * 3
    assert (answers[2]["status"], answers[2]["user"]) == ("finish", "wsg")
