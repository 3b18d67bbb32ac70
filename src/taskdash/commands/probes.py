"""Asks each port whether it speaks its protocol. Law: a probe writes nothing; a failure is one sentence that says what to do.

Used by `taskdash doctor`; a probe returns what it found or raises `Unwell`.
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from taskdash.client.api import NotTold, OverNsq
from taskdash.settings.values import Address
from taskdash.wire import nsq_stats

TIMEOUT_S = 3.0
_NOBODY = "taskdash-doctor-asks-for-a-task-that-is-not-there"


class Unwell(Exception):
    """What is wrong and what to do, in one sentence."""


def tcp(address: Address, token: str = "") -> str:
    """The TCP interface: a Find of an unknown id must be answered 1002 in both framings (SPEC 5)."""
    header = {"RequestID": "Find"} | ({"Token": token} if token else {})
    pack = json.dumps({"MessageID": 2, "Header": header, "Body": {"id": _NOBODY}}).encode()
    for wire, name in ((pack + b"\n", "lines"), (len(pack).to_bytes(4, "big") + pack, "length-prefixed")):
        answer = _ask_tcp(address, wire, is_line=wire.endswith(b"\n"))
        if answer.get("errid") == 1003:
            raise Unwell(f"tcp {address} wants a token: set tcp.token, or TASKDASH_TCP__TOKEN")
        if answer.get("errid") != 1002:
            raise Unwell(f"tcp {address} answered a Find in {name} framing with errid {answer.get('errid')}, not 1002")
    return f"tcp {address} answers Find in both framings"


def _ask_tcp(address: Address, wire: bytes, *, is_line: bool) -> dict[str, Any]:
    try:
        with socket.create_connection((address.host, address.port), TIMEOUT_S) as connection:
            connection.sendall(wire)
            received = b""
            while not _is_whole(received, is_line=is_line):
                piece = connection.recv(65_536)
                if not piece:
                    break
                received += piece
    except OSError as error:
        raise _unreachable("tcp", address, error) from None
    try:
        body: dict[str, Any] = json.loads(received if is_line else received[4:])["Body"]
    except (ValueError, KeyError, TypeError):
        raise Unwell(f"{address} does not speak the TCP interface of TaskDash; is it the right port?") from None
    return body


def _is_whole(received: bytes, *, is_line: bool) -> bool:
    if is_line:
        return b"\n" in received
    return len(received) >= 4 and len(received) >= 4 + int.from_bytes(received[:4], "big")


def nsq(address: Address, secret: str = "") -> str:
    """NSQ's TCP protocol, TaskDash's own endpoint or a real nsqd: IDENTIFY must be answered."""
    teller = OverNsq((address.host, address.port), secret=secret, timeout_s=TIMEOUT_S)
    try:
        identity = teller.identify()
    except NotTold as error:
        raise Unwell(f"{error}; is it NSQ's TCP port, and is it running?") from None
    finally:
        teller.close()
    return f"nsq {address} answers, version {identity.get('version', 'unknown')}"


def http(address: Address, path: str, what: str) -> str:
    """A GET that must be answered 200; a 503 tells its reasons."""
    host = "127.0.0.1" if address.host == "0.0.0.0" else "::1" if address.host == "::" else address.host
    url = f"http://{Address(host, address.port)}{path}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            raise Unwell(f"{what} {url} answered {error.code}: {error.read(500).decode('utf-8', 'replace')}") from None
    except (OSError, ValueError) as error:
        raise _unreachable(what, address, error) from None
    return f"{what} {url} answers"


def channels(node: str, where: str, topics: Sequence[str], own: str) -> str:
    """No channel of our topics may be without a reader, for it fills the disk (NSQ.md trap 21). `where`: nsqd's HTTP."""
    for topic in topics:
        try:
            found = nsq_stats.unread(_got(where, nsq_stats.stats_path(topic)), topic, own)
        except (OSError, ValueError) as error:
            return f"nsqd {node}: its channels could not be looked at on http {where} ({getattr(error, 'reason', error)})"
        if found:
            raise Unwell(f"nsqd {node}: {found[0]}")
    return f"nsqd {node} keeps no messages that nobody reads"


def nodes(lookupd: Address, topics: Sequence[str]) -> dict[str, str]:
    """The nodes that nsqlookupd names: HTTP by TCP. Empty when it cannot be asked, which `http` tells."""
    found: dict[str, str] = {}
    for topic in topics:
        with suppress(OSError, ValueError):
            found |= {node.tcp: node.http for node in nsq_stats.nodes(_got(str(lookupd), f"/lookup?topic={quote(topic)}"))}
    return found


def _got(where: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{where}{path}", timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read()
    return body


def free(what: str, address: Address) -> str:
    """No server runs: could one listen here?"""
    try:
        family, kind, *_, sockaddr = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(sockaddr)
    except OSError as error:
        raise Unwell(
            f"{what} {address} cannot be listened on: {error.strerror}; stop what uses it, or choose another"
        ) from None
    return f"{what} {address} is free"


def _unreachable(what: str, address: Address, error: Exception) -> Unwell:
    return Unwell(f"{what} {address} cannot be reached: {getattr(error, 'reason', error)}; is it running there?")
