"""The httptools protocol under our own bounds: it has neither size nor deadline for a head (F14, F15, R82)."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_BYTES, HEADERS, URL_BYTES = 32 * 1024, 100, 8 * 1024
HEADER_S = 10.0
_TITLES = {408: "Request Timeout", 414: "URI Too Long", 431: "Request Header Fields Too Large"}


class BoundedHttp(HttpToolsProtocol):
    """Counts the bytes of a head while it comes; ends what is too long or too slow."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        self._head_bytes = 0
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count, then parse."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES + URL_BYTES + len(data):
                self._end(431)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        if self._deadline is None:
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole: is it within the bounds?"""
        self._in_head = False
        self._stop_waiting()
        size = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > URL_BYTES:
            self._end(414)
        elif size > HEADER_BYTES or len(self.headers) > HEADERS:
            self._end(431)
        else:
            super().on_headers_complete()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEADER_S, self._end, 408)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, status: int) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {_TITLES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.close()
