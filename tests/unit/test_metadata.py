"""The four forms of an answer (SPEC 4), and what one wrong record does to the others: nothing."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from taskdash.errors import BadField, BadJson, TaskDashError
from taskdash.model.records import TaskFields
from taskdash.wire import strict_json
from taskdash.wire.messages import check_task
from taskdash.wire.metadata import Page, decode_page
from taskdash.wire.plain_tasks import are_plain

ONE = {"id": "133", "name": "zxf", "status": "running"}
TWO = {"id": "132", "name": "lxq", "status": "finish"}


def page(answer: Any, content_type: str = "application/json") -> Page:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return decode_page(body, content_type)


def ids(answer: Any, content_type: str = "application/json") -> list[str]:
    return [task.id for task in page(answer, content_type).tasks]


def test_an_array_is_an_answer() -> None:
    assert page([ONE, TWO]).tasks == [TaskFields(**ONE), TaskFields(**TWO)]
    assert page(b" [ ] ").tasks == []


def test_an_envelope_carries_the_next_page() -> None:
    found = page({"tasks": [ONE], "next": "http://a/2", "total": 9})
    assert [task.id for task in found.tasks] == ["133"]
    assert found.next == "http://a/2"
    assert page({"tasks": []}).next == ""


def test_one_object_is_one_task() -> None:
    assert ids(ONE) == ["133"]
    assert ids(json.dumps(ONE, indent=2).encode()) == ["133"]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json", "text/plain", ""])
def test_lines_are_an_answer_whatever_the_content_type_says(content_type: str) -> None:
    body = b"\n".join([json.dumps(ONE).encode(), b"", json.dumps(TWO).encode() + b"\r", b""])
    assert ids(body, content_type) == ["133", "132"]


def test_lines_said_to_be_lines_may_be_none_or_one() -> None:
    assert ids(b"", "application/x-ndjson") == []
    assert ids(json.dumps(ONE).encode(), "application/jsonl; charset=utf-8") == ["133"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"null",
        b'"x"',
        b"7",
        b"<html>",
        b"[",
        b'[{"id":"1"}',
        b'[{"id":"1"}]x',
        b"{",
        b"\xef\xbb\xbf[]",
        b"[" * 50_000,
    ],
)
def test_an_answer_whose_form_is_broken_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadJson):
        page(body)


@pytest.mark.parametrize("answer", [{}, {"items": []}, {"tasks": {}}, {"tasks": None}, {"tasks": [], "next": None}])
def test_an_object_that_is_neither_pages_nor_a_task_is_refused_whole(answer: Any) -> None:
    with pytest.raises(BadField):
        page(answer)


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ({"id": 7, "status": "x"}, "7"),
        ({"id": "7", "status": 1}, "7"),
        ({"id": "7", "name": None}, "7"),
        ({"id": "7", "name": "x" * 257}, "7"),
        ({"id": "7", "url": "javascript:alert(1)"}, "7"),
        ({"id": "7", "start_time": "noon"}, "7"),
        ({"id": "7", "name": "a\x00b"}, "7"),
        ({"id": ""}, ""),
        ({"id": "x" * 129}, ""),
        ({"id": "a\nb"}, ""),
        ({"name": "no id"}, ""),
        ({}, ""),
        (7, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_a_wrong_record_is_skipped_and_named_and_the_good_ones_are_kept(wrong: Any, shown: str) -> None:
    found = page([ONE, wrong, TWO])
    assert [task.id for task in found.tasks] == ["133", "132"]
    assert [problem["id"] for problem in found.problems] == [shown]
    assert found.problems[0]["problem"]
    assert found.named == ({shown} if shown else set())


def test_a_record_without_id_is_named_by_its_place() -> None:
    assert page([ONE, {}]).problems[0]["problem"].startswith("record 2: ")


@pytest.mark.parametrize("text", [b'{"id":"7","name":"\xff"}', b'{"id":"7","name":"\\u0000"}'])
def test_R60_R63_bytes_that_are_no_text_spoil_one_record(text: bytes) -> None:
    found = page(b'[{"id":"1"},' + text + b"]")
    assert [task.id for task in found.tasks] == ["1"]
    assert [problem["id"] for problem in found.problems] == ["7"]


def test_R62_a_record_nested_too_deep_spoils_itself() -> None:
    deep = b'{"id":"7","x":' + b"[" * 40 + b"]" * 40 + b"}"
    assert [task.id for task in page(b'[{"id":"1"},' + deep + b"]").tasks] == ["1"]


@pytest.mark.parametrize("text", [b'{"id":"\\u0000"}', b'{"id":"\xff"}'])
def test_a_record_that_nobody_can_name_leaves_the_answer_incomplete(text: bytes) -> None:
    found = page(b'[{"id":"1"},' + text + b"]")
    assert len(found.tasks) == len(found.problems) == 1
    assert not found.is_complete


def test_a_broken_line_leaves_the_answer_incomplete() -> None:
    found = page(b'{"id":"1"}\n{"id":"2","na', "application/x-ndjson")
    assert [task.id for task in found.tasks] == ["1"]
    assert not found.is_complete


def test_a_wrong_field_leaves_the_answer_complete() -> None:
    assert page([ONE, {"id": 7}, {"id": "8", "status": 1}]).is_complete


def test_R168_a_problem_never_quotes_the_answer() -> None:
    canary = "c4n4ry"
    wrong = [
        {"id": "1", "url": f"http://h:{canary}/"},
        {"id": "2", "url": f"http://[{canary}]/"},
        {"id": "3", "url": f"{canary}://x"},
        {"id": "4", "start_time": canary},
        {"id": "5", "name": canary * 100},
        {"id": "6", "status": [canary]},
        {"id": f"{canary}\n"},
        {"id": "8", canary: "\0"},
        {"id": "10", canary: 1 << 70},
        {"id": "11", "name": {canary: 1}},
        {canary: canary},
    ]
    problems = page(wrong).problems
    assert len(problems) == len(wrong)
    assert canary not in json.dumps(problems)


@given(st.binary(max_size=200) | st.text('[]{}",:1\\nu0du9', max_size=60).map(str.encode))
def test_any_bytes_give_a_page_or_one_error(body: bytes) -> None:
    try:
        found = decode_page(body)
    except TaskDashError:
        return
    assert all(problem.keys() == {"id", "problem"} for problem in found.problems)


@given(st.lists(st.sampled_from([ONE, TWO, {"id": 7}, {}, {"id": "9", "name": None}]), max_size=8))
def test_every_record_is_either_kept_or_a_problem_in_all_forms(records: list[Any]) -> None:
    lines = b"\n".join(json.dumps(record).encode() for record in records)
    forms = [page(records), page({"tasks": records}), page(lines, "application/x-ndjson")]
    assert forms[0] == forms[1] == forms[2]
    assert len(forms[0].tasks) + len(forms[0].problems) == len(records)


TEXTS = [
    "",
    "a",
    "ü中",
    "a\nb",
    "a\tb",
    "a\r\nb",
    "\u202e",
    "\x7f",
    "\u200b",
    " a",
    "a ",
    "\u3000a",
    "\xa0a",
    ".",
    "..",
    "x" * 256,
    "x" * 257,
]
LONG = st.sampled_from([*TEXTS, "x" * 8_192, "x" * 8_193, "\n" * 8_193])
URLS = st.sampled_from(
    [
        "",
        "http://h",
        "https://h.example:8080/a?b=c#d",
        "http://h:0/",
        "http://h:99999/",
        "http://h:65536/",
        "http://u@h/",
        "http:///x",
        "http://[::1]/",
        "http://ü/",
        "http://h/a b",
        "http://h/|",
        "ftp://h/",
        "http://h/" + "x" * 2_039,
        "http://h/" + "x" * 2_040,
    ]
)
TIMES = st.sampled_from(["", "12:00", "24:00", "2030-01-01T00:00:00Z", "soon"])
SHORT = st.sampled_from(TEXTS) | st.just(UNSET)
RECORD = st.builds(
    TaskFields,
    id=st.sampled_from([*TEXTS, "x" * 128, "x" * 129]) | st.text(max_size=3),
    name=SHORT | st.text(max_size=3),
    status=SHORT,
    user=SHORT,
    group_id=SHORT,
    description=LONG | st.just(UNSET),
    reserved=LONG,
    start_time=TIMES,
    stop_time=TIMES | st.just(UNSET),
    url=URLS | st.just(UNSET),
)


@given(st.lists(RECORD, max_size=3))
def test_what_is_plain_keeps_every_rule(records: list[TaskFields]) -> None:
    if are_plain(records):
        assert [check_task(record) for record in records] == records


@given(RECORD)
def test_one_record_is_judged_the_same_by_both_ways(record: TaskFields) -> None:
    found = page(msgspec.json.encode([record]))
    try:
        check_task(record)
    except BadField:
        assert len(found.problems) == 1
    else:
        assert found.tasks == [record]


def test_usual_records_are_plain() -> None:
    usual = {
        "id": "a-1",
        "name": "清算 42",
        "url": "http://10.0.0.1:8080/x?y=1",
        "description": "line\nline",
        "start_time": "12:00",
    }
    assert are_plain([TaskFields(**usual), TaskFields(id="b")])
    assert are_plain([])


def depth(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


ODD_TEXT = st.text('[]{}"\\a', max_size=6)
TREE = st.recursive(
    ODD_TEXT, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ODD_TEXT, inner, max_size=2), max_leaves=8
)


@given(TREE, st.integers(20, 36), st.booleans())
def test_R62_only_brackets_outside_of_texts_nest(tree: Any, levels: int, as_objects: bool) -> None:
    for _ in range(levels):
        tree = {'"}[\\': tree, "x": ["]"]} if as_objects else [tree, "[{\\"]
    raw = json.dumps(tree).encode()
    if depth(tree) <= strict_json.DEEPEST:
        strict_json.decode(raw, msgspec.json.Decoder())
    else:
        with pytest.raises(BadJson, match="nested deeper"):
            strict_json.decode(raw, msgspec.json.Decoder())
