"""Asks every nsqlookupd which nsqd nodes have a topic. A topic that nobody published yet is no error (NSQ.md trap 23)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from taskdash.wire import nsq_stats
from taskdash.wire.nsq_stats import Node

ANSWER_S = 3.0


class Lookup:
    """`trouble`: one sentence when no nsqlookupd answered, else empty. `http`: where the HTTP of each node is, by its TCP."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None
        self._last: dict[tuple[str, str], list[Node]] = {}
        """What each said last of each topic: one that does not answer now still names its nodes."""
        self.trouble = ""
        self.http: dict[str, str] = {}

    async def nodes(self, topics: Sequence[str]) -> list[str] | None:
        """`HOST:PORT` of every node that has one of the topics; None when no nsqlookupd could be asked."""
        asked = [(address, topic) for address in self._addresses for topic in topics]
        answers: list[Any] = await asyncio.gather(*(self._ask(*one) for one in asked), return_exceptions=True)
        wrong = [answer for answer in answers if isinstance(answer, BaseException)]
        if unforeseen := [error for error in wrong if not isinstance(error, OSError)]:
            raise unforeseen[0]
        self._last |= {one: found for one, found in zip(asked, answers, strict=True) if not isinstance(found, OSError)}
        self.trouble = f"nsqlookupd: {wrong[0]}" if len(wrong) == len(answers) else ""
        self.http = {node.tcp: node.http for found in self._last.values() for node in found}
        return None if self.trouble else sorted(self.http)

    async def _ask(self, address: str, topic: str) -> list[Node]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=False)
        try:
            async with self._session.get(f"http://{address}/lookup", params={"topic": topic}) as answer:
                if answer.status == 404:
                    return []
                if answer.status != 200:
                    raise OSError(f"{address} answered {answer.status}")
                return nsq_stats.nodes(await answer.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise OSError(f"{address} could not be asked ({type(error).__name__})") from None

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
