"""`taskdash run`: the program comes first (SPEC 9)."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.commands import begin, end, taskdash
from tests.serving import serving
from tests.support import eventually

NAMED = ("run", "--id", "nightly", "--name", "Nightly", "--to", "http://127.0.0.1:1", "--")


@pytest.mark.parametrize("status", [0, 3])
async def test_the_exit_status_is_the_commands_also_when_taskdash_cannot_be_reached(status: int) -> None:
    ended = await taskdash(*NAMED, "sh", "-c", f"echo out; exit {status}")
    assert (ended.status, ended.output) == (status, "out\n")
    assert ended.errors.startswith("taskdash run: http://127.0.0.1:1/api/v1/services cannot be reached: ")
    assert ended.errors.endswith("; the command runs on\n")
    assert ended.errors.count("\n") == 1


async def test_a_command_that_is_not_there_or_cannot_be_run_says_so() -> None:
    missing = await taskdash(*NAMED, "no-such-command")
    assert (missing.status, missing.errors) == (127, "taskdash run: no-such-command cannot be run: No such file or directory\n")
    forbidden = await taskdash(*NAMED, "/etc/passwd")
    assert (forbidden.status, forbidden.errors) == (126, "taskdash run: /etc/passwd cannot be run: Permission denied\n")


async def test_a_command_that_a_signal_ended_ends_run_by_that_signal() -> None:
    ended = await taskdash(*NAMED, "sh", "-c", "kill -KILL $$")
    assert ended.status == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
async def test_a_signal_is_passed_on_and_the_command_decides(number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 7' {number.name.removeprefix('SIG')}; echo ready; while :; do read -r _ || exit 1; done"
    process = await begin(*NAMED, "sh", "-c", script)
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"got\n"
    assert (await end(process)).status == 7


async def test_a_server_that_accepts_and_never_answers_does_not_keep_the_command_from_running_to_its_end(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        to = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        process = await begin(
            "run", "--id", "a", "--name", "b", "--to", to, "--", "sh", "-c", "echo started; read -r _; exit 4"
        )
        assert process.stdout
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"started\n"
        assert (await end(process, "go on\n")).status == 4


async def test_the_commands_own_input_and_output_are_not_touched() -> None:
    process = await begin(*NAMED, "cat")
    ended = await end(process, "一二三\n")
    assert ended.output == "一二三\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--id", "a", "--name", "b"], "the command is missing"),
        (["--id", "a", "--name", "b", "--"], "the command is missing"),
        (["--id", "a", "--", "true"], "the following arguments are required: --name"),
    ],
)
async def test_wrong_use_is_one_sentence_and_exit_2(arguments: list[str], sentence: str) -> None:
    ended = await taskdash("run", *arguments)
    assert ended.status == 2
    assert sentence in ended.errors
    assert ended.errors.count("\n") == 1


@pytest.mark.parametrize(("status", "shown"), [(0, "finish"), (5, "failed")])
async def test_taskdash_sees_the_command_run_end_and_say_goodbye(
    tmp_path: Path, at: list[str], status: int, shown: str
) -> None:
    async with serving(tmp_path / "data", *at) as server, server.signed_in() as session:
        made = ("token", "create", "--user", "admin", "--name", "run", "--scope", "ingest", *at)
        env = {"TASKDASH_URL": server.url, "TASKDASH_TOKEN": (await taskdash(*made)).output.strip()}
        named = ("--id", "nightly", "--name", "夜间任务", "--group", "data")
        process = await begin("run", *named, "--", "sh", "-c", f"read -r _; exit {status}", env=env)

        async def told(path: str) -> dict[str, Any]:
            async with session.get(f"/api/v1/{path}/nightly") as answer:
                return await answer.json() if answer.status == 200 else {}

        async def has(status: str) -> bool:
            return (await told("tasks")).get("status") == status

        await eventually(lambda: has("running"), 30)
        assert (await told("tasks"))["group_id"] == "data"
        assert (await told("services"))["liveness"]["state"] == "up"
        ended = await end(process, "now\n")
        assert (ended.status, ended.errors) == (status, "")
        await eventually(lambda: has(shown))
        assert (await told("services"))["liveness"]["state"] == "left"


async def test_a_wrong_token_is_said_once_and_the_command_runs_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        env = {"TASKDASH_URL": server.url, "TASKDASH_TOKEN": "tdk_wrong"}
        ended = await taskdash("run", "--id", "a", "--name", "b", "--", "sh", "-c", "echo done", env=env)
        assert (ended.status, ended.output) == (0, "done\n")
        assert "was answered 401" in ended.errors
        assert ended.errors.count("\n") == 1
