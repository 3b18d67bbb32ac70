"""The NSQ V2 protocol, both sides, sans-IO: bytes to commands (we are nsqd) and bytes to frames (we are a consumer).

Pure. Words are NSQ's own. A command that breaks the protocol becomes `Fatal`: its text is the error frame, and the connection
ends after it; `Fault` is an error that keeps the connection. Source: nsqd 1.3 as measured (NSQ.md C), limits as arguments.
"""

import re
import struct
from typing import Any, Literal

import msgspec
from msgspec import Struct

MAGIC = b"  V2"
RESPONSE, ERROR, MESSAGE = 0, 1, 2
OK = b"\x00\x00\x00\x06\x00\x00\x00\x00OK"
HEARTBEAT = b"\x00\x00\x00\x0f\x00\x00\x00\x00_heartbeat_"
LINE_BYTES = 16 * 1024
BODY_BYTES = 5 * 1024 * 1024
MANY_MESSAGES = 100_000
"""The most messages of one MPUB, less than nsqd's million: all of them are one transaction, for which everyone waits (rubbish
takes 1 s). An MPUB of heartbeats reaches 5 MiB first."""
_HEAD, _MESSAGE_HEAD = struct.Struct(">iI"), struct.Struct(">QH16s")
_NAME = re.compile(rb"[.a-zA-Z0-9_-]+(#ephemeral)?")
_DPUB_MOST_MS = 3_600_000
_CONSUMER_ONLY = {b"CLS", b"RDY", b"FIN", b"REQ", b"TOUCH"}


def is_name(name: bytes) -> bool:
    """A valid topic or channel: 1 to 64 of `.a-zA-Z0-9_-`, `#ephemeral` allowed at the end."""
    return 1 <= len(name) <= 64 and _NAME.fullmatch(name) is not None


class Identify(Struct, frozen=True):
    """IDENTIFY: what the client wants of us. Times in milliseconds."""

    heartbeat_interval: int = 0
    feature_negotiation: bool = False
    tls_v1: bool = False
    output_buffer_size: int = 0
    output_buffer_timeout: int = 0
    msg_timeout: int = 0


class Auth(Struct, frozen=True):
    """AUTH with its secret."""

    secret: bytes


class Publish(Struct, frozen=True):
    """PUB, DPUB (applied at once) or MPUB: all or nothing."""

    command: str
    topic: str
    bodies: tuple[bytes, ...]


class Nop(Struct, frozen=True):
    """A sign of life."""


class Fatal(Struct, frozen=True):
    """The error frame after which the connection ends."""

    text: str


Command = Identify | Auth | Publish | Nop | Fatal
_identify = msgspec.json.Decoder(dict[str, Any])


class _Incomplete(Exception):
    """The rest of a command has not come yet; `needed`: bytes from the beginning of the buffer, if known."""

    def __init__(self, needed: int = 0) -> None:
        super().__init__()
        self.needed = needed


class CommandReader:
    """Cuts one producer's bytes into commands. After a Fatal it reads no more."""

    def __init__(self, message_bytes: int = 1_048_576) -> None:
        self._message_bytes = message_bytes
        self._buffer = bytearray()
        self._needed = 0
        self._began = False
        self._ended = False

    def drop(self) -> None:
        """Keep nothing and read no more."""
        self._buffer.clear()
        self._ended = True

    def feed(self, received: bytes) -> list[Command]:
        """The commands that are whole now."""
        if self._ended:
            return []
        self._buffer += received
        if len(self._buffer) < self._needed:
            return []
        self._needed = 0
        found: list[Command] = []
        at = 0
        try:
            while at < len(self._buffer) and not self._ended:
                command, at = self._next(at)
                if command is not None:
                    found.append(command)
                self._ended = isinstance(command, Fatal)
        except _Incomplete as missing:
            self._needed = max(0, missing.needed - at)
        del self._buffer[:at]
        return found

    @property
    def partial_bytes(self) -> int:
        """How many bytes wait for the rest of their command."""
        return len(self._buffer)

    def _next(self, at: int) -> tuple[Command | None, int]:
        if not self._began:
            return self._magic(at)
        end = self._buffer.find(b"\n", at, at + LINE_BYTES)
        if end < 0:
            if len(self._buffer) - at >= LINE_BYTES:
                return Fatal("E_INVALID command line is over 16 KiB"), at
            raise _Incomplete
        line = bytes(self._buffer[at:end])
        words = line.removesuffix(b"\r").split(b" ")
        return self._command(words[0], words[1:], end + 1)

    def _magic(self, at: int) -> tuple[Command | None, int]:
        got = bytes(self._buffer[at : at + 4])
        if not MAGIC.startswith(got):
            return Fatal("E_BAD_PROTOCOL"), at
        if len(got) < 4:
            raise _Incomplete
        self._began = True
        return None, at + 4

    def _command(self, name: bytes, parameters: list[bytes], at: int) -> tuple[Command, int]:
        if name == b"NOP":
            return Nop(), at
        if name in {b"PUB", b"DPUB", b"MPUB"}:
            return self._publish(name.decode(), parameters, at)
        if name == b"IDENTIFY":
            return self._read_identify(at)
        if name == b"AUTH":
            body, at = self._body(at, "AUTH", BODY_BYTES, "E_BAD_BODY", "body")
            return (body, at) if isinstance(body, Fatal) else (Auth(body), at)
        shown = name[:64].decode("utf-8", "replace")
        if name == b"SUB":
            return Fatal("E_INVALID cannot SUB: TaskDash takes messages in and gives none out"), at
        if name in _CONSUMER_ONLY:
            return Fatal(f"E_INVALID cannot {shown} in current state"), at
        return Fatal(f"E_INVALID invalid command {shown}"), at

    def _publish(self, command: str, parameters: list[bytes], at: int) -> tuple[Command, int]:
        if len(parameters) < (2 if command == "DPUB" else 1):
            return Fatal(f"E_INVALID {command} insufficient number of parameters"), at
        topic = parameters[0]
        if not is_name(topic):
            shown = topic[:64].decode("utf-8", "replace")
            doubled = "E_BAD_TOPIC " if command == "MPUB" else ""
            return Fatal(f'{doubled}E_BAD_TOPIC {command} topic name "{shown}" is not valid'), at
        if command == "DPUB" and (wrong := _wrong_delay(parameters[1])):
            return Fatal(wrong), at
        if command == "MPUB":
            return self._many(topic.decode(), at)
        body, at = self._body(at, command, self._message_bytes, "E_BAD_MESSAGE", "message")
        return (body, at) if isinstance(body, Fatal) else (Publish(command, topic.decode(), (body,)), at)

    def _size(self, at: int) -> int:
        if len(self._buffer) - at < 4:
            raise _Incomplete(at + 4)
        return int.from_bytes(self._buffer[at : at + 4], "big", signed=True)

    def _body(self, at: int, command: str, most: int, code: str, word: str) -> tuple[bytes | Fatal, int]:
        size = self._size(at)
        if size <= 0:
            return Fatal(
                f"{code} {command} invalid message body size {size}" if word == "message" else _bad_size(command, size)
            ), at
        if size > most:
            return Fatal(f"{code} {command} {word} too big {size} > {most}"), at
        if len(self._buffer) - at - 4 < size:
            raise _Incomplete(at + 4 + size)
        return bytes(self._buffer[at + 4 : at + 4 + size]), at + 4 + size

    def _many(self, topic: str, at: int) -> tuple[Command, int]:
        body, end = self._body(at, "MPUB", BODY_BYTES, "E_BAD_BODY", "body")
        if isinstance(body, Fatal):
            return body, end
        bodies = split_many(body, self._message_bytes)
        return (bodies, end) if isinstance(bodies, Fatal) else (Publish("MPUB", topic, bodies), end)

    def _read_identify(self, at: int) -> tuple[Command, int]:
        body, at = self._body(at, "IDENTIFY", BODY_BYTES, "E_BAD_BODY", "body")
        return (body if isinstance(body, Fatal) else read_identify(body)), at


def _bad_size(command: str, size: int) -> str:
    return f"E_BAD_BODY {command} invalid body size {size}"


def _wrong_delay(text: bytes) -> str:
    shown = text[:32].decode("utf-8", "replace")
    if not text.isdigit() or not text.isascii():
        return f"E_INVALID DPUB could not parse timeout {shown}"
    if int(text[:12]) > _DPUB_MOST_MS:
        return f"E_INVALID DPUB timeout {shown} out of range 0-{_DPUB_MOST_MS}"
    return ""


def split_many(body: bytes, message_bytes: int) -> tuple[bytes, ...] | Fatal:
    """The messages of an MPUB body: int32 count, then (int32 size, bytes) each; all bounded by the whole (trap 16)."""
    if len(body) < 4:
        return Fatal("E_BAD_BODY MPUB invalid message count 0")
    count = int.from_bytes(body[:4], "big", signed=True)
    if not 0 < count <= MANY_MESSAGES:
        return Fatal(f"E_BAD_BODY MPUB invalid message count {count}")
    bodies, at = [], 4
    for index in range(count):
        if len(body) - at < 4:
            return Fatal(f"E_BAD_BODY MPUB holds fewer than its {count} messages")
        size = int.from_bytes(body[at : at + 4], "big", signed=True)
        if size <= 0:
            return Fatal(f"E_BAD_MESSAGE MPUB invalid message({index}) body size {size}")
        if size > message_bytes:
            return Fatal(f"E_BAD_MESSAGE MPUB message too big {size} > {message_bytes}")
        if len(body) - at - 4 < size:
            return Fatal(f"E_BAD_BODY MPUB message({index}) is longer than its body")
        bodies.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return tuple(bodies) if at == len(body) else Fatal("E_BAD_BODY MPUB body is longer than its messages")


_RANGES = {
    "heartbeat_interval": (1_000, 60_000, True),
    "output_buffer_size": (64, 65_536, True),
    "output_buffer_timeout": (25, 30_000, True),
    "msg_timeout": (1_000, 900_000, False),
}


def read_identify(body: bytes) -> Identify | Fatal:
    """The client's wishes, each within nsqd's own ranges."""
    try:
        wished = _identify.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Fatal("E_BAD_BODY IDENTIFY failed to decode JSON body")
    numbers: dict[str, int] = {}
    for name, (least, most, may_be_off) in _RANGES.items():
        value = wished.get(name) or 0
        if not isinstance(value, int) or not (value == 0 or least <= value <= most or (value == -1 and may_be_off)):
            return Fatal(f"E_BAD_BODY IDENTIFY {name} ({value}) is invalid"[:200])
        numbers[name] = value
    return Identify(
        **numbers, feature_negotiation=wished.get("feature_negotiation") is True, tls_v1=wished.get("tls_v1") is True
    )


def frame(kind: int, body: bytes) -> bytes:
    """One frame out: int32 size of what follows, int32 type, body."""
    return struct.pack(">ii", len(body) + 4, kind) + body


class Frame(Struct, frozen=True, gc=False):
    """One frame that nsqd sent us."""

    kind: int
    body: bytes


class Delivery(Struct, frozen=True, gc=False):
    """A message that nsqd gave us. `at`: nanoseconds, nsqd's own publish time."""

    at: int
    attempts: int
    id: bytes
    body: bytes


class FrameReader:
    """Cuts nsqd's bytes into frames. Raises ValueError for a size that cannot be."""

    def __init__(self, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most = most_bytes
        self._buffer = bytearray()
        self._needed = 8

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._buffer += received
        if len(self._buffer) < self._needed:
            return []
        data, found, at = bytes(self._buffer), [], 0
        self._needed, length = 8, len(data)
        while length - at >= 8:
            size, kind = _HEAD.unpack_from(data, at)
            if not 4 <= size <= self._most:
                raise ValueError(f"a frame of {size} bytes")
            end = at + 4 + size
            if length < end:
                self._needed = end - at
                break
            found.append(Frame(kind, data[at + 8 : end]))
            at = end
        del self._buffer[:at]
        return found


def delivery(body: bytes) -> Delivery:
    """The body of a message frame. Raises ValueError when it is too short to be one."""
    if len(body) < 26:
        raise ValueError("a message frame that is too short")
    at, attempts, message_id = _MESSAGE_HEAD.unpack_from(body)
    return Delivery(at, attempts, message_id, body[26:])


def with_body(command: bytes, body: bytes) -> bytes:
    """IDENTIFY, AUTH, PUB: a line, an int32 size, the body."""
    return command + b"\n" + struct.pack(">i", len(body)) + body


def settle(name: Literal[b"FIN", b"TOUCH"], message_id: bytes) -> bytes:
    """FIN or TOUCH of one message."""
    return name + b" " + message_id + b"\n"


def requeue(message_id: bytes) -> bytes:
    """REQ without delay: a delay would move a message from disk into nsqd's memory (trap 2)."""
    return b"REQ " + message_id + b" 0\n"
