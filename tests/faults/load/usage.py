"""What a process uses, as Linux tells: memory, processor time, descriptors, threads."""

import os
from pathlib import Path

from msgspec import Struct

_TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


class Usage(Struct, frozen=True):
    """At one moment."""

    rss: int
    cpu_s: float
    descriptors: int
    threads: int


def usage(pid: int) -> Usage:
    """Of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    rss = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(rss=rss, cpu_s=cpu_s, descriptors=descriptors(pid), threads=int(fields[17]))


def descriptors(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
