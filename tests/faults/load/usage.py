"""What a process uses, as Linux tells: memory, processor time, descriptors, threads."""

import os
from pathlib import Path

import aiohttp
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
    fields = _stat(pid)
    return Usage(rss=_rss(fields), cpu_s=_cpu_s(fields), descriptors=descriptors(pid), threads=int(fields[17]))


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    return _cpu_s(_stat(pid))


def rss_mib(pid: int) -> float:
    """Resident memory."""
    return _rss(_stat(pid)) / MIB


def descriptors(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss(fields: list[str]) -> int:
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


class Used(Struct, frozen=True):
    """What a server holds open and runs."""

    descriptors: int
    threads: int
    tasks: int


async def used(url: str, pid: int) -> Used:
    """By the server at that url now; the tasks as /metrics tells them."""
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    tasks = next(float(line.split()[1]) for line in lines if line.startswith("taskdash_tasks "))
    return Used(descriptors(pid), usage(pid).threads, int(tasks))
