"""Asking the urls of overdue services beside the tick, so that no verdict waits for a slow one. RELIABILITY R9."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from taskdash.clock import Clock
from taskdash.model.instants import seconds
from taskdash.model.records import Service
from taskdash.rules.liveness import UrlAnswer

Probe = Callable[[Sequence[Service]], Awaitable[Mapping[str, UrlAnswer]]]
"""Asks the urls of the services; answers by service id, each with when it was asked. May leave some out."""
ASK_AGAIN_S = 3.0
FORGET_S = 30.0
log = logging.getLogger(__name__)


class Asking:
    """Which urls were asked lately and what became of it. One that is still being asked is not asked again."""

    def __init__(self, clock: Clock, probe: Probe) -> None:
        self._clock = clock
        self._probe = probe
        self._running: set[asyncio.Task[None]] = set()
        self._asked: set[str] = set()
        self._generation = 0
        self.answers: dict[str, UrlAnswer] = {}

    def ask(self, services: Sequence[Service]) -> None:
        """Ask each of them on its own, unless it was asked a moment ago; returns at once."""
        recent = self._clock.now() - seconds(ASK_AGAIN_S)
        for service in services:
            known = self.answers.get(service.id)
            if service.id not in self._asked and not (known and known.at > recent):
                self._asked.add(service.id)
                task = asyncio.create_task(self._ask(service, self._generation))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _ask(self, service: Service, generation: int) -> None:
        try:
            answers = await self._probe([service])
        except Exception:
            log.exception("the url of the service %s could not be asked", service.id)
            return
        finally:
            self._asked.discard(service.id)
        if generation == self._generation:
            self.answers.update(answers)

    def forget_old(self) -> None:
        """Drop answers that no verdict may use any more."""
        oldest = self._clock.now() - seconds(FORGET_S)
        self.answers = {key: answer for key, answer in self.answers.items() if answer.at >= oldest}

    def distrust(self) -> None:
        """TaskDash stood still: what was asked meanwhile may have failed for that alone."""
        self._generation += 1
        self.answers = {}

    async def close(self) -> None:
        """Stop asking."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
