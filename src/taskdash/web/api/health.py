"""Alive, ready, measured: at the root, for probes (SPEC 8, RELIABILITY R15, R167)."""

import asyncio
from typing import Any

from litestar import Request, Response, get
from msgspec import Struct
from prometheus_client import generate_latest

from taskdash import telemetry
from taskdash.errors import Unauthorized
from taskdash.model.instants import to_rfc3339
from taskdash.web import auth
from taskdash.web.context import Web

_METRICS = "text/plain; version=0.0.4"  # the response adds the charset


class PartShape(Struct):
    """One part: why it does not work, and since when."""

    name: str
    ok: bool
    since: str
    reason: str


class Readiness(Struct):
    """Every part."""

    ready: bool
    parts: list[PartShape]


@get("/healthz", opt={"action": auth.PUBLIC}, media_type="text/plain", include_in_schema=False, sync_to_thread=False)
def healthz() -> str:
    """The process answers."""
    return "ok"


@get("/readyz", opt={"action": auth.PUBLIC}, include_in_schema=False)
async def readyz(request: Request[Any, Any, Any], web: Web) -> Response[Any]:
    """200 when every part works and an input can be heard, else 503; why, only for loopback and for who is known."""
    is_ready = web.parts.ready and not web.inputs.is_deaf
    status = 200 if is_ready else 503
    if not await _may_look(request, web):
        return Response({"ready": is_ready}, status_code=status)
    parts = [PartShape(p.name, p.ok, to_rfc3339(p.since), p.reason) for p in web.parts]
    inputs = [PartShape(f"input {i.name}", i.healthy, to_rfc3339(i.since), i.reason) for i in web.inputs]
    return Response(Readiness(is_ready, parts + inputs), status_code=status)


@get("/metrics", opt={"action": auth.PUBLIC}, include_in_schema=False)
async def metrics(request: Request[Any, Any, Any], web: Web) -> Response[bytes]:
    """Prometheus; for loopback or with a token."""
    if not await _may_look(request, web):
        raise Unauthorized("metrics are for loopback, or with a token")
    for part in web.parts:
        telemetry.part_ready.labels(part.name).set(1 if part.ok else 0)
    telemetry.tasks.set(len(asyncio.all_tasks()))
    return Response(generate_latest(telemetry.registry), media_type=_METRICS)


async def _may_look(request: Request[Any, Any, Any], web: Web) -> bool:
    """A loopback peer that speaks for somebody else is a proxy that nobody named in http.trusted_proxies."""
    peer = "" if "x-forwarded-for" in request.headers else auth.address_of(request)
    return peer.startswith("127.") or peer == "::1" or await auth.identify(web, request) is not None


ROUTES = [healthz, readyz, metrics]
