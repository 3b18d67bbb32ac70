"""The docs page of the API: rendered by the server from the schema itself, without script (SPEC 8)."""

from html import escape
from typing import Any

from litestar import Request, Response, get

from taskdash.web.auth import PUBLIC

_METHODS = ("get", "post", "put", "patch", "delete")


@get("/api/docs", opt={"action": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """Every call with its parameters."""
    schema = request.app.openapi_schema.to_schema()
    calls = "".join(
        _call(method, path, item[method])
        for path, item in sorted(schema["paths"].items())
        for method in _METHODS
        if method in item
    )
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>TaskDash API</title><h1>TaskDash API</h1>'
        '<p>The same as a machine reads it: <a href="/api/v1/openapi.json">openapi.json</a>.</p>'
        f"<table><thead><tr><th>call<th>parameters<th>what it does</tr></thead><tbody>{calls}</tbody></table></html>"
    )
    return Response(body, media_type="text/html")


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    names = ", ".join(parameter["name"] for parameter in operation.get("parameters", ()))
    meaning = operation.get("description") or operation.get("summary", "")
    return f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{escape(names)}<td>{escape(meaning)}</tr>"


ROUTES = [docs]
