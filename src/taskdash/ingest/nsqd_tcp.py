"""The embedded NSQ endpoint on TCP: the producer side of nsqd, with no broker behind it (SPEC 2).

Law: a topic that is not ours is refused by E_BAD_TOPIC and the connection stays (RELIABILITY R76). The listener is the input
`nsq`: while it does not accept, no beat can come through it.
"""

import asyncio
import contextlib
import ssl
from collections import Counter
from typing import TYPE_CHECKING

from taskdash.clock import Clock, every
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.producer import Limits, Producer
from taskdash.model.admission import Admission, Unfinished
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Message
from taskdash.wire import nsq

if TYPE_CHECKING:
    from taskdash.ingest.producer import _Owed

INPUT = "nsq"
_LOOK_EVERY_S, _STALL_S = 0.5, 1.0
_MOST_STRANGE_TOPICS = 100
_Taken = tuple[Producer, str, "_Owed", list[Message]]


class NsqdTcp:
    """Listens for producers. `topics`: services, heartbeats."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        inputs: Inputs,
        parts: Parts,
        topics: tuple[str, str],
        limits: Limits,
        *,
        auth: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._inputs = inputs
        self._parts = parts
        self.topics = topics
        self._limits = limits
        self._auth = auth
        self._tls = tls
        self._producers: set[Producer] = set()
        self._admission = Admission(limits.allow, limits.connections, limits.connections_an_address, limits.on_refused)
        self.unfinished = Unfinished()
        self._taken: list[_Taken] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._last_at: Instant = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self.strange_topics: Counter[str] = Counter()
        """Topics that are not ours, with who published to them, and how often."""
        self.is_draining = False
        self._looked_at: Instant = clock.now()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address in use. Raises OSError when it is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Producer(self, self._clock, self._limits, self._auth, self._tls), host, port, backlog=1_024
        )
        self._parts.report("nsq")
        self._inputs.report(INPUT, healthy=True)
        self._looked_at = self._clock.now()
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def run(self) -> None:
        """Send heartbeats and end silent producers until cancelled."""
        await every(self._clock, _LOOK_EVERY_S, self._look)

    async def _look(self) -> None:
        now = self._clock.now()
        stall = now - self._looked_at - seconds(_LOOK_EVERY_S)
        self._looked_at = now
        for producer in list(self._producers):
            if stall > seconds(_STALL_S):
                producer.forgive(stall)
            producer.beat(now)
        if not self.is_draining:
            reason = self._inbox.why_deaf(self._parts)
            self._inputs.report(INPUT, healthy=not reason, reason=reason)

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting, answer what was taken in, close."""
        self.is_draining = True
        self._inputs.report(INPUT, healthy=False, reason="TaskDash is stopping")
        if self._server is not None:
            self._server.close()
        for producer in list(self._producers):
            producer.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
        for producer in list(self._producers):
            producer.abort()

    @property
    def connections(self) -> int:
        """How many producers are connected."""
        return len(self._producers)

    # called by producers

    def admit(self, producer: Producer) -> str:
        """The error frame that refuses the peer; empty: it is admitted (RELIABILITY R103)."""
        self._producers.add(producer)
        self._empty.clear()
        refusal = self._admission.admit(producer.address)
        return f"E_INVALID {refusal}" if refusal else ""

    def gone(self, producer: Producer) -> None:
        """Forget the peer."""
        self._producers.discard(producer)
        self._admission.gone(producer.address)
        self.unfinished.gone(producer)
        if not self._producers:
            self._empty.set()

    @property
    def is_crowded(self) -> bool:
        """True when producers must wait before more is read."""
        return self._inbox.is_crowded

    def saw_strange_topic(self, topic: str, producer: Producer) -> None:
        """Count a topic that is not ours, with its sender; the first time list it among the dead letters, without body."""
        seen = f"{topic} from {producer.address}"
        if seen in self.strange_topics:
            self.strange_topics[seen] += 1
        elif len(self.strange_topics) < _MOST_STRANGE_TOPICS:
            self.strange_topics[seen] = 1
            self._inbox.put([Message(topic, b"", self._stamp(), INPUT, producer.peer)], lambda _refused: None)

    def take(self, producer: Producer, command: nsq.Publish, owed: "_Owed") -> None:
        """Messages of one command; they go on with all that came in the same read."""
        messages = [Message(command.topic, body, self._stamp(), INPUT, producer.peer) for body in command.bodies]
        self._taken.append((producer, command.command, owed, messages))

    def _stamp(self) -> Instant:
        """Arrival, in the order of arrival: no two messages have the same."""
        self._last_at = max(self._clock.now(), self._last_at + 1)
        return self._last_at

    def flush_puts(self) -> None:
        """Hand over what one read brought, as one entry of the inbox."""
        if not self._taken:
            return
        taken, self._taken = self._taken, []
        messages = [message for *_rest, some in taken for message in some]
        self._inputs.heard(INPUT, 0, 0)
        self._inbox.put(messages, lambda refused: _answer(taken, refused))

    def start_tls(self, producer: Producer) -> None:
        """Take TLS up beside everything else."""
        task = asyncio.get_running_loop().create_task(self._secure(producer))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    @staticmethod
    async def _secure(producer: Producer) -> None:
        try:
            await producer.secure()
        except (OSError, ssl.SSLError):
            producer.abort()


def _answer(taken: list[_Taken], refused: StoreRefused | None) -> None:
    for producer, command, owed, _messages in taken:
        producer.answer(owed, command, refused)
    for producer in {producer for producer, *_rest in taken}:
        producer.flush()
