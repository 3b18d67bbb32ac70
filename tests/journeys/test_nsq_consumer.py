"""Messages from real nsqd: what is stored, what is given back, what comes again (SPEC 2)."""

import asyncio
from collections import Counter

from taskdash.model.instants import seconds
from tests.brokers import BEATS, SERVICES, Nsqd, Proxy
from tests.consuming import Rig, all_in_flight, all_wait, asks_for_nothing, beats
from tests.support import eventually

SEEN_BY_NSQD = seconds(7)
"""nsqd looks for overdue messages of a new channel only when it next lists its channels, every 5 s."""


async def test_messages_of_both_topics_are_stored_and_then_finished(rig: Rig, nsqd: Nsqd) -> None:
    rig.consume([nsqd.address])
    await nsqd.publish([b'{"id":"s1","name":"S"}'], SERVICES)
    await nsqd.publish(beats(1_000))
    await rig.has_kept([b'{"id":"s1","name":"S"}', *beats(1_000)])
    await eventually(nsqd.is_drained)
    await eventually(lambda: nsqd.is_drained(SERVICES))
    assert Counter(message.topic for message in rig.store.kept) == {SERVICES: 1, BEATS: 1_000}
    assert {message.source for message in rig.store.kept} == {f"nsqd:{nsqd.address}"}


async def test_a_backlog_keeps_the_time_at_which_it_was_published(rig: Rig, nsqd: Nsqd) -> None:
    before = rig.clock.now()
    await nsqd.publish(beats(10))
    published_by = rig.clock.now()
    rig.consume([nsqd.address])
    await rig.has_kept(beats(10))
    assert all(before - 10**6 <= message.sent_at <= published_by for message in rig.store.kept)


async def test_no_message_is_finished_before_the_store_has_returned(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address])
    await nsqd.publish(beats(5))
    await eventually(lambda: all_in_flight(nsqd, 5))
    assert rig.store.kept == []
    rig.store.hold.set()
    await eventually(nsqd.is_drained)
    assert rig.store.bodies == set(beats(5))


async def test_while_the_store_refuses_nothing_is_finished_intake_stops_and_then_all_is_stored(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.refuses = True
    rig.consume([nsqd.address], max_in_flight=50)
    await nsqd.publish(beats(300))
    await eventually(lambda: rig.store.refusals >= 3)
    await eventually(lambda: asks_for_nothing(nsqd))
    await eventually(lambda: all_wait(nsqd, 300))
    assert 0 < (await nsqd.channel())["in_flight_count"] <= 50
    assert rig.reason(nsqd.address) == "the store refused the change (SQLITE_FULL); nothing was kept"
    rig.store.refuses = False
    await rig.has_kept(beats(300))
    await eventually(nsqd.is_drained)
    await eventually(lambda: rig.hears(nsqd.address))
    channel = await nsqd.channel()
    assert (channel["requeue_count"], channel["timeout_count"]) == (0, 0)
    assert len(rig.store.kept) == 300


async def test_while_the_store_refuses_a_connection_that_comes_new_asks_for_nothing(rig: Rig, nsqd: Nsqd) -> None:
    proxy = Proxy(nsqd.tcp)
    await proxy.start()
    rig.store.refuses = True
    rig.consume([proxy.address], max_in_flight=50)
    await nsqd.publish(beats(300))
    await eventually(lambda: rig.store.refusals >= 1)
    await proxy.cut()
    await eventually(
        lambda: rig.reason(proxy.address) not in {"", "the store refused the change (SQLITE_FULL); nothing was kept"}
    )
    await proxy.start()
    await eventually(lambda: asks_for_nothing(nsqd))
    rig.store.refuses = False
    await rig.has_kept(beats(300))
    await proxy.cut()


async def test_a_connection_that_breaks_with_messages_in_hand_stores_them_all_the_same(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address])
    await nsqd.publish(beats(20))
    await eventually(lambda: all_in_flight(nsqd, 20))
    await nsqd.end()
    rig.store.hold.set()
    await rig.has_kept(beats(20))


async def test_a_store_that_takes_longer_than_msg_timeout_does_not_get_messages_twice(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address], msg_timeout_s=1.0)
    await nsqd.publish(beats(20))
    await eventually(lambda: all_in_flight(nsqd, 20))
    began = rig.clock.now()
    await eventually(lambda: rig.clock.now() - began > SEEN_BY_NSQD)
    rig.store.hold.set()
    await eventually(nsqd.is_drained)
    assert (await nsqd.channel())["timeout_count"] == 0
    assert len(rig.store.kept) == 20


async def test_what_a_dead_instance_had_in_hand_comes_to_another_that_shares_the_channel(rig: Rig, nsqd: Nsqd) -> None:
    other = Rig()
    other.store.hold.clear()
    other.consume([nsqd.address], msg_timeout_s=1.0)
    await nsqd.publish(beats(20))
    await eventually(lambda: all_in_flight(nsqd, 20))
    await other.end()
    rig.consume([nsqd.address])
    await rig.has_kept(beats(20))
    assert other.store.kept == []


async def test_two_instances_share_the_channel_and_store_each_message_once(rig: Rig, nsqd: Nsqd) -> None:
    other = Rig()
    rig.consume([nsqd.address], max_in_flight=50)
    other.consume([nsqd.address], max_in_flight=50)
    await eventually(lambda: rig.hears(nsqd.address) and other.hears(nsqd.address))
    await nsqd.publish(beats(1_000))
    await eventually(lambda: rig.store.bodies | other.store.bodies == set(beats(1_000)))
    assert len(rig.store.kept) + len(other.store.kept) == 1_000
    await other.end()


async def test_a_drain_stores_and_finishes_what_is_in_hand_and_leaves_nothing_in_flight(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.hold.clear()
    rig.consume([nsqd.address], max_in_flight=100)
    await nsqd.publish(beats(1_000))

    async def some_in_flight() -> bool:
        return bool((await nsqd.channel()).get("in_flight_count", 0) > 50)

    await eventually(some_in_flight)
    draining = asyncio.ensure_future(rig.drain())
    rig.store.hold.set()
    await draining
    await rig.end()
    channel = await nsqd.channel()
    assert (channel["in_flight_count"], channel["timeout_count"], channel["requeue_count"]) == (0, 0, 0)
    await eventually(lambda: all_wait(nsqd, 1_000 - len(rig.store.kept)))
    assert len(rig.store.bodies) == len(rig.store.kept)


async def test_a_drain_while_the_store_refuses_gives_all_back_at_once(rig: Rig, nsqd: Nsqd) -> None:
    rig.store.refuses = True
    rig.consume([nsqd.address], max_in_flight=100)
    await nsqd.publish(beats(200))
    await eventually(lambda: rig.store.refusals)
    await rig.drain()
    await rig.end()

    async def all_back() -> bool:
        channel = await nsqd.channel()
        return channel["in_flight_count"] == 0 and channel["depth"] == 200

    await eventually(all_back)
