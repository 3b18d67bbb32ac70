"""TCP packs, both framings, sans-IO: bytes in, packs out, and answers back to bytes (SPEC 5, RELIABILITY R65-R71).

Pure. The first byte of a connection chooses the framing for its life: 0x00 is a 4-byte big-endian length and that many
bytes of JSON, `{` is one JSON pack a line. What breaks the framing itself is told in `PackReader.lost`; the connection must
then end.
"""

import base64
import binascii
import itertools
from enum import Enum
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from taskdash.errors import BadField, BadJson, TaskDashError
from taskdash.model.records import TaskFields
from taskdash.wire import strict_json
from taskdash.wire.messages import check_task

REQUEST = 2
HEARTBEAT = 1392
HEADER_BYTES = 16 * 1024
"""A Header comes back with every answer, so its size is bounded apart from the pack's."""
_NULL = Raw(b"null")
_encoder = msgspec.json.Encoder()


class FramingLost(TaskDashError):
    """The bytes no longer tell where a pack begins: answer 1000 once, then close."""


class Framing(Enum):
    """How packs are cut out of the stream."""

    LENGTH = 0
    LINES = 1


class Body(Enum):
    """In which of the three forms a Body came, and its answer goes."""

    OBJECT = 0
    TEXT = 1
    BASE64 = 2


class PackReader:
    """Cuts one connection's bytes into packs; keeps what is not whole yet."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._searched = 0
        self.framing: Framing | None = None
        self.lost: FramingLost | None = None
        """Set once the stream no longer tells where a pack begins; the packs before that are still good."""

    @property
    def partial_bytes(self) -> int:
        """How much of a pack waits for its rest."""
        return len(self._buffer)

    def drop(self) -> None:
        """Keep nothing: the rest is not wanted."""
        self._buffer.clear()
        self._searched = 0

    def feed(self, received: bytes) -> list[bytes]:
        """The packs that are whole now; afterwards `lost` tells whether the framing still holds."""
        if self.lost is not None:
            return []
        self._buffer += received
        if self.framing is None and not self._choose():
            return []
        return self._by_length() if self.framing is Framing.LENGTH else self._by_line()

    def _choose(self) -> bool:
        while self._buffer.startswith((b"\r", b"\n")):
            del self._buffer[0]
        if not self._buffer:
            return False
        first = self._buffer[0]
        if first not in (0x00, 0x7B):
            return self._lose("the first byte of a connection must be 0x00 (length-prefixed) or '{' (lines)")
        self.framing = Framing.LENGTH if first == 0x00 else Framing.LINES
        return True

    def _by_length(self) -> list[bytes]:
        packs, at, buffer = [], 0, self._buffer
        while len(buffer) - at >= 4:
            size = int.from_bytes(buffer[at : at + 4], "big")
            if size > self._limit:
                self._lose(f"a pack of {size} bytes is over the limit of {self._limit}")
                break
            if len(buffer) - at - 4 < size:
                break
            packs.append(bytes(buffer[at + 4 : at + 4 + size]))
            at += 4 + size
        del buffer[:at]
        return packs

    def _by_line(self) -> list[bytes]:
        end = self._buffer.rfind(b"\n", self._searched)
        lines = bytes(self._buffer[: max(end, 0)]).split(b"\n")
        del self._buffer[: end + 1]
        self._searched = len(self._buffer)
        kept = list(itertools.takewhile(lambda line: len(line) <= self._limit, lines))
        if len(kept) < len(lines) or len(self._buffer) > self._limit:
            self._lose(f"a line is over the limit of {self._limit} bytes")
        return [line for line in kept if line.strip()]

    def _lose(self, sentence: str) -> bool:
        self.lost = FramingLost(sentence)
        self._buffer.clear()
        return False


class _Pack(Struct):
    MessageID: int
    Header: Raw = _NULL
    Body: Raw = _NULL


class _Header(Struct):
    RequestID: str = ""
    Token: str = ""


class Request(Struct):
    """One pack that could be read. `error` says what is wrong with it; `fields` is set when nothing is."""

    message_id: int
    header: Raw = _NULL
    request_id: Literal["Register", "Update", "Find", ""] = ""
    token: str = ""
    form: Body = Body.OBJECT
    id: str = ""
    fields: TaskFields | None = None
    error: TaskDashError | None = None

    @property
    def is_heartbeat(self) -> bool:
        """MessageID 1392: has no answer (SPEC 5)."""
        return self.message_id == HEARTBEAT


_packs = msgspec.json.Decoder(_Pack)
_headers = msgspec.json.Decoder(_Header | None)
_tasks = msgspec.json.Decoder(TaskFields)
_texts = msgspec.json.Decoder(str)


class _Named(Struct):
    id: str = ""


_named = msgspec.json.Decoder(_Named)


def decode(raw: bytes) -> Request:
    """Read one pack. Never raises: what is wrong is in `error`, and a pack that cannot be read at all has MessageID 2."""
    try:
        pack = strict_json.decode(raw, _packs)
    except (BadJson, BadField) as error:
        return Request(REQUEST, error=error)
    if len(bytes(pack.Header)) > HEADER_BYTES:
        return Request(REQUEST, error=BadField(f"Header must have at most {HEADER_BYTES} bytes", field="Header"))
    request = Request(pack.MessageID, pack.Header)
    if not request.is_heartbeat:
        try:
            _fill(request, pack)
        except (BadJson, BadField) as error:
            request.error = error
    return request


def _fill(request: Request, pack: _Pack) -> None:
    body = _open_body(request, pack.Body)
    header = _read_header(pack.Header)
    request.token = header.Token
    if pack.MessageID != REQUEST:
        request.id = _id_of(body)
        raise BadField(f"MessageID must be {REQUEST} or {HEARTBEAT}, not {pack.MessageID}", field="MessageID")
    if header.RequestID not in {"Register", "Update", "Find"}:
        request.id = _id_of(body)
        raise BadField('Header.RequestID must be "Register", "Update" or "Find"', field="Header.RequestID")
    request.request_id = header.RequestID  # type: ignore[assignment]  # the line above checked it
    _read_task(request, body)


def _read_header(raw: Raw) -> _Header:
    try:
        return _headers.decode(raw) or _Header()
    except msgspec.ValidationError:
        raise BadField("Header must be an object whose RequestID and Token are texts, or null", field="Header") from None


def _open_body(request: Request, raw: Raw) -> bytes:
    """The JSON bytes of the Body, whichever of the three forms it has."""
    body = bytes(raw)
    if body[:1] != b'"':
        return body
    text = _texts.decode(body)
    if text.lstrip()[:1] in {"{", "[", '"'}:
        request.form = Body.TEXT
        return text.encode()
    try:
        opened = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadField("Body must be an object, JSON text, or base64 of JSON text", field="Body") from None
    request.form = Body.BASE64
    return opened


def _id_of(body: bytes) -> str:
    """The id of a Body that is refused for another reason, for the answer."""
    try:
        return strict_json.decode(body, _named).id
    except (BadJson, BadField):
        return ""


def _read_task(request: Request, body: bytes) -> None:
    if body[:1] != b"{" and body.lstrip()[:1] != b"{":
        raise BadField("Body must be a JSON object with the task's fields", field="Body")
    # an object lies in the bytes of its pack, which were looked at; the other two forms were opened
    read = strict_json.outline if request.form is Body.OBJECT else strict_json.decode
    try:
        task = read(body, _tasks)
    except (BadJson, BadField):
        request.id = _id_of(body)
        raise
    request.id = task.id
    request.fields = check_task(task)


def encode(framing: Framing, request: Request, body: bytes) -> bytes:
    """The answer to `request` as it goes on the wire: same framing, MessageID, Header and Body form. `body`: JSON object."""
    if request.form is Body.TEXT:
        body = _encoder.encode(body.decode())
    elif request.form is Body.BASE64:
        body = b'"' + base64.b64encode(body) + b'"'
    header = bytes(request.header)
    if framing is Framing.LINES and (b"\n" in header or b"\r" in header):
        header = _on_one_line(header)
    pack = b'{"MessageID":%d,"Header":%b,"Body":%b}' % (request.message_id, header, body)
    if framing is Framing.LENGTH:
        return len(pack).to_bytes(4, "big") + pack
    return pack + b"\n"


def _on_one_line(header: bytes) -> bytes:
    """White space between the tokens of a Header may hold newlines; a line may not."""
    return header.replace(b"\r", b" ").replace(b"\n", b" ")


def body_of(fields: dict[str, Any]) -> bytes:
    """A JSON object of an answer's fields."""
    return _encoder.encode(fields)
