"""The cluster consumer: which nsqd nodes there are, one subscription a node and topic, RDY shared out. SPEC 2, NSQ.md F.

Law: a node is the input `nsqd:HOST:PORT`, healthy only while it is subscribed to both topics. One that nsqlookupd no longer
names keeps its connection while that lives, and is not connected to again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from taskdash.clock import Clock
from taskdash.health import Inputs, Parts
from taskdash.ingest.channels import warn_of_unread
from taskdash.ingest.inbox import Inbox
from taskdash.ingest.lookup import Lookup
from taskdash.ingest.nsq_connection import Broken, Config, Subscription
from taskdash.model.instants import in_seconds, seconds
from taskdash.wire.nsq_stats import usual_http

FIRST_PAUSE_S, SECOND_PAUSE_S, LONGEST_PAUSE_S, LIVED_S = 0.1, 1.0, 2.0, 10.0
"""Before connecting again (times up to 1.5): after a connection that lived, after the first failure, at most (R43, R54). Short,
for programs go back to a node as soon as it is there, and until it is heard their silence looks like death (R136)."""
POLL_EVERY_S, FIRST_POLLS_S, MISSED_S = 15.0, 1.0, 600.0
"""Between two questions to nsqlookupd: usually; while it names no node, or none of one that it named within MISSED_S."""
REMEMBERED_S = 7 * 86_400.0
"""A node that nobody names for so long is no input any more; longer than the longest 3 I (SPEC 3)."""
SERVICES_SHARE = 5
"""One in so many in-flight messages is for registrations, the rest for beats."""


class Consumer:
    """Runs until cancelled; `nodes` are given directly, `lookup` finds more."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        inputs: Inputs,
        parts: Parts,
        config: Config,
        topics: tuple[str, str],
        nodes: Sequence[str],
        lookup: Lookup | None,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._inputs = inputs
        self._parts = parts
        self._config = config
        self._topics = topics
        self._static = tuple(nodes)
        self._lookup = lookup
        self._wanted: set[str] = set()
        self._keepers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._live: dict[tuple[str, str], Subscription] = {}
        self._reasons: dict[tuple[str, str], str] = {}
        self._looked_at: set[str] = set()
        self._is_draining = False

    async def run(self) -> None:
        """Keep every node subscribed; ask nsqlookupd again and again."""
        self._parts.report("nsq")
        self._inbox.on_turn = self._on_change
        try:
            async with self._group:
                self._want(self._static)
                while True:
                    await self._clock.sleep(await self._poll())
        finally:
            if self._lookup is not None:
                await self._lookup.close()

    async def _poll(self) -> float:
        """Take in what nsqlookupd names; returns when to ask again, in seconds."""
        if self._lookup is None or self._is_draining:
            return POLL_EVERY_S
        found = await self._lookup.nodes(self._topics)
        self._parts.report("nsq", self._lookup.trouble)
        if found is not None:
            self._want((*self._static, *found))
        if not found or self._misses_any():
            return FIRST_POLLS_S
        return POLL_EVERY_S * random.uniform(0.8, 1.2)  # noqa: S311  (spreads the polls)

    def _misses_any(self) -> bool:
        """A node went not long ago, and may be back at any moment."""
        since = self._clock.now() - seconds(MISSED_S)
        return any(not seen.healthy and (seen.withdrawn_at or 0) > since for seen in self._inputs)

    def _want(self, nodes: Sequence[str]) -> None:
        self._wanted = set(nodes)
        for key in sorted((node, topic) for node in self._wanted for topic in self._topics):
            if key not in self._keepers:
                self._keepers[key] = self._group.create_task(self._keep(*key))
        self._on_change()
        self._forget_the_long_gone()

    def _forget_the_long_gone(self) -> None:
        gone_by = self._clock.now() - seconds(REMEMBERED_S)
        for seen in self._inputs:
            if seen.name.startswith("nsqd:") and not seen.healthy and (seen.withdrawn_at or gone_by) < gone_by:
                self._inputs.forget(seen.name)

    async def _keep(self, node: str, topic: str) -> None:
        """Connect again and again, with jitter, while the node is wanted."""
        pause_s = FIRST_PAUSE_S
        while node in self._wanted and not self._is_draining:
            began = self._clock.now()
            subscription = Subscription(node, topic, self._config, self._inbox, self._clock, self._inputs)
            subscription.on_change = self._on_change
            self._live[node, topic] = subscription
            try:
                await subscription.run()
            except Broken as broken:
                self._reasons[node, topic] = str(broken)
            self._on_change()
            lived = in_seconds(self._clock.now() - began) >= LIVED_S
            pause_s = FIRST_PAUSE_S if lived else min(LONGEST_PAUSE_S, max(SECOND_PAUSE_S, pause_s * 2))
            await self._clock.sleep(random.uniform(pause_s, pause_s * 1.5))  # noqa: S311  (spreads reconnects)
        for known in (self._keepers, self._live, self._reasons):
            known.pop((node, topic), None)

    def _on_change(self) -> None:
        """Share RDY out anew, and say which nodes can be heard. While the store refuses, all ask for nothing (trap 4)."""
        for topic, share in zip(self._topics, self._shares(), strict=True):
            subscribed = [s for (_node, t), s in self._live.items() if t == topic and s.is_subscribed]
            for subscription in subscribed:
                subscription.give_rdy(0 if self._inbox.trouble else max(1, share // len(subscribed)))
        for node in self._wanted | {node for node, _topic in self._live}:
            self._report(node)

    def _report(self, node: str) -> None:
        name = f"nsqd:{node}"
        deaf = [t for t in self._topics if (s := self._live.get((node, t))) is None or not s.is_subscribed]
        reasons = [self._reasons.get((node, topic), "not connected yet") for topic in deaf]
        trouble = reasons[0] if reasons else self._inbox.trouble
        self._inputs.report(name, healthy=not trouble, reason=trouble)
        if node not in self._wanted:
            self._inputs.withdrawn(name)
        if not trouble and not self._is_draining and node not in self._looked_at:
            self._look_at_channels(node)

    def _look_at_channels(self, node: str) -> None:
        """Once a node, when it is first heard."""
        self._looked_at.add(node)
        http = (self._lookup.http.get(node) if self._lookup else None) or usual_http(node)
        self._group.create_task(warn_of_unread(node, http, self._topics, self._config.nsq_channel))

    def _shares(self) -> tuple[int, int]:
        services = max(1, self._config.max_in_flight // SERVICES_SHARE)
        return services, max(1, self._config.max_in_flight - services)

    async def drain(self, deadline_s: float) -> None:
        """RDY 0 everywhere, store what is in hand, FIN, CLS, close."""
        self._is_draining = True
        subscriptions = list(self._live.values())
        for subscription in subscriptions:
            subscription.stop_intake()
        await asyncio.gather(*(subscription.say_goodbye() for subscription in subscriptions))
        await self._inbox.drain(deadline_s)
        await asyncio.gather(*(subscription.close() for subscription in subscriptions))

    def runs(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What must run as long as the process."""
        return [self._inbox.run, self.run]
