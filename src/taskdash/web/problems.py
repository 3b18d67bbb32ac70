"""Errors as `application/problem+json` (RFC 9457, SPEC 8). The only place that turns an exception into an answer of the API.

Never shows a stack, SQL or a path (RELIABILITY R166): what we did not foresee is a 500 with an id that is in the log.
"""

import secrets
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException, ValidationException

from taskdash.errors import TaskDashError
from taskdash.telemetry import log
from taskdash.wire import strict_json

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: ("Bad request", ""),
    404: ("Not found", "nothing is at this path"),
    405: ("Method not allowed", "this path does not take this method"),
    413: ("Too large", "the body is larger than this path takes"),
    415: ("Unsupported media type", ""),
}


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457, with `field` and `errid` where there is one; a lost claim adds `holder` and `task`."""

    title: str
    status: int
    detail: str
    type: str = msgspec.field(default="about:blank")
    field: str | None = None
    errid: int | None = None
    holder: dict[str, Any] | None = None
    task: Any = None


def answer(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The response of a problem."""
    shown = {"type": problem.type, **msgspec.to_builtins(problem)}
    return Response(msgspec.json.encode(shown), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers or {})


def of_error(_request: Request[Any, Any, Any], error: TaskDashError) -> Response[bytes]:
    """An error that we know."""
    retry = error.extra.get("retry_after_s")
    headers = {"Retry-After": str(int(retry) or 1)} if retry is not None else {}
    return answer(
        Problem(
            error.title,
            error.status,
            error.detail,
            field=error.field,
            errid=error.errid if error.errid != 1000 or error.status in {400, 422} else None,
            holder=error.extra.get("holder"),
            task=error.extra.get("task"),
        ),
        headers,
    )


def of_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """An error that the framework raised: unknown paths, methods, parameters."""
    if isinstance(error, NotAuthorizedException):
        return answer(Problem("Sign in first", 401, "sign in first", errid=1003))
    if isinstance(error, ValidationException):
        return _of_validation(error)
    status = error.status_code
    title, sentence = _TITLES.get(status, ("Error", ""))
    return answer(Problem(title, status, sentence or error.detail or title), dict(error.headers or {}))


def _of_validation(error: ValidationException) -> Response[bytes]:
    first: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    field = first.get("key") if isinstance(first, dict) else None
    rule = first.get("message", "") if isinstance(first, dict) else ""
    sentence = f"{field}: {rule[:1].lower()}{rule[1:]}" if field and rule else error.detail
    return answer(Problem("A field breaks a rule", 422, sentence, field=field, errid=1000))


def of_surprise(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Anything else: told by an id only."""
    reference = secrets.token_hex(6)
    log.error("unforeseen error", reference=reference, path=request.url.path, error=repr(error), exc_info=error)
    return answer(Problem("Unforeseen error", 500, f"TaskDash made a mistake; its log has it under {reference}"))


async def body_of(request: Request[Any, Any, Any], decoder: "msgspec.json.Decoder[Any]", *, optional: bool = False) -> Any:
    """The JSON body by SPEC 1, typed by `decoder`. `optional`: an absent body is `{}`. Raises BadJson or BadField."""
    raw = await request.body()
    return strict_json.decode(raw or b"{}" if optional else raw, decoder)
