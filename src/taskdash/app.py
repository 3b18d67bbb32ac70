"""Composition root: everything is built here, in plain sight, and nowhere else (DESIGN law 6).

Order: own the data directory, open the store, build the parts of this process's roles, join the other instances, listen, say
`taskdash ready`, run until a signal, drain in reverse order. A listener that cannot have its address stops the start with one
sentence.
"""

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import tzinfo
from functools import partial
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

from taskdash import telemetry
from taskdash.actions import accounts as account_actions
from taskdash.actions import intake, schedules
from taskdash.actions import tasks as task_actions
from taskdash.actions.arrivals import Topics
from taskdash.actions.liveness import heard
from taskdash.actions.tasks import TaskRequest
from taskdash.clock import Clock, SystemClock
from taskdash.collector.asking import Bounds
from taskdash.collector.fetch import Fetcher
from taskdash.collector.guard import Guard
from taskdash.collector.lanes import Limits as SweepLimits
from taskdash.collector.sweep import Sweep
from taskdash.descriptors import Crowding, raise_limit, share
from taskdash.errors import StartRefused, TaskDashError
from taskdash.feed import Feed
from taskdash.health import Inputs, Parts
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.inputs import Cluster, Embedded
from taskdash.instance import Alone, Fleet, Instance
from taskdash.model.admission import CONNECTIONS, Crowd
from taskdash.model.instants import Instant
from taskdash.model.records import Message, NewEvent, User
from taskdash.monitor.ticker import Chore, Ticker
from taskdash.rules.deadlines import Limits
from taskdash.rules.sharing import MONITOR
from taskdash.settings.model import Settings
from taskdash.settings.shown import chosen, shown
from taskdash.settings.values import Address
from taskdash.store import accounts, events
from taskdash.store.database import Database
from taskdash.store.places import place_of
from taskdash.tcp.connection import Limits as TcpLimits
from taskdash.tcp.server import TcpServer
from taskdash.web.context import Web
from taskdash.web.hasher import hash_now
from taskdash.web.server import HttpServer

DRAIN_S = 8.0
ASKINGS_OF_ONE = 2
"""A service may be asked by GET and then by POST."""


async def serve(settings: Settings) -> None:
    """Run TaskDash until SIGTERM or SIGINT. Raises StartRefused."""
    telemetry.start_logging()
    descriptors = raise_limit()
    signals = Signals()
    async with opened(settings) as db:
        app = App(settings, db, descriptors)
        try:
            await app.start()
        except StartRefused:
            await app.discard()
            raise
        await app.run_until(signals.stop)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The store, owned, upgraded and started. Raises StartRefused."""
    place = place_of(settings.db, settings.data_dir)
    with place.owned(keep_reserve=True):
        place.upgrade()
        db = Database(place)
        db.start()
        try:
            yield db
        finally:
            await db.close()


class Signals:
    """SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once (RELIABILITY R55)."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.stop.is_set():
            os._exit(1)
        self.stop.set()


class App:
    """The parts of one process. `start` listens, `run_until` serves and drains."""

    def __init__(self, settings: Settings, db: Database, descriptors: int) -> None:
        self._settings = settings
        self._db = db
        self._clock = SystemClock()
        crowding = Crowding(self._clock)
        asyncio.get_running_loop().set_exception_handler(crowding.on_loop_error)
        self._crowd = Crowd(share(descriptors, CONNECTIONS), crowding.met)
        at_once = share(descriptors, settings.collect.concurrency)
        self._parts, self._inputs = Parts(self._clock), Inputs(self._clock)
        self._limits = limits_of(settings)
        self._zone = ZoneInfo(settings.time_zone)
        self._topics = Topics(services=settings.nsq.services_topic, heartbeats=settings.nsq.heartbeats_topic)
        self._fleet = self._a_fleet()
        self._feed = Feed(db)
        self._died: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        kind = Cluster if settings.is_cluster else Embedded
        self._input = kind(settings, self._an_inbox, self._clock, self._inputs, self._parts, self._crowd)
        self._tcp = self._a_tcp_server()
        self._collector = collector_of(
            settings, db, self._clock, self._parts, self._zone, self._own_addresses, self._fleet, at_once
        )
        self._ticker = self._a_ticker()
        self._web = self._a_web()
        self._http = HttpServer(self._web, self._crowd)
        self._addresses: dict[str, tuple[str, int]] = {}

    # building

    def _a_fleet(self) -> Alone | Instance:
        if not self._db.place.is_shared:
            return Alone(self._db, self._clock)
        longest_s = ASKINGS_OF_ONE * self._settings.collect.timeout
        return Instance(self._db, self._clock, self._settings.roles, partial(heard, self._inputs), longest_s)

    def _has(self, role: str) -> bool:
        return role in self._settings.roles

    def _an_inbox(self, window_s: float) -> Inbox:
        async def store(messages: Sequence[Message]) -> object:
            return await intake.store_batch(self._db, messages, self._clock.now(), self._topics, limits=self._limits)

        return Inbox(store, self._clock, window_s=window_s)

    def _a_tcp_server(self) -> TcpServer:
        tcp, instance = self._settings.tcp, self._fleet.id

        async def apply(batch: Sequence[TaskRequest]) -> Sequence[TaskDashError | None]:
            return await task_actions.apply_batch(self._db, batch, self._clock.now(), zone=self._zone, instance=instance)

        async def lost(peer: str, ids: Sequence[str]) -> None:
            await task_actions.lost_connection(self._db, peer, ids, self._clock.now(), instance=instance)

        return TcpServer(
            apply=apply,
            vouch=partial(task_actions.vouch, self._db, instance=instance),
            read=self._db.read,
            lost=lost,
            clock=self._clock,
            parts=self._parts,
            limits=TcpLimits(
                frame_bytes=tcp.max_frame_bytes,
                heartbeat_silence_s=tcp.heartbeat_silence,
                idle_s=tcp.idle,
                connections=self._crowd.most,
                allow=self._settings.listen.allow,
                on_refused=self._crowd.on_refused,
            ),
            token=tcp.token,
        )

    def _a_ticker(self) -> Ticker:
        keep_gone, keep_events = self._settings.tasks.keep_gone, self._settings.events.keep
        db = self._fleet.fenced([MONITOR])

        async def purge_history(now: int) -> int:
            before = now - round(keep_events * 1e9)
            return await db.write(lambda conn: events.purge(conn, before))

        async def lose_orphans(now: Instant) -> int:
            return await task_actions.lose_orphans(db, now, [self._fleet.id, *(one.id for one in self._fleet.others)])

        chores = [
            Chore("lose orphans", lose_orphans),
            Chore("end shifts", lambda now: schedules.end_shifts(db, now)),
            Chore("move schedules", lambda now: schedules.move(db, now, self._zone)),
            Chore("purge gone tasks", lambda now: schedules.purge_gone(db, now, keep_gone), every_s=60.0),
            Chore("purge history", purge_history, every_s=3_600.0, page=1),
        ]
        probe = self._collector.probe
        return Ticker(self._db, self._clock, self._inputs, self._parts, probe, self._limits, chores, self._fleet)

    def _a_web(self) -> Web:
        http = self._settings.http
        return Web(
            db=self._db,
            feed=self._feed,
            clock=self._clock,
            parts=self._parts,
            inputs=self._inputs,
            limits=self._limits,
            visibility=self._settings.access.visibility,
            zone=self._zone,
            hosts=(http.listen.host, *http.hosts),
            trusted_proxies=http.trusted_proxies,
            is_loopback=http.listen.is_loopback,
            insecure=self._settings.insecure,
            instance=self._fleet.id,
            others=lambda: self._fleet.others,
            version=version("taskdash"),
            started_at=self._clock.now(),
            settings=shown(self._settings),
            topics=(self._topics.services, self._topics.heartbeats),
            collect_now=self._collector.collect_now,
        )

    def _own_addresses(self) -> Sequence[tuple[str, int]]:
        return list(self._addresses.values())

    # running

    async def start(self) -> None:
        """Listen on every address, make the first admin if nobody is there, say so."""
        self._db.on_commit = self._feed.wake
        self._db.on_refused = partial(self._parts.report, "store")
        self._db.on_death = self._on_death
        self._parts.report("store")
        await self._fleet.join()
        if self._has("web"):
            self._inputs.report("http", healthy=True)
            await self._listen("http", self._settings.http.listen, self._http.listen)
        if self._has("tcp"):
            await self._listen("tcp", self._settings.tcp.listen, self._tcp.start)
        for name, address, listen in self._input.listeners() if self._has("ingest") else ():
            await self._listen(name, address, listen)
        await self._note_start()
        await self._first_admin()  # once the start can no longer be refused: its password is told once
        self._web.addresses.update({name: _shown(*where) for name, where in self._addresses.items()})
        _keep_for_ever()
        self._say_ready()

    async def _listen(self, name: str, address: Address, listen: Callable[[str, int], Awaitable[tuple[str, int]]]) -> None:
        try:
            self._addresses[name] = await listen(address.host, address.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise StartRefused(f"cannot listen on {name} {address}: {reason}") from None

    def _say_ready(self) -> None:
        where = [f"{name}={_shown(*address)}" for name, address in self._addresses.items()]
        print(" ".join(["taskdash ready", *where]), file=sys.stderr, flush=True)  # noqa: T201  (SPEC 9)

    async def _note_start(self) -> None:
        """With which settings it began is a line of history (RELIABILITY R160); a store that refuses stops no start for it."""
        after = {"version": self._web.version, "instance": self._fleet.id, **chosen(self._settings)}
        started = NewEvent(at=self._clock.now(), kind="store.opened", subject_type="system", subject_id="store", after=after)
        with contextlib.suppress(TaskDashError):
            await self._db.write(lambda conn: events.append(conn, [started]))

    async def _first_admin(self) -> None:
        if not await self._db.read(accounts.is_empty):
            return
        password = secrets.token_urlsafe(16)
        stored = await asyncio.to_thread(hash_now, password)
        admin = User(name="admin", role="admin", password_hash=stored, must_change=True)
        if await self._db.write(lambda conn: account_actions.add_first(conn, admin, self._clock.now())):
            print(f"sign-in: admin {password}", flush=True)  # noqa: T201  (SPEC 9, RELIABILITY R154: here and nowhere else)

    async def discard(self) -> None:
        """End what was built, after a start that was refused."""
        await self._collector.close()
        await self._fleet.leave()

    def _runs(self) -> Sequence[Callable[[], Awaitable[Any]]]:
        """What runs as long as the process, by its roles."""
        by_role: dict[str, Sequence[Callable[[], Awaitable[Any]]]] = {
            "tcp": [self._tcp.run],
            "monitor": [self._ticker.run],
            "collector": [self._collector.run],
            "ingest": self._input.runs(),
        }
        return [self._feed.run, self._fleet.run, *(run for role, runs in by_role.items() if self._has(role) for run in runs)]

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve; then drain: the entrances first, the store when nothing can come any more. Raises what a part died of."""
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(run()) for run in self._runs()]
        http = [asyncio.ensure_future(self._http.run())] if self._has("web") else []
        stopping = asyncio.ensure_future(stop.wait())
        try:
            ends: list[asyncio.Future[Any]] = [self._died, *http, *tasks]
            await asyncio.wait([stopping, *ends], return_when=asyncio.FIRST_COMPLETED)
            failed = [end for end in ends if end.done()]
            if not failed:
                await self._drain(http)
        finally:
            stopping.cancel()
            for run in (*tasks, *http):
                run.cancel()
            await asyncio.gather(*tasks, *http, return_exceptions=True)
            await self._fleet.leave()
        if failed:
            raise StartRefused(f"TaskDash ended: {_why(failed[0])}")

    async def _drain(self, http: "Sequence[asyncio.Future[None]]") -> None:
        await asyncio.gather(self._input.drain(DRAIN_S), self._tcp.drain(DRAIN_S / 2), self._http.drain())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*map(asyncio.shield, http)), DRAIN_S)

    def _on_death(self, error: BaseException) -> None:
        if not self._died.done():
            self._died.set_result(error)


def _keep_for_ever() -> None:
    """What the start made lives as long as the process: to look for garbage among it again and again is a tenth of a beat."""
    gc.collect()
    gc.freeze()


def _why(task: "asyncio.Future[Any]") -> str:
    if task.cancelled():
        return "a part was cancelled"
    return repr(task.exception() or task.result() or "a part ended")


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def limits_of(settings: Settings) -> Limits:
    """The numbers of liveness from the settings."""
    liveness = settings.liveness
    return Limits(
        late_factor=liveness.late_factor,
        down_factor=liveness.down_factor,
        mass_hold_s=liveness.mass_hold,
        redelivery_s=settings.nsq.msg_timeout if settings.is_cluster else 0.0,
        flapping_changes=liveness.flapping_changes,
        flapping_window_s=liveness.flapping_window,
        archive_after_s=liveness.archive_after,
        reminder_after_s=settings.incidents.reminder_after,
    )


def collector_of(
    settings: Settings,
    db: Database,
    clock: Clock,
    parts: Parts,
    zone: tzinfo,
    own: Callable[[], Sequence[tuple[str, int]]],
    fleet: Fleet,
    at_once: int,
) -> Sweep:
    """The collector with its guard: loopback may be asked while every listener that programs reach is on loopback (R171)."""
    collect = settings.collect
    programs = [settings.tcp.listen, *([] if settings.is_cluster else [settings.nsq_listen, settings.nsq_http_listen])]
    is_local = all(address.is_loopback for address in programs)
    guard = Guard(own, lambda: is_local, map(str, collect.allow), map(str, collect.deny), collect.ports)
    bounds = Bounds(
        connect_s=collect.connect_timeout,
        whole_s=collect.timeout,
        most_bytes=collect.max_bytes,
        most_tasks=collect.max_tasks,
    )
    limits = SweepLimits(at_once=at_once, an_origin=collect.per_origin)
    return Sweep(db, clock, Fetcher(guard, clock, bounds), parts, zone, limits, fleet)
