"""The OpenAPI document, made from the routes themselves: their paths, `opt` and annotations. SPEC 8.

A route tells its body by `opt["body"]` (a Struct, checked by `problems.body_of`; `opt["body_required"]`: one of several fields
must be there), the names that it reads from the query string by `opt["query"]`; what it answers is its return annotation. Every
other answer is a Problem.
"""

import re
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from typing import Any, get_args, get_origin

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from taskdash.web.auth import PUBLIC
from taskdash.web.problems import MEDIA_TYPE, Problem

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_GIVEN_BY_US = frozenset({"request", "web", "actor", "identity", "scope", "state"})
_NUMBERS = frozenset({"after", "limit"})
Json = dict[str, Any]


def document(handlers: Sequence[HTTPRouteHandler], version: str) -> bytes:
    """The document as JSON."""
    shown = [handler for handler in handlers if handler.include_in_schema is not False]
    types = {each: None for handler in shown for each in (_body(handler), _answer(handler)) if each is not None}
    found, components = msgspec.json.schema_components([Problem, *types], ref_template=_REF)
    schemas = dict(zip([Problem, *types], found, strict=True))
    paths: dict[str, Json] = {}
    for handler in shown:
        for path in sorted(handler.paths):
            item = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
            for method in sorted(handler.http_methods):
                if method not in {"OPTIONS", "HEAD"}:
                    item[method.lower()] = _operation(handler, path, schemas)
    return msgspec.json.encode(_whole(paths, components, version))


def _whole(paths: dict[str, Json], components: Json, version: str) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {"title": "TaskDash", "version": version or "0", "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "taskdash"},
            },
        },
    }


def _operation(handler: HTTPRouteHandler, path: str, schemas: dict[Any, Json]) -> Json:
    meaning = cleandoc(handler.fn.__doc__ or "")
    operation: Json = {
        "operationId": f"{handler.fn.__module__.rpartition('.')[2]}_{handler.fn.__name__}",
        "summary": meaning.partition(". ")[0].partition("\n")[0].rstrip("."),
        "description": meaning,
        "parameters": [*map(_of_path, _PARAMETER.findall(path)), *_of_query(handler)],
        "responses": {str(handler.status_code): _success(handler, schemas), "default": _problem(schemas)},
        "security": [] if handler.opt["action"] == PUBLIC else [{"token": []}, {"cookie": []}],
    }
    if (body := _body(handler)) is not None:
        operation["requestBody"] = {
            "required": _is_required(handler, body),
            "content": {"application/json": {"schema": schemas[body]}},
        }
    return operation


def _body(handler: HTTPRouteHandler) -> Any:
    return handler.opt.get("body")


def _is_required(handler: HTTPRouteHandler, body: type[msgspec.Struct]) -> bool:
    """True when a request without body would be refused: some field must be there."""
    return bool(handler.opt.get("body_required")) or any(field.required for field in msgspec.structs.fields(body))


def _answer(handler: HTTPRouteHandler) -> Any:
    """What the body of a good answer is: a type for JSON, None for anything else."""
    found = handler.parsed_fn_signature.return_type.raw
    if get_origin(found) is Response:
        found = get_args(found)[0]
    return None if found in {None, type(None), str, bytes, Any, ASGIApp} or found is Response else found


def _success(handler: HTTPRouteHandler, schemas: dict[Any, Json]) -> Json:
    answer = _answer(handler)
    if handler.status_code == 204:
        return {"description": "done"}
    if answer is not None:
        return {"description": "done", "content": {"application/json": {"schema": schemas[answer]}}}
    media_types: Iterable[str] = handler.opt.get("media_types", (str(handler.media_type or "application/json"),))
    return {"description": "done", "content": {media_type: {} for media_type in media_types}}


def _problem(schemas: dict[Any, Json]) -> Json:
    return {"description": "not done, and why", "content": {MEDIA_TYPE: {"schema": schemas[Problem]}}}


def _of_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _of_query(handler: HTTPRouteHandler) -> list[Json]:
    declared = [
        name
        for name in handler.parsed_fn_signature.parameters
        if name not in _GIVEN_BY_US and not any(f"{{{name}:" in path for path in handler.paths)
    ]
    return [_query_parameter(name) for name in dict.fromkeys([*declared, *handler.opt.get("query", ())])]


def _query_parameter(name: str) -> Json:
    whole: Json = {"type": "integer", "minimum": 0}
    limit: Json = {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    schema = limit if name == "limit" else whole if name in _NUMBERS else {"type": "string"}
    return {"name": name, "in": "query", "required": False, "schema": schema}
