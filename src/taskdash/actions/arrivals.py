"""What arrived in one batch, read and sorted, before any transaction: registrations, beats, goodbyes, dead letters. SPEC 2."""

import asyncio
import re
from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from taskdash import telemetry
from taskdash.errors import TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, DeadLetter, Heartbeat, Message, Registration
from taskdash.rules.registration import heard_at, is_leaving
from taskdash.wire.messages import decode_heartbeat, decode_registration

MOST_BEATS_OF_ONE = 31
"""Of one service's beats in one batch only so many, the newest, count: its strip shows no more (SPEC 8)."""
MOST_LETTERS = 1_000
"""Of the messages of one batch that cannot be understood only so many, the newest, are written down: no more are kept."""
READ_AT_ONCE = 500
"""So many messages are read before the loop may do something else."""
_LOOKED_AT_BYTES = 8_192
"""More than is kept of a dead letter, so that a secret which is cut there is known for one."""
STRANGE_TOPIC = "the topic is none of TaskDash's"
SPLIT_HINT = "; it looks like one line of a pretty-printed object: text /mpub ends a message at each newline"
_SPLIT = re.compile(rb'\s*(?:[\[\]{}]+,?|"[^"]*"\s*:\s*.*?,?)\s*', re.DOTALL)


class Topics(Struct, frozen=True):
    """The names of the two topics (settings)."""

    services: str = "taskdash.services"
    heartbeats: str = "taskdash.heartbeats"


class Told(Struct, frozen=True):
    """One registration, the instant it counts at, the input it came through, and who sent it."""

    registration: Registration
    at: Instant
    source: str
    actor: Actor


class Heard(Struct):
    """All that one id beat in a batch."""

    beats: list[tuple[Instant, str]] = field(default_factory=list)
    """(instant, source)"""
    goodbyes: list[tuple[Instant, str]] = field(default_factory=list)
    """(instant, address that it came from)"""
    count: int = 0
    sender: str = ""

    def in_order(self) -> list[tuple[Instant, str]]:
        """The beats that count, oldest first, each instant once."""
        if len(self.beats) == 1:
            return self.beats
        return sorted(dict(self.beats).items())[-MOST_BEATS_OF_ONE:]


class Arrivals(Struct):
    """One batch, sorted."""

    told: list[Told] = field(default_factory=list)
    heard: dict[str, Heard] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    unread: deque[tuple[Message, str]] = field(default_factory=lambda: deque(maxlen=MOST_LETTERS))
    """(message, why it cannot be understood)"""
    dead: int = 0
    beats: int = 0

    def give_up(self, message: Message, reason: str) -> None:
        """It becomes a dead letter, if it is among the newest."""
        self.dead += 1
        self.unread.append((message, reason))


async def sort_out(messages: Sequence[Message], now: Instant, topics: Topics) -> Arrivals:
    """Read every message; one that cannot be understood becomes a dead letter and never an error. Lets others run between."""
    arrivals = Arrivals()
    for start in range(0, len(messages), READ_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        _read_some(arrivals, messages[start : start + READ_AT_ONCE], now, topics)
    for message, reason in arrivals.unread:
        hint = "" if reason == STRANGE_TOPIC else split_hint(message.body)
        arrivals.letters.append(letter(message, reason + hint, now))
    return arrivals


def _read_some(arrivals: Arrivals, messages: Iterable[Message], now: Instant, topics: Topics) -> None:
    for message in messages:
        try:
            if message.topic == topics.heartbeats:
                _beats(arrivals, decode_heartbeat(message.body), heard_at(message.sent_at, now), message)
            elif message.topic == topics.services:
                arrivals.told.append(_told(decode_registration(message.body), heard_at(message.sent_at, now), message))
            else:
                arrivals.give_up(message, STRANGE_TOPIC)
        except TaskDashError as error:
            arrivals.give_up(message, error.detail)


def _told(registration: Registration, at: Instant, message: Message) -> Told:
    actor = Actor(type="service", id=registration.id, channel="nsq", address=message.sender)
    return Told(registration, at, message.source, actor)


def _beats(arrivals: Arrivals, beat: Heartbeat, at: Instant, message: Message) -> None:
    arrivals.beats += 1
    heard = arrivals.heard.get(beat.id)
    if heard is None:
        heard = arrivals.heard[beat.id] = Heard(sender=message.sender)
    heard.count += 1
    if beat.reserved and is_leaving(beat.reserved):
        heard.goodbyes.append((at, message.sender))
    else:
        heard.beats.append((at, message.source))


def letter(message: Message, reason: str, now: Instant) -> DeadLetter:
    """The dead letter of a message: what may be a secret in its body is blotted out (RELIABILITY R159); the store cuts it."""
    size = len(message.body)
    return DeadLetter(
        at=now,
        topic=message.topic,
        reason=reason,
        body=telemetry.redacted_bytes(message.body[:_LOOKED_AT_BYTES]),
        size_bytes=size,
        source=message.source,
        sender=message.sender,
    )


def split_hint(body: bytes) -> str:
    """What to add to a reason when a body is what is left of a pretty-printed object; else nothing."""
    return SPLIT_HINT if len(body) < 9_000 and _SPLIT.fullmatch(body) else ""


def dead_of(messages: Sequence[Message], reason: str, now: Instant) -> Arrivals:
    """A batch of nothing but dead letters."""
    return Arrivals(letters=[letter(message, reason, now) for message in messages], dead=len(messages))
