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
    "raw", [b'{"id":"a","x":[%b]}' % b",".join([b"[]"] * 300_000), b'{"id":"a","x":%b}' % (b"9" * 1_000_000)]
)
def test_R64_a_mebibyte_of_nothing_is_read_or_refused_without_building_it(raw: bytes) -> None:
    assert strict_json.decode(raw, TASK).id == "a"
