"""Lists that are too long are found without being made. RELIABILITY R14, R48."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.errors import BadField
from taskdash.wire import long_lists
from taskdash.wire.long_lists import has_longer
from taskdash.wire.metadata import decode_page

TEXTS = st.text(alphabet='\\"[]{},ab\n', max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=30,
)


def longest(value: Any) -> int:
    if isinstance(value, dict):
        return max([len(value), *map(longest, value.values())])
    return max([len(value), *map(longest, value)]) if isinstance(value, list) else 0


@given(VALUES, st.integers(1, 7), st.integers(1, 40))
def test_R48_it_agrees_with_a_parser_wherever_the_pieces_are_cut(value: Any, most: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_lists, "_PIECE_BYTES", piece)
        assert has_longer(json.dumps(value).encode(), most) is (longest(value) > most)


@given(st.binary(max_size=200), st.integers(1, 5), st.integers(1, 20))
def test_R48_any_bytes_get_an_answer(body: bytes, most: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_lists, "_PIECE_BYTES", piece)
        assert has_longer(body, most) in {True, False}


SIZE = 4 * 1024 * 1024
CROWDS = {
    "numbers": b"[" + b"1," * (SIZE // 2) + b"1]",
    "empty records": b'{"tasks":[' + b"{}," * (SIZE // 3) + b"{}]}",
    "lists of lists": b"[" + b"[[],[]]," * (SIZE // 8) + b"1]",
    "one record with many members": b'[{"id":"1","x":[' + b"[]," * (SIZE // 3) + b"1]}]",
    "lines": b'{"id":"1"}\n' + b"1\n" * (SIZE // 2),
    "never closed": b"[" + b"[1," * (SIZE // 3),
    "backslashes": b'["' + b"\\" * SIZE + b'",' + b"1," * 100_000 + b"1]",
}


@pytest.mark.parametrize("body", CROWDS.values(), ids=CROWDS)
def test_R48_a_crowd_of_records_is_refused_in_little_memory(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadField) as refused:
            decode_page(body, "", 100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.detail == "it names more than 100000 tasks"
    assert peak < 48 * 1024 * 1024


def test_as_many_as_allowed_are_read() -> None:
    records = [{"id": str(n)} for n in range(1_001)]
    lines = b"\n\n".join(json.dumps(record).encode() for record in records)
    for body in (json.dumps(records).encode(), json.dumps({"tasks": records}).encode(), lines):
        assert len(decode_page(body, "", 1_001).tasks) == 1_001
        with pytest.raises(BadField):
            decode_page(body, "", 1_000)


def test_where_few_tasks_are_allowed_a_record_may_have_more_fields_than_that() -> None:
    assert len(decode_page(b'[{"id":"1","name":"a","status":"b","x":[1,2,3,4,5]}]', "", 1).tasks) == 1
