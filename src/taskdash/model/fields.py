"""The limits of SPEC 1, one function a rule. Pure. Each raises `BadField` naming the field and the rule it breaks."""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from taskdash.errors import BadField
from taskdash.model.instants import exact_rfc3339

ID_CHARACTERS = 128
SHORT_CHARACTERS = 256
URL_CHARACTERS = 2_048
LONG_CHARACTERS = 8_192
Check = Callable[[str, str], str]
KNOWN_STATUSES = ("waiting", "running", "finish", "failed", "restart", "paused", "shutdown")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_TAB_AND_NEWLINE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_URL_CHARACTER_BANNED = re.compile(r"[\s\x00-\x20\x7f<>\"\\^`{|}]")


def check_id(value: str, name: str = "id", most: int = ID_CHARACTERS) -> str:
    """1 to `most` characters, printable, no white space around, not `.` or `..`, no bidirectional control (SPEC 1)."""
    if not 1 <= len(value) <= most:
        raise BadField(f"{name} must have 1 to {most} characters, not {len(value)}", field=name)
    if _CONTROL.search(value) or _BIDI.search(value):
        raise BadField(f"{name} must not hold control or bidirectional control characters", field=name)
    if value != value.strip():
        raise BadField(f"{name} must not begin or end with white space", field=name)
    if value in {".", ".."}:
        raise BadField(f"{name} must not be '.' or '..'", field=name)
    return value


def check_account_name(value: str, name: str = "name") -> str:
    """What names a user, a group or a token: as an id, but up to 256 characters, as user and group_id of a task (SPEC 1)."""
    return check_id(value, name, SHORT_CHARACTERS)


def check_short(value: str, name: str) -> str:
    """Name, type, status, user, group_id: up to 256 characters, no control characters (SPEC 1)."""
    if len(value) > SHORT_CHARACTERS:
        raise BadField(f"{name} must have at most {SHORT_CHARACTERS} characters, not {len(value)}", field=name)
    if _CONTROL.search(value):
        raise BadField(f"{name} must not hold control characters", field=name)
    return value


def check_long(value: str, name: str) -> str:
    """Description, reserved: up to 8,192 characters; of the control characters only tab and newline (SPEC 1)."""
    if len(value) > LONG_CHARACTERS:
        raise BadField(f"{name} must have at most {LONG_CHARACTERS} characters, not {len(value)}", field=name)
    if _CONTROL_BUT_TAB_AND_NEWLINE.search(value.replace("\r\n", "\n")):
        raise BadField(f"{name} must not hold control characters other than tab and newline", field=name)
    return value


def check_url(value: str, name: str = "url") -> str:
    """Empty, or absolute http/https of up to 2,048 characters without userinfo (SPEC 1, RELIABILITY R88)."""
    if not value:
        return value
    if len(value) > URL_CHARACTERS:
        raise BadField(f"{name} must have at most {URL_CHARACTERS} characters, not {len(value)}", field=name)
    if _URL_CHARACTER_BANNED.search(value):
        raise BadField(f'{name} must not hold white space, control characters or any of <>"\\^`{{|}}', field=name)
    parts = _split(value, name)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadField(f"{name} must be an absolute http or https url, or empty", field=name)
    if "@" in parts.netloc:
        raise BadField(f"{name} must not hold a user or password", field=name)
    return value


def _split(value: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        if parts.port == 0:
            raise ValueError("port 0")
        if parts.netloc.startswith("["):
            ipaddress.IPv6Address((parts.hostname or "").partition("%")[0])
    except ValueError as error:
        raise BadField(f"{name} must be an absolute http or https url, or empty ({error})", field=name) from None
    return parts


def check_time(value: str, name: str) -> str:
    """start_time, stop_time: empty, `HH:MM`, or RFC 3339 (SPEC 1)."""
    time_form(value, name)
    return value


def time_form(value: str, name: str) -> Literal["", "daily", "instant"]:
    """Which of the three forms a start or stop time has. Raises BadField for none of them."""
    if not value:
        return ""
    if _TIME_OF_DAY.fullmatch(value):
        return "daily"
    try:
        exact_rfc3339(value)
    except ValueError:
        raise BadField(f"{name} must be empty, HH:MM or an RFC 3339 time", field=name) from None
    return "instant"


def safe_text(value: str) -> str:
    """The text with control and bidirectional control characters shown as U+FFFD, for logs and evidence."""
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cf", "Cs"} else c for c in value)
