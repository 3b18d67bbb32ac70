"""The embedded endpoint on TCP over real sockets (SPEC 2; RELIABILITY R1, R72 to R77, R103)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from taskdash.clock import ManualClock
from taskdash.ingest.producer import Limits
from taskdash.wire import nsq
from tests.nsq_endpoint import HEARTBEATS, OK, SERVICES, Endpoint, endpoint, identify, mpub, pub, sized
from tests.support import eventually


@pytest.fixture
async def at() -> AsyncIterator[Endpoint]:
    async with endpoint() as running:
        yield running


async def test_a_message_is_stored_with_its_topic_its_time_and_its_sender(at: Endpoint) -> None:
    before = at.clock.now()
    wire = await at.dial()
    wire.send(pub(b"beat"))
    assert await wire.frame() == OK
    (message,) = at.store.messages
    host, port = wire.writer.get_extra_info("sockname")
    assert (message.topic, message.body, message.source, message.sender) == (HEARTBEATS, b"beat", "nsq", f"{host}:{port}")
    assert before <= message.sent_at <= at.clock.now()


async def test_R1_ok_is_answered_only_after_the_store_returned(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    wire.send(pub(b"one"))
    await eventually(lambda: at.store.under_way)
    with pytest.raises(TimeoutError):
        await wire.frame(deadline_s=0.1)
    assert at.store.messages == []
    at.store.open.set()
    assert await wire.frame() == OK
    assert at.store.bodies == [b"one"]


async def test_pipelined_commands_are_answered_in_their_order(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(pub(b"1") + identify() + pub(b"2", "not.ours") + mpub(b"3", b"4") + b"NOP\n" + pub(b"5", SERVICES))
    assert await wire.frame() == OK
    assert (await wire.features())["version"] == "1.3.0"
    assert "not.ours" in await wire.error()
    assert await wire.frames(2) == [OK, OK]
    assert [body for body in at.store.bodies if body] == [b"1", b"3", b"4", b"5"]


async def test_a_thousand_pipelined_pubs_each_get_one_ok(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(b"".join(pub(b"%d" % number) for number in range(5_000)))
    assert await wire.frames(5_000) == [OK] * 5_000
    assert at.store.bodies == [b"%d" % number for number in range(5_000)]
    assert at.store.most_under_way == 1
    assert len(at.store.batches) < 200


async def test_messages_of_one_mpub_keep_their_order_in_time(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(mpub(*(b"%d" % number for number in range(100))))
    assert await wire.frame() == OK
    times = [message.sent_at for message in at.store.messages]
    assert times == sorted(set(times))


async def test_a_store_that_refuses_is_pub_failed_and_nothing_of_it_is_kept(at: Endpoint) -> None:
    at.store.refusal = "the disk is full"
    for command, name in (
        (pub(b"x"), "PUB"),
        (mpub(b"x", b"y"), "MPUB"),
        (b"DPUB taskdash.services 5\n" + sized(b"x"), "DPUB"),
    ):
        wire = await at.dial()
        wire.send(command)
        assert await wire.error() == f"E_{name}_FAILED {name} failed the disk is full"
        assert await wire.ended() == b""
    assert at.store.messages == []
    at.store.refusal = ""
    wire = await at.dial()
    wire.send(pub(b"again"))
    assert await wire.frame() == OK


async def test_while_the_store_refuses_the_input_is_not_heard(at: Endpoint) -> None:
    assert [i.healthy for i in at.inputs if i.name == "nsq"] == [True]
    at.store.refusal = "the disk is full"
    wire = await at.dial()
    wire.send(pub(b"x"))
    await wire.error()
    deaf = await eventually(lambda: next((i for i in at.inputs if i.name == "nsq" and not i.healthy), None))
    assert deaf.reason == "the disk is full"
    at.store.refusal = ""
    wire = await at.dial()
    wire.send(pub(b"x"))
    assert await wire.frame() == OK
    await eventually(lambda: all(i.healthy for i in at.inputs))


async def test_an_error_waits_for_the_answers_that_are_still_owed(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    wire.send(pub(b"1") + pub(b"2") + b"SUB a b\n" + pub(b"never"))
    await eventually(lambda: at.store.under_way)
    at.store.open.set()
    assert await wire.frames(2) == [OK, OK]
    assert (await wire.error()).startswith("E_INVALID cannot SUB: ")
    assert await wire.ended() == b""
    assert at.store.bodies == [b"1", b"2"]


async def test_R72_what_does_not_begin_as_nsq_is_told_so_and_closed(at: Endpoint) -> None:
    wire = await at.dial(b"GET / HTTP/1.1\r\n\r\n")
    assert await wire.error() == "E_BAD_PROTOCOL"
    assert await wire.ended() == b""


async def test_R72_a_megabyte_of_command_line_is_refused_and_the_sentence_arrives(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(b"P" * 1_048_576 + b"\n")
    assert (await wire.error()).startswith("E_INVALID command line")
    assert await wire.ended() == b""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"PUB a/b\n" + sized(b"x" * 500_000), "E_BAD_TOPIC"),
        (b"PUB taskdash.services\n" + b"\x00\x00\x00\x00", "E_BAD_MESSAGE"),
        (b"PUB taskdash.services\n" + b"\xff\xff\xff\xff", "E_BAD_MESSAGE"),
        (b"PUB taskdash.services\n" + sized(b"x" * 1_048_577), "E_BAD_MESSAGE"),
        (b"MPUB taskdash.services\n" + sized(b"\x00\x00\x00\x02" + sized(b"only one")), "E_BAD_BODY"),
        (b"MPUB taskdash.services\n" + sized(b"\x00\x00\x00\x01" + sized(b"x") + b"PUB"), "E_BAD_BODY"),
        (b"IDENTIFY\n" + sized(b"{"), "E_BAD_BODY"),
    ],
)
async def test_R73_R74_a_broken_command_is_named_and_ends_the_connection(at: Endpoint, command: bytes, code: str) -> None:
    wire = await at.dial()
    wire.send(command)
    assert (await wire.error()).startswith(code)
    assert await wire.ended() == b""
    assert at.store.messages == []


async def test_R74_features_that_are_not_configured_are_answered_false(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(identify(tls_v1=True, snappy=True, deflate=True, msg_timeout=5_000))
    features = await wire.features()
    assert not any(features[name] for name in ("tls_v1", "snappy", "deflate", "auth_required"))
    assert (features["max_rdy_count"], features["msg_timeout"]) == (2_500, 5_000)
    wire.send(pub(b"x"))
    assert await wire.frame() == OK


async def test_an_identify_without_negotiation_is_answered_ok(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(identify(feature_negotiation=False))
    assert await wire.frame() == OK


@pytest.mark.parametrize("command", [b"SUB t c\n", b"RDY 1\n", b"FIN 0123456789abcdef\n", b"REQ x 0\n", b"TOUCH x\n", b"CLS\n"])
async def test_R75_a_consumer_is_told_that_nothing_is_given_out(at: Endpoint, command: bytes) -> None:
    wire = await at.dial()
    wire.send(command)
    assert (await wire.error()).startswith("E_INVALID cannot ")
    assert await wire.ended() == b""


async def test_R76_a_topic_that_is_not_ours_is_named_listed_and_the_connection_stays(at: Endpoint) -> None:
    wire = await at.dial()
    wire.send(pub(b"x" * 900_000, "orders") + pub(b"y", "orders#ephemeral") + pub(b"ours"))
    for topic in ("orders", "orders#ephemeral"):
        text = await wire.error()
        assert text.startswith("E_BAD_TOPIC PUB")
        assert all(name in text for name in (topic, SERVICES, HEARTBEATS))
    assert await wire.frame() == OK
    wire.send(pub(b"z", "orders"))
    await wire.error()
    assert at.tcp.strange_topics == {"orders from 127.0.0.1": 2, "orders#ephemeral from 127.0.0.1": 1}
    listed = [(message.topic, message.body) for message in at.store.messages if message.topic != HEARTBEATS]
    assert listed == [("orders", b""), ("orders#ephemeral", b"")]


async def test_R77_who_ignores_our_heartbeats_is_closed_after_two_intervals() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(nsq.MAGIC + identify(heartbeat_interval=1_000))
        await wire.features()
        for _ in range(2):
            clock.advance(1.0)
            assert await wire.frame() == (nsq.RESPONSE, b"_heartbeat_")
        clock.advance(0.6)
        assert await wire.ended() == b""


async def test_a_command_counts_as_life() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(nsq.MAGIC + identify(heartbeat_interval=1_000))
        await wire.features()
        for _ in range(6):
            clock.advance(1.0)
            assert await wire.frame() == (nsq.RESPONSE, b"_heartbeat_")
            wire.send(b"NOP\n" + identify(heartbeat_interval=1_000))
            await wire.features()


async def test_R104_bytes_that_never_make_a_command_are_no_life() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(nsq.MAGIC + identify(heartbeat_interval=1_000))
        await wire.features()
        for byte in b"PUB":
            wire.send(bytes([byte]))
            clock.advance(0.9)
            await asyncio.sleep(0)
        assert (await wire.ended()).count(b"_heartbeat_") <= 3


async def test_R41_our_own_stall_is_not_the_producers_silence() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(nsq.MAGIC + identify(heartbeat_interval=1_000))
        await wire.features()
        clock.advance(60.0)
        assert await wire.frame() == (nsq.RESPONSE, b"_heartbeat_")
        wire.send(pub(b"x"))
        clock.advance(0.1)
        assert await wire.frame() == OK


async def test_heartbeats_that_are_turned_off_do_not_come() -> None:
    clock = ManualClock()
    async with endpoint(clock) as at:
        wire = await at.dial(nsq.MAGIC + identify(heartbeat_interval=-1))
        await wire.features()
        for _ in range(200):
            clock.advance(1.0)
            await asyncio.sleep(0)
        wire.send(identify())
        await wire.features()


async def test_back_pressure_stops_reading_and_loses_nothing(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    body = b"x" * 100_000
    wire.send(pub(body) * 400)
    await eventually(lambda: at.store.under_way)
    writing = asyncio.create_task(wire.writer.drain())
    done, _ = await asyncio.wait({writing}, timeout=0.3)
    assert not done, "40 MB were taken in while nothing was stored"
    at.store.open.set()
    assert await wire.frames(400) == [OK] * 400
    await writing
    assert len(at.store.messages) == 400


async def test_a_peer_that_half_closes_still_gets_its_answers(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    wire.send(pub(b"last"))
    wire.writer.write_eof()
    await eventually(lambda: at.store.under_way)
    at.store.open.set()
    assert await wire.frame() == OK
    assert await wire.ended() == b""


async def test_a_peer_that_vanishes_loses_nothing_that_it_sent(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    wire.send(pub(b"last"))
    await eventually(lambda: at.store.under_way)
    await wire.close()
    at.store.open.set()
    await eventually(lambda: at.store.bodies == [b"last"])


async def test_R103_beyond_the_cap_a_peer_gets_one_refusal_and_is_closed() -> None:
    async with endpoint(limits=Limits(connections=2)) as at:
        first, second = await at.dial(), await at.dial()
        for wire in (first, second):
            wire.send(pub(b"x"))
            assert await wire.frame() == OK
        third = await at.dial(b"")
        assert (await third.error()).startswith("E_INVALID ")
        assert await third.ended() == b""
        await first.close()

        async def fourth() -> bool:
            wire = await at.dial()
            wire.send(pub(b"y"))
            return await wire.frame() == OK

        assert await eventually(fourth)


async def test_drain_stores_and_answers_what_came_and_then_closes(at: Endpoint) -> None:
    at.store.open.clear()
    wire = await at.dial()
    wire.send(pub(b"one"))
    await eventually(lambda: at.store.under_way)
    draining = asyncio.create_task(at.tcp.drain(5.0))
    await eventually(lambda: not next(i for i in at.inputs if i.name == "nsq").healthy)
    at.store.open.set()
    assert await wire.frame() == OK
    assert await wire.ended() == b""
    await draining
    with pytest.raises(ConnectionRefusedError):
        await at.dial()
