"""The cluster as a whole: what it consists of, and the order in which it starts and ends.

Law: nsqlookupd, nsqd, PostgreSQL, then TaskDash, one after another (the first makes the schema and the first admin); the end
in reverse order. Everything lives in one directory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg

from tests import postgres
from tools.cluster.process import HOST, Process
from tools.cluster.programs import TOPICS, Between, Instance, Lookupd, Nsqd, free_port

NAMES = "abcdefghijklmnopqrstuvwxyz"
LOOKUPD, NSQD, DATABASE, HTTP, TCP = 4160, 4150, 5433, 8700, 8701
"""The usual ports; one that is taken is replaced by a free one. PostgreSQL stays away from the machine's own."""


class Cluster:
    """`nsqds` and `instances` in the order of their names. `between` may put a proxy before whatever TaskDash reaches."""

    def __init__(
        self, folder: Path, instances: int = 2, nsqds: int = 2, between: Between = lambda _name, port: port, *options: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        self.folder = folder
        self.postgres = postgres.Cluster(folder / "postgresql", free_port(DATABASE), fsync=True)
        self.lookupd = Lookupd(folder, free_port(LOOKUPD), free_port(LOOKUPD + 1))
        self.nsqds = [self._an_nsqd(number, between) for number in range(nsqds)]
        self.instances = [self._an_instance(NAMES[number], number, between, options) for number in range(instances)]

    def _an_nsqd(self, number: int, between: Between) -> Nsqd:
        name, tcp = f"nsqd-{number + 1}", free_port(NSQD + 2 * number)
        return Nsqd(name, self.folder, tcp, free_port(NSQD + 2 * number + 1), between(name, tcp), self.lookupd)

    def _an_instance(self, letter: str, number: int, between: Between, options: tuple[str, ...]) -> Instance:
        name = f"taskdash-{letter}"
        database = between(f"postgresql of {name}", self.postgres.port)
        lookupd = between(f"nsqlookupd of {name}", self.lookupd.http)
        ways = (f"--db=postgresql://taskdash@{HOST}:{database}/taskdash", f"--lookupd={HOST}:{lookupd}")
        return Instance(name, self.folder, free_port(HTTP + 10 * number), free_port(TCP + 10 * number), *ways, *options)

    @property
    def database(self) -> str:
        """The url of the database itself, for who looks in by a way of their own."""
        return self.postgres.place("taskdash").url

    @property
    def processes(self) -> list[Process]:
        """All but PostgreSQL, in the order of their start."""
        return [self.lookupd, *self.nsqds, *self.instances]

    async def start(self) -> None:
        """Start all of it."""
        await asyncio.to_thread(self._start_postgres)
        for process in self.processes:
            await process.start()
            if isinstance(process, Nsqd):
                await create_topics(process)

    def _start_postgres(self) -> None:
        postgres.create(self.postgres.directory)
        self.postgres.start()
        try:
            self.postgres.do("CREATE DATABASE taskdash TEMPLATE template0")
        except psycopg.errors.DuplicateDatabase:
            return

    async def stop(self) -> None:
        """End all of it; safe after a start that went only half the way."""
        for process in reversed(self.processes):
            await process.end()
        await asyncio.to_thread(self.postgres.stop)

    def sign_in(self) -> str:
        """The first admin's name and password, kept from the first start."""
        kept = self.folder / "sign-in"
        if told := self.instances[0].sign_in:
            kept.write_text(told + "\n")
            kept.chmod(0o600)
        return kept.read_text().strip() if kept.exists() else ""


async def create_topics(nsqd: Nsqd) -> None:
    """Both topics with the channel, as operators do before the first publish."""
    async with aiohttp.ClientSession(f"http://{HOST}:{nsqd.http}", trust_env=False) as session:
        for path in [path for topic in TOPICS for path in _paths_of(topic)]:
            async with session.post(path) as answer:
                answer.raise_for_status()


def _paths_of(topic: str) -> tuple[str, str]:
    return f"/topic/create?topic={topic}", f"/channel/create?topic={topic}&channel=taskdash"


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Started, and ended whatever happens."""
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()
