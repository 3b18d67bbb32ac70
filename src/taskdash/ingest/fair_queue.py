"""What waits to be stored, a line for each sender: one of each in turn. RELIABILITY R13.

Law: who sends much waits behind its own. The messages of one sender keep their order; between senders there is none (SPEC 2).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from taskdash.errors import StoreRefused
from taskdash.model.instants import Instant
from taskdash.model.records import Message

Settle = Callable[[StoreRefused | None], None]


class Put(Struct):
    """Messages that came together, and who is told when they are stored."""

    messages: Sequence[Message]
    settle: Settle
    at: Instant
    size: int


class FairQueue:
    """`append`, and `popleft` in turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Put]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, put: Put) -> None:
        """It goes to the end of its sender's line."""
        sender = put.messages[0].sender if put.messages else ""
        self._lines.setdefault(sender, deque()).append(put)
        self._length += 1

    def popleft(self) -> Put:
        """The first of the line whose turn it is; that line's next turn comes after all others'."""
        sender, line = self._lines.popitem(last=False)
        put = line.popleft()
        if line:
            self._lines[sender] = line
        self._length -= 1
        return put

    def pop_until(self, limit: Instant) -> list[Put]:
        """All that came at `limit` or before."""
        old: list[Put] = []
        for line in self._lines.values():
            while line and line[0].at <= limit:
                old.append(line.popleft())
        self._lines = OrderedDict((sender, line) for sender, line in self._lines.items() if line)
        self._length -= len(old)
        return old
