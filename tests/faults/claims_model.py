"""Whether calls of claim and release could have happened one after another: the model of one task's binding. Pure.

Law: a call takes effect at one instant between its start and its end; one whose outcome nobody knows at any later instant,
or never. A claim succeeds when the task is free or already the caller's, and is lost to another holder; a release by the
holder frees it, of a free task changes nothing, of another's task is refused. An assign gives it to
whom it says, or was lost to a newer version. What the store refused changed nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

Outcome = Literal["ok", "lost", "refused", "unknown"]


class Call(Struct, frozen=True, kw_only=True):
    """One call as its caller saw it. `end` None: nobody knows. `version`: of the task in the answer."""

    user: str
    what: Literal["claim", "release", "assign"]
    task: str
    start: float
    end: float | None
    outcome: Outcome
    version: int = 0
    to: str = ""
    """Whom an assign gives it."""


def after(holder: str, call: Call) -> str | None:
    """Who holds the task after the call; None when it could not have this outcome."""
    if call.what == "assign":
        return holder if call.outcome == "lost" else call.to
    mine_or_free = holder in {"", call.user}
    if call.outcome == "lost":
        return None if mine_or_free else holder
    if not mine_or_free:
        return holder if call.outcome == "unknown" else None
    return call.user if call.what == "claim" else ""


def unexplained(calls: Iterable[Call]) -> list[str]:
    """The tasks whose calls have no order that explains them all."""
    by_task: dict[str, list[Call]] = {}
    for call in calls:
        if call.outcome != "refused":
            by_task.setdefault(call.task, []).append(call)
    return [task for task, history in by_task.items() if not is_linearizable(history)]


class _State(NamedTuple):
    """What is done: all known calls before `first`, those of `later` too, the unknown ones of `used`; and who holds."""

    first: int = 0
    later: frozenset[int] = frozenset()
    used: frozenset[int] = frozenset()
    holder: str = ""


def is_linearizable(history: Sequence[Call]) -> bool:
    """Search an order, depth first, each reached state once. An unknown call that is never used never happened."""
    ordered = sorted(history, key=lambda call: call.start)
    known = [call for call in ordered if call.end is not None]
    unknown = [call for call in ordered if call.end is None]
    stack = [_State()]
    seen = set(stack)
    while stack:
        state = stack.pop()
        if state.first == len(known):
            return True
        for following in _steps(known, unknown, state):
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return False


def _steps(known: Sequence[Call], unknown: Sequence[Call], state: _State) -> Iterator[_State]:
    """Each call that can be the next: it starts before any known call that is still to be done has ended."""
    least_end, n = float("inf"), state.first
    while n < len(known) and known[n].start <= least_end:
        if n not in state.later:
            least_end = min(least_end, known[n].end or 0.0)
            if (held := after(state.holder, known[n])) is not None:
                yield _done(state, n, held)
        n += 1
    for n, call in enumerate(unknown):
        held = after(state.holder, call)
        if n not in state.used and call.start <= least_end and held not in {None, state.holder}:
            yield state._replace(used=state.used | {n}, holder=str(held))


def _done(state: _State, n: int, holder: str) -> _State:
    """The shortest name of a state: what is done without a gap is only counted."""
    first, later = state.first, state.later | {n}
    while first in later:
        later -= {first}
        first += 1
    return _State(first, later, state.used, holder)
