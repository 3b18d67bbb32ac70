"""Names to addresses: in few threads of its own, each name once at a time, answered or given up in two seconds.

RELIABILITY R50: a name server that hangs holds up its own names only. Threads are daemons, because a lookup cannot be
stopped and must not hold up the end of the program. Any denied address denies the name (RELIABILITY 7).
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from taskdash.collector.guard import Guard

LookUp = Callable[..., list[tuple[Any, ...]]]
_Found = list[tuple[Any, ...]] | OSError | UnicodeError


class NoAddress(OSError):
    """The name leads nowhere; `reason` is one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Names(AbstractResolver):
    """aiohttp's resolver."""

    def __init__(
        self, guard: Guard, *, deadline_s: float = 2.0, threads: int = 32, look_up: LookUp = socket.getaddrinfo
    ) -> None:
        self._guard = guard
        self._deadline_s = deadline_s
        self._look_up = look_up
        self._threads = asyncio.Semaphore(threads)
        self._asked: dict[str, asyncio.Future[_Found]] = {}

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """All addresses of the name. Raises NoAddress, or Denied when one of them may not be asked."""
        found = [_result(host, port, info) for info in await self._found(host) if family in {socket.AF_UNSPEC, info[0]}]
        for each in found:
            self._guard.check(each["host"], port)
        return found

    async def _found(self, host: str) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await asyncio.shield(self._asked.get(host) or await self._ask(host))
        except TimeoutError:
            raise NoAddress(f"its name was not resolved within {self._deadline_s:g} s") from None
        if isinstance(found, Exception) or not found:
            raise NoAddress("its name cannot be resolved")
        return found

    async def _ask(self, host: str) -> "asyncio.Future[_Found]":
        await self._threads.acquire()
        if host in self._asked:
            self._threads.release()
            return self._asked[host]
        loop = asyncio.get_running_loop()
        future = self._asked[host] = loop.create_future()
        threading.Thread(target=self._look, args=(loop, host, future), name="collector-names", daemon=True).start()
        return future

    def _look(self, loop: asyncio.AbstractEventLoop, host: str, future: "asyncio.Future[_Found]") -> None:
        found: _Found
        try:
            found = self._look_up(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except (OSError, UnicodeError) as error:
            found = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._settle, host, future, found)

    def _settle(self, host: str, future: "asyncio.Future[_Found]", found: _Found) -> None:
        self._threads.release()
        del self._asked[host]
        future.set_result(found)

    async def close(self) -> None:
        """Nothing to close: the threads end by themselves."""


def _result(host: str, port: int, info: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, sockaddr = info
    address = str(sockaddr[0])
    if len(sockaddr) > 3 and sockaddr[3] and "%" not in address:
        address = f"{address}%{sockaddr[3]}"
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=protocol, flags=socket.AI_NUMERICHOST)
