"""Packs of SPEC 5: cutting the stream, reading a request, writing an answer."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.wire import pack
from taskdash.wire.pack import Body, Framing, PackReader

FIND = {"MessageID": 2, "Header": {"RequestID": "Find"}, "Body": {"id": "133"}}


def length_prefixed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def request(body: object, request_id: str = "Register") -> bytes:
    return json.dumps({"MessageID": 2, "Header": {"RequestID": request_id}, "Body": body}).encode()


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 40), max_size=60))
def test_any_split_of_the_bytes_gives_the_same_length_prefixed_packs(packs: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(length_prefixed(p) for p in packs)
    assert fed_in_pieces(stream, cuts) == packs


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=8), st.lists(st.integers(1, 40))
)
def test_any_split_of_the_bytes_gives_the_same_lines(objects: list[dict[str, str]], cuts: list[int]) -> None:
    lines = [json.dumps(o).encode() for o in objects]
    assert fed_in_pieces(b"".join(line + b"\n" for line in lines), cuts) == lines


def fed_in_pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    reader, packs = PackReader(1_000), []
    for size in cuts:
        packs += reader.feed(stream[:size])
        stream = stream[size:]
    return packs + reader.feed(stream)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"[1]\n", b"\x01\x00"])
def test_R65_a_first_byte_that_is_neither_0x00_nor_a_brace_loses_the_framing(first: bytes) -> None:
    reader = PackReader(1_000)
    assert reader.feed(first) == []
    assert reader.lost is not None
    assert reader.framing is None


@pytest.mark.parametrize(("size", "is_lost"), [(0, False), (1, False), (1_000, False), (1_001, True), (0x00FFFFFF, True)])
def test_R66_a_length_over_the_limit_is_refused_before_its_body_comes(size: int, is_lost: bool) -> None:
    reader = PackReader(1_000)
    reader.feed(size.to_bytes(4, "big"))
    assert (reader.lost is not None) == is_lost


def test_R66_packs_before_the_one_over_the_limit_are_still_good() -> None:
    reader = PackReader(1_000)
    assert reader.feed(length_prefixed(b"one") + (5_000).to_bytes(4, "big")) == [b"one"]
    assert reader.lost is not None


def test_R67_lines_may_end_in_crlf_and_empty_ones_are_skipped() -> None:
    assert [line.strip() for line in PackReader(1_000).feed(b'{"a":1}\r\n\r\n\n{}\n')] == [b'{"a":1}', b"{}"]


def test_R67_a_line_without_end_over_the_limit_loses_the_framing() -> None:
    reader = PackReader(100)
    reader.feed(b"{" + b" " * 50)
    assert reader.lost is None
    reader.feed(b" " * 60)
    assert reader.lost is not None


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({"id": "133"}, Body.OBJECT),
        ('{"id":"133"}', Body.TEXT),
        (base64.b64encode(b'{"id":"133"}').decode(), Body.BASE64),
    ],
)
def test_a_body_may_be_an_object_or_json_text_or_base64_and_the_answer_has_the_same_form(body: object, form: Body) -> None:
    read = pack.decode(request(body, "Find"))
    assert (read.error, read.form, read.id) == (None, form, "133")
    answer = json.loads(pack.encode(Framing.LINES, read, b'{"id":"133","errid":0}'))["Body"]
    opened = {Body.OBJECT: lambda a: a, Body.TEXT: json.loads, Body.BASE64: lambda a: json.loads(base64.b64decode(a))}
    assert opened[form](answer) == {"id": "133", "errid": 0}


def test_an_answer_repeats_message_id_and_header_as_they_came() -> None:
    raw = b'{"MessageID":2,"Header":{"RequestID":"Find","trace":{"n":[1,2]}},"Body":{"id":"1"}}'
    answer = json.loads(pack.encode(Framing.LENGTH, pack.decode(raw), b"{}")[4:])
    assert answer["MessageID"] == 2
    assert answer["Header"] == {"RequestID": "Find", "trace": {"n": [1, 2]}}


def test_an_answer_in_lines_is_one_line_even_when_the_header_had_newlines() -> None:
    raw = b'{"MessageID":2,"Header":{\n"RequestID":"Find"\n},"Body":{"id":"1"}}'
    assert pack.encode(Framing.LINES, pack.decode(raw), b"{}").count(b"\n") == 1


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"MessageID":7,"Header":{"RequestID":"Find"},"Body":{"id":"1"}}', "MessageID"),
        (b'{"MessageID":2,"Header":{"RequestID":"Delete"},"Body":{"id":"1"}}', "Header.RequestID"),
        (b'{"MessageID":2,"Header":null,"Body":{"id":"1"}}', "Header.RequestID"),
        (b'{"MessageID":2,"Header":"Find","Body":{"id":"1"}}', "Header"),
        (b'{"MessageID":2,"Header":{"RequestID":"Find"}}', "Body"),
        (b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":"####"}', "Body"),
        (b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":"bm90IGpzb24="}', "Body"),
        (b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":"\\"{}\\""}', "Body"),
        (b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":[1]}', "Body"),
        (b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":133}}', "id"),
        (b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"1","name":null}}', "name"),
        (b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"1","start_time":"25:00"}}', "start_time"),
        (b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":"1","url":"file:///etc"}}', "url"),
    ],
)
def test_R69_a_request_that_breaks_a_rule_names_the_field(raw: bytes, field: str) -> None:
    read = pack.decode(raw)
    assert read.error is not None
    assert (read.error.errid, read.error.field) == (1000, field)


def test_a_refused_request_still_names_its_id_when_that_could_be_read() -> None:
    assert pack.decode(b'{"MessageID":7,"Header":null,"Body":{"id":"133"}}').id == "133"
    assert pack.decode(request({"id": "133", "name": 5})).id == "133"


@pytest.mark.parametrize("raw", [b"", b"not json", b'{"MessageID":"2"}', b'{"MessageID":2,"Header":NaN}', b"\xff\xfe", b"[]"])
def test_a_pack_that_cannot_be_read_is_answered_with_message_id_2_and_header_null(raw: bytes) -> None:
    answer = json.loads(pack.encode(Framing.LINES, pack.decode(raw), b'{"id":""}'))
    assert (answer["MessageID"], answer["Header"], answer["Body"]) == (2, None, {"id": ""})


def test_R61_of_duplicate_keys_the_last_counts() -> None:
    assert pack.decode(b'{"MessageID":2,"Header":{"RequestID":"Find"},"Body":{"id":"a","id":"b"}}').id == "b"


@pytest.mark.parametrize("body", [b"null", b'{"x":1}', b'"x"'])
def test_R71_a_heartbeat_notice_is_one_whatever_its_body(body: bytes) -> None:
    read = pack.decode(b'{"MessageID":1392,"Header":null,"Body":%b}' % body)
    assert read.is_heartbeat
    assert read.error is None


@pytest.mark.parametrize("number", ["1e999", "-9223372036854775809", "NaN"])
def test_R63_a_number_that_nobody_can_hold_is_refused_in_every_form_of_a_body(number: str) -> None:
    body = f'{{"id":"133","later":{{"x":{number}}}}}'
    texts = json.dumps(body), json.dumps(base64.b64encode(body.encode()).decode())
    for form in (body, *texts):
        read = pack.decode(b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":%b}' % form.encode())
        assert read.error is not None
        assert "later.x" in read.error.detail
