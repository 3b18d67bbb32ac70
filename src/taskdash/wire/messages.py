"""What travels: TaskService and HeartBeat (SPEC 2), TaskMetaData (SPEC 4). Bytes to checked records, or one error. Pure."""

import re

import msgspec
from msgspec import UNSET

from taskdash.model import fields
from taskdash.model.records import Heartbeat, Registration, TaskFields, Text
from taskdash.wire import strict_json

_registration = msgspec.json.Decoder(Registration)
_heartbeat = msgspec.json.Decoder(Heartbeat)
_SHORT = ("name", "status", "user", "group_id")
_LONG = ("description", "reserved")
_TIMES = ("start_time", "stop_time")
# Nearly every beat is one printable ASCII id as Go or Python writes it: such bytes keep every rule of SPEC 1 by their form.
_plain_beat = re.compile(rb'\{"id": ?"([\x21\x23-\x5b\x5d-\x7e]{1,128})"(, ?"reserved": ?"")?\}').fullmatch
_DOTS = (b".", b"..")


def decode_registration(body: bytes) -> Registration:
    """One TaskService object. Raises BadJson or BadField."""
    registration = strict_json.decode(body, _registration)
    texts = (registration.name, registration.type, registration.description, registration.reserved)
    if not registration.url and _are_plain(registration.id, texts):
        return registration
    fields.check_id(registration.id)
    for name, check in (
        ("name", fields.check_short),
        ("type", fields.check_short),
        ("url", fields.check_url),
        ("description", fields.check_long),
        ("reserved", fields.check_long),
    ):
        value = getattr(registration, name)
        if value is not UNSET:
            check(value, name)
    return registration


def decode_heartbeat(body: bytes) -> Heartbeat:
    """One HeartBeat object. Raises BadJson or BadField."""
    plain = _plain_beat(body)
    if plain and plain[1] not in _DOTS:
        return Heartbeat(id=plain[1].decode("ascii"), reserved="" if plain[2] else UNSET)
    beat = strict_json.decode(body, _heartbeat)
    fields.check_id(beat.id)
    if beat.reserved is not UNSET:
        fields.check_long(beat.reserved, "reserved")
    return beat


def check_task(task: TaskFields) -> TaskFields:
    """The same task when every field that was sent keeps SPEC 1; else raises BadField."""
    texts = (task.name, task.status, task.user, task.group_id, task.description, task.reserved)
    if not (task.url or task.start_time or task.stop_time) and _are_plain(task.id, texts):
        return task
    fields.check_id(task.id)
    for name in _SHORT:
        _check_sent(task, name, fields.check_short)
    for name in _LONG:
        _check_sent(task, name, fields.check_long)
    for name in _TIMES:
        _check_sent(task, name, fields.check_time)
    _check_sent(task, "url", fields.check_url)
    return task


def _are_plain(record_id: str, texts: tuple[Text, ...]) -> bool:
    """Short and printable all together, as nearly every message is: then no rule of SPEC 1 can be broken."""
    whole = "".join([text for text in texts if text])
    return (
        0 < len(record_id) <= fields.ID_CHARACTERS
        and len(whole) <= fields.SHORT_CHARACTERS
        and whole.isprintable()
        and record_id.isprintable()
        and record_id not in {".", ".."}
        and record_id.strip() == record_id
    )


def _check_sent(task: TaskFields, name: str, check: "fields.Check") -> None:
    value = getattr(task, name)
    if value is not UNSET:
        check(value, name)
