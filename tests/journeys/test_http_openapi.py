"""The OpenAPI document is true: schemathesis asks every call as it says, and each answer is as it says. SPEC 8."""

import asyncio
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from taskdash.store import tasks
from taskdash.web.routes import routes
from tests.journeys.http import Site
from tests.support import a_task

EXAMPLES = 8
_SPEC = """
POST /login POST /logout GET /me POST /me/password GET /me/sessions DELETE /me/sessions/{id} GET /tasks POST /tasks/query
GET /tasks/facets GET /tasks/{id} GET /tasks/{id}/events POST /tasks/{id}/claim POST /tasks/{id}/release
POST /tasks/{id}/assign POST /tasks/bulk POST /handover POST /tasks/{id}/transfer DELETE /tasks/{id} DELETE /services/{id}
GET /tasks/export GET /services GET /services/{id} GET /services/{id}/events POST /services PUT /services/{id}/heartbeat
POST /services/{id}/collect POST /services/{id}/pause POST /services/{id}/resume POST /services/{id}/archive GET /views
POST /views DELETE /views/{id} GET /incidents POST /incidents/{id}/acknowledge GET /events GET /stream GET /users POST /users
PATCH /users/{id} GET /groups POST /groups PATCH /groups/{id} GET /tokens POST /tokens PATCH /tokens/{id} GET /dead-letters
GET /senders
"""
CALLS = re.findall(r"([A-Z]+) (/\S+)", _SPEC)


async def _document(site: Site) -> Any:
    async with site.client().get("/api/v1/openapi.json") as answer:
        assert answer.content_type == "application/json"
        return await answer.json()


async def test_every_call_of_the_contract_is_in_the_document(site: Site) -> None:
    document = await _document(site)
    known = {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path.removeprefix("/api/v1")))
        for path, item in document["paths"].items()
        for method in item
    }
    assert set(CALLS) - known == set()


async def test_every_route_of_the_api_is_in_the_document(site: Site) -> None:
    document = await _document(site)
    served = {re.sub(r":\w+\}", "}", path) for handler in routes() for path in handler.paths if path.startswith("/api/v1/")}
    assert served - set(document["paths"]) == {"/api/v1/openapi.json"}


async def test_the_docs_page_shows_every_call_without_script(site: Site) -> None:
    document = await _document(site)
    async with site.client().get("/api/docs") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
    assert "<script" not in page
    assert " style=" not in page
    for path, item in document["paths"].items():
        for method in item:
            assert f"<code>{method.upper()} {path}</code>" in page


async def test_answers_are_as_the_document_says(site: Site) -> None:
    await site.account("root", "admin")
    await site.db.write(lambda conn: tasks.save(conn, [(None, a_task(id=str(n))) for n in range(5)]))
    token = await site.token("root", days=0)
    document = await _document(site)
    calls = [(path, method) for path, item in document["paths"].items() for method in item if path != "/api/v1/stream"]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = site.origin
    # a schema cannot say all rules of SPEC 1 and 6: a good 422 is not a lie
    schema.config.checks.positive_data_acceptance.enabled = False
    for path, method in calls:
        await asyncio.to_thread(_ask, schema[path][method.upper()], token)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def _ask(operation: Any, token: str) -> None:
    @seed(133)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"})

    ask()
