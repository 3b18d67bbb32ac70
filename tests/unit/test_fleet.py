"""What several instances see together (SPEC 3): one that is blind makes nobody blind."""

from typing import Any

from taskdash.model.instants import Instant, seconds
from taskdash.rules.fleet import Heard, Report, merged
from taskdash.rules.sight import Source, Span, joined
from tests.support import NOW

NODE = "nsqd:10.0.0.1:4150"


def at(s: float) -> Instant:
    return NOW + seconds(s)


def one(name: str = NODE, *, healthy: bool = True, since: float = 0, **fields: Any) -> Report:
    source = Source(name=name, healthy=healthy, since=at(since), **fields)
    return Report(inputs=(Heard(source),))


def together(*reports: Report, before: Source | None = None, looked: float = 50, restarted: float | None = None) -> Source:
    known = {before.name: before} if before else {}
    told = merged(known, reports, at(looked), at(restarted) if restarted is not None else None)
    assert len(told) == 1
    return next(iter(told.values())).source


def test_an_input_is_heard_while_any_instance_hears_it_since_the_first_of_them_does() -> None:
    blind = one(healthy=False, since=40, reason="refused")
    assert together(blind, one(since=10), one(since=20)) == Source(name=NODE, healthy=True, since=at(10))


def test_one_that_nobody_hears_is_lost_since_the_last_of_them_lost_it() -> None:
    lost = together(one(healthy=False, since=10), one(healthy=False, since=30, reason="cut"))
    assert (lost.healthy, lost.since, lost.reason) == (False, at(30), "cut")


def test_an_input_that_one_takes_over_from_another_was_heard_all_the_time() -> None:
    before = Source(name=NODE, healthy=True, since=at(0))
    assert together(one(since=40), before=before).since == at(0)


def test_an_input_that_came_back_between_two_looks_was_not_heard_all_the_time() -> None:
    before = Source(name=NODE, healthy=True, since=at(0))
    assert together(one(since=50.5), before=before).since == at(50.5)


def test_who_pushed_to_an_instance_that_is_gone_has_its_interval_to_find_another() -> None:
    before = Source(name="nsq", healthy=True, since=at(0))
    assert together(one("nsq", since=10), before=before, restarted=51).since == at(51)
    before = Source(name=NODE, healthy=True, since=at(0))
    assert together(one(since=10), before=before, restarted=51).since == at(0)


def test_a_message_at_any_instance_is_a_message_of_the_input() -> None:
    both = together(one(last_message_at=at(3)), one(last_message_at=at(9)), one())
    assert both.last_message_at == at(9)


def test_messages_of_all_instances_are_read_in_the_order_in_which_they_came() -> None:
    reports = [
        Report(inputs=(Heard(Source(name=NODE, healthy=True, since=NOW), arrivals),))
        for arrivals in (((at(1), 5), (at(4), 6)), ((at(2), 7),))
    ]
    assert merged({}, reports, NOW)[NODE].arrivals == ((at(1), 5), (at(2), 7), (at(4), 6))


def test_stalls_that_overlap_count_once() -> None:
    spans = joined((Span(at(0), at(10)), Span(at(30), at(40))), (Span(at(5), at(15)), Span(at(20), at(25))))
    assert spans == (Span(at(0), at(15)), Span(at(20), at(25)), Span(at(30), at(40)))
