"""Programs that register and update tasks over TCP, and remember what they were told (RELIABILITY R1 to R3).

Law: what was acknowledged is stored; what was refused was not kept; a request without an answer may take effect at any later
moment, so its value may stand in the end. Each task has one writer, so the last acknowledged value is known.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from tests.brokers import HOST
from tests.faults.hour.scale import Scale
from tools.cluster.programs import Instance

ANSWER_WITHIN_S = 4.0
TASKS_EACH = 50


class Written(Struct):
    """What its writer knows of one task's description."""

    acknowledged: str | None = None
    unknown: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Writer:
    """One connection at a time, to either instance. `written`: by task."""

    def __init__(self, name: str, scale: Scale, instances: Sequence[Instance], seed: int) -> None:
        self._name, self._pause_s, self._instances = name, 1.0 / scale.writes_s, instances
        self._random = random.Random(seed)
        self.written: dict[str, Written] = {}
        self._count = 0

    async def run(self) -> None:
        """Write until cancelled, each time it is cut off over another instance."""
        turn = self._random.randrange(len(self._instances))
        while True:
            turn += 1
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await self._write_over(self._instances[turn % len(self._instances)].tcp)
            await asyncio.sleep(0.1)

    async def _write_over(self, port: int) -> None:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(HOST, port), ANSWER_WITHIN_S)
        try:
            while True:
                await self._write_one(reader, writer)
                await asyncio.sleep(self._pause_s * self._random.uniform(0.5, 1.5))
        finally:
            writer.transport.abort()

    async def _write_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        task, value = f"{self._name}-{self._count % TASKS_EACH}", str(self._count)
        known = self.written.setdefault(task, Written())
        request = "Register" if known.acknowledged is None else "Update"
        pack = {"MessageID": 2, "Header": {"RequestID": request}, "Body": {"id": task, "description": value}}
        known.unknown.add(value)
        writer.write(json.dumps(pack).encode() + b"\n")
        line = await asyncio.wait_for(reader.readline(), ANSWER_WITHIN_S)
        if not line:
            raise EOFError
        note(known, value, json.loads(line)["Body"])


def note(known: Written, value: str, answer: dict[str, Any]) -> None:
    """Learn from an answer. A store that was lost while it committed says that nobody knows."""
    if answer["errid"] == 0:
        known.acknowledged = value
        known.unknown.discard(value)
    elif answer["errid"] == 1001 and not is_unknown(answer.get("detail", "")):
        known.unknown.discard(value)
        known.refused.add(value)


def is_unknown(detail: str) -> bool:
    """Whether a refusal of the store says that the change was or may have been kept."""
    return "look before you repeat it" in detail
