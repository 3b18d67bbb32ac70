"""Registrations and beats by the batch: the one action behind every NSQ entrance, and its two HTTP twins. SPEC 2, 3.

Law: one transaction a batch, and no message hinders another: what cannot be read is a dead letter, who is not registered is
a listed sender, and when a batch cannot be stored because of one message, that one is found by halving and the others stay.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash import telemetry
from taskdash.actions.arrivals import Arrivals, Heard, Told, Topics, dead_of, sort_out
from taskdash.errors import RowRefused, TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Message, NewEvent, Sender, Service
from taskdash.rules import liveness
from taskdash.rules.deadlines import Limits, Pulse
from taskdash.rules.registration import register
from taskdash.store import beats, dead_letters, events, senders, services
from taskdash.store.beats import Moved
from taskdash.store.database import Database

_DEFAULTS = Limits()


class Counts(Struct, frozen=True):
    """What became of a batch, for the metrics."""

    registrations: int = 0
    beats: int = 0
    dead: int = 0
    unregistered: int = 0


async def store_batch(
    db: Database,
    messages: Sequence[Message],
    now: Instant,
    topics: Topics,
    *,
    limits: Limits = _DEFAULTS,
) -> Counts:
    """Store a batch; when it returns all of it is durable (R1). Raises StoreRefused, and then nothing of it is kept."""
    arrivals = await sort_out(messages, now, topics)
    try:
        return _counted(await db.write(lambda conn: _stored(conn, arrivals, now, limits)))
    except Exception as error:
        if _is_the_stores(error):
            raise
        return await _isolated(db, messages, now, topics, limits, error)


async def _isolated(
    db: Database, messages: Sequence[Message], now: Instant, topics: Topics, limits: Limits, error: Exception
) -> Counts:
    """Halve until the message that cannot be stored is alone, and make it a dead letter."""
    if len(messages) == 1:
        arrivals = dead_of(messages, f"TaskDash could not store it ({type(error).__name__})", now)
        return _counted(await db.write(lambda conn: _stored(conn, arrivals, now, limits)))
    half = len(messages) // 2
    first = await store_batch(db, messages[:half], now, topics, limits=limits)
    second = await store_batch(db, messages[half:], now, topics, limits=limits)
    return Counts(
        first.registrations + second.registrations,
        first.beats + second.beats,
        first.dead + second.dead,
        first.unregistered + second.unregistered,
    )


def _counted(counts: Counts) -> Counts:
    """The same, for /metrics too: what is durable counts, once."""
    telemetry.messages_stored.inc(counts.registrations + counts.beats + counts.dead)
    telemetry.dead_letters.inc(counts.dead)
    return counts


def _is_the_stores(error: Exception) -> bool:
    """True when every message would meet the same: try the whole batch again later."""
    return isinstance(error, TaskDashError) and not isinstance(error, RowRefused)


def _stored(conn: Connection, arrivals: Arrivals, now: Instant, limits: Limits) -> Counts:
    batch = Batch(conn, now, limits)
    batch.register(arrivals.told)
    unregistered = batch.hear(arrivals.heard)
    batch.save()
    senders.add(conn, unregistered)
    dead_letters.append(conn, arrivals.letters)
    unheard = sum(sender.count for sender in unregistered)
    return Counts(len(arrivals.told), arrivals.beats, arrivals.dead, unheard)


class Batch:
    """The services that one transaction hears of, while registrations and beats are folded over them."""

    def __init__(self, conn: Connection, now: Instant, limits: Limits) -> None:
        self._conn = conn
        self._now = now
        self._limits = limits
        self._stored: dict[str, Service] = {}
        self._services: dict[str, Service] = {}
        self._moved: list[Moved] = []
        self._events: list[NewEvent] = []

    def register(self, told: Sequence[Told]) -> None:
        """Fold the registrations in their order; who registers is no unregistered sender any more."""
        self._load(dict.fromkeys(one.registration.id for one in told))
        for one in told:
            known = self._services.get(one.registration.id)
            self._keep(*register(known, one.registration, one.at, self._now, one.source, one.actor, self._limits))
        senders.forget(self._conn, [key for key in self._services if key not in self._stored])

    def hear(self, heard: dict[str, Heard]) -> list[Sender]:
        """Move what beat; returns who is not registered."""
        ids = [key for key in heard if key not in self._services]
        rows = beats.load(self._conn, ids)
        self._load([key for key, row in rows.items() if heard[key].goodbyes or not self._is_plain(row, heard[key])])
        unregistered = [_sender(key, heard[key], self._now) for key in ids if key not in rows]
        for key, one in heard.items():
            if key in self._services:
                self._judge(key, one)
        return unregistered

    def save(self) -> None:
        """Write what changed, each in one statement."""
        changed = [after for key, after in self._services.items() if self._stored.get(key) is not after]
        services.save(self._conn, changed)
        beats.save(self._conn, self._moved)
        events.append(self._conn, self._events)

    def _load(self, ids: Iterable[str]) -> None:
        found = services.load_many(self._conn, ids)
        self._stored.update(found)
        self._services.update(found)

    def _keep(self, after: Service, new: Sequence[NewEvent]) -> None:
        self._services[after.id] = after
        self._events.extend(new)

    def _is_plain(self, pulse: Pulse, heard: Heard) -> bool:
        """Note what the beats move when they change nothing else; False: the whole service is needed."""
        moved = None
        for at, source in heard.in_order():
            if at <= (pulse.last_beat_at or 0):
                continue
            if moved:
                pulse = structs.replace(
                    pulse,
                    last_beat_at=moved.last_beat_at,
                    due_at=moved.due_at,
                    beat_bits=moved.beat_bits,
                    beat_known=moved.beat_known,
                )
            moved = liveness.plain_beat(pulse, at, self._now, source, self._limits)
            if moved is None:
                return False
        if moved:
            self._moved.append((pulse.pk, moved))
        return True

    def _judge(self, key: str, heard: Heard) -> None:
        """A beat that changes more than the deadline, or a goodbye: the whole rule over the whole service."""
        for at, source in heard.in_order():
            self._keep(*liveness.beat(self._services[key], at, self._now, source, self._limits))
        for at, address in sorted(heard.goodbyes):
            self._keep(*liveness.goodbye(self._services[key], at, self._now, self._limits, address=address))


def _sender(key: str, heard: Heard, now: Instant) -> Sender:
    ats = [at for at, _source in (*heard.beats, *heard.goodbyes)]
    return Sender(id=key, first_at=min(ats), last_at=max(ats), count=heard.count, sender=heard.sender)
