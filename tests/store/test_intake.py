"""The one action behind every NSQ entrance, over a real store (SPEC 2, 3)."""

import json
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection

from taskdash import telemetry
from taskdash.actions import arrivals, intake
from taskdash.actions.arrivals import SPLIT_HINT, Topics
from taskdash.actions.intake import Counts, store_batch
from taskdash.actions.services import delete_service, heartbeat, register_service
from taskdash.errors import Forbidden, NotFound, StoreRefused
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, DeadLetter, Heartbeat, Message, Registration, Service
from taskdash.store import dead_letters, events, senders, services, tasks
from taskdash.store.database import Database
from tests.support import NOW, a_task

TOPICS = Topics()
PROGRAM = Actor(type="user", id="bot", channel="api", role="viewer", scopes=("ingest",))
ADMIN = Actor(type="user", id="root", channel="web", role="admin")


def a_registration(service_id: str = "billing", at: Instant = NOW, source: str = "nsq", **fields: Any) -> Message:
    return Message(TOPICS.services, json.dumps({"id": service_id, **fields}).encode(), at, source)


def a_beat(service_id: str = "billing", at: Instant = NOW, source: str = "nsq", **fields: Any) -> Message:
    return Message(TOPICS.heartbeats, json.dumps({"id": service_id, **fields}).encode(), at, source, "10.0.0.9:4000")


async def store(db: Database, *messages: Message, now: Instant = NOW) -> Counts:
    return await store_batch(db, messages, now, TOPICS)


async def service(db: Database, service_id: str = "billing") -> Service:
    found = await db.read(lambda conn: services.load(conn, service_id))
    assert found is not None
    return found


async def history(db: Database) -> list[tuple[str, str]]:
    return [(event.kind, event.subject_id) for event in await db.read(lambda conn: events.after(conn, 0))]


async def test_a_registration_becomes_a_service_that_is_asked_at_once(db: Database) -> None:
    counts = await store(db, a_registration(name="Billing", url="http://10.0.0.1/tasks"))
    stored = await service(db)
    assert (stored.name, stored.state, stored.registered_at, stored.collect_at, stored.source) == (
        "Billing", "new", NOW, NOW, "nsq",
    )  # fmt: skip
    assert stored.due_at is not None
    assert counts == Counts(registrations=1)
    (event,) = await db.read(lambda conn: events.after(conn, 0))
    assert (event.kind, event.actor_type, event.actor_id, event.channel) == (
        "service.registered", "service", "billing", "nsq",
    )  # fmt: skip
    assert event.after == {"name": "Billing", "url": "http://10.0.0.1/tasks"}


async def test_registering_twice_is_one_service_and_one_event(db: Database) -> None:
    for _ in range(2):
        await store(db, a_registration(name="Billing"), a_registration(name="Billing"))
    assert await history(db) == [("service.registered", "billing")]


async def test_registrations_of_one_batch_are_folded_in_their_order(db: Database) -> None:
    await store(
        db, a_registration(name="a", at=NOW - 2), a_registration(name="b", at=NOW - 1), a_registration("other", name="c")
    )
    assert (await service(db)).name == "b"
    assert await history(db) == [
        ("service.registered", "billing"), ("service.changed", "billing"), ("service.registered", "other"),
    ]  # fmt: skip


async def test_R4_a_late_old_registration_overwrites_nothing_that_is_stored(db: Database) -> None:
    await store(db, a_registration(name="new", at=NOW))
    await store(db, a_registration(name="old", at=NOW - 5), now=NOW + 5)
    assert (await service(db)).name == "new"


async def test_a_registration_and_its_first_beat_in_one_batch_make_it_up(db: Database) -> None:
    await store(db, a_beat(at=NOW + 2), a_registration(at=NOW + 1), now=NOW + 2)
    stored = await service(db)
    assert (stored.state, stored.last_beat_at) == ("up", NOW + 2)
    assert await history(db) == [("service.registered", "billing"), ("service.state", "billing")]


async def test_a_plain_beat_moves_the_deadline_and_writes_no_event(db: Database) -> None:
    await store(db, a_registration(), a_beat(at=NOW), now=NOW)
    await store(db, a_beat(at=NOW + 1), now=NOW + 1)
    before, lines = await service(db), await history(db)
    later = NOW + seconds(10)
    await store(db, a_beat(at=later, source="nsq-http"), now=later)
    after = await service(db)
    assert (after.last_beat_at, after.source) == (later, "nsq-http")
    assert (after.due_at or 0) - (before.due_at or 0) == later - (before.last_beat_at or 0)
    assert await history(db) == lines


async def test_of_the_beats_of_one_batch_the_newest_counts_and_each_fills_its_slot(db: Database) -> None:
    await store(db, a_registration(), now=NOW)
    await store(db, a_beat(at=NOW + 1), now=NOW + 1)
    beats = [a_beat(at=NOW + seconds(n)) for n in (10, 30, 20)]
    await store(db, *beats, now=NOW + seconds(30))
    stored = await service(db)
    assert stored.last_beat_at == NOW + seconds(30)
    assert stored.beat_bits & 0b1111 == 0b1111


async def test_a_beat_that_is_older_than_the_last_changes_nothing(db: Database) -> None:
    await store(db, a_registration(), now=NOW)
    await store(db, a_beat(at=NOW + 5), now=NOW + 5)
    before = await service(db)
    await store(db, a_beat(at=NOW + 3), a_beat(at=NOW + 5), now=NOW + 6)
    assert await service(db) == before


async def test_R8_a_backlog_of_old_beats_does_not_make_a_dead_service_look_alive(db: Database) -> None:
    await store(db, a_registration(), now=NOW)
    await db.write(lambda conn: conn.exec_driver_sql("UPDATE services SET state = 'down'"))
    late = NOW + seconds(600)
    await store(db, *[a_beat(at=NOW + seconds(n)) for n in range(1, 300, 10)], now=late)
    stored = await service(db)
    assert (stored.state, stored.last_beat_at) == ("down", NOW + seconds(291))


async def test_a_beat_from_the_future_counts_as_now(db: Database) -> None:
    await store(db, a_registration(), now=NOW)
    await store(db, a_beat(at=NOW + seconds(3_600)), now=NOW + 1)
    assert (await service(db)).last_beat_at == NOW + 1


async def test_a_goodbye_in_a_beat_or_in_a_registration_makes_it_left(db: Database) -> None:
    leaving = '{"leaving": true}'
    await store(db, a_registration("a"), a_registration("b", reserved=leaving), now=NOW)
    await store(db, a_beat("a", at=NOW + 1), now=NOW + 1)
    await store(db, a_beat("a", at=NOW + 2, reserved=leaving), now=NOW + 2)
    assert [(await service(db, key)).state for key in "ab"] == ["left", "left"]


async def test_a_beat_after_its_own_goodbye_in_one_batch_makes_it_up_again(db: Database) -> None:
    await store(db, a_registration(), now=NOW)
    await store(db, a_beat(at=NOW + 1, reserved='{"leaving": true}'), a_beat(at=NOW + 2), now=NOW + 2)
    assert (await service(db)).state == "up"


async def test_a_service_that_was_down_is_asked_at_once_when_it_registers_again(db: Database) -> None:
    await store(db, a_registration(url="http://10.0.0.1/"), now=NOW)
    await db.write(lambda conn: conn.exec_driver_sql("UPDATE services SET state = 'down', collect_at = 9"))
    later = NOW + seconds(60)
    await store(db, a_registration(url="http://10.0.0.1/", at=later), now=later)
    stored = await service(db)
    assert (stored.state, stored.collect_at) == ("new", later)


async def test_a_beat_of_an_unknown_id_is_listed_as_a_sender_until_it_registers(db: Database) -> None:
    counts = await store(db, a_beat("ghost", at=NOW - 5), a_beat("ghost", at=NOW - 2), now=NOW)
    await store(db, a_beat("ghost", at=NOW + 5), now=NOW + 5)
    (sender,) = await db.read(senders.page)
    assert (sender.id, sender.first_at, sender.last_at, sender.count, sender.sender) == (
        "ghost", NOW - 5, NOW + 5, 3, "10.0.0.9:4000",
    )  # fmt: skip
    assert counts == Counts(beats=2, unregistered=2)
    await store(db, a_registration("ghost"))
    assert await db.read(senders.page) == []


async def test_R108_only_the_last_ten_thousand_senders_are_kept(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "KEPT", 3)
    for n in range(5):
        await store(db, a_beat(f"ghost-{n}", at=NOW + n), now=NOW + n)
    assert [sender.id for sender in await db.read(senders.page)] == ["ghost-2", "ghost-3", "ghost-4"]


async def test_R79_a_message_that_cannot_be_understood_is_kept_with_its_reason_and_hinders_no_other(db: Database) -> None:
    bad = Message(TOPICS.services, b'{"id": 133}' + b" " * 5_000, NOW, "nsq-http", "10.0.0.9:4000")
    counts = await store(db, bad, a_registration(name="Billing"), Message("other", b"{}", NOW, "nsq"))
    assert counts == Counts(registrations=1, dead=2)
    other, letter = await db.read(dead_letters.page)
    assert (letter.topic, letter.reason, letter.size_bytes, len(letter.body)) == (
        TOPICS.services, "id: expected `str`, got `int`", 5_011, 4_096,
    )  # fmt: skip
    assert (letter.source, letter.sender, letter.at) == ("nsq-http", "10.0.0.9:4000", NOW)
    assert other.reason == "the topic is none of TaskDash's"
    assert await db.read(lambda conn: dead_letters.load(conn, letter.id)) == letter
    assert await db.read(lambda conn: dead_letters.load(conn, 99)) is None


@pytest.mark.parametrize("line", ["{", "}", '    "id": "133",', '  "reserved": "{}"', "]", "[{"])
async def test_the_remains_of_a_pretty_printed_object_are_told_from_other_rubbish(db: Database, line: str) -> None:
    await store(db, Message(TOPICS.services, line.encode(), NOW, "nsq-http"))
    (letter,) = await db.read(dead_letters.page)
    assert letter.reason.endswith(SPLIT_HINT)


@pytest.mark.parametrize("body", [b"rubbish", b"\xff\xfe", b'{"id": ""}', b"<html>"])
async def test_other_rubbish_has_no_hint(db: Database, body: bytes) -> None:
    await store(db, Message(TOPICS.heartbeats, body, NOW, "nsq-http"))
    (letter,) = await db.read(dead_letters.page)
    assert SPLIT_HINT not in letter.reason


async def test_R108_the_last_thousand_dead_letters_are_kept(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "KEPT", 3)
    for n in range(5):
        await store(db, Message(TOPICS.services, b"%d" % n, NOW, "nsq"))
    await store(db, *[Message(TOPICS.services, b"[%d]" % n, NOW, "nsq") for n in range(2)])
    kept = await db.read(dead_letters.page)
    assert [letter.body for letter in kept] == [b"[1]", b"[0]", b"4"]
    assert await db.read(lambda conn: dead_letters.page(conn, before_id=kept[1].id, limit=1)) == [kept[2]]
    reasons = await db.read(dead_letters.by_reason)
    assert sum(count for _reason, count in reasons) == 3


async def test_a_message_that_cannot_be_stored_takes_no_other_with_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def register(known: Any, told: Registration, *rest: Any) -> Any:
        if told.id == "poison":
            raise KeyError("a mistake of ours")
        return real(known, told, *rest)

    real = intake.register
    monkeypatch.setattr(intake, "register", register)
    good = [a_registration(f"s-{n}") for n in range(6)]
    counts = await store(db, *good[:3], a_registration("poison"), *good[3:], a_beat("ghost"))
    assert counts == Counts(registrations=6, beats=1, dead=1, unregistered=1)
    (letter,) = await db.read(dead_letters.page)
    assert letter.reason == "TaskDash could not store it (KeyError)"
    assert len(await history(db)) == 6


async def test_a_row_that_the_store_refuses_takes_no_other_with_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE UNIQUE INDEX poison ON services ((0)) WHERE id IN ('a', 'poison')")

    await db.write(poison)
    counts = await store(db, a_registration("a"), a_registration("poison"), a_registration("b"))
    assert (counts.registrations, counts.dead) == (2, 1)


async def test_R2_a_store_that_refuses_is_not_the_fault_of_a_message(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_conn: Connection, changed: list[Service]) -> None:
        if changed:
            raise StoreRefused("the disk is full", code="SQLITE_FULL")

    monkeypatch.setattr(services, "save", full)
    with pytest.raises(StoreRefused):
        await store(db, a_registration("a"), Message(TOPICS.services, b"rubbish", NOW, "nsq"))
    assert await db.read(dead_letters.page) == []


async def test_an_empty_batch_is_stored(db: Database) -> None:
    assert await store(db) == Counts()


async def test_a_service_registers_and_beats_by_plain_http(db: Database) -> None:
    created = await register_service(db, PROGRAM, Registration(id="billing", name="Billing"), NOW)
    assert (created.name, created.source) == ("Billing", "http")
    assert created.pk
    await heartbeat(db, PROGRAM, Heartbeat(id="billing"), NOW + 1)
    assert (await service(db)).state == "up"
    await heartbeat(db, PROGRAM, Heartbeat(id="billing", reserved='{"leaving": true}'), NOW + 2)
    assert (await service(db)).state == "left"
    (event,) = await db.read(lambda conn: events.after(conn, 0, 1))
    assert (event.actor_type, event.actor_id, event.channel) == ("user", "bot", "api")


async def test_a_beat_by_http_of_an_unknown_id_is_told_so_and_listed(db: Database) -> None:
    with pytest.raises(NotFound, match="no service has the id ghost"):
        await heartbeat(db, PROGRAM, Heartbeat(id="ghost"), NOW, sender="10.0.0.9")
    (sender,) = await db.read(senders.page)
    assert (sender.id, sender.sender) == ("ghost", "10.0.0.9")


async def test_without_the_scope_ingest_nothing_is_registered_by_http(db: Database) -> None:
    reader = Actor(type="user", id="ann", channel="api", role="member", scopes=("read",))
    with pytest.raises(Forbidden):
        await register_service(db, reader, Registration(id="billing"), NOW)
    with pytest.raises(Forbidden):
        await heartbeat(db, reader, Heartbeat(id="billing"), NOW)
    assert await history(db) == []


async def test_an_admin_removes_a_service_and_its_tasks_are_gone_not_deleted(db: Database) -> None:
    await store(db, a_registration())
    mine = [a_task(id=str(n), service_id="billing", gone_at=NOW if n == 2 else None) for n in range(3)]
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in [*mine, a_task(id="other")]]))
    await delete_service(db, ADMIN, "billing", NOW + 1)
    left = await db.read(lambda conn: tasks.load_many(conn, ["0", "1", "2", "other"]))
    assert {key: task.gone_at for key, task in left.items()} == {"0": NOW + 1, "1": NOW + 1, "2": NOW, "other": None}
    assert {task.service_id for task in left.values()} == {""}
    assert (await history(db))[1:] == [("task.gone", "0"), ("task.gone", "1"), ("service.removed", "billing")]
    with pytest.raises(NotFound):
        await delete_service(db, ADMIN, "billing", NOW + 2)


async def test_only_an_admin_removes_a_service(db: Database) -> None:
    await store(db, a_registration())
    with pytest.raises(Forbidden):
        await delete_service(db, Actor(type="user", id="lea", channel="web", role="lead"), "billing", NOW)


async def test_history_names_the_address_that_a_registration_and_a_goodbye_came_from(db: Database) -> None:
    """Anybody who reaches the port can speak for a service: people must see from where it was done (SPEC 3, hardening)."""
    beat = a_beat(at=NOW + seconds(1), reserved='{"leaving":true}')
    told = [a_registration(name="Billing"), a_registration(at=NOW + 1, url="http://10.66.0.1/evil")]
    await store(db, *(structs.replace(message, sender="10.0.0.66:6666") for message in told), beat, now=NOW + seconds(2))
    found = {event.kind: event.evidence for event in await db.read(lambda conn: events.after(conn, 0))}
    assert found["service.registered"] == "It was told from 10.0.0.66:6666."
    assert found["service.changed"] == "It was told from 10.0.0.66:6666."
    assert found["service.state"].endswith("from 10.0.0.9:4000.")


async def test_of_messages_that_nobody_understands_only_as_many_are_written_down_as_are_kept(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    letter = arrivals.letter

    def counted(message: Message, reason: str, now: Instant) -> DeadLetter:
        written.append(reason)
        return letter(message, reason, now)

    monkeypatch.setattr(arrivals, "letter", counted)
    garbage = [Message(TOPICS.heartbeats, b"%d" % number, NOW, "nsq") for number in range(dead_letters.KEPT + 500)]
    assert (await store(db, *garbage)).dead == dead_letters.KEPT + 500
    kept = await db.read(lambda conn: dead_letters.page(conn, limit=2_000))
    assert len(kept) == len(written) == dead_letters.KEPT == arrivals.MOST_LETTERS
    assert kept[0].body == b"%d" % (dead_letters.KEPT + 499)


async def test_what_is_stored_is_counted_for_the_metrics(db: Database) -> None:
    def counted() -> list[float]:
        names = ("messages_stored", "dead_letters", "events")
        return [telemetry.registry.get_sample_value(f"taskdash_{name}_total") or 0.0 for name in names]

    before = counted()
    await store(db, a_registration(), a_beat(), Message(TOPICS.heartbeats, b"?", NOW, "nsq"))
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [3.0, 1.0, len(await history(db))]
