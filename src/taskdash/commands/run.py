"""`taskdash run --id ID --name NAME [--group G] [--to URL] -- COMMAND...` (SPEC 9). Loads nothing but the standard library."""

import argparse
import os

from taskdash.client.run import Task
from taskdash.client.run import run as run_program
from taskdash.commands.options import a_parser
from taskdash.errors import StartRefused


def run(arguments: list[str]) -> int:
    """The exit status of the program."""
    own, separator, command = _split(arguments)
    options = _options(own)
    if not separator or not command:
        raise StartRefused(
            "run: the command is missing; write it after --, as in `taskdash run --id 7 --name nightly -- ./job`", 2
        )
    url = options.to or os.environ.get("TASKDASH_URL") or "http://127.0.0.1:8700"
    return run_program(command, Task(options.id, options.name, options.group), url, os.environ.get("TASKDASH_TOKEN", ""))


def _split(arguments: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in arguments:
        return arguments, False, []
    at = arguments.index("--")
    return arguments[:at], True, arguments[at + 1 :]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = a_parser("run", "Run a program as a task that TaskDash watches. The exit status is the program's.")
    parser.usage = "taskdash run --id ID --name NAME [--group G] [--to URL] -- COMMAND..."
    parser.add_argument("--id", required=True, help="id of the service and of its task")
    parser.add_argument("--name", required=True, help="what people call it")
    parser.add_argument("--group", default="", metavar="G", help="the group that waits for it")
    parser.add_argument(
        "--to", metavar="URL", help="where TaskDash is (TASKDASH_URL, else http://127.0.0.1:8700); token: TASKDASH_TOKEN"
    )
    return parser.parse_args(arguments)
