"""`taskdash run`: a program as a task that TaskDash watches, whatever the program is (SPEC 9).

Law: the program comes first. It starts before TaskDash is spoken to, runs to its end even when TaskDash cannot be reached,
gets our signals, and its exit status is ours. Standard library only, so that it starts at once.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple
from urllib.parse import urlsplit

from taskdash.client.api import OverHttp
from taskdash.client.service import TaskService

TIMEOUT_S = 2.0
LAST_LOOK_S = 3.0
"""How long the end waits for TaskDash to collect the last status, when it could be reached at all."""
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SENT_BY_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Task(NamedTuple):
    """What the program is called in TaskDash: the service and its only task have the same id."""

    id: str
    name: str
    group: str = ""


def run(command: Sequence[str], task: Task, url: str, token: str) -> int:
    """Run it; returns its exit status (127 not found, 126 not to be run). Ends by the signal that ended it."""
    program = _Program()
    try:
        with _signals_to(program):
            program.start(command)
            reporter = _Reporter(task, os.path.basename(command[0]), url, token)
            status = program.wait()
            reporter.finish("failed" if status else "finish")
    except OSError as error:
        _say(f"{command[0]} cannot be run: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    return status if status >= 0 else _end_by(-status)


class _Program:
    """The program, and our signals on their way to it; one that comes before it started waits for it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def start(self, command: Sequence[str]) -> None:
        """Start it. Raises OSError."""
        self._child = subprocess.Popen(command)  # noqa: S603  (what the user asked to run)
        for number in self._early:
            self._child.send_signal(number)

    def wait(self) -> int:
        """Its exit status; minus the number of the signal that ended it."""
        return self._child.wait() if self._child else 0

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """A signal handler."""
        if self._child is None:
            self._early.append(number)
        elif not (number in _SENT_BY_TERMINAL and _terminal_is_ours()):
            self._child.send_signal(number)


class _Reporter:
    """Tells TaskDash about the program, on threads of its own: names to look up and servers that hang delay nothing."""

    def __init__(self, task: Task, program: str, url: str, token: str) -> None:
        self._task = {"id": task.id, "name": task.name, "group_id": task.group, "description": program}
        self._to = task, url, token
        self._service: TaskService | None = None
        self._opening = threading.Thread(target=self._open, daemon=True)
        self._opening.start()

    def _open(self) -> None:
        task, url, token = self._to
        try:
            listen = (_own_address(url), 0)
            service = TaskService(
                OverHttp(url, token, TIMEOUT_S),
                task.id,
                task.name,
                type="run",
                group=task.group,
                listen=listen,
                on_trouble=_once(),
            )
        except (OSError, ValueError) as error:
            _say(f"{url} cannot be reached: {error}; the command runs on")
            return
        service.put(self._task | {"status": "running"})
        service.start()
        self._service = service

    def finish(self, status: str) -> None:
        """The last status; waits a little for TaskDash to collect it, then says goodbye."""
        self._opening.join(TIMEOUT_S)
        if (service := self._service) is None:
            return
        service.put(self._task | {"status": status})
        if service.look_now():
            service.wait_until_asked(LAST_LOOK_S)
        service.stop()


def _own_address(url: str) -> str:
    """The address of this machine that TaskDash at `url` can ask: the one by which it is reached."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:  # UDP: chooses the route, sends nothing
            probe.connect(address)
            return str(probe.getsockname()[0])
    raise OSError(f"{host} has no address")


@contextmanager
def _signals_to(program: _Program) -> Iterator[None]:
    before = {n: signal.signal(n, program.pass_on) for n in _PASSED_ON if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_is_ours() -> bool:
    """True when a terminal sends Ctrl-C to the whole group, so that the program has got it already."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _end_by(number: int) -> int:
    """End as the program ended; a process that cannot (the first of a container) says it as a shell does."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _once() -> Callable[[str], None]:
    """Says the first trouble, of whichever thread; the others would only disturb the program's own output."""
    first = threading.Lock()

    def say(sentence: str) -> None:
        if first.acquire(blocking=False):
            _say(f"{sentence}; the command runs on")

    return say


def _say(sentence: str) -> None:
    print(f"taskdash run: {sentence}", file=sys.stderr)
