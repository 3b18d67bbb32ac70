"""What every port refuses of JSON (SPEC 1)."""

import msgspec
import pytest

from taskdash.errors import BadField, BadJson
from taskdash.model.records import TaskFields
from taskdash.wire import strict_json

TASK = msgspec.json.Decoder(TaskFields)


@pytest.mark.parametrize("raw", [b'{"id":"\xff"}', b'{"id":"a","unknown":"\xc3\x28"}', b'{"\xff":1,"id":"a"}'])
def test_R60_invalid_utf8_is_refused_also_in_unknown_fields(raw: bytes) -> None:
    with pytest.raises(BadJson, match="UTF-8"):
        strict_json.decode(raw, TASK)


def test_R62_nesting_deeper_than_32_is_refused_and_32_is_not() -> None:
    strict_json.decode(b'{"id":"a","x":' + b"[" * 31 + b"]" * 31 + b"}", TASK)
    with pytest.raises(BadJson, match="deeper"):
        strict_json.decode(b'{"id":"a","x":' + b"[" * 32 + b"]" * 32 + b"}", TASK)


def test_R62_brackets_inside_texts_are_no_nesting() -> None:
    strict_json.decode(b'{"id":"a","name":"' + b"[{" * 60 + b'\\"[[["}', TASK)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":"a","x":NaN}',
        b'{"id":"a","x":Infinity}',
        b"\xef\xbb\xbf{}",
        b'{"id":"\\ud800"}',
        b'{"id":"a"} x',
        b'{"id":"a\\u0000"}',
        b'{"id":"a","x":"\\u0000"}',
        b'{"id":"a","x":"\\ud800"}',
        b'{"id":"a","x":"\\udc00\\ud800"}',
    ],
)
def test_R63_what_is_not_json_for_everybody_is_refused(raw: bytes) -> None:
    with pytest.raises(BadJson):
        strict_json.decode(raw, TASK)


@pytest.mark.parametrize(
    "number", [b"1e999", b"-1E+0400", b"9" * 400 + b".5", b"18446744073709551616", b"-9223372036854775809", b"9" * 1_000_000]
)
def test_R63_R64_a_number_that_64_bits_cannot_hold_is_a_wrong_field_also_an_unknown_one(number: bytes) -> None:
    with pytest.raises(BadField, match="holds a number beyond 64 bit"):
        strict_json.decode(b'{"id":"a","x":[%b]}' % number, TASK)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert strict_json.decode(b'{"id":"\\ud83d\\ude00"}', TASK).id == "\U0001f600"


def test_R63_an_escaped_backslash_before_u0000_is_only_text() -> None:
    assert strict_json.decode(b'{"id":"\\\\u0000"}', TASK).id == "\\u0000"


@pytest.mark.parametrize(("raw", "field"), [(b'{"id":133}', "id"), (b'{"id":"a","status":null}', "status")])
def test_R63_a_wrong_type_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(BadField) as refused:
        strict_json.decode(raw, TASK)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "number",
    [
        b"18446744073709551615",
        b"-9223372036854775808",
        b"1e308",
        b"1e-999",
        b"0.12345678901234567890123",
        b'"1e999 99999999999999999999"',
        b'"\\"1e999\\\\"',
        b'[true,false,null,1e200,"e1234"]',
    ],
)
def test_R63_a_number_that_64_bits_hold_and_digits_in_a_text_are_read(number: bytes) -> None:
    assert strict_json.decode(b'{"id":"a","x":%b}' % number, TASK).id == "a"


@pytest.mark.parametrize(
    "value", [b"1e999", b"-9223372036854775809", b'"\\ud800"', b'"\\u0000"', b"NaN", b"-Infinity", b'{"k\\u0000":1}']
)
def test_R63_the_path_of_what_nobody_can_hold_is_in_the_detail_also_in_unknown_fields(value: bytes) -> None:
    with pytest.raises((BadField, BadJson), match=r"\bx\.y\[1\]") as refused:
        strict_json.decode(b'{"id":"a","x":{"y":[0,%b]}}' % value, TASK)
    assert refused.value.field == "x.y[1]"


def test_R63_a_path_shows_no_control_characters_and_has_an_end() -> None:
    with pytest.raises(BadField) as refused:
        strict_json.decode(b'{"id":"a","\\u0007%b":1e999}' % (b"k" * 9_000), TASK)
    assert refused.value.detail.startswith("\ufffdkkk")
    assert len(refused.value.detail) < 400


@pytest.mark.parametrize("raw", [b"garbage", b'{"id":"a"} x', b'{"id":NaN}', b"\xef\xbb\xbf{}"])
def test_the_name_of_json_keeps_its_capitals_in_a_refusal(raw: bytes) -> None:
    with pytest.raises(BadJson, match="JSON is malformed"):
        strict_json.decode(raw, TASK)


class _Many(msgspec.Struct):
    items: list[TaskFields]


def test_a_required_field_that_is_absent_is_named_also_inside_a_list() -> None:
    with pytest.raises(BadField, match="missing required field `id`") as refused:
        strict_json.decode(b"{}", TASK)
    assert refused.value.field == "id"
    with pytest.raises(BadField, match=r"items\[.*\].*missing required field `id`") as refused:
        strict_json.decode(b'{"items":[{"id":"a"},{"name":"b"}]}', msgspec.json.Decoder(_Many))
    assert refused.value.field == "id"


def test_R64_a_mebibyte_of_nothing_is_read_without_building_it() -> None:
    assert strict_json.decode(b'{"id":"a","x":[%b]}' % b",".join([b"[]"] * 300_000), TASK).id == "a"
