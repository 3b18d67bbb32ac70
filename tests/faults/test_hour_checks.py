"""The checks of the scripted hour see what they are there to see."""

from typing import Any

from tests.faults.claims_model import Call
from tests.faults.hour import checks
from tests.faults.hour.checks import Stored
from tests.faults.hour.programs import VICTIM
from tests.faults.hour.watchers import Watcher
from tests.faults.hour.writers import Written, note


def stored(*events: dict[str, Any], **more: Any) -> Stored:
    numbered = [{"seq": n, "at": n, "before": {}, "evidence": "", **event} for n, event in enumerate(events, start=1)]
    return Stored(numbered, more.get("incidents", []), more.get("tasks", {}), more.get("services", {}))


def state(service: str, name: str, reason: str = "") -> dict[str, Any]:
    return {"kind": "service.state", "subject_id": service, "after": {"state": name, "reason": reason}}


def claimed(by: str, version: int, before: str = "", kind: str = "task.claimed") -> dict[str, Any]:
    after = {"user": by if kind == "task.claimed" else "", "version": version}
    return {"kind": kind, "subject_id": "wanted-1", "actor_id": by, "before": {"user": before}, "after": after}


def call(user: str, version: int, outcome: Any = "ok", what: Any = "claim") -> Call:
    return Call(user=user, what=what, task="wanted-1", start=0, end=1, outcome=outcome, version=version)


def test_a_lost_write_and_a_refused_one_that_was_kept_are_seen() -> None:
    known = Written()
    known.unknown |= {"1", "2", "3"}
    note(known, "1", {"errid": 0})
    note(known, "2", {"errid": 1001, "detail": "the store is away"})
    note(known, "3", {"errid": 1001, "detail": "whether the change was kept is not known: look before you repeat it"})
    kept = {text: not list(checks.lost_writes({"t": known}, stored(tasks={"t": {"description": text}}))) for text in "0123"}
    assert kept == {"0": False, "1": True, "2": False, "3": True}
    assert list(checks.lost_writes({"t": known}, stored()))


def test_false_missing_and_repeated_downs_are_seen() -> None:
    dead = state(VICTIM, "down")
    assert not list(checks.false_downs(stored(dead)))
    assert list(checks.false_downs(stored()))
    assert list(checks.false_downs(stored(dead, dead)))
    assert list(checks.false_downs(stored(dead, state("svc-1", "down"))))
    assert list(checks.repeated_states(stored(dead, dead)))
    assert not list(checks.repeated_states(stored(dead, state(VICTIM, "up"), dead)))


def test_two_incidents_of_one_cause_at_one_time_are_seen() -> None:
    first = {"kind": "down", "cause": "c", "opened_at": 1, "resolved_at": 5}
    assert list(checks.repeated_incidents(stored(incidents=[first, {**first, "opened_at": 4}])))
    assert not list(checks.repeated_incidents(stored(incidents=[first, {**first, "opened_at": 5}])))
    opened = {"kind": "incident.opened", "subject_id": "i", "after": {}}
    assert list(checks.repeated_incidents(stored(opened, opened)))


def test_claims_that_history_does_not_bear_out_are_seen() -> None:
    tasks = {"wanted-1": {"user": "a"}}
    good = stored(claimed("a", 2), tasks=tasks)
    assert not list(checks.wrong_claims([call("a", 2)], good))
    assert list(checks.wrong_claims([call("a", 2)], stored()))
    assert list(checks.wrong_claims([], good))
    assert list(checks.wrong_claims([call("a", 2)], stored(claimed("a", 2), tasks={"wanted-1": {"user": "b"}})))
    both = [call("a", 2), call("b", 3)]
    assert list(checks.wrong_claims(both, stored(claimed("a", 2), claimed("b", 3), tasks={"wanted-1": {"user": "b"}})))


def test_a_stream_with_a_hole_a_repeat_or_a_reset_is_seen() -> None:
    watcher = Watcher("w", "", [None], 0)  # type: ignore[list-item]
    history = stored(state("s", "up"), state("s", "late"), state("s", "up"))
    watcher.seen, watcher.after = [2, 3, 4], 1
    assert not list(checks.wrong_streams([watcher], history))
    for seen in ([3], [2, 2, 3], [3, 2]):
        watcher.seen = seen
        assert list(checks.wrong_streams([watcher], history)), seen
    watcher.seen, watcher.resets = [2, 3], 1
    assert list(checks.wrong_streams([watcher], history))
