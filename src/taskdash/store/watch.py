"""Looks, from the event loop, whether the store hangs: says so within 2 s, refuses what waited too long.

Law (RELIABILITY R15, R27, R32): what is refused here was never given to the store, so nothing of it is kept: whoever takes it
out of the queue, the writer or this, answers it.
"""

import asyncio
import queue
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from taskdash.errors import Busy, StoreRefused

WAITS_S = 5.0
"""So long a change waits for a writer that gets nothing done."""
LOOK_EVERY_S = 0.25
ASK_EVERY_S = 0.5
SILENT_AFTER_S = 1.25
"""A question without an answer for so long: together they are within the 2 s of R15."""


class Waits(Protocol):
    """A change in the queue."""

    asked_at: float
    """By the monotonic clock."""

    def refuse(self, refused: StoreRefused) -> None:
        """Answer it; on the loop."""


class Watch:
    """Made with the writer's queue, the smallest question to the store, and whom to tell what is wrong ("": nothing)."""

    def __init__(
        self,
        waiting: "queue.SimpleQueue[Any]",
        ask: Callable[[Callable[[], None]], "asyncio.Future[Any]"],
        tell: Callable[[str], None],
    ) -> None:
        self._waiting, self._ask, self._tell = waiting, ask, tell
        self._reasons = {"writer": "", "question": ""}
        self._told = ""
        self._tries_since: float | None = None
        self._question: asyncio.Future[Any] | None = None
        self._asked_at: float | None = None
        """Since when the question is with the store, if it is: to wait for a reader is no silence."""
        self._ask_after = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on; call on the event loop."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self.start)
        self._refuse_overdue()
        self._look_at_question()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    # the writer's side

    def tries(self) -> None:
        """The writer begins something with the store; called in its thread."""
        self._tries_since = self._tries_since or monotonic()

    def worked(self) -> None:
        """The store did what it was to do; called in the writer's thread."""
        self._tries_since = None

    def _refuse_overdue(self) -> None:
        """The writer goes on with what is younger, in its order."""
        now = monotonic()
        if self._tries_since is None or now - self._tries_since < WAITS_S:
            return
        self.say("writer", f"the store has not answered for {WAITS_S:.0f} s")
        kept: list[Any] = []
        for job in self._taken_out():
            if job is None or now - job.asked_at < WAITS_S:
                kept.append(job)
            else:
                job.refuse(StoreRefused(f"the store has not answered for {WAITS_S:.0f} s; nothing was kept"))
        for job in kept:
            self._waiting.put(job)

    def _taken_out(self) -> list[Any]:
        taken: list[Any] = []
        while True:
            try:
                taken.append(self._waiting.get_nowait())
            except queue.Empty:
                return taken

    # the question

    def _look_at_question(self) -> None:
        now = monotonic()
        if self._question is None and now >= self._ask_after:
            self._asked_at = None
            with suppress(Busy):
                self._question = self._ask(self._is_with_the_store)
                self._question.add_done_callback(self._answered)
        elif self._question is not None and self._asked_at is not None and now - self._asked_at > SILENT_AFTER_S:
            self.say("question", f"the store has not answered for {now - self._asked_at:.0f} s")

    def _is_with_the_store(self) -> None:
        self._asked_at = monotonic()

    def _answered(self, question: "asyncio.Future[Any]") -> None:
        self._question, self._ask_after = None, monotonic() + ASK_EVERY_S
        error = None if question.cancelled() else question.exception()
        if not isinstance(error, Busy):
            self.say("question", error.detail if isinstance(error, StoreRefused) else "")

    # what is told

    def say(self, who: str, reason: str) -> None:
        """The writer or the question failed for a reason, or worked; told when that makes a difference."""
        self._reasons[who] = reason
        found = self._reasons["writer"] or self._reasons["question"]
        if found != self._told:
            self._told = found
            self._tell(found)
