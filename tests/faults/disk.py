"""A disk that can be cut off, be full, be slow or fail, before one directory of one process (`disk.c`, built here by gcc).

Law: the faults are those of the system calls themselves, so all that follows is SQLite's and the program's own.
"""

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NUMBERS = ("fail_sync", "slow_sync_ms", "is_full", "kill_at", "seen")
_SIZE = 8


@cache
def built() -> Path:
    """The library to preload; made once a process, in a directory of its own."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise AssertionError("the disk faults need a C compiler: apt-get install gcc libc6-dev")
    library = Path(tempfile.mkdtemp(prefix="taskdash-disk-")) / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


class Disk:
    """The disk under `directory`: healthy until one of its numbers is set."""

    def __init__(self, directory: Path, beside: Path, *, is_logged: bool = False) -> None:
        control = beside / "disk-control"
        control.write_bytes(bytes(_SIZE * len(NUMBERS)))
        self.log = beside / "disk-log"
        self._numbers = _mapped(control)
        self.env = {"LD_PRELOAD": str(built()), "FAULT_DIR": str(directory), "FAULT_CONTROL": str(control)}
        if is_logged:
            self.env["FAULT_LOG"] = str(self.log)

    @classmethod
    def of_this_process(cls) -> "Disk":
        """The one that this process was started behind."""
        disk = cls.__new__(cls)
        disk._numbers = _mapped(Path(os.environ["FAULT_CONTROL"]))
        return disk

    def set(self, name: str, value: int) -> None:
        """One of NUMBERS, at once."""
        at = _SIZE * NUMBERS.index(name)
        self._numbers[at : at + _SIZE] = struct.pack("=q", value)

    def get(self, name: str) -> int:
        """What one of NUMBERS is now."""
        at = _SIZE * NUMBERS.index(name)
        return int(struct.unpack("=q", self._numbers[at : at + _SIZE])[0])


def _mapped(control: Path) -> mmap.mmap:
    with open(control, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def environment(disk: Disk) -> dict[str, str]:
    """What a process behind the disk is started with."""
    return {**os.environ, **disk.env}
