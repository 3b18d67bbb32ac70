"""What a producer's bytes mean (NSQ.md C; RELIABILITY R72 to R75). The reader is pure: no socket is needed."""

import itertools
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskdash.wire import nsq
from taskdash.wire.nsq import CommandReader, Fatal, Identify, Nop, Publish

TOPIC = b"taskdash.services"


def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def pub(body: bytes, topic: bytes = TOPIC) -> bytes:
    return b"PUB " + topic + b"\n" + sized(body)


def many(*bodies: bytes) -> bytes:
    return struct.pack(">i", len(bodies)) + b"".join(map(sized, bodies))


def mpub(body: bytes, topic: bytes = TOPIC) -> bytes:
    return b"MPUB " + topic + b"\n" + sized(body)


def identify(**wishes: object) -> bytes:
    return b"IDENTIFY\n" + sized(json.dumps(wishes).encode())


def read(stream: bytes, message_bytes: int = 1_048_576) -> list[nsq.Command]:
    return CommandReader(message_bytes).feed(nsq.MAGIC + stream)


def fatal(stream: bytes, message_bytes: int = 1_048_576) -> str:
    """The error frame that ends the connection."""
    last = read(stream, message_bytes)[-1]
    assert isinstance(last, Fatal)
    return last.text


BODIES = st.binary(min_size=1, max_size=40)
COMMANDS = st.one_of(
    st.just(b"NOP\n"),
    st.just(b"NOP\r\n"),
    BODIES.map(pub),
    st.lists(BODIES, min_size=1, max_size=4).map(lambda bodies: mpub(many(*bodies))),
    BODIES.map(lambda body: b"DPUB " + TOPIC + b" 1500\n" + sized(body)),
    st.just(identify(feature_negotiation=True, heartbeat_interval=1_000)),
    BODIES.map(lambda secret: b"AUTH\n" + sized(secret)),
    st.sampled_from([b"SUB a b\n", b"pub x\n", b"\n", b"PUB not/a/topic\n", b"PUB t\n\x00\x00\x00\x00"]),
)


def test_a_stream_cut_at_every_byte_gives_the_same_commands() -> None:
    stream = nsq.MAGIC + identify(feature_negotiation=True) + pub(b"one") + mpub(many(b"two", b"three")) + b"NOP\n" + pub(b"4")
    whole = CommandReader().feed(stream)
    assert len(whole) == 5
    for at in range(len(stream) + 1):
        reader = CommandReader()
        assert reader.feed(stream[:at]) + reader.feed(stream[at:]) == whole
    drip = CommandReader()
    assert [command for byte in stream for command in drip.feed(bytes([byte]))] == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMANDS, max_size=6), st.data())
def test_any_split_of_any_stream_gives_the_same_commands(commands: list[bytes], draw: st.DataObject) -> None:
    stream = nsq.MAGIC + b"".join(commands)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader = CommandReader()
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert [command for piece in pieces for command in reader.feed(piece)] == CommandReader().feed(stream)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(noise: bytes) -> None:
    assert not any(isinstance(command, Fatal) for command in read(noise)[:-1])


@pytest.mark.parametrize("begin", [b"  V1", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b" V2 ", b"\n"])
def test_R72_a_stream_that_does_not_begin_with_the_magic_is_refused(begin: bytes) -> None:
    assert CommandReader().feed(begin) == [Fatal("E_BAD_PROTOCOL")]


def test_R72_half_a_magic_waits_for_its_rest() -> None:
    reader = CommandReader()
    assert reader.feed(b"  V") == []
    assert reader.feed(b"2NOP\n") == [Nop()]


@pytest.mark.parametrize("command", [b"PUBLISH t\n", b"pub t\n", b"\n", b"nop\n", b"\xff\xfe\n"])
def test_R72_an_unknown_command_is_refused_by_its_name(command: bytes) -> None:
    assert fatal(command).startswith("E_INVALID invalid command")


@pytest.mark.parametrize("line", [b"P" * 1_048_576, b"PUB " + b"t" * 20_000 + b"\n"])
def test_R72_a_command_line_over_16_kib_is_refused_without_being_kept(line: bytes) -> None:
    assert fatal(line) == "E_INVALID command line is over 16 KiB"


def test_after_an_error_nothing_more_is_read() -> None:
    reader = CommandReader()
    assert reader.feed(nsq.MAGIC + b"HELLO\n" + pub(b"x")) == [Fatal("E_INVALID invalid command HELLO")]
    assert reader.feed(pub(b"y")) == []


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"PUB\n", "E_INVALID PUB insufficient number of parameters"),
        (b"DPUB t\n", "E_INVALID DPUB insufficient number of parameters"),
        (b"PUB a/b\n", 'E_BAD_TOPIC PUB topic name "a/b" is not valid'),
        (b"PUB " + b"t" * 65 + b"\n", f'E_BAD_TOPIC PUB topic name "{"t" * 64}" is not valid'),
        (b"MPUB a$b\n", 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "a$b" is not valid'),
        (b"PUB t\n" + struct.pack(">i", 0), "E_BAD_MESSAGE PUB invalid message body size 0"),
        (b"PUB t\n" + struct.pack(">i", -1), "E_BAD_MESSAGE PUB invalid message body size -1"),
        (b"PUB t\n" + struct.pack(">i", 1_048_577), "E_BAD_MESSAGE PUB message too big 1048577 > 1048576"),
        (b"DPUB t -1\n", "E_INVALID DPUB could not parse timeout -1"),
        (b"DPUB t 3600001\n", "E_INVALID DPUB timeout 3600001 out of range 0-3600000"),
        (b"DPUB t \xb2\n", "E_INVALID DPUB could not parse timeout �"),
    ],
)
def test_R73_a_wrong_pub_is_answered_as_nsqd_does_before_its_body_is_read(stream: bytes, text: str) -> None:
    assert fatal(stream) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (struct.pack(">i", 0), "E_BAD_BODY MPUB invalid message count 0"),
        (struct.pack(">i", -4), "E_BAD_BODY MPUB invalid message count -4"),
        (struct.pack(">i", 1_048_576), "E_BAD_BODY MPUB invalid message count 1048576"),
        (b"\x00", "E_BAD_BODY MPUB invalid message count 0"),
        (struct.pack(">ii", 1, 0), "E_BAD_MESSAGE MPUB invalid message(0) body size 0"),
        (struct.pack(">ii", 1, 101), "E_BAD_MESSAGE MPUB message too big 101 > 100"),
        (struct.pack(">ii", 1, 5) + b"four", "E_BAD_BODY MPUB message(0) is longer than its body"),
        (many(b"a") + b"b", "E_BAD_BODY MPUB body is longer than its messages"),
        (struct.pack(">i", 2) + sized(b"a"), "E_BAD_BODY MPUB holds fewer than its 2 messages"),
    ],
)
def test_R73_an_mpub_whose_sizes_contradict_each_other_is_refused_whole(body: bytes, text: str) -> None:
    assert read(mpub(body), 100) == [Fatal(text)]


@pytest.mark.parametrize("size", [-1, 0, 5 * 1024 * 1024 + 1])
def test_R73_the_whole_of_an_mpub_has_its_bounds(size: int) -> None:
    assert fatal(b"MPUB t\n" + struct.pack(">i", size)).startswith("E_BAD_BODY MPUB ")


def test_R73_bytes_inside_a_bad_mpub_never_become_commands() -> None:
    hidden = struct.pack(">i", 1) + sized(b"a") + b"PUB t\n" + sized(b"hidden")
    assert read(mpub(hidden)) == [Fatal("E_BAD_BODY MPUB body is longer than its messages")]


def test_a_topic_may_be_64_long_with_its_suffix() -> None:
    name = b"t" * 54 + b"#ephemeral"
    assert read(pub(b"x", name)) == [Publish("PUB", name.decode(), (b"x",))]
    assert not nsq.is_name(b"t" + name)
    assert not nsq.is_name(b"topic\n")


def test_surplus_parameters_are_ignored() -> None:
    assert read(b"PUB t and more\n" + sized(b"x")) == [Publish("PUB", "t", (b"x",))]


def test_dpub_is_a_pub_whose_delay_is_checked_and_not_kept() -> None:
    assert read(b"DPUB t 3600000\n" + sized(b"x")) == [Publish("DPUB", "t", (b"x",))]


@pytest.mark.parametrize(
    "wishes",
    [
        {"heartbeat_interval": 999},
        {"heartbeat_interval": 60_001},
        {"heartbeat_interval": -2},
        {"output_buffer_size": 63},
        {"output_buffer_size": 65_537},
        {"output_buffer_timeout": 24},
        {"output_buffer_timeout": 30_001},
        {"msg_timeout": -1},
        {"msg_timeout": 900_001},
        {"heartbeat_interval": "1000"},
    ],
)
def test_R74_an_identify_out_of_range_is_refused_by_the_name_of_its_field(wishes: dict[str, object]) -> None:
    assert fatal(identify(**wishes)).startswith(f"E_BAD_BODY IDENTIFY {next(iter(wishes))} ")


@pytest.mark.parametrize("body", [b"x", b"[]", b"{", b'"', b"\xff", b"[" * 100_000, b"null"])
def test_R74_an_identify_that_is_no_json_object_is_refused(body: bytes) -> None:
    assert fatal(b"IDENTIFY\n" + sized(body)) == "E_BAD_BODY IDENTIFY failed to decode JSON body"


@pytest.mark.parametrize(("size", "text"), [(0, "invalid body size 0"), (5_242_881, "body too big 5242881 > 5242880")])
def test_R74_the_body_of_an_identify_has_its_bounds(size: int, text: str) -> None:
    assert fatal(b"IDENTIFY\n" + struct.pack(">i", size)) == f"E_BAD_BODY IDENTIFY {text}"


def test_R74_an_identify_of_1_mib_is_read() -> None:
    assert read(identify(user_agent="x" * 1_048_576)) == [Identify()]


def test_identify_may_turn_heartbeats_off() -> None:
    assert read(identify(heartbeat_interval=-1, output_buffer_size=-1, output_buffer_timeout=-1)) == [
        Identify(heartbeat_interval=-1, output_buffer_size=-1, output_buffer_timeout=-1)
    ]


@pytest.mark.parametrize("command", [b"SUB t c\n", b"RDY 1\n", b"FIN x\n", b"REQ x 0\n", b"TOUCH x\n", b"CLS\n"])
def test_R75_what_only_consumers_say_is_refused_with_a_sentence(command: bytes) -> None:
    assert fatal(command).startswith(f"E_INVALID cannot {command.split()[0].decode()}")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.data())
def test_frames_cut_anywhere_are_the_same_frames(bodies: list[bytes], draw: st.DataObject) -> None:
    stream = b"".join(nsq.frame(number % 3, body) for number, body in enumerate(bodies))
    at = draw.draw(st.integers(0, len(stream)))
    reader = nsq.FrameReader()
    found = reader.feed(stream[:at]) + reader.feed(stream[at:])
    assert [(frame.kind, frame.body) for frame in found] == [(number % 3, body) for number, body in enumerate(bodies)]


@pytest.mark.parametrize("size", [3, -1, 2**31 - 1])
def test_a_frame_of_an_impossible_size_ends_the_reading(size: int) -> None:
    with pytest.raises(ValueError, match="a frame of"):
        nsq.FrameReader().feed(struct.pack(">ii", size, 0))


def test_a_message_frame_names_its_time_its_attempts_and_its_id() -> None:
    body = struct.pack(">QH", 1_700_000_000_000_000_001, 3) + b"0123456789abcdef" + b'{"id":"x"}'
    assert nsq.delivery(body) == nsq.Delivery(1_700_000_000_000_000_001, 3, b"0123456789abcdef", b'{"id":"x"}')
    with pytest.raises(ValueError, match="too short"):
        nsq.delivery(body[:25])


def test_what_a_consumer_says_is_what_nsqd_reads() -> None:
    assert nsq.with_body(b"AUTH", b"key") == b"AUTH\n\x00\x00\x00\x03key"
    assert nsq.settle(b"FIN", b"0123456789abcdef") == b"FIN 0123456789abcdef\n"
    assert nsq.requeue(b"0123456789abcdef") == b"REQ 0123456789abcdef 0\n"
