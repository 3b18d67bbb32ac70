"""The cluster of the scripted hour with a proxy before everything that TaskDash reaches, and all who load it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.brokers import HOST
from tests.faults.hour.people import Person, fought_over
from tests.faults.hour.programs import Programs
from tests.faults.hour.scale import Scale
from tests.faults.hour.watchers import Watcher
from tests.faults.hour.writers import Writer
from tests.faults.proxy import FaultProxy
from tools.cluster.cluster import Cluster, running

PASSWORD = "nine quiet harbours"


class Stage:
    """Everybody, once `set_up`; `proxies` by what they stand before."""

    def __init__(self, folder: Path, scale: Scale, instances: int, seed: int, *, has_proxies: bool = True) -> None:
        self.scale = scale
        self.proxies: dict[str, FaultProxy] = {}
        self.cluster = Cluster(folder, instances, 2, self._between if has_proxies else lambda _name, port: port)
        shared = self.cluster.instances
        self.programs = Programs(scale, self.cluster.nsqds, seed)
        self.writers = [Writer(f"written-{n}", scale, shared, seed + n) for n in range(scale.writers)]
        self.people: list[Person] = []
        self.watchers: list[Watcher] = []
        self._seed = seed

    def _between(self, name: str, port: int) -> int:
        self.proxies[name] = FaultProxy(port)
        return self.proxies[name].port

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stage"]:
        """Cluster and proxies run."""
        async with AsyncExitStack() as stack:
            for proxy in self.proxies.values():
                await proxy.start()
                stack.push_async_callback(proxy.close)
            await stack.enter_async_context(running(self.cluster))
            yield self

    async def set_up(self) -> None:
        """Users with tokens, the tasks they want, watchers of all that follows."""
        first = self.cluster.instances[0]
        user, password = self.cluster.sign_in().split()
        async with aiohttp.ClientSession(first.url(), cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            signed = await _posted(session, "login", {"user": user, "password": password})
            session.headers["X-CSRF-Token"] = signed["csrf_token"]
            for n in range(self.scale.users):
                self.people.append(await self._person(session, f"user-{n}", n))
            admin = await _posted(session, "tokens", {"name": "hour", "scopes": ["read"]})
            async with session.get("/api/v1/events?limit=1") as answer:
                newest = (await answer.json())["items"][0]["seq"]
        await _register(first.tcp, fought_over(self.scale))
        for n in range(self.scale.watchers):
            watcher = Watcher(f"watcher-{n}", admin["token"], self.cluster.instances, self._seed + n)
            watcher.after = newest
            self.watchers.append(watcher)

    async def _person(self, session: aiohttp.ClientSession, name: str, n: int) -> Person:
        await _posted(session, "users", {"name": name, "role": "member", "password": PASSWORD})
        made = await _posted(session, "tokens", {"name": "hour", "user": name, "scopes": ["claim"]})
        return Person(name, made["token"], self.scale, self.cluster.instances, self._seed + n)


async def _posted(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Any:
    async with session.post(f"/api/v1/{path}", json=body) as answer:
        assert answer.status in {200, 201}, await answer.text()
        return await answer.json()


async def _register(port: int, ids: list[str]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    for name in ids:
        pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": name, "status": "waiting"}}
        writer.write(json.dumps(pack).encode() + b"\n")
        assert json.loads(await reader.readline())["Body"]["errid"] == 0
    writer.close()
