"""PostgreSQL's own pg_dump and pg_restore: found, run, and their complaint as one sentence.

Law: how to connect, and so the password, is told in the environment alone; never on a command line, never in a sentence.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from psycopg import pq

from taskdash.errors import StartRefused

_USUAL = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_COMPLAINT = re.compile(r"error: |FATAL: ")


def found(name: str, at_least: int = 0) -> Path:
    """The newest program of that name on this machine. Raises StartRefused when there is none, or none of that version."""
    on_path = shutil.which(name)
    candidates = [*([Path(on_path)] if on_path else []), *_USUAL.glob(f"*/bin/{name}")]
    version, program = max(((_version(each), each) for each in candidates), default=(0, Path()))
    if not version or version < at_least:
        wanted = f"of PostgreSQL {at_least} or newer " if at_least else ""
        raise StartRefused(f"{name} {wanted}is not on this machine: install PostgreSQL's client programs (postgresql-client)")
    return program


def _version(program: Path) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603  (found by its name)
    number = _VERSION.search(told.stdout)
    return int(number.group(1)) if number else 0


def run(program: Path, *arguments: str, environment: Mapping[str, str]) -> None:
    """Run it to its end. Raises StartRefused with what it complained of."""
    with output(program, *arguments, environment=environment) as printed:
        printed.read()


@contextmanager
def output(program: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """What it prints. Raises StartRefused at the end with what it complained of, if it failed."""
    told = os.environ | (environment or {})
    with tempfile.TemporaryFile() as complaints:
        running = subprocess.Popen(  # noqa: S603  (found by its name)
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=told
        )
        try:
            assert running.stdout is not None  # noqa: S101  (asked for a pipe)
            yield running.stdout
            status = running.wait()
        finally:
            running.kill()
            running.wait()
            running.stdout.close()  # type: ignore[union-attr]
        if status:
            complaints.seek(0)
            raise StartRefused(f"{program.name} failed: {_first_of(complaints.read().decode(errors='replace'))}")


def environment_of(url: str, info: psycopg.ConnectionInfo | None = None) -> dict[str, str]:
    """What libpq reads: of the url all that has a name there; of several hosts the one that `info` is connected to."""
    known = pq.Conninfo.parse(url.encode())
    told = {each.envvar.decode(): each.val.decode() for each in known if each.envvar and each.val is not None}
    if info is not None and "," in told.get("PGHOST", ""):
        told |= {"PGHOST": info.host, "PGPORT": str(info.port), "PGHOSTADDR": info.hostaddr}
    return told


def _first_of(complaints: str) -> str:
    lines = [line for line in complaints.splitlines() if line.strip()]
    told = next((line for line in lines if _COMPLAINT.search(line)), lines[0] if lines else "it does not say why")
    return _COMPLAINT.split(told)[-1].strip()
