"""Lines to copy that tell this very server of a service: its real addresses, in four languages. UI 6 (First run). Pure.

They are code, so they are not translated; each works as it stands.
"""

import shlex
from typing import Any, NamedTuple

import msgspec
from litestar import Request
from msgspec import Struct

from taskdash.web.context import Web
from taskdash.web.pages.programs import programs_by_http, programs_by_nsq
from taskdash.web.pages.texts import mark

TASKS = '[{"id":"133","name":"nightly","status":"running"}]'
_USUAL_TOPICS = ("taskdash.services", "taskdash.heartbeats")
_ANYWHERE = {"0.0.0.0", "[::]"}
_REGISTER, _BEAT = mark("Register the service"), mark("Beat every 10 seconds")
_SERVE = mark("Name a url when you register, and answer it with your tasks")
_ALL_OF_IT = mark("The whole service: it registers, beats and tells its tasks")
_BEARER = "-H \"Authorization: Bearer $TASKDASH_TOKEN\" -H 'Content-Type: application/json'"


class Way(Struct, frozen=True):
    """How a program reaches this server. `pub`: `http://127.0.0.1:4151/pub?topic=`, or empty: then by the API with a token."""

    origin: str
    pub: str
    topics: tuple[str, str]


class Step(NamedTuple):
    """One block: what it does, and the text to copy."""

    title: str
    text: str


class Language(NamedTuple):
    """One tab."""

    name: str
    steps: list[Step]


def way_of(request: Request[Any, Any, Any], web: Web) -> Way:
    """As the browser of this request reaches the server; an endpoint that asks for a secret is not offered."""
    host = request.headers.get("host", "")
    has_secret = any(each.name == "nsq.auth" and each.value != '""' for each in web.settings)
    listens = "" if has_secret else reachable(web.addresses.get("nsq-http", ""), host)
    return Way(f"{request.scope['scheme']}://{host}", f"http://{listens}/pub?topic=" if listens else "", web.topics)


def reachable(address: str, host: str) -> str:
    """Where a listener is reached: one that listens on every address, by the name under which the browser came."""
    listens, _, port = address.rpartition(":")
    if listens not in _ANYWHERE:
        return address
    name, colon, own_port = host.rpartition(":")
    return f"{name if colon and own_port.isdigit() else host}:{port}"


def register(way: Way, service_id: str, name: str) -> str:
    """The line that registers a service; any id is quoted for a shell."""
    body = shlex.quote(msgspec.json.encode({"id": service_id, "name": name}).decode())
    if way.pub:
        return f"curl -fsS '{way.pub}{way.topics[0]}' -d {body}"
    return f"curl -fsS '{way.origin}/api/v1/services' \\\n  {_BEARER} -d {body}"


def languages(way: Way) -> list[Language]:
    """curl, Python, Go, Node."""
    programs = programs_by_nsq if way.pub else programs_by_http
    return [
        Language("curl", _curl(way)),
        *(Language(name, [Step(_ALL_OF_IT, _filled(way, text))]) for name, text in programs.items()),
    ]


def _curl(way: Way) -> list[Step]:
    if way.pub:
        beat = f"curl -fsS '{way.pub}{way.topics[1]}' -d '{{\"id\":\"first-1\"}}'"
    else:
        beat = f"curl -fsS -X PUT '{way.origin}/api/v1/services/first-1/heartbeat' \\\n  {_BEARER} -d '{{}}'"
    return [
        Step(_REGISTER, register(way, "first-1", "My first service")),
        Step(_BEAT, f"while {beat}; do sleep 10; done"),
        Step(_SERVE, TASKS),
    ]


def _filled(way: Way, text: str) -> str:
    topics = "" if way.topics == _USUAL_TOPICS else f', "{way.topics[0]}", "{way.topics[1]}"'
    for name, value in (
        ("@PUB@", way.pub),
        ("@ORIGIN@", way.origin),
        ("@NSQ@", way.pub.partition("/pub")[0]),
        ("@SERVICES@", way.topics[0]),
        ("@BEATS@", way.topics[1]),
        ("@TOPICS@", topics),
    ):
        text = text.replace(name, value)
    return text
