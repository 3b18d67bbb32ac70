"""`taskdash demo`: TaskDash on a throw-away store, with sample task services; prints where to look and how to sign in (SPEC 9).

The server is a process of its own, as in life; the sample services run here and know it only by its ports.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from taskdash.commands.options import a_parser, add_listener_options, settings_of
from taskdash.errors import StartRefused

_READY = re.compile(r"taskdash ready (.*)")
_DRAIN_S = 15.0
_TURN_S = 0.2
Addresses = dict[str, str]


def run(arguments: list[str]) -> int:
    """Until Ctrl-C or SIGTERM; then nothing is left of it."""
    parser = a_parser("demo", "Run TaskDash on a throw-away store, with sample task services.")
    add_listener_options(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="taskdash-demo-") as directory:
        options.data_dir = str(Path(directory) / "data")
        settings = settings_of(options)
        if settings.is_cluster or settings.db:
            raise StartRefused("demo: it has its own NSQ endpoint and store; leave out nsqd, lookupd and db", 2)

        from taskdash.commands.stores import now, write
        from taskdash.demo.people import add_people
        from taskdash.demo.stage import seed

        passwords = write(settings, lambda conn: add_people(conn, seed(), now()))
        return _Demo([*arguments, f"--data-dir={options.data_dir}"], passwords).run()


class _Demo:
    """The server, and the stage once it is ready."""

    def __init__(self, arguments: list[str], passwords: Mapping[str, str]) -> None:
        self._passwords = passwords
        self._over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        self._server = subprocess.Popen(  # noqa: S603  (this very program)
            [sys.executable, "-m", "taskdash.commands.demo_server", *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the demo, which ends the services first
        )
        self._addresses: Addresses = {}
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self) -> int:
        """Show it until it is over; the exit status of the server."""
        from taskdash.demo.stage import Stage

        _wait(self._ready)
        if self._addresses and not self._over.is_set():
            host, _, port = self._addresses["nsq"].rpartition(":")
            stage = Stage((host.strip("[]"), int(port)), f"http://{self._addresses['nsq-http']}")
            stage.start()
            self._tell()
            _wait(self._over)
            stage.stop()
        return self._stop()

    def _tell(self) -> None:
        lines = [
            f"open     http://{self._addresses['http']}",
            *(f"sign-in: {name} {password}" for name, password in self._passwords.items()),
            "",
            "ssx is a member of mx, wsg leads mx, pay and data, admin may do everything.",
            "133 zxf runs, 132 lxq has finished, 131 lb is shut down, 130 zgl restarts; others move as you watch.",
            "notify-gw falls silent half a minute from now, is found out, and comes back after a minute; again and again.",
            "Ctrl-C ends it all; nothing is left.",
        ]
        print("\n".join(lines), flush=True)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # by a thread: this one may be inside `wait`, holding the very lock that `set` needs
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self._over.set()
        self._ready.set()

    def _listen(self) -> None:
        """Pass on what the server says; a server that ended ends the demo."""
        assert self._server.stderr  # noqa: S101  (piped above)
        for line in self._server.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            if found := _READY.fullmatch(line.rstrip("\n")):
                self._addresses = dict(part.partition("=")[::2] for part in found[1].split())
                self._ready.set()
        self._end()

    def _stop(self) -> int:
        assert self._server.stdin  # noqa: S101  (piped above)
        self._server.stdin.close()
        try:
            return self._server.wait(_DRAIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            return 1


def _wait(event: threading.Event) -> None:
    """Wait in short turns: a signal that another thread received is obeyed only when this one runs."""
    while not event.wait(_TURN_S):
        continue
