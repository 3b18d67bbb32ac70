"""One change of a service's state: the changed record, its one event, and the flapping mark. Pure. SPEC 3.

Law: every change of state goes through `changed`, which writes exactly one event. A change is dated when its deadline
passed, never before the change before it.
"""

from typing import Any, Literal

from msgspec import structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import SYSTEM, Actor, NewEvent, Service, State, UnknownReason
from taskdash.rules.deadlines import Limits


def changed(
    service: Service,
    state: State,
    at: Instant,
    evidence: str,
    limits: Limits,
    *,
    reason: UnknownReason = "",
    actor: Actor = SYSTEM,
    **fields: Any,
) -> tuple[Service, list[NewEvent]]:
    """The service in `state` since `at`, with `fields` set as well, and its event. The same state and reason: no event."""
    if (service.state, service.reason) == (state, reason):
        return _if_changed(service, {"evidence": evidence, **fields}), []
    dated = max(at, service.since)
    fields = _flaps(service, state, dated, limits) | fields
    fields["last_known"] = _last_known(service, state)
    after = structs.replace(service, state=state, since=dated, reason=reason, evidence=evidence, **fields)
    return after, [state_event(service, after, actor)]


def state_event(before: Service, after: Service, actor: Actor, kind: str = "service.state") -> NewEvent:
    """The line of history of a change of state."""
    told: dict[str, Any] = {"state": after.state, "reason": after.reason}
    was: dict[str, Any] = {"state": before.state}
    if after.flapping != before.flapping:
        was["flapping"], told["flapping"] = before.flapping, after.flapping
    return service_event(after, kind, after.since, actor, was, told, after.evidence)


def service_event(
    service: Service, kind: str, at: Instant, actor: Actor, before: dict[str, Any], after: dict[str, Any], evidence: str
) -> NewEvent:
    """Any line of history about a service."""
    return NewEvent(
        at=at,
        kind=kind,
        subject_type="service",
        subject_id=service.id,
        actor_type=actor.type,
        actor_id=actor.id,
        channel=actor.channel,
        before=before,
        after=after,
        evidence=evidence,
    )


def quiet_at(service: Service, limits: Limits) -> Instant | None:
    """When a flapping service has been quiet long enough; None when it is not flapping."""
    return service.flaps[-1] + seconds(limits.flapping_window_s) if service.flapping and service.flaps else None


def is_quiet(service: Service, now: Instant, limits: Limits) -> bool:
    """True when the flapping mark is to be taken away."""
    quiet = quiet_at(service, limits)
    return service.flapping and (quiet is None or quiet <= now)


def earliest(*instants: Instant | None) -> Instant | None:
    """The first of the instants that are there."""
    return min((at for at in instants if at is not None), default=None)


def _last_known(service: Service, state: State) -> State | Literal[""]:
    """What is shown beside `unknown` and `paused`: the state before TaskDash or an operator looked away."""
    if state not in {"unknown", "paused"}:
        return ""
    return service.last_known if service.state in {"unknown", "paused"} and service.last_known else service.state


def _flaps(service: Service, state: State, at: Instant, limits: Limits) -> dict[str, Any]:
    """The flapping mark after going down or coming back; what lies between (late, unknown) leaves it alone."""
    is_change = state == "down" or (service.state == "down" and state in {"up", "new"})
    if not is_change:
        return {}
    window = seconds(limits.flapping_window_s)
    flaps = (*(flap for flap in service.flaps if flap > at - window), at)[-limits.flapping_changes :]
    return {"flaps": flaps, "flapping": service.flapping or len(flaps) >= limits.flapping_changes}


def _if_changed(service: Service, fields: dict[str, Any]) -> Service:
    """The service itself when nothing differs, so that nothing is written."""
    if all(getattr(service, name) == value for name, value in fields.items()):
        return service
    return structs.replace(service, **fields)
