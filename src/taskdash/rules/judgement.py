"""The state of a service whose stored deadline has passed. Pure. SPEC 3.

Judged in this order: paused, left, startup, input, mass, then its own deadlines. What beats, pauses and registrations do
is in `rules.liveness`. Every outcome has a `due_at`: when to look again, or None when there is nothing to wait for.
"""

from typing import Any

from msgspec import Struct, structs

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import SYSTEM, NewEvent, Service, UnknownReason
from taskdash.rules import outage
from taskdash.rules.deadlines import Deadlines, Limits, alive_at, cadence_s, next_deadlines
from taskdash.rules.evidence import duration, moment, say, sentence
from taskdash.rules.liveness import ASK_BEFORE_S, UrlAnswer, archive, resume
from taskdash.rules.outage import Suspicion, View
from taskdash.rules.sight import URLS, Sight, stalled
from taskdash.rules.transitions import changed, earliest, is_quiet, quiet_at

Outcome = tuple[Service, list[NewEvent]]
ANSWER_GOOD_FOR_S = 10.0
"""An answer counts as asked at once for so long,"""
LOOK_AGAIN_S = 8.0
"""and one that is not to be judged by its beats is looked at more often than that."""
BLIND_S = 30.0
"""How often one is looked at of which nothing can be known: its own beat ends that at once, so this may be slow."""
REST_S = 15.0
"""How often a service that is down is looked at for a good collection since."""
WAIT_FOR_ANSWER_S = 1.0


class Case(Struct, frozen=True, kw_only=True):
    """One service before its judge: its deadlines, with TaskDash's own stalls added to them."""

    service: Service
    now: Instant
    url: UrlAnswer | None
    limits: Limits
    sight: Sight
    heard: Instant
    late_at: Instant
    down_at: Instant
    view: View


def needs_answer(service: Service, now: Instant, limits: Limits) -> bool:
    """True when its url is to be asked now: it is overdue, or judged by its url alone and not yet known."""
    if not service.url or service.archived_at is not None or service.state in {"paused", "left", "down"}:
        return False
    if not service.interval_s and service.state == "new" and service.collect_ok_at is None:
        return True
    return now >= next_deadlines(alive_at(service), cadence_s(service), limits).late_at


def faces_verdict(service: Service, now: Instant, limits: Limits) -> bool:
    """True when its limit for `down` has passed: then the crowd of its input must be known."""
    if service.archived_at is not None or service.state in {"paused", "left", "down"}:
        return False
    return now >= next_deadlines(alive_at(service), cadence_s(service), limits).down_at


def next_state(service: Service, now: Instant, sight: Sight, url: UrlAnswer | None, limits: Limits) -> Outcome:
    """The service as it is to be from now on. `url`: what became of asking it lately, None when it was not asked (yet)."""
    if service.archived_at is not None:
        return structs.replace(service, due_at=None), []
    if service.state == "paused":
        return _paused(service, now, limits)
    service = _calmed(service, now, limits)
    if service.state in {"left", "down"}:
        return _resting(service, now, limits)
    after, events = _judged(_case(service, now, sight, url, limits))
    return structs.replace(after, due_at=earliest(after.due_at, quiet_at(after, limits))), events


def _paused(service: Service, now: Instant, limits: Limits) -> Outcome:
    if service.paused_until is None or now < service.paused_until:
        return structs.replace(service, due_at=service.paused_until), []
    return resume(service, SYSTEM, service.paused_until, now, limits)


def _calmed(service: Service, now: Instant, limits: Limits) -> Service:
    return structs.replace(service, flapping=False, flaps=()) if is_quiet(service, now, limits) else service


def _resting(service: Service, now: Instant, limits: Limits) -> Outcome:
    """`down` and `left` end by a message, by a url that answers again, or in the archive."""
    ends_at = service.since + seconds(limits.archive_after_s)
    if now >= ends_at:
        why = f"archived_{service.state}"
        return archive(service, SYSTEM, ends_at, say(why, gap=duration(ends_at - service.since)))
    if service.state == "down" and (service.collect_ok_at or 0) > service.since:
        return _answers_again(service, now, limits)
    look = now + seconds(REST_S) if service.state == "down" and service.url else None
    return structs.replace(service, due_at=earliest(ends_at, look, quiet_at(service, limits))), []


def _answers_again(service: Service, now: Instant, limits: Limits) -> Outcome:
    answered_at = service.collect_ok_at or now
    answer = _said(UrlAnswer(True, answered_at, service.collect_took_ms or 0.0))
    due = next_deadlines(answered_at, cadence_s(service), limits).late_at
    if not service.interval_s:
        return changed(service, "up", answered_at, say("up_url", answer=answer), limits, due_at=due)
    evidence = sentence("late_url", silence=_silence(service, alive_at(service), now), answer=answer)
    return changed(service, "late", answered_at, evidence, limits, due_at=_look_again(service, now))


def _case(service: Service, now: Instant, sight: Sight, url: UrlAnswer | None, limits: Limits) -> Case:
    heard = alive_at(service)
    if not service.interval_s and url is not None and url.ok:
        heard = max(heard, url.at)
    own = stalled(sight.stalls, heard, now)
    deadlines = next_deadlines(heard, cadence_s(service), limits)
    view = outage.view(service, heard, now, sight, limits)
    until = (view.until or 0) + stalled(sight.stalls, view.since, now) if view.until else 0
    return Case(
        service=service,
        now=now,
        url=url,
        limits=limits,
        sight=sight,
        heard=heard,
        late_at=deadlines.late_at + own,
        down_at=max(deadlines.down_at + own, until),
        view=structs.replace(view, until=until) if view.until else view,
    )


def _judged(case: Case) -> Outcome:
    if not case.service.interval_s and not case.service.url:
        return structs.replace(case.service, due_at=None), []
    if case.now < case.late_at:
        return _in_time(case)
    if case.view.is_blind(case.now) and not case.view.is_held:
        return _blind(case)
    if case.now < case.down_at:
        return _late(case)
    return _verdict(case)


def _in_time(case: Case) -> Outcome:
    """Not overdue. One that is judged by its url is up when it answered lately; others stay what they are."""
    service, asked = case.service, case.url
    if asked is None or not asked.ok:
        asked = UrlAnswer(True, service.collect_ok_at or 0, service.collect_took_ms or 0.0)
    if service.interval_s or case.now >= asked.at + (case.late_at - case.heard):
        return structs.replace(service, due_at=case.late_at), []
    evidence = service.evidence if service.state == "up" else say("up_url", answer=_said(asked))
    return changed(service, "up", asked.at, evidence, case.limits, due_at=case.late_at)


def _blind(case: Case) -> Outcome:
    view, service = case.view, case.service
    began = case.sight.started_at if view.reason == "startup" else view.since
    evidence = sentence(view.key, silence=_silence(service, case.heard, case.now), **view.facts)
    due = case.now + seconds(BLIND_S) if view.until is None else _ask_then(service, case.now, view.until)
    return _unknown(case, view.reason, max(case.late_at, began), evidence, due)


def _unknown(case: Case, reason: UnknownReason, at: Instant, evidence: str, due_at: Instant) -> Outcome:
    """Another reason than before counts as a change, because people are told it and `mass` has a hold of its own."""
    dated = min(at, case.now)
    return changed(case.service, "unknown", dated, evidence, case.limits, reason=reason, due_at=due_at)


def _late(case: Case) -> Outcome:
    due = _ask_then(case.service, case.now, case.down_at)
    limit = duration(_rule(case).late_at - case.heard)
    evidence = sentence("late", silence=_silence(case.service, case.heard, case.now), limit=limit)
    if case.service.state == "late":
        evidence = case.service.evidence
    return changed(case.service, "late", case.late_at, evidence, case.limits, due_at=due)


def _verdict(case: Case) -> Outcome:
    """Past the limit, and TaskDash sees: its url decides between late and down, the mass rule between down and unknown."""
    service, now = case.service, case.now
    answer = _usable(case)
    if service.url and answer is None:
        return _wait(case)
    if answer is not None and answer.ok:
        evidence = sentence("late_url", silence=_silence(service, case.heard, now), answer=_said(answer))
        at = answer.at if service.state == "unknown" else case.late_at
        return changed(service, "late", at, evidence, case.limits, due_at=_look_again(service, now))
    suspicion = outage.suspect(service, case.heard, case.sight, case.limits)
    return _suspected(case, answer, suspicion) if suspicion else _down(case, "down", _since(case), answer)


def _wait(case: Case) -> Outcome:
    """Its url has not answered yet: late meanwhile, or what it was."""
    due_at = case.now + seconds(WAIT_FOR_ANSWER_S)
    if case.service.state in {"late", "unknown"}:
        return structs.replace(case.service, due_at=due_at), []
    late, events = _late(case)
    return structs.replace(late, due_at=due_at), events


def _since(case: Case) -> Instant:
    """Down since its limit passed; after a hold, since the input was believed again."""
    return case.now if case.service.reason == "mass" else case.down_at


def _suspected(case: Case, answer: UrlAnswer | None, suspicion: Suspicion) -> Outcome:
    service, crowd = case.service, suspicion.crowd
    source = service.source if service.interval_s else URLS
    facts = {"silent": crowd.silent, "all": crowd.all, "source": source or "its input"}
    others_answer = (crowd.answered_at or 0) > case.heard + 2 * seconds(cadence_s(service))
    if answer is not None and others_answer:
        return _down(case, "down_mass", _since(case), answer, **facts)
    began = service.since if service.reason == "mass" else case.down_at
    ends_at = began + seconds(case.limits.mass_hold_s) + stalled(case.sight.stalls, began, case.now)
    if suspicion.until is not None:
        ends_at = min(ends_at, suspicion.until)
    if case.now >= ends_at:
        return _down(case, "down_held", ends_at, answer, hold=duration(ends_at - began))
    evidence = sentence("unknown_mass", silence=_silence(service, case.heard, case.now), **facts)
    due = min(case.now + seconds(BLIND_S), _ask_then(service, case.now, ends_at))
    return _unknown(case, "mass", case.down_at, evidence, due)


def _down(case: Case, key: str, at: Instant, answer: UrlAnswer | None, **facts: Any) -> Outcome:
    service = case.service
    said = say("no_url") if answer is None else _said(answer)
    silence = _silence(service, case.heard, case.now)
    evidence = sentence(key, silence=silence, limit=duration(_rule(case).down_at - case.heard), answer=said, **facts)
    after, events = changed(service, "down", min(at, case.now), evidence, case.limits)
    look = case.now + seconds(REST_S) if service.url else None
    return structs.replace(after, due_at=earliest(after.since + seconds(case.limits.archive_after_s), look)), events


def _rule(case: Case) -> Deadlines:
    """The limits of SPEC 3 alone, which evidence names; the case's own are later by the time TaskDash could not see."""
    return next_deadlines(case.heard, cadence_s(case.service), case.limits)


def _usable(case: Case) -> UrlAnswer | None:
    """The answer, when it was asked lately enough to count as asked at once."""
    if case.url is None or not case.service.url or case.url.at < case.now - seconds(ANSWER_GOOD_FOR_S):
        return None
    return case.url


def _ask_then(service: Service, now: Instant, at: Instant) -> Instant:
    """When to look next if `at` is the deadline: a url is asked again shortly before, so that the verdict need not wait."""
    ask_at = at - seconds(ASK_BEFORE_S)
    return ask_at if service.url and ask_at > now else at


def _look_again(service: Service, now: Instant) -> Instant:
    return now + seconds(min(cadence_s(service), LOOK_AGAIN_S))


def _silence(service: Service, heard: Instant, now: Instant) -> str:
    """The part of the sentence that says how long nothing was heard, and since what."""
    if not service.interval_s:
        key = "no_answer_since"
    elif heard == service.last_beat_at:
        key = "no_beat"
    else:
        key = "no_beat_resumed" if heard == service.judge_from else "no_first_beat"
    return say(key, gap=duration(now - heard), at=moment(heard))


def _said(answer: UrlAnswer) -> str:
    if answer.ok:
        return say("url_answered", took=duration(round(answer.took_ms * 1_000_000)), at=moment(answer.at))
    return say("url_refused", at=moment(answer.at), error=answer.error or "no reason given")
