"""Whatever is asked, and whatever breaks behind: no statement is changed by it, and no answer tells how TaskDash is made.

R85, R161, R166. The seed is fixed; `LONG_FAULTS=1`: a hundred questions a list.
"""

import os
import random
import re
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlencode

import aiohttp
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from taskdash.store.database import Database
from taskdash.web import problems
from taskdash.web.auth import PUBLIC
from taskdash.web.routes import routes
from tests.journeys.api import stored
from tests.journeys.http import Site
from tests.support import a_service, a_task, all_rows

TRIES = 100 if os.environ.get("LONG_FAULTS") else 6
PARTS = (
    *(
        "'",
        '"',
        "\\",
        ";",
        "--",
        "/*",
        "*/",
        ")",
        "(",
        "%",
        "_",
        "*",
        "-",
        ",",
        ":",
        "{}",
        "[]",
        "$1",
        "?",
        ":p1",
        "%s",
        "é",
        "很",
    ),
    *(" OR 1=1 ", " UNION SELECT password_hash FROM users ", "CASE WHEN", "pg_sleep(9)", "randomblob(1)", "NULL", "id", "desc"),
    *("risk", "1e999", "-1", "99999999999999999999", "\0", "\x7f", "\u202e", "\ud7ff", "a" * 300),
)
NAMES = (
    *("status", "service", "user", "group", "liveness", "q", "stale", "gone", "at_risk", "sort", "limit", "cursor", "kind"),
    *("subject", "actor", "channel", "since", "until", "after", "state", "format"),
)
OF_THE_API = (
    "tasks",
    "tasks/facets",
    "tasks/export",
    "services",
    "events",
    "incidents",
    "users",
    "groups",
    "tokens",
    "dead-letters",
)
PAGES = ("/tasks", "/services", "/history", "/palette", "/mine", "/admin/users", "/admin/dead-letters", "/ui/facets")
LISTS = (*(f"/api/v1/{name}" for name in (*OF_THE_API, "senders", "views")), *PAGES)
TELLS = re.compile(
    r"SELECT |INSERT |UPDATE |sqlite|psycopg|sqlalchemy|Traceback|File \"|/home/|/work/|site-packages|syntax error|near \""
)
"""What only the inside of TaskDash says."""


def junk(of: random.Random) -> str:
    return "".join(of.choice(PARTS) for _ in range(of.randint(1, 4)))


def told(text: str, asked: str) -> list[str]:
    """What an answer tells of the inside, but for what was asked itself: a page shows that again."""
    return [found for found in TELLS.findall(text) if found.lower() not in asked.lower()]


async def test_R161_R166_filters_orders_and_cursors_of_any_text_change_no_statement(site: Site) -> None:
    await stored(site, a_service(id="s"), *(a_task(id=f"{n}", service_id="s") for n in range(5)))
    root = await site.person("root", "admin")
    before, of = all_rows(site.db.place), random.Random(161)
    for path in LISTS:
        for _try in range(TRIES):
            pairs = [(of.choice(NAMES), junk(of)) for _pair in range(of.randint(1, 3))]
            async with root.http.get(f"{path}?{urlencode(pairs)}") as answer:
                text = await answer.text(errors="replace")
            assert answer.status in {200, 400, 404, 422}, (path, pairs, text[:300])
            if answer.status != 200:
                assert told(text, repr(pairs)) == [], (path, pairs, text)
    for _try in range(3 * TRIES):
        body = {of.choice(NAMES): of.choice((junk(of), [junk(of)], {"a": junk(of)}, -1, None)) for _pair in range(3)}
        async with root.http.post("/api/v1/tasks/query", json=body) as answer:
            assert answer.status in {200, 400, 422}, body
            assert answer.status == 200 or told(await answer.text(), repr(body)) == []
    assert all_rows(site.db.place) == before


def broken() -> OperationalError:
    where = "/home/taskdash/secret-place/taskdash.db"
    return OperationalError(
        "SELECT password_hash FROM users WHERE name = ?", {"name": "ada"}, Exception(f"{where}: disk I/O error")
    )


async def answered(http: aiohttp.ClientSession, method: str, path: str, body: Any) -> tuple[int, str]:
    """(status, text); an export that breaks is cut short, which is as good as 500."""
    try:
        async with http.request(method, path, json=body, allow_redirects=False) as answer:
            return answer.status, await answer.text(errors="replace")
    except aiohttp.ClientPayloadError:
        return 500, ""


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["a mistake", "the driver"])
async def test_R166_no_route_tells_what_broke(site: Site, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Signed in, and then every question to the store but who calls fails in a way that nobody foresaw."""
    root = await site.person("root", "admin")
    read = Database.read

    async def fails(self: Database, work: Any) -> Any:
        if "_look_up" in getattr(work, "__qualname__", ""):
            return await read(self, work)

        def raises(_conn: Connection) -> None:
            raise broken() if how == "the driver" else RuntimeError(f'File "/home/x.py", SELECT {broken()}')

        return await read(self, raises)

    monkeypatch.setattr(Database, "read", fails)
    monkeypatch.setattr(problems, "log", Mock())  # a hundred stacks take longer to write than all the rest
    failed = 0
    for handler in routes():
        if handler.opt["action"] == PUBLIC or handler.paths & {"/api/v1/stream", "/api/v1/logout", "/logout"}:
            continue
        for path in handler.paths:
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                address = re.sub(r"\{\w+(:\w+)?\}", "1", path)
                body = {} if method in {"POST", "PUT", "PATCH"} else None
                status, text = await answered(root.http, method, address, body)
                failed += status >= 500
                assert told(text, "") == [], (method, path, text[:500])
                assert "secret-place" not in text, (method, path)
    assert failed > 30
