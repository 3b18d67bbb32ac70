"""The real rules of liveness on simulated time: services that beat, crash and lose messages, a broker that stalls, TaskDash
that is off or overloaded, clocks that step. Half an hour of a hundred services takes about a second.

A false down is a service called `down` while its program lives. `late_s` of a found death is how long after the limit of
SPEC 3 TaskDash said so.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field, structs

from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.model.records import Incident, Service
from taskdash.rules import judgement
from taskdash.rules.deadlines import Limits, next_deadlines
from taskdash.rules.incidents import after_changes
from taskdash.rules.liveness import UrlAnswer, beat, plain_beat, registered
from taskdash.rules.sight import Crowd, Sight, Source, Span, crowd_of, follow, with_stall

START = 1_800_000_000 * seconds(1)
TICK_S = 1.0


class Program(Struct):
    """A task service as it really is."""

    id: str
    interval_s: float
    has_url: bool = False
    url_hangs: bool = False
    """When dead, its url hangs for 5 s instead of refusing."""
    loss: float = 0.0
    jitter_s: float = 0.2
    clock_s: float = 0.0
    """Kept for programs that put their own time into messages; TaskDash never reads it."""
    died_s: float | None = None
    beats_again_s: float | None = None
    last_sent_s: float = 0.0
    """When its last beat that was not lost left."""


class Found(Struct):
    """A death that was noticed."""

    id: str
    late_s: float
    said_s: float


class Report(Struct):
    """What came of a run."""

    false_downs: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    events: int = 0
    incidents: dict[str, Incident] = field(default_factory=dict)
    seen_states: set[tuple[str, str]] = field(default_factory=set)

    @property
    def latest_s(self) -> float:
        """The longest time past its limit that a death took to be named."""
        return max((found.late_s for found in self.found), default=0.0)


class World:
    """Simulated time in seconds since START. Schedule faults with `at`, then `run`."""

    def __init__(self, programs: list[Program], seed: int = 0, limits: Limits | None = None) -> None:
        self.random = random.Random(seed)
        self.limits = limits or Limits()
        self.programs = {program.id: program for program in programs}
        self.now_s = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = 0
        self.services: dict[str, Service] = {}
        self.answers: dict[str, UrlAnswer] = {}
        self.asking: set[str] = set()
        self.report = Report()
        # the broker between the programs and TaskDash
        self.delay: Callable[[], float] = lambda: self.random.uniform(0.001, 0.02)
        self.node_clock_s = 0.0
        self.repeats = 0.0
        self.drain_s = 1.0
        """How long the delivery of what waited takes."""
        self.stalled = False
        self.connected = True
        self.waiting: list[tuple[float, str]] = []
        # TaskDash
        self.runs = True
        self.standing_still = False
        self.started_s = 0.0
        self.source = Source(name="nsq", healthy=True, since=START)
        self.sight = Sight(started_at=START, sources={"nsq": self.source})
        self.arrivals: list[tuple[Instant, int]] = []
        self.next_tick_s = TICK_S
        for program in programs:
            self._register(program)
            self.at(self.random.uniform(0, program.interval_s), lambda program=program: self._beat(program))

    def instant(self, at_s: float | None = None) -> Instant:
        return START + seconds(self.now_s if at_s is None else at_s)

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        """Do something at that moment."""
        self.order += 1
        heapq.heappush(self.agenda, (when_s, self.order, act))

    def run(self, until_s: float) -> Report:
        self.at(self.now_s + TICK_S, self._tick)
        while self.agenda and self.agenda[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self.agenda)
            act()
        for program in self.programs.values():
            state = self.services[program.id].state
            self.report.states[program.id] = state
            if program.died_s is not None and state != "down":
                self.report.missed.append(program.id)
        return self.report

    # faults

    def stall_broker(self, from_s: float, length_s: float) -> None:
        """It stays connected and delivers nothing; what is sent meanwhile comes afterwards, in any order."""
        self.at(from_s, lambda: setattr(self, "stalled", True))
        self.at(from_s + length_s, self._resume_broker)

    def cut_broker(self, from_s: float, length_s: float) -> None:
        """As a stall, but TaskDash sees that it is not connected."""

        def cut() -> None:
            self.connected = False
            self._tell(healthy=False)

        def connect() -> None:
            self.connected = True
            self._tell(healthy=True)
            self._deliver_waiting()

        self.at(from_s, cut)
        self.at(from_s + length_s, connect)

    def turn_off(self, from_s: float, length_s: float) -> None:
        """TaskDash is not running; the broker keeps its messages."""
        self.at(from_s, lambda: setattr(self, "runs", False))
        self.at(from_s + length_s, self._start)

    def stand_still(self, from_s: float, length_s: float) -> None:
        """TaskDash does not get to run (SIGSTOP, a busy loop); then it sees everything at once."""
        self.at(from_s, lambda: setattr(self, "standing_still", True))
        self.at(from_s + length_s, lambda: self._wake(from_s))

    def step_node_clock(self, from_s: float, by_s: float) -> None:
        """The broker's clock steps: its message timestamps are wrong from now on."""
        self.at(from_s, lambda: setattr(self, "node_clock_s", self.node_clock_s + by_s))

    def kill(self, ids: list[str], at_s: float) -> None:
        for name in ids:
            self.at(at_s, lambda name=name: setattr(self.programs[name], "died_s", at_s))

    # programs and broker

    def _register(self, program: Program) -> None:
        url = f"http://{program.id}.example/tasks" if program.has_url else ""
        service = Service(id=program.id, name=program.id, interval_s=program.interval_s, url=url, source="nsq", pk=1)
        self.services[program.id], _ = registered(service, START, START, self.limits)

    def _beat(self, program: Program) -> None:
        if program.died_s is not None:
            return
        jitter = self.random.uniform(-program.jitter_s, program.jitter_s)
        self.at(self.now_s + program.interval_s + jitter, lambda: self._beat(program))
        if self.random.random() < program.loss:
            return
        program.last_sent_s = self.now_s
        self._send(self.now_s, program.id)
        if self.random.random() < self.repeats:
            self._send(self.now_s, program.id)

    def _send(self, sent_s: float, name: str) -> None:
        self.at(self.now_s + self.delay(), lambda: self._arrive(sent_s, name))

    def _arrive(self, sent_s: float, name: str) -> None:
        if self.stalled or not self.connected or not self.runs or self.standing_still:
            self.waiting.append((sent_s, name))
            return
        sent, now = self.instant(sent_s + self.node_clock_s), self.instant()
        self.arrivals.append((now, now - sent))
        service = self.services[name]
        if columns := plain_beat(service, sent, now, "nsq", self.limits):
            self.services[name] = structs.replace(service, **structs.asdict(columns))
            return
        self._store(service, *beat(service, sent, now, "nsq", self.limits))

    def _resume_broker(self) -> None:
        self.stalled = False
        self._deliver_waiting()

    def _deliver_waiting(self) -> None:
        """What waited comes bit by bit, in any order."""
        for sent_s, name in self.waiting:
            self.at(
                self.now_s + self.random.uniform(0, self.drain_s), lambda sent_s=sent_s, name=name: self._arrive(sent_s, name)
            )
        self.waiting = []

    # TaskDash

    def _tell(self, *, healthy: bool) -> None:
        told = structs.replace(self.source, healthy=healthy, since=self.instant(), reason="" if healthy else "cut")
        self.source = follow(self.source, told)

    def _start(self) -> None:
        self.runs = True
        self.answers, self.asking, self.arrivals = {}, set(), []
        self.source = Source(name="nsq", healthy=True, since=self.instant())
        self.sight = Sight(started_at=self.instant())
        self._deliver_waiting()

    def _wake(self, stopped_s: float) -> None:
        self.standing_still = False
        stalls = with_stall(self.sight.stalls, self.instant(stopped_s), self.instant(self.now_s + TICK_S))
        self.sight = structs.replace(self.sight, stalls=stalls)
        self.answers = {}
        self._deliver_waiting()

    def _tick(self) -> None:
        self.at(self.now_s + TICK_S, self._tick)
        if not self.runs or self.standing_still or self._settling():
            return
        now = self.instant()
        newest = self.arrivals[-1][0] if self.arrivals else self.source.last_message_at
        told = structs.replace(self.source, last_message_at=newest)
        self.source = follow(self.source, told, self.arrivals[-64:])
        self.arrivals = []
        due = [s for s in self.services.values() if s.due_at is not None and s.due_at <= now]
        facing = any(judgement.faces_verdict(s, now, self.limits) for s in due)
        sight = structs.replace(self.sight, sources={"nsq": self.source}, crowds=self._crowds(now) if facing else {})
        changes = [(s, self._judge(s, now, sight)) for s in due]
        opened, _ = after_changes(self._open_incidents(), changes, self.limits)
        self.report.incidents.update({i.id: i for i in opened})

    def _settling(self) -> bool:
        return any(span.ended > self.instant() for span in self.sight.stalls[-1:])

    def _open_incidents(self) -> list[Incident]:
        return [i for i in self.report.incidents.values() if i.state != "resolved"]

    def _crowds(self, now: Instant) -> dict[str, Crowd]:
        crowd = crowd_of(self.services.values(), now)
        answered = max((a.at for a in self.answers.values() if a.ok), default=None)
        return {"nsq": structs.replace(crowd, answered_at=answered)}

    def _judge(self, service: Service, now: Instant, sight: Sight) -> Service:
        after, events = judgement.next_state(service, now, sight, self.answers.get(service.id), self.limits)
        assert after.due_at is None or after.due_at > now, after
        self._store(service, after, events)
        if judgement.needs_answer(after, now, self.limits):
            self._ask(after)
        return after

    def _ask(self, service: Service) -> None:
        known = self.answers.get(service.id)
        if service.id in self.asking or (known and known.at > self.instant(self.now_s - 3)):
            return
        self.asking.add(service.id)
        asked = self.instant()
        program = self.programs[service.id]
        dead = program.died_s is not None
        took_s = 5.0 if dead and program.url_hangs else 0.02

        def answer() -> None:
            self.asking.discard(service.id)
            if self.runs and not self.standing_still:
                self.answers[service.id] = UrlAnswer(not dead, asked, took_s * 1000, "refused" if dead else "")

        self.at(self.now_s + took_s, answer)

    def _store(self, before: Service, after: Service, events: list[Any]) -> None:
        self.services[after.id] = after
        self.report.events += len(events)
        if (before.state, before.reason) == (after.state, after.reason):
            return
        assert len([e for e in events if e.kind == "service.state"]) == 1
        self.report.seen_states.add((after.state, after.reason))
        if after.state == "down":
            self._named_down(after)

    def _named_down(self, after: Service) -> None:
        program = self.programs[after.id]
        if program.died_s is None:
            self.report.false_downs.append(f"{after.id} at {self.now_s:.1f} s: {after.evidence}")
            return
        limit = next_deadlines(self.instant(program.last_sent_s), program.interval_s, self.limits).down_at
        self.report.found.append(Found(after.id, in_seconds(self.instant() - limit), self.now_s))


def programs(n: int, *, interval_s: float = 10.0, **fields: Any) -> list[Program]:
    """`n` programs that beat alike."""
    return [Program(f"service-{i}", interval_s, **fields) for i in range(n)]


def mixed_programs(n: int, seed: int) -> list[Program]:
    """Intervals from 1 s to a minute; half have a url."""
    chance = random.Random(seed)
    return [
        Program(f"service-{i}", chance.choice([1.0, 2.0, 5.0, 10.0, 10.0, 10.0, 30.0, 60.0]), chance.random() < 0.5)
        for i in range(n)
    ]


__all__ = ["Program", "Report", "Span", "World", "mixed_programs", "programs"]
