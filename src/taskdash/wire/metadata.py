"""What a service's url answers: TaskMetaData in one of four forms (SPEC 4). Bytes to checked records and problems. Pure.

Law: a record that is wrong spoils only itself: it is named as a problem and the good ones are kept. Only an answer whose
own form is broken is refused as a whole. No sentence holds bytes of the answer (RELIABILITY R168).
"""

import io
import re
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, Struct, UnsetType

from taskdash.errors import BadField, BadJson, TaskDashError
from taskdash.model import fields
from taskdash.model.records import TaskFields
from taskdash.wire import messages, strict_json
from taskdash.wire.long_lists import has_longer
from taskdash.wire.plain_tasks import are_plain

Problem = dict[str, str]
"""{"id", "problem"}: the id of the record, or empty when it has none that can be shown."""


class Page(Struct, frozen=True):
    """One page of an answer. `named`: ids of wrong records, which are still there and so not gone."""

    tasks: list[TaskFields]
    problems: list[Problem]
    named: frozenset[str] = frozenset()
    next: str = ""
    is_complete: bool = True
    """False when a record cannot be read at all, so that nobody knows which task it was."""


class Answer(Struct, frozen=True, kw_only=True):
    """What one asking of a service's url gave, over all its pages.

    `error` is one sentence without full stop, empty when `ok`. `is_unchanged`: 304, or the digest is the known one; then
    there are no tasks here. `is_cut`: it had not begun to answer when its turn was over, which is no failure yet. Validators
    are empty when the next asking must not be conditional.
    """

    ok: bool
    url: str
    method: str = ""
    took_ms: float = 0.0
    error: str = ""
    is_cut: bool = False
    is_unchanged: bool = False
    is_complete: bool = True
    tasks: tuple[TaskFields, ...] = ()
    problems: tuple[Problem, ...] = ()
    named: frozenset[str] = frozenset()
    etag: str = ""
    last_modified: str = ""
    digest: str = ""


class _Envelope(Struct):
    tasks: list[msgspec.Raw] | UnsetType = UNSET
    next: str = ""
    id: msgspec.Raw | UnsetType = UNSET


class _GoodEnvelope(Struct):
    tasks: list[TaskFields]
    next: str = ""


class _Identified(Struct):
    id: str | int


_task = msgspec.json.Decoder(TaskFields)
_identified = msgspec.json.Decoder(_Identified)
_good_array = msgspec.json.Decoder(list[TaskFields])
_good_envelope = msgspec.json.Decoder(_GoodEnvelope)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_envelope = msgspec.json.Decoder(_Envelope)
_PLAIN_BYTES = 1024 * 1024
"""A larger one is looked at record by record, for a look at all of it at once takes several times its size (R48)."""
_FEW = 1_000
"""A record may have so many members, however few tasks a service may have."""
_OURS = frozenset({"tasks", "next", *TaskFields.__struct_fields__})
_WORD = re.compile(r"[^.\[\]]+")
_NDJSON = ("ndjson", "jsonl", "json-lines", "jsonlines", "json-seq")


def decode_page(body: bytes, content_type: str = "", most: int = 100_000) -> Page:
    """One page. Raises BadJson or BadField when the form itself is broken, or there are far more than `most` records."""
    if has_longer(body, max(most, _FEW)):
        raise _too_many(most)
    start = body.lstrip()[:1]
    if (plain := _plain_page(body, start)) is not None:
        return plain
    if start == b"[":
        return _page(strict_json.outline(body, _array))
    if any(name in content_type.lower() for name in _NDJSON) or _is_lines(body):
        return _page(_lines(body, most))
    if start != b"{":
        raise BadJson("the answer is neither a JSON array nor a JSON object")
    return _of_object(body)


def _plain_page(body: bytes, start: bytes) -> Page | None:
    """A page without any fault, in one go; None when each record is to be looked at by itself."""
    if len(body) > _PLAIN_BYTES:
        return None
    try:
        if start == b"[":
            page = Page(strict_json.decode(body, _good_array), [])
        else:
            envelope = strict_json.decode(body, _good_envelope)
            page = Page(envelope.tasks, [], next=envelope.next)
    except TaskDashError:
        return None
    return page if are_plain(page.tasks) else None


def _of_object(body: bytes) -> Page:
    envelope = strict_json.outline(body, _envelope)
    if envelope.tasks is not UNSET:
        return _page(envelope.tasks, envelope.next)
    if envelope.id is not UNSET:
        return _page([body])
    raise BadField("the answer has neither tasks nor the id of one task", field="tasks")


def _too_many(most: int) -> BadField:
    return BadField(f"it names more than {most} tasks", field="tasks")


def _lines(body: bytes, most: int) -> Iterator[bytes]:
    """One at a time, for millions of them may be nothing but newlines."""
    lines = (line for line in io.BytesIO(body) if line.strip())
    for place, line in enumerate(lines, start=1):
        if place > most:
            raise _too_many(most)
        yield line


def _is_lines(body: bytes) -> bool:
    """A whole object in the first line and more after it is NDJSON, whatever its content type says."""
    first, _, rest = body.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        strict_json.outline(first, _envelope)
    except TaskDashError:
        return False
    return True


def _page(records: "Iterator[bytes] | list[bytes] | list[msgspec.Raw]", following: str = "") -> Page:
    tasks: list[TaskFields] = []
    problems: list[Problem] = []
    named: set[str] = set()
    is_complete = True
    for place, record in enumerate(records, start=1):
        try:
            tasks.append(_record(bytes(record)))
        except TaskDashError as error:
            task_id = _id_of(bytes(record))
            named.add(task_id)
            problems.append(_problem(task_id, place, error))
            is_complete = is_complete and bool(task_id or isinstance(error, BadField))
    return Page(tasks, problems, frozenset(named - {""}), following, is_complete)


def _record(raw: bytes) -> TaskFields:
    return messages.check_task(strict_json.decode(raw, _task))


def _id_of(raw: bytes) -> str:
    """The id of a wrong record as text, a number's too; empty when it has none that may be shown."""
    try:
        return fields.check_id(str(strict_json.outline(raw, _identified).id))
    except TaskDashError:
        return ""


def _problem(task_id: str, place: int, error: TaskDashError) -> Problem:
    told = rule(error, "the record")
    return {"id": task_id, "problem": told if task_id else f"record {place}: {told}"}


def rule(error: TaskDashError, what: str) -> str:
    """The rule that is broken, without what a parser quoted in brackets, and without a name that the answer gave."""
    told = error.detail.replace("the body", what).partition(" (")[0]
    words = _WORD.findall(error.field or "")
    return told if all(word in _OURS or word.isdigit() for word in words) else told.replace(str(error.field), "a field")
