"""Which parts of TaskDash work, and which inputs can be heard, since when and why not.

`Parts` answers /readyz and the incidents of kind `store`; `Inputs` answers liveness (SPEC 3: input is judged a source at a
time). Both are written by the part concerned, on the event loop, and read by whoever asks.
"""

from collections.abc import Iterator

from msgspec import Struct

from taskdash.clock import Clock
from taskdash.model.instants import Instant


class Part(Struct):
    """One part: `reason` is one sentence when it does not work, empty when it does."""

    name: str
    ok: bool
    since: Instant
    reason: str = ""


class Parts:
    """The parts that must work before TaskDash is ready."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: dict[str, Part] = {}

    def report(self, name: str, reason: str = "") -> None:
        """`name` works (`reason` empty) or does not; repeats keep the `since` of the first."""
        known = self._parts.get(name)
        ok = not reason
        since = known.since if known and known.ok == ok else self._clock.now()
        self._parts[name] = Part(name, ok, since, reason)

    def __iter__(self) -> Iterator[Part]:
        return iter(list(self._parts.values()))

    @property
    def ready(self) -> bool:
        """True when every part works."""
        return all(part.ok for part in self._parts.values())


class Input(Struct):
    """One source of beats: a listener or an nsqd node. `healthy`: connected and accepting."""

    name: str
    healthy: bool
    since: Instant
    """Since when `healthy` has this value."""
    reason: str = ""
    withdrawn_at: Instant | None = None
    """nsqlookupd no longer names it since then (SPEC 3: stops counting after one 3 I)."""
    last_message_at: Instant | None = None
    """When a message last arrived through it."""
    lag: tuple[tuple[Instant, int], ...] = ()
    """The last messages as (arrived, arrived minus message timestamp): a node with a wrong clock shows here."""


class Inputs:
    """All sources by name: `nsq`, `nsq-http`, `http`, `nsqd:HOST:PORT`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inputs: dict[str, Input] = {}

    def report(self, name: str, *, healthy: bool, reason: str = "") -> None:
        """A source began or ceased to be heard; repeats keep the `since` of the first."""
        known = self._inputs.get(name)
        if known and known.healthy == healthy:
            known.reason = reason
            known.withdrawn_at = None if healthy else known.withdrawn_at
            return
        last = known.last_message_at if known else None
        self._inputs[name] = Input(name, healthy, self._clock.now(), reason, last_message_at=last)

    def withdrawn(self, name: str) -> None:
        """nsqlookupd does not name this node any more."""
        if (known := self._inputs.get(name)) and known.withdrawn_at is None:
            known.withdrawn_at = self._clock.now()

    def heard(self, name: str, oldest_lag: int, newest_lag: int) -> None:
        """Messages arrived whose age on arrival was between these two (nanoseconds)."""
        if known := self._inputs.get(name):
            now = self._clock.now()
            known.last_message_at = now
            known.lag = (*known.lag[-62:], (now, oldest_lag), (now, newest_lag))

    def forget(self, name: str) -> None:
        """The source is no longer one of ours."""
        self._inputs.pop(name, None)

    @property
    def is_deaf(self) -> bool:
        """There are nsqd nodes, and none of them can be heard."""
        nodes = [known for known in self if known.name.startswith("nsqd:")]
        return bool(nodes) and not any(node.healthy for node in nodes)

    def __iter__(self) -> Iterator[Input]:
        return iter(list(self._inputs.values()))

    def get(self, name: str) -> Input | None:
        """The source of that name, if it is known."""
        return self._inputs.get(name)
