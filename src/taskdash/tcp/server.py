"""The TCP listener of SPEC 5: who is connected, who vouches for which task, and the end of silent connections.

Law: a task is stale only when the newest connection that registered it vouched for it and is gone.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from operator import itemgetter

from taskdash.clock import Clock, every
from taskdash.errors import Busy, StoreRefused, TaskDashError
from taskdash.health import Parts
from taskdash.model.admission import Admission, Unfinished
from taskdash.tcp.batches import Apply, Reader, finds, writes
from taskdash.tcp.connection import Connection, Limits

Vouch = Callable[[Sequence[str]], Awaitable[None]]
"""Called with task ids that an open connection vouches for; notes them, durably."""
Lost = Callable[[str, Sequence[str]], Awaitable[None]]
"""Called with (peer address, task ids) when a vouching connection is gone; marks its tasks stale, durably."""

_LOOK_EVERY_S = 1.0


class TcpServer:
    """Register, Update, Find and 1392 on one address. `apply` and `read` are the store's side, `lost` marks tasks stale."""

    def __init__(
        self,
        *,
        apply: Apply,
        read: Reader,
        vouch: Vouch,
        lost: Lost,
        clock: Clock,
        parts: Parts,
        limits: Limits,
        token: str = "",
    ) -> None:
        self.writes = writes(apply)
        self.finds = finds(read)
        self._vouch = vouch
        self._lost = lost
        self._clock = clock
        self._parts = parts
        self._limits = limits
        self._token = token
        self._connections: set[Connection] = set()
        self._admission = Admission(limits.allow, limits.connections, limits.connections_an_address, limits.on_refused)
        self.unfinished = Unfinished()
        self._voucher: dict[str, Connection] = {}
        self._marks: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()
        """In their order: ("", ids) vouched for, (peer, ids) lost."""
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self.beats_seen = 0

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address in use. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self, self._clock, self._limits, self._token), host, port, backlog=1_024
        )
        self._parts.report("tcp")
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.writes.run())
            group.create_task(self.finds.run())
            group.create_task(self._mark())
            group.create_task(every(self._clock, _LOOK_EVERY_S, self._end_overdue))

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting, answer what was accepted, close; after `deadline_s` close at once."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
                await self._marks.join()
        for connection in list(self._connections):
            connection.abort()

    # called by connections

    def admit(self, connection: Connection) -> TaskDashError | None:
        """Why the peer is refused, or None (RELIABILITY R103)."""
        self._connections.add(connection)
        self._empty.clear()
        refusal = self._admission.admit(connection.address)
        return Busy(refusal) if refusal else None

    def gone(self, connection: Connection) -> None:
        """Forget the connection; the tasks it vouched for become stale."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        self._admission.gone(connection.address)
        self.unfinished.gone(connection)
        mine = [task_id for task_id in connection.registered if self._voucher.get(task_id) is connection]
        for task_id in mine:
            del self._voucher[task_id]
        if mine and connection.vouches:
            self._marks.put_nowait((connection.actor.id, mine))

    def registers(self, connection: Connection, task_id: str) -> None:
        """The newest connection that registers a task is the one that can vouch for it."""
        self._voucher[task_id] = connection
        connection.registered.add(task_id)
        if connection.vouches:
            self._marks.put_nowait(("", [task_id]))

    def beats(self, connection: Connection) -> None:
        """A heartbeat notice: from now on the connection vouches for what it registers."""
        self.beats_seen += 1
        if not connection.vouches:
            connection.vouches = True
            self._marks.put_nowait(("", list(connection.registered)))

    # loops

    async def _mark(self) -> None:
        while True:
            marks = [await self._marks.get()]
            while not self._marks.empty():
                marks.append(self._marks.get_nowait())
            for peer, same in groupby(marks, key=itemgetter(0)):
                await self._store_mark(peer, [task_id for _peer, ids in same for task_id in ids])
            for _ in marks:
                self._marks.task_done()

    async def _store_mark(self, peer: str, ids: Sequence[str]) -> None:
        while True:
            try:
                await (self._lost(peer, ids) if peer else self._vouch(ids))
            except StoreRefused:
                await self._clock.sleep(1.0)
            else:
                return

    async def _end_overdue(self) -> None:
        now = self._clock.now()
        for connection in [c for c in self._connections if c.is_overdue(now)]:
            connection.abort()
