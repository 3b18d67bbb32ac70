"""A PostgreSQL of the tests' own, from Debian's binaries: started once, a fresh database for each test.

It runs as somebody without rights, listens on loopback only, and need not survive a power cut (fsync off).
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from taskdash.store.places import Server

_OWNERS = ("postgres", "nobody")
_TEMPLATE = "made"


class Cluster:
    """A running server. Made by `cluster`."""

    def __init__(self, directory: Path, port: int, *, fsync: bool) -> None:
        self.directory, self.port, self._fsync = directory, port, fsync
        self._numbers = count(1)

    def place(self, name: str) -> Server:
        """The store in a database of that name."""
        return Server(f"postgresql://taskdash@127.0.0.1:{self.port}/{name}")

    @contextmanager
    def fresh(self, template: str = _TEMPLATE) -> Iterator[Server]:
        """A database of its own, with TaskDash's schema; of `template0`: an empty one."""
        name = f"test_{next(self._numbers)}"
        self.do(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.place(name)
        self.do(f"DROP DATABASE {name} WITH (FORCE)")

    def do(self, statement: str, database: str = "postgres") -> None:
        """One statement as the superuser."""
        with psycopg.connect(self.place(database).url, autocommit=True) as conn:
            conn.execute(statement.encode())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.directory} -c max_connections=200"
        options += "" if self._fsync else " -c fsync=off"
        self._control("start", "-o", options, "-l", str(self.directory / "log"))

    def stop(self, how: str = "fast") -> None:
        """`immediate`: as a crash of the server."""
        self._control("stop", "-m", how)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile none of its processes runs: it takes connections, because the kernel does, and answers nothing."""
        master = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(master, signal.SIGSTOP)  # first, so that no others come
        pids = [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
        try:
            self._send(pids, signal.SIGSTOP)
            yield
        finally:
            self._send(pids, signal.SIGCONT)

    @staticmethod
    def _send(pids: list[int], what: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def _control(self, *arguments: str) -> None:
        run("pg_ctl", "-D", str(self.directory / "data"), "-s", "-w", *arguments)


def run(program: str, *arguments: str) -> None:
    """A program of PostgreSQL, as somebody without rights."""
    owner = {"user": _owner(), "group": pwd.getpwnam(_owner()).pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    subprocess.run([_binaries() / program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/", **owner)  # type: ignore[call-overload]


def _owner() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _OWNERS if name in known)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise AssertionError(
            "the tests need PostgreSQL's server programs: tools/prepare gets them (apt-get install postgresql)"
        )
    return found[-1].parent


def create(directory: Path) -> None:
    """The files of a server, if they are not there yet."""
    directory.mkdir(exist_ok=True)
    if os.getuid() == 0:
        shutil.chown(directory, _owner())
    if not (directory / "data").exists():
        made = ("-U", "taskdash", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run("initdb", "-D", str(directory / "data"), *made)


@contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """A server that runs, with a template of the schema."""
    directory = Path(tempfile.mkdtemp(prefix="taskdash-postgres-"))
    create(directory)
    started = Cluster(directory, _free_port(), fsync=fsync)
    started.start()
    try:
        started.do(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
        started.place(_TEMPLATE).upgrade()
        yield started
    finally:
        started.stop("immediate")
        shutil.rmtree(directory)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
