"""The hints inside `reserved` when it is itself the text of a JSON object (SPEC 1). Pure; never raises.

A key whose value is wrong is ignored and told in `Hints.problems` (SPEC 3); text that is not a JSON object has no hints.
"""

from typing import Any

import msgspec

from taskdash.errors import BadField
from taskdash.model import fields
from taskdash.model.records import Hints

_SHORTEST_S, _LONGEST_S = 1.0, 86_400.0
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_hints(reserved: str) -> Hints:
    """What a service tells in `reserved`. Intervals come clamped to 1 s..1 day; `heartbeat_interval` 0 stays 0."""
    if not reserved.lstrip().startswith("{"):
        return Hints()
    try:
        keys = _decoder.decode(reserved)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return Hints()
    known: dict[str, Any] = {}
    problems: list[str] = []
    for key, (name, read) in _KEYS.items():
        if key in keys:
            try:
                known[name] = read(keys[key], key)
            except BadField as error:
                problems.append(f"reserved: {error.detail}")
    return Hints(**known, problems=tuple(problems))


def _decode(raw: msgspec.Raw, expected: Any, rule: str, key: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=expected)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise BadField(f"{key} must be {rule}", field=key) from None


def _interval(raw: msgspec.Raw, key: str) -> float:
    value: int | float = _decode(raw, int | float, "a number of seconds", key)
    if value < 0:
        raise BadField(f"{key} must not be negative", field=key)
    if value == 0 and key == "heartbeat_interval":
        return 0.0
    return float(min(max(value, _SHORTEST_S), _LONGEST_S))  # clamped first: an int of 400 digits is no float


def _method(raw: msgspec.Raw, key: str) -> str:
    value: str = _decode(raw, str, 'the text "GET" or "POST"', key)
    if value not in {"GET", "POST"}:
        raise BadField(f'{key} must be the text "GET" or "POST"', field=key)
    return value


def _text(raw: msgspec.Raw, key: str) -> str:
    return fields.check_short(_decode(raw, str, "a text", key), key)


def _truth(raw: msgspec.Raw, key: str) -> bool:
    value: bool = _decode(raw, bool, "true or false", key)
    return value


_KEYS = {
    "heartbeat_interval": ("heartbeat_interval_s", _interval),
    "collect_interval": ("collect_interval_s", _interval),
    "method": ("method", _method),
    "group_id": ("group_id", _text),
    "program_version": ("program_version", _text),
    "host": ("host", _text),
    "leaving": ("leaving", _truth),
}
