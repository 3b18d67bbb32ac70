"""`taskdash COMMAND ...`: finds the command and turns its errors into one sentence and an exit status (SPEC 9).

Law: 0 done, 1 failed, 2 wrong use or setting; a user never sees a traceback of an error that we know. A command's module is
imported only when it is asked for, so that `taskdash run` starts at once.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "serve": "run TaskDash",
    "demo": "run TaskDash on a throw-away store, with sample task services",
    "run": "run a program as a task that TaskDash watches",
    "doctor": "say what is wrong and what to do",
    "user": "add, list, disable people, set passwords",
    "token": "create, list, revoke tokens of programs",
    "db": "upgrade, back up, restore, check the store",
    "config": "show settings and where each came from, or check them",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    os.umask(0o077)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in {"-h", "--help", "help"}:
        print(_usage())
        return 0 if given else 2
    if given[0] == "--version":
        print(_version())
        return 0
    if given[0] not in COMMANDS:
        return _say(f"unknown command {given[0]!r}; there are {', '.join(COMMANDS)}", 2)
    return _run(given[0], given[1:])


def _run(command: str, arguments: list[str]) -> int:
    from taskdash.errors import StartRefused, TaskDashError

    if command == "serve":  # until the server takes the signals itself there is nothing to drain
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    module = import_module(f"taskdash.commands.{command}")
    try:
        return int(module.run(arguments))
    except StartRefused as refused:
        return _say(str(refused), refused.code)
    except TaskDashError as error:
        return _say(error.detail, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _say("interrupted", 1)
    except Exception as error:
        return _crashed(error)


def _crashed(error: Exception) -> int:
    """A mistake of ours: one line of the log, without secrets (RELIABILITY R159)."""
    from taskdash import telemetry

    telemetry.start_logging()
    telemetry.crashed(error)
    return 1


def _say(sentence: str, status: int) -> int:
    print(f"taskdash: {sentence}", file=sys.stderr)
    return status


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {meaning}" for name, meaning in COMMANDS.items())
    return f"usage: taskdash COMMAND ...\n\n{lines}\n\n`taskdash COMMAND --help` tells its options."


def _version() -> str:
    from importlib.metadata import version

    return f"taskdash {version('taskdash')}"


if __name__ == "__main__":
    sys.exit(main())
