"""Answers before the answer (1xx) are few, or the connection ends: the client would read them one after another for ever.

Law: what is read of a service is bounded in all that it may send, not only in bodies (RELIABILITY R48).
"""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from taskdash.collector.failures import Failed

MOST_INTERIM = 10


class _FewInterim(ResponseHandler):
    """A connection of the client that counts them."""

    _interim = 0

    def feed_data(self, data: Any, size: int = 0) -> None:
        """One parsed head, with its body to come."""
        code = data[0].code
        self._interim = self._interim + 1 if 100 <= code < 200 else 0
        if self._interim <= MOST_INTERIM:
            super().feed_data(data, size)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self.set_exception(Failed(f"it sends more than {MOST_INTERIM} answers of the kind 1xx"))


def _few_interim(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _FewInterim(loop)


class Connector(aiohttp.TCPConnector):
    """The client's own, with such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: partial[ResponseHandler] = partial(_few_interim, loop=self._loop)
