"""The input of one process: embedded listeners, or the consumer of a cluster; both with the same three verbs.

`listeners` names the addresses to take, `runs` what must run, `drain` ends it with everything taken in settled.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence

from taskdash.clock import Clock
from taskdash.health import Inputs, Parts
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.nsqd_http import NsqdHttp
from taskdash.ingest.nsqd_tcp import NsqdTcp
from taskdash.ingest.producer import Limits
from taskdash.model.admission import Crowd
from taskdash.settings.model import Settings
from taskdash.settings.values import Address

CONSUMER_WINDOW_S = 0.02
"""Nobody waits for a FIN: a fifth of the CPU and of the commits at 1,000 beats a second (NSQ.md A.2)."""
Listen = Callable[[str, int], Awaitable[tuple[str, int]]]
Run = Callable[[], Awaitable[None]]
AnInbox = Callable[[float], Inbox]
"""Makes an inbox over the store, given its window in seconds."""


class Embedded:
    """TaskDash speaks the producer side itself (SPEC 2, embedded)."""

    def __init__(self, settings: Settings, an_inbox: AnInbox, clock: Clock, inputs: Inputs, parts: Parts, crowd: Crowd) -> None:
        nsq = settings.nsq
        self._settings = settings
        self._inbox = an_inbox(0.0)
        topics, limits = (
            (nsq.services_topic, nsq.heartbeats_topic),
            Limits(
                message_bytes=nsq.max_message_bytes,
                connections=crowd.most,
                allow=settings.listen.allow,
                on_refused=crowd.on_refused,
            ),
        )
        self._tcp = NsqdTcp(self._inbox, clock, inputs, parts, topics, limits, auth=nsq.auth, tls=_tls(settings))
        self._http = NsqdHttp(self._inbox, clock, inputs, parts, topics, limits, auth=nsq.auth, tcp_port=self._tcp_port)
        self._port = 0

    def _tcp_port(self) -> int:
        return self._port

    def listeners(self) -> Sequence[tuple[str, Address, Listen]]:
        """(name in the ready line, address wanted, how to take it)."""
        return [
            ("nsq", self._settings.nsq_listen, self._listen_tcp),
            ("nsq-http", self._settings.nsq_http_listen, self._http.start),
        ]

    async def _listen_tcp(self, host: str, port: int) -> tuple[str, int]:
        where = await self._tcp.start(host, port)
        self._port = where[1]
        return where

    def runs(self) -> Sequence[Run]:
        """What must run as long as the process."""
        return [self._inbox.run, self._tcp.run, self._http.run]

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting; settle and answer what was taken in."""
        await asyncio.gather(self._tcp.drain(deadline_s), self._http.drain(deadline_s), self._inbox.drain(deadline_s))


class Cluster:
    """TaskDash is a consumer of real nsqd nodes (SPEC 2, cluster)."""

    def __init__(
        self, settings: Settings, an_inbox: AnInbox, clock: Clock, inputs: Inputs, parts: Parts, _crowd: Crowd
    ) -> None:
        from taskdash.ingest.lookup import Lookup
        from taskdash.ingest.nsq_connection import Config
        from taskdash.ingest.nsq_consumer import Consumer

        nsq = settings.nsq
        config = Config(
            nsq_channel=nsq.nsq_channel,
            max_in_flight=nsq.max_in_flight,
            msg_timeout_s=nsq.msg_timeout,
            output_buffer_ms=nsq.output_buffer,
            auth=nsq.auth,
            tls=_client_tls(settings),
        )
        self._consumer = Consumer(
            an_inbox(CONSUMER_WINDOW_S),
            clock,
            inputs,
            parts,
            config,
            (nsq.services_topic, nsq.heartbeats_topic),
            [str(node) for node in settings.nsqd],
            Lookup([str(address) for address in settings.lookupd]) if settings.lookupd else None,
        )

    @staticmethod
    def listeners() -> Sequence[tuple[str, Address, Listen]]:
        """It takes no address."""
        return []

    def runs(self) -> Sequence[Run]:
        """What must run as long as the process."""
        return self._consumer.runs()

    async def drain(self, deadline_s: float) -> None:
        """Ask for no more; store and finish what is in hand."""
        await self._consumer.drain(deadline_s)


def _client_tls(settings: Settings) -> ssl.SSLContext | None:
    nsq = settings.nsq
    if nsq.tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=str(nsq.tls_ca))
    if nsq.tls_cert is not None and nsq.tls_key is not None:
        context.load_cert_chain(nsq.tls_cert, nsq.tls_key)
    return context


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.nsq.tls_cert is None or settings.nsq.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.nsq.tls_cert, settings.nsq.tls_key)
    return context
