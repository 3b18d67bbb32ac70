"""Work of many connections in turns: what one peer sends at once is worked off a portion a turn of the loop.

Law: no peer holds the loop, however fast it sends and however small what it sends is. A transport may bring megabytes before
anybody else has a turn (libuv reads on while its buffer comes full), so a connection that is behind stops its reading.
"""

import asyncio
from collections.abc import Callable
from typing import Any

PORTION_BYTES = 16 * 1024


class Turns:
    """Between a transport and a parser. `work`: takes a portion; `is_held`: true while the connection may take no more."""

    __slots__ = ("_at", "_handle", "_is_held", "_portion", "_rest", "_work", "is_paused")

    def __init__(self, work: Callable[[bytes], None], is_held: Callable[[], bool], portion_bytes: int = PORTION_BYTES) -> None:
        self._work = work
        self._is_held = is_held
        self._portion = portion_bytes
        self._rest = b""
        self._at = 0
        self._handle: asyncio.Handle | None = None
        self.is_paused = False
        """`adjust` told the transport to read no more."""

    @property
    def is_behind(self) -> bool:
        """Bytes wait for their turn: the transport should read no more."""
        return self._at < len(self._rest)

    def receive(self, data: bytes) -> None:
        """Work off the first portion now, if nothing waits before it, the rest in later turns."""
        self._rest, self._at = (self._rest[self._at :] + data, 0) if self.is_behind else (data, 0)
        if self._handle is None and not self._is_held():
            self._next()

    def resume(self) -> None:
        """The connection may take more: its next portion has its turn."""
        if self.is_behind and self._handle is None and not self._is_held():
            self._handle = asyncio.get_running_loop().call_soon(self._next)

    def adjust(self, transport: Any) -> bool:
        """Go on; the transport reads only while nothing waits for its turn and the connection may take more.

        True when it begins to read again.
        """
        self.resume()
        wanted = self.is_behind or self._is_held()
        if wanted == self.is_paused or transport.is_closing():
            return False
        self.is_paused = wanted
        if wanted:
            transport.pause_reading()
        else:
            transport.resume_reading()
        return not wanted

    def stop(self) -> None:
        """Nothing more is wanted."""
        self._rest, self._at = b"", 0

    def _next(self) -> None:
        self._handle = None
        portion = self._rest[self._at : self._at + self._portion]
        self._at += len(portion)
        if not self.is_behind:
            self.stop()
        if portion:
            self._work(portion)
        self.resume()
