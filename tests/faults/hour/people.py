"""People who claim and release the same few tasks over HTTP, each time at either instance, and remember every answer."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal

import aiohttp

from tests.brokers import HOST
from tests.faults.claims_model import Call, Outcome
from tests.faults.hour.scale import Scale
from tests.faults.hour.writers import is_unknown
from tools.cluster.programs import Instance

ANSWER_WITHIN_S = 4.0
What = Literal["claim", "release"]


def fought_over(scale: Scale) -> list[str]:
    """The tasks that everybody wants."""
    return [f"wanted-{n}" for n in range(scale.fought_over)]


class Person:
    """One user with a token. `calls`: all of them as they ended."""

    def __init__(self, name: str, token: str, scale: Scale, instances: Sequence[Instance], seed: int) -> None:
        self.name, self._token, self._scale, self._instances = name, token, scale, instances
        self._random = random.Random(seed)
        self._pause_s = 2.0 * scale.users / scale.claims_s
        self.calls: list[Call] = []
        self.strange: list[str] = []

    async def run(self) -> None:
        """Claim, hold a while, release, until cancelled; a call that is cut off by that is of unknown outcome."""
        limit = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        headers = {"Authorization": f"Bearer {self._token}"}
        connector = aiohttp.TCPConnector(force_close=True)  # a reused connection may be repeated by the client unseen
        async with aiohttp.ClientSession(headers=headers, timeout=limit, connector=connector, trust_env=False) as session:
            while True:
                task = self._random.choice(fought_over(self._scale))
                await self._call(session, "claim", task)
                await asyncio.sleep(self._random.uniform(0, self._pause_s))
                await self._call(session, "release", task)
                await asyncio.sleep(self._random.uniform(0, self._pause_s))

    async def _call(self, session: aiohttp.ClientSession, what: What, task: str) -> None:
        loop = asyncio.get_running_loop()
        start, outcome, version = loop.time(), "unknown", 0
        port = self._random.choice(self._instances).http
        try:
            async with session.post(f"http://{HOST}:{port}/api/v1/tasks/{task}/{what}", json={}) as answer:
                outcome, version = self._read(answer.status, await answer.json())
        except aiohttp.ClientConnectorError:
            return  # it was never sent
        except (aiohttp.ClientError, OSError, ValueError):
            outcome = "unknown"
        finally:
            end = None if outcome == "unknown" else loop.time()
            said: Outcome = outcome  # type: ignore[assignment]
            call = Call(user=self.name, what=what, task=task, start=start, end=end, outcome=said, version=version)
            self.calls.append(call)

    def _read(self, status: int, body: dict[str, Any]) -> tuple[str, int]:
        """(outcome, version)"""
        if status == 200:
            return "ok", int(body["version"])
        if status in {403, 409}:
            return "lost", 0
        if status == 503 and not is_unknown(str(body.get("detail", ""))):
            return "refused", 0
        if status != 503:
            self.strange.append(f"{status} {body}")
        return "unknown", 0
