"""Task services under load: they register, beat through either nsqd and tell their tasks when asked. One of them dies.

Law: a program beats every interval whatever happens; when its nsqd does not take a beat in time, another gets it.
`longest_gap_s` says whether the programs kept that, before anybody blames TaskDash.
"""

import asyncio
import json
import random
import struct
from collections.abc import Sequence

import aiohttp
from aiohttp import web

from tests.brokers import BEATS, HOST, SERVICES, free_port
from tests.faults.hour.scale import Scale
from tools.cluster.programs import Nsqd

TICK_S, TAKEN_WITHIN_S = 0.1, 1.0
EVERY_TELLS = 4
"""One service in so many has a url and tells tasks; the others have none, so that their beats alone speak for them."""
STATUSES = ("waiting", "running", "finish", "failed")
VICTIM = "svc-victim"


class Programs:
    """All task services. `run` until cancelled; `kill` ends the victim for good."""

    def __init__(self, scale: Scale, nsqds: Sequence[Nsqd], seed: int) -> None:
        self._scale, self._nsqds = scale, nsqds
        self._random = random.Random(seed)
        self.ids = [VICTIM, *(f"svc-{n:04}" for n in range(1, scale.services))]
        self._due = {name: self._random.uniform(0, scale.interval_s) for name in self.ids}
        self._taken: dict[str, float] = {}
        self.longest_gap_s, self.beats = 0.0, 0
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._ports = free_port(), free_port()
        self._asked = 0

    def reserved(self, number: int) -> dict[str, object]:
        """What a registration tells beside its name."""
        port = self._ports[0] if number else self._ports[1]
        url = f"http://{HOST}:{port}/{number}" if number % EVERY_TELLS == 0 else ""
        return {"url": url, "reserved": json.dumps({"heartbeat_interval": self._scale.interval_s})}

    async def run(self) -> None:
        """Serve metadata, register all, beat."""
        runners = [await self._serve(port) for port in self._ports]
        self._victims = runners[1]
        limit = aiohttp.ClientTimeout(total=TAKEN_WITHIN_S)
        messages = [{"id": name, "name": name, **self.reserved(n)} for n, name in enumerate(self.ids)]
        async with aiohttp.ClientSession(timeout=limit, trust_env=False) as self._session:
            try:
                await self._published([json.dumps(message).encode() for message in messages], SERVICES, 0)
                await self._beat()
            finally:
                for sending in self._sending:
                    sending.cancel()
                await asyncio.gather(*self._sending, return_exceptions=True)
                for runner in runners:
                    await runner.cleanup()

    async def kill(self) -> None:
        """The victim beats no more, and its url refuses."""
        self._due.pop(VICTIM)
        await self._victims.cleanup()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            now = loop.time() - start
            due = [name for name, at in self._due.items() if at <= now]
            for home in range(len(self._nsqds)):
                if mine := [name for name in due if hash_of(name) % len(self._nsqds) == home]:
                    sending = asyncio.ensure_future(self._send(mine, home, now))
                    self._sending.add(sending)
                    sending.add_done_callback(self._sending.discard)
            for name in due:
                self._due[name] = max(now, self._due[name]) + self._scale.interval_s * self._random.uniform(0.95, 1.0)
            await asyncio.sleep(TICK_S)

    async def _send(self, names: list[str], home: int, now: float) -> None:
        bodies = [json.dumps({"id": name}).encode() for name in names]
        if not await self._published(bodies, BEATS, home):
            self._due.update({name: now for name in names if name in self._due})
            return
        self.beats += len(names)
        taken = asyncio.get_running_loop().time()
        for name in names:
            self.longest_gap_s = max(self.longest_gap_s, taken - self._taken.get(name, taken))
            self._taken[name] = taken

    async def _published(self, bodies: list[bytes], topic: str, home: int) -> bool:
        """Whether the home nsqd, or another one, took them."""
        body = struct.pack(">i", len(bodies)) + b"".join(struct.pack(">i", len(one)) + one for one in bodies)
        for n in range(len(self._nsqds)):
            nsqd = self._nsqds[(home + n) % len(self._nsqds)]
            try:
                assert self._session is not None
                where = f"http://{HOST}:{nsqd.http}/mpub?topic={topic}&binary=true"
                async with self._session.post(where, data=body) as answer:
                    if answer.status == 200:
                        return True
            except (aiohttp.ClientError, OSError):
                continue
        return False

    async def _serve(self, port: int) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{number}", self._tell)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        return runner

    async def _tell(self, request: web.Request) -> web.Response:
        """The tasks of one service; a few of them differ each time."""
        number = int(request.match_info["number"])
        self._asked += 1
        count = max(1, self._scale.tasks * EVERY_TELLS // self._scale.services)
        changed = {self._asked % count, (self._asked * 7) % count}
        tasks = [
            {"id": f"told-{number}-{n}", "name": f"task {n}", "status": STATUSES[self._asked % 4 if n in changed else 1]}
            for n in range(count)
        ]
        return web.json_response(tasks)


def hash_of(name: str) -> int:
    """The same in every run."""
    return sum(name.encode())
