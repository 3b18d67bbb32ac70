"""The model that judges claims of the scripted hour knows good histories from bad ones."""

from typing import Any

import pytest

from tests.faults.claims_model import Call, is_linearizable, unexplained


def call(user: str, what: Any, start: float, end: float | None, outcome: Any, to: str = "") -> Call:
    return Call(user=user, what=what, task="t", start=start, end=end, outcome=outcome, to=to)


GOOD = {
    "one wins, the other loses": [call("a", "claim", 0, 2, "ok"), call("b", "claim", 1, 3, "lost")],
    "the loser asked first but was served last": [call("b", "claim", 0, 3, "lost"), call("a", "claim", 1, 2, "ok")],
    "a hand-over by release": [
        call("a", "claim", 0, 1, "ok"),
        call("a", "release", 2, 3, "ok"),
        call("b", "claim", 2.5, 4, "ok"),
    ],
    "a claim of what one holds": [call("a", "claim", 0, 1, "ok"), call("a", "claim", 2, 3, "ok")],
    "an unknown claim that happened": [call("a", "claim", 0, None, "unknown"), call("b", "claim", 2, 3, "lost")],
    "an unknown claim that never happened": [call("a", "claim", 0, None, "unknown"), call("b", "claim", 2, 3, "ok")],
    "an unknown claim that happened much later": [
        call("a", "claim", 0, None, "unknown"),
        call("b", "claim", 2, 3, "ok"),
        call("b", "release", 4, 5, "ok"),
        call("c", "claim", 6, 7, "lost"),
    ],
    "an unknown release": [
        call("a", "claim", 0, 1, "ok"),
        call("a", "release", 2, None, "unknown"),
        call("b", "claim", 3, 4, "lost"),
        call("b", "claim", 5, 6, "ok"),
    ],
}
GOOD["an assign over the holder"] = [
    call("a", "claim", 0, 1, "ok"),
    call("root", "assign", 2, 3, "ok", to="b"),
    call("a", "claim", 4, 5, "lost"),
]
BAD = {
    "an assign forgotten": [call("root", "assign", 0, 1, "ok", to="b"), call("a", "claim", 2, 3, "ok")],
    "two win": [call("a", "claim", 0, 2, "ok"), call("b", "claim", 1, 3, "ok")],
    "lost to nobody": [call("a", "claim", 0, 1, "lost")],
    "lost to who has released": [
        call("a", "claim", 0, 1, "ok"),
        call("a", "release", 2, 3, "ok"),
        call("b", "claim", 4, 5, "lost"),
    ],
    "lost to who claims later": [call("b", "claim", 0, 1, "lost"), call("a", "claim", 2, 3, "ok")],
    "an acknowledged claim forgotten": [
        call("a", "claim", 0, 1, "ok"),
        call("b", "claim", 2, 3, "ok"),
        call("a", "release", 4, 5, "lost"),
    ],
    "an unknown release cannot help twice": [
        call("a", "claim", 0, 1, "ok"),
        call("a", "release", 2, None, "unknown"),
        call("b", "claim", 3, 4, "ok"),
        call("c", "claim", 5, 6, "ok"),
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_a_history_that_an_order_explains_is_accepted(history: list[Call]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_a_history_that_no_order_explains_is_refused(history: list[Call]) -> None:
    assert not is_linearizable(history)


def test_tasks_are_judged_one_by_one_and_refusals_of_the_store_say_nothing() -> None:
    refused = call("a", "claim", 0, 1, "refused")
    assert unexplained([refused, *BAD["two win"]]) == ["t"]
    assert unexplained([refused, *GOOD["one wins, the other loses"]]) == []


def test_a_long_contended_history_with_unknown_ends_is_judged_at_once() -> None:
    history = []
    for n in range(400):
        user = f"u{n % 20}"
        history += [call(user, "claim", 4 * n, 4 * n + 1, "ok"), call(user, "release", 4 * n + 2, 4 * n + 3, "ok")]
        if n % 50 == 0:
            history.append(call(f"v{n}", "claim", 4 * n, None, "unknown"))
    assert is_linearizable(history)
    assert not is_linearizable([*history, call("x", "claim", 10_000, 10_001, "ok"), call("y", "claim", 10_002, 10_003, "ok")])
