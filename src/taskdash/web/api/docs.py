"""The OpenAPI document, and the page that shows it: rendered by the server, without script (SPEC 8)."""

from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, get

from taskdash.web.auth import PUBLIC

_METHODS = ("get", "post", "put", "patch", "delete")
AnyRequest = Request[Any, Any, Any]


@get("/api/v1/openapi.json", opt={"action": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def document(request: AnyRequest) -> Response[bytes]:
    """The document, for machines."""
    return Response(request.app.state.openapi, media_type="application/json")


@get("/api/docs", opt={"action": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def docs(request: AnyRequest) -> Response[str]:
    """Every call with its parameters, for people."""
    schema = msgspec.json.decode(request.app.state.openapi)
    calls = "".join(
        _call(method, path, item[method])
        for path, item in sorted(schema["paths"].items())
        for method in _METHODS
        if method in item
    )
    structs = "".join(_struct(name, shape) for name, shape in sorted(schema["components"]["schemas"].items()))
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>TaskDash API</title></head><body>'
        "<main><h1>TaskDash API</h1>"
        '<p>The same as a machine reads it: <a href="/api/v1/openapi.json">openapi.json</a>.</p>'
        '<table><thead><tr><th scope="col">call</th><th scope="col">parameters</th><th scope="col">body</th>'
        f'<th scope="col">answer</th><th scope="col">what it does</th></tr></thead><tbody>{calls}</tbody></table>'
        f"<h2>Shapes</h2><dl>{structs}</dl></main></body></html>"
    )
    return Response(body, media_type="text/html")


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    names = ", ".join(parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query")
    status, answer = next(iter(operation["responses"].items()))
    cells = [
        f"<code>{method.upper()} {escape(path)}</code>",
        escape(names),
        _shape_of(operation.get("requestBody", {})),
        f"{status} {_shape_of(answer)}",
        escape(operation["description"]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _shape_of(part: dict[str, Any]) -> str:
    """A link to the shape of a body, or its media type."""
    for media_type, content in part.get("content", {}).items():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>' if name else escape(media_type)
    return ""


def _struct(name: str, shape: dict[str, Any]) -> str:
    fields = ", ".join(field if field in shape.get("required", ()) else f"{field}?" for field in shape.get("properties", {}))
    meaning = shape.get("description", "").partition("\n")[0]
    return (
        f'<dt id="{escape(name)}"><code>{escape(name)}</code></dt><dd>{escape(meaning)}<br><code>{escape(fields)}</code></dd>'
    )


ROUTES = [document, docs]
