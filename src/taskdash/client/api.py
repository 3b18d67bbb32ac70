"""How a program tells TaskDash about itself: by TaskDash's HTTP, by nsqd's HTTP, or by NSQ's TCP. Standard library only.

Each way has `register(service)` and `beat(service_id, reserved)`; both raise `NotTold` when TaskDash did not say that it
stored the message, and may then be repeated: telling twice is telling once (SPEC 2).
"""

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

SERVICES_TOPIC = "taskdash.services"
HEARTBEATS_TOPIC = "taskdash.heartbeats"
_RESPONSE, _ERROR = 0, 1
_MOST_FRAME_BYTES = 1024 * 1024


class NotTold(Exception):
    """TaskDash did not take the message; the text says why in one sentence. `status`: of HTTP, 0 when there was no answer."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class Teller(Protocol):
    """One way to TaskDash."""

    def register(self, service: Mapping[str, Any]) -> None:
        """Tell a TaskService: `id`, and any of `name, type, url, description, reserved`."""
        ...

    def beat(self, service_id: str, reserved: str = "") -> None:
        """Tell that the service lives."""
        ...


class OverHttp:
    """TaskDash's own HTTP (`POST /api/v1/services`), with a token of scope `ingest`."""

    def __init__(self, url: str = "http://127.0.0.1:8700", token: str = "", timeout_s: float = 5.0) -> None:
        self._services = url.rstrip("/") + "/api/v1/services"
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout_s = timeout_s

    def register(self, service: Mapping[str, Any]) -> None:
        """As `Teller.register`."""
        _send("POST", self._services, service, self._headers, self._timeout_s)

    def beat(self, service_id: str, reserved: str = "") -> None:
        """As `Teller.beat`; NotTold with status 404 when TaskDash does not know the service."""
        body = {"reserved": reserved} if reserved else {}
        _send("PUT", f"{self._services}/{quote(service_id, safe='')}/heartbeat", body, self._headers, self._timeout_s)


class OverNsqHttp:
    """nsqd's HTTP `/pub`: TaskDash's embedded endpoint, or a real nsqd."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:4151",
        services_topic: str = SERVICES_TOPIC,
        heartbeats_topic: str = HEARTBEATS_TOPIC,
        timeout_s: float = 5.0,
    ) -> None:
        self._pub = url.rstrip("/") + "/pub?topic="
        self._topics = services_topic, heartbeats_topic
        self._timeout_s = timeout_s

    def register(self, service: Mapping[str, Any]) -> None:
        """As `Teller.register`."""
        _send("POST", self._pub + quote(self._topics[0]), service, {}, self._timeout_s)

    def beat(self, service_id: str, reserved: str = "") -> None:
        """As `Teller.beat`."""
        _send("POST", self._pub + quote(self._topics[1]), _beat(service_id, reserved), {}, self._timeout_s)


class OverNsq:
    """NSQ's TCP protocol, one connection that is made anew when it broke; a message is sent once more after that."""

    def __init__(
        self,
        address: tuple[str, int] = ("127.0.0.1", 4150),
        services_topic: str = SERVICES_TOPIC,
        heartbeats_topic: str = HEARTBEATS_TOPIC,
        secret: str = "",
        timeout_s: float = 5.0,
    ) -> None:
        self._address = address
        self._topics = services_topic, heartbeats_topic
        self._secret = secret
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._turn = threading.Lock()

    def register(self, service: Mapping[str, Any]) -> None:
        """As `Teller.register`."""
        self.publish(self._topics[0], _json(service))

    def beat(self, service_id: str, reserved: str = "") -> None:
        """As `Teller.beat`."""
        self.publish(self._topics[1], _json(_beat(service_id, reserved)))

    def publish(self, topic: str, body: bytes) -> None:
        """PUB one message; returns once it was answered OK."""
        with self._turn:
            try:
                answer = self._ask_again(f"PUB {topic}", body)
            except OSError as error:
                self.close()
                raise NotTold(f"NSQ at {_shown(self._address)} does not answer: {error}") from None
            if answer != b"OK":
                self.close()
                raise NotTold(f"NSQ at {_shown(self._address)} answered {answer[:200].decode('utf-8', 'replace')}")

    def identify(self) -> dict[str, Any]:
        """What the node says of itself (the answer to IDENTIFY)."""
        try:
            answer: dict[str, Any] = json.loads(self._ask("IDENTIFY", _json({"feature_negotiation": True})))
        except (OSError, ValueError) as error:
            self.close()
            raise NotTold(f"NSQ at {_shown(self._address)} does not answer: {error}") from None
        return answer

    def close(self) -> None:
        """End the connection."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _ask_again(self, command: str, body: bytes) -> bytes:
        """A connection that idled may have been closed by the node: that is no failure yet."""
        if self._socket is not None:
            try:
                return self._ask(command, body)
            except OSError:
                self.close()
        return self._ask(command, body)

    def _ask(self, command: str, body: bytes) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, self._timeout_s)
            self._socket.sendall(b"  V2")
            if self._secret:
                self._ask_identity()
        self._socket.sendall(command.encode() + b"\n" + struct.pack(">i", len(body)) + body)
        return self._answer(self._socket)

    def _ask_identity(self) -> None:
        self._ask("IDENTIFY", _json({"feature_negotiation": True}))
        answer = self._ask("AUTH", self._secret.encode())
        if answer.startswith(b"E_"):
            raise OSError(answer.decode("utf-8", "replace"))

    def _answer(self, connection: socket.socket) -> bytes:
        while True:
            size, kind = struct.unpack(">ii", _exactly(connection, 8))
            if not 4 <= size <= _MOST_FRAME_BYTES:
                raise OSError("this is not NSQ")
            body = _exactly(connection, size - 4)
            if body != b"_heartbeat_":
                return body if kind in {_RESPONSE, _ERROR} else b"a frame that is no answer"
            connection.sendall(b"NOP\n")


def _send(method: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout_s: float) -> None:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise NotTold(f"{url} is no http or https url")
    request = urllib.request.Request(url, _json(body), dict(headers), method=method)  # noqa: S310  (checked above)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            answer.read(_MOST_FRAME_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            raise NotTold(f"{method} {url} was answered {error.code} {error.reason}{_detail(error)}", error.code) from None
    except (OSError, ValueError) as error:
        raise NotTold(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from None


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(65_536))
        return f": {problem.get('detail') or problem.get('message')}"
    except (OSError, ValueError, AttributeError):
        return ""


def _beat(service_id: str, reserved: str) -> dict[str, str]:
    return {"id": service_id} | ({"reserved": reserved} if reserved else {})


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise OSError("it closed the connection")
        received += piece
    return received


def _shown(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
