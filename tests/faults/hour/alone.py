"""The machine of R136: one instance on SQLite behind a disk that fails, two nsqd and nsqlookupd behind proxies, and its faults.

Law: every fault of section 3 of the reliability page that ends by itself is here; what destroys the store for good (R36, R38)
or needs a server (R32) has tests of its own.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import aiohttp
from aiohttp import web
from msgspec import structs

from tests.brokers import HOST
from tests.faults.disk import Disk
from tests.faults.hour.checks import Stored, decoded
from tests.faults.hour.faults import Act, Fault, of_connection, of_process
from tests.faults.hour.programs import Programs
from tests.faults.hour.scale import EVERY_CHANGE, LONG, Scale
from tests.faults.hour.stage import Stage
from tests.faults.hour.writers import Writer
from tests.faults.load.crowd import crowd
from tools.cluster.cluster import HTTP, LOOKUPD, TCP, Cluster, create_topics
from tools.cluster.programs import TOPICS, Between, Instance, Lookupd, Nsqd, free_port

SMALL = structs.replace(EVERY_CHANGE, services=60, tasks=600, users=6, watchers=3, hold_s=(0.3, 0.9), calm_s=0.1)
CROWD = 300
NONSENSE = (b'{"id": 5}', b'{"id": "\xff"}', b"[" * 2_000, b'{"id": "a", "name": null}', b'{"id": "a"', b"\0" * 500, b"null")


def scale() -> Scale:
    """A minute, or with LONG_FAULTS an hour (HOUR: so many seconds).

    Ten seconds between beats, as in the scripted hour.
    """
    if not os.environ.get("LONG_FAULTS"):
        return SMALL
    return structs.replace(LONG, interval_s=10.0, length_s=float(os.environ.get("HOUR", "3600")))


class Machine(Cluster):
    """All programs of one machine; no PostgreSQL among them. `home`: the data directory, `disk`: what it lies on."""

    def __init__(self, folder: Path, between: Between) -> None:  # not that of a cluster
        folder.chmod(0o711)
        self.folder, self.home = folder, folder / "taskdash"
        self.disk = Disk(self.home, folder)
        self.lookupd = Lookupd(folder, free_port(LOOKUPD), free_port(LOOKUPD + 1))
        self.nsqds = [self._an_nsqd(number, between) for number in range(2)]
        lookupd = f"--lookupd={HOST}:{between('nsqlookupd', self.lookupd.http)}"
        self.server = Instance("taskdash", folder, free_port(HTTP), free_port(TCP), lookupd)
        behind = [f"{name}={value}" for name, value in self.disk.env.items()]
        self.server.command = ["env", *behind, *self.server.command]
        self.instances = [self.server]

    async def start(self) -> None:
        """One after another."""
        for process in self.processes:
            await process.start()
            if isinstance(process, Nsqd):
                await create_topics(process)

    async def stop(self) -> None:
        """In reverse order."""
        for process in reversed(self.processes):
            await process.end()

    @property
    def store(self) -> Path:
        """The file."""
        return self.home / "taskdash.db"

    def states(self) -> dict[str, str]:
        """Of every service."""
        with closing(_opened(self.store)) as conn:
            return {row["id"]: row["state"] for row in conn.execute("SELECT id, state FROM services")}

    def read(self) -> Stored:
        """All of it as of one moment."""
        with closing(_opened(self.store)) as conn:
            conn.execute("BEGIN")
            events = [decoded(dict(row)) for row in conn.execute("SELECT * FROM events ORDER BY seq")]
            incidents = [dict(row) for row in conn.execute("SELECT * FROM incidents ORDER BY pk")]
            tasks, services = ([dict(row) for row in conn.execute(f"SELECT * FROM {name}")] for name in ("tasks", "services"))
        return Stored(events, incidents, {row["id"]: row for row in tasks}, {row["id"]: row for row in services})


def _opened(store: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True, isolation_level=None)
    conn.row_factory = sqlite3.Row
    return conn


class Talkers(Programs):
    """Programs whose urls can fall silent: they accept and do not answer."""

    def __init__(self, scale: Scale, machine: Machine, seed: int) -> None:
        super().__init__(scale, machine.nsqds, seed)
        self.speak = asyncio.Event()
        self.speak.set()

    async def _tell(self, request: web.Request) -> web.Response:
        await self.speak.wait()
        return await super()._tell(request)


class Alone(Stage):
    """Everybody on one machine."""

    def __init__(self, folder: Path, scale: Scale, seed: int) -> None:  # not that of a cluster
        self.scale, self.proxies = scale, {}
        self.cluster = self.machine = Machine(folder, self._between)
        self.programs = self.talkers = Talkers(scale, self.machine, seed)
        self.writers = [Writer(f"written-{n}", scale, [self.machine.server], seed + n) for n in range(scale.writers)]
        self.people, self.watchers = [], []
        self._seed = seed

    def all_faults(self) -> list[Fault]:
        """Each once, in the order of the seed."""
        machine, chance = self.machine, random.Random(self._seed)
        found = [fault for process in (machine.server, *machine.nsqds) for fault in of_process(process)]
        found += [fault for name, proxy in self.proxies.items() for fault in of_connection(name, proxy)]
        found += [*_of_disk(machine), *_of_store(machine), *_of_others(self, chance)]
        chance.shuffle(found)
        return found


def _of_disk(machine: Machine) -> Iterator[Fault]:
    disk, numbers = machine.disk, itertools.count()

    async def fill() -> None:
        disk.set("is_full", 1)
        await _register_until_refused(machine.server, numbers)

    yield Fault("a full disk", fill, _act(disk.set, "is_full", 0))
    yield Fault("a failing disk", _act(disk.set, "fail_sync", 1), _act(disk.set, "fail_sync", 0))
    yield Fault("a slow disk", _act(disk.set, "slow_sync_ms", 200), _act(disk.set, "slow_sync_ms", 0))


async def _register_until_refused(server: Instance, numbers: Iterator[int]) -> None:
    """A log that was longer once has room of its own: until that is used up too."""
    reader, writer = await asyncio.open_connection(HOST, server.tcp)
    with closing(writer):
        for n in numbers:
            body = {"id": f"filling-{n % 1_000}", "description": f"{n:08000}", "reserved": "x" * 8_000}
            pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": body}
            writer.write(json.dumps(pack).encode() + b"\n")
            if json.loads(await asyncio.wait_for(reader.readline(), 20))["Body"]["errid"] == 1001:
                return


def _of_store(machine: Machine) -> Iterator[Fault]:
    """What others do with its files."""
    held = ExitStack()

    def lock() -> None:
        conn = held.enter_context(closing(sqlite3.connect(machine.store, isolation_level=None, timeout=30)))
        conn.execute("BEGIN IMMEDIATE")

    def read() -> None:
        conn = held.enter_context(closing(_opened(machine.store)))
        held.enter_context(closing(conn.execute("SELECT * FROM events"))).fetchone()

    async def start_again() -> None:
        null = asyncio.subprocess.DEVNULL
        second = await asyncio.create_subprocess_exec(*machine.server.command, stdout=null, stderr=null)
        assert await asyncio.wait_for(second.wait(), 60) == 1

    yield Fault("a lock by another program", _act(lock), _act(held.close))
    yield Fault("a reader that does not end", _act(read), _act(held.close))
    yield Fault("a second server", start_again, _act(held.close))
    yield Fault("a restart", lambda: machine.server.end(signal.SIGTERM), machine.server.start)


def _of_others(stage: Alone, chance: random.Random) -> Iterator[Fault]:
    """Task services, producers and peers."""
    machine, held = stage.machine, ExitStack()

    def crowd_in() -> None:
        for port in (machine.server.http, machine.server.tcp):
            held.enter_context(crowd((HOST, port), CROWD, b"{"))

    yield Fault("silent task services", _act(stage.talkers.speak.clear), _act(stage.talkers.speak.set))
    yield Fault("hostile producers", lambda: _be_hostile(machine, chance), _act(lambda: None))
    yield Fault("peers that stay and say nothing", _act(crowd_in), _act(held.close))


async def _be_hostile(machine: Machine, chance: random.Random) -> None:
    """What no codec understands, through nsqd and at the ports themselves."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        for _ in range(50):
            topic, where = chance.choice(TOPICS), chance.choice(machine.nsqds)
            body = chance.choice((*NONSENSE, chance.randbytes(chance.randrange(1, 3_000))))
            async with session.post(f"http://{HOST}:{where.http}/pub?topic={topic}", data=body) as answer:
                assert answer.status == 200
    for port in (machine.server.http, machine.server.tcp):
        for _ in range(20):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(chance.randbytes(chance.randrange(1, 3_000)) + b"\n\n")
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(reader.read(100), 0.2)
            writer.transport.abort()


def _act(do: object, *arguments: object) -> Act:
    """As an act of a fault."""

    async def act() -> None:
        do(*arguments)  # type: ignore[operator]

    return act


async def hears_all(server: Instance) -> bool:
    """Ready, and both nsqd are heard."""
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(f"{server.url()}/readyz") as answer:
        parts = (await answer.json())["parts"]
    return all(part["ok"] for part in parts) and sum(part["name"].startswith("input nsqd") for part in parts) == 2
