"""A connection of the driver that gives up a server that says nothing: it hangs, is stopped, or the network swallows all.

Law: who was silent for longer than one waits is never trusted again: the connection is closed by the very thread that waits,
so no thread is lost to it. What the server made of the request, nobody here knows (RELIABILITY R32).
"""

from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")

LOOK_EVERY_S = 0.1


class Silence(psycopg.OperationalError):
    """Nothing was heard for `waited_s`."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"the server said nothing for {waited_s:.0f} s")
        self.waited_s = waited_s


class PatientConnection(psycopg.Connection[Any]):
    """Waits for the next bytes of an answer at most `patience_s`; None: as long as it takes."""

    patience_s: float | None = None

    def wait(self, gen: PQGen[T], interval: float = LOOK_EVERY_S, timeout: float | None = None) -> T:
        """Where the driver waits, for whatever it asked: raises Silence."""
        patience_s = self.patience_s
        return super().wait(gen if patience_s is None else self._impatient(gen, patience_s), interval, timeout)

    def _impatient(self, gen: PQGen[T], patience_s: float) -> PQGen[T]:
        """The same, ended when it is told too often in a row that there is nothing to read."""
        try:
            wanted, heard_at = next(gen), monotonic()
            while True:
                if ready := (yield wanted):
                    heard_at = monotonic()
                elif monotonic() - heard_at > patience_s:
                    self.close()
                    raise Silence(patience_s)
                wanted = gen.send(ready)
        except StopIteration as ended:
            result: T = ended.value
            return result
