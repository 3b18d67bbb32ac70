"""Clients of the event stream that reconnect with their last id, to another instance each time. `seen`: every id they got."""

import asyncio
import random
from collections.abc import Sequence

import aiohttp

from tests.brokers import HOST
from tools.cluster.programs import Instance

SILENCE_S = 20.0
"""A comment comes every 15 s: after more silence than that the connection is dead."""


class Watcher:
    """Runs until cancelled. `resets`: gaps that the server told."""

    def __init__(self, name: str, token: str, instances: Sequence[Instance], seed: int) -> None:
        self.name, self._token, self._instances = name, token, instances
        self._random = random.Random(seed)
        self.seen: list[int] = []
        self.resets = 0
        self.connections = 0
        self.after = 0

    async def run(self) -> None:
        """Listen, from `after` on; now and then change to the other instance without need."""
        limit = aiohttp.ClientTimeout(total=self._random.uniform(15, 40), sock_connect=2.0, sock_read=SILENCE_S)
        turn = self._random.randrange(len(self._instances))
        while True:
            turn += 1
            try:
                await self._listen(self._instances[turn % len(self._instances)].http, limit)
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.2)

    async def _listen(self, port: int, limit: aiohttp.ClientTimeout) -> None:
        last = self.seen[-1] if self.seen else self.after
        headers = {"Authorization": f"Bearer {self._token}", "Last-Event-ID": str(last)}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=limit, trust_env=False) as session,
            session.get(f"http://{HOST}:{port}/api/v1/stream") as answer,
        ):
            answer.raise_for_status()
            self.connections += 1
            pending = 0
            async for line in answer.content:
                if line.startswith(b"id: "):
                    pending = int(line[4:])
                elif line.startswith(b"event: reset"):
                    self.resets, pending = self.resets + 1, 0
                elif line == b"\n" and pending:  # only a whole event counts, as in a browser
                    self.seen.append(pending)
                    pending = 0
