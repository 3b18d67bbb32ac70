"""Exports over HTTP: exact JSON lines, CSV that no spreadsheet runs, bounded. SPEC 8; R111, R147, R157."""

import csv
from io import StringIO

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.model.records import NewEvent
from taskdash.store import events
from taskdash.web.api.export import AT_ONCE, COLUMNS, csv_lines, safe_cell
from taskdash.web.shapes import TaskShape
from tests.journeys.api import call, ids, stored
from tests.journeys.http import Site
from tests.support import NOW, a_task, eventually

FORMULA = tuple("=+-@\t\r\0＝＋－＠")
NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "plain",
    "",
    'a "quoted" text',
    "a,b",
    "two\nlines",
    "日终",
    "'x",
]


@pytest.mark.parametrize("text", [*NASTY, "\rx", "\0x"])
def test_R157_no_cell_begins_as_a_formula_and_all_else_stays(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(FORMULA)
    assert cell.removeprefix("'") == text or cell == text


def test_R157_csv_is_rfc_4180() -> None:
    assert csv_lines([["a", 'b"c', "d,e", "f\ng", True, None, 3]]) == b'a,"b""c","d,e","f\ng",true,,3\r\n'


async def test_R157_jsonl_is_the_list_exactly_and_csv_has_a_row_a_task(site: Site) -> None:
    await stored(site, *(a_task(id=f"t{n}", name=text.strip("\t\n"), description=text) for n, text in enumerate(NASTY)))
    http = (await site.person("ada")).http
    _status, body = await call(http, "GET", "/tasks?sort=updated_at&limit=500")
    status, text = await call(http, "GET", "/tasks/export?format=jsonl")
    assert status == 200
    assert [msgspec.json.decode(line) for line in text.splitlines()] == body["items"]
    assert [msgspec.json.decode(line, type=TaskShape).description for line in text.splitlines()] == NASTY
    async with http.get("/api/v1/tasks/export?format=csv") as answer:
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(StringIO((await answer.read()).decode(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["description"].removeprefix("'") for row in rows] == [text.removeprefix("'") for text in NASTY]
    assert rows[0]["description"] == "'=1+1"
    assert (rows[0]["pinned"], rows[0]["version"], rows[0]["until"]) == ("false", "1", "")


async def test_R157_history_is_exact_as_jsonl_and_without_formulas_as_csv(site: Site) -> None:
    http = (await site.person("ada")).http
    told = [NewEvent(at=NOW, kind="task.assigned", subject_type="task", subject_id="1", evidence=text) for text in NASTY]
    await site.db.write(lambda conn: events.append(conn, told))
    _status, body = await call(http, "GET", "/events?limit=500")
    async with http.get("/history/export?format=jsonl") as answer:
        assert [msgspec.json.decode(line) for line in (await answer.text()).splitlines()] == body["items"]
    async with http.get("/history/export?format=csv") as answer:
        rows = list(csv.DictReader(StringIO((await answer.read()).decode(), newline="")))
    assert [row["evidence"].removeprefix("'") for row in rows][::-1][-len(NASTY) :] == [
        text.removeprefix("'") for text in NASTY
    ]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(FORMULA)]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=5), min_size=1, max_size=5))
def test_R157_any_text_comes_back_from_csv_and_no_cell_is_a_formula(rows: list[list[str]]) -> None:
    read = list(csv.reader(StringIO(csv_lines(rows).decode(), newline=""), strict=True))
    assert not [cell for row in read for cell in row if cell.startswith(FORMULA)]
    assert [[cell.removeprefix("'") if cell[1:].startswith(FORMULA) else cell for cell in row] for row in read] == [
        [text.removeprefix("'") if text[1:].startswith(FORMULA) else text for text in row] for row in rows
    ]


async def test_an_export_has_every_task_of_its_filter_once_over_many_pages(site: Site) -> None:
    await stored(site, *(a_task(id=f"{n:04}", status="failed" if n % 2 else "running") for n in range(1_203)))
    http = (await site.person("ada")).http
    _status, text = await call(http, "GET", "/tasks/export?format=jsonl&status=failed")
    found = [msgspec.json.decode(line)["id"] for line in text.splitlines()]
    assert found == [f"{n:04}" for n in range(1_203) if n % 2]
    _status, text = await call(http, "GET", "/tasks/export?format=csv&status=nothing")
    assert text == ",".join(COLUMNS) + "\r\n"
    assert (await call(http, "GET", "/tasks/export?format=xml"))[0] == 422
    assert (await call(http, "GET", "/tasks/export?liveness=dead"))[0] == 422
    assert len(await ids(http, "status=failed&limit=500")) == 500


async def test_R111_a_fifth_export_at_the_same_time_is_asked_to_come_later(site: Site) -> None:
    long = "x" * 8_000
    await stored(site, *(a_task(id=f"{n:04}", description=long, reserved=long) for n in range(1_500)))
    http = (await site.person("ada")).http
    slow = [await http.get("/api/v1/tasks/export?format=jsonl") for _ in range(AT_ONCE)]
    status, problem = await call(http, "GET", "/tasks/export")
    assert (status, problem["status"]) == (429, 429)
    slow[0].close()

    async def is_free() -> bool:
        return (await call(http, "GET", "/tasks/export?status=nothing"))[0] == 200

    await eventually(is_free)
    assert [(await each.read()).count(b"\n") for each in slow[1:]] == [1_500] * (AT_ONCE - 1)


async def test_R147_an_export_stops_when_its_session_ends(site: Site) -> None:
    long = "x" * 8_000
    await stored(site, *(a_task(id=f"{n:04}", description=long, reserved=long) for n in range(2_500)))
    person = await site.person("ada")
    answer = await person.http.get("/api/v1/tasks/export?format=jsonl")
    again = await site.again("ada")
    _status, page = await call(again.http, "GET", "/me/sessions")
    others = [each["id"] for each in page["items"] if not each["current"]]
    for each in others:
        assert (await call(again.http, "DELETE", f"/me/sessions/{each}"))[0] == 204
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
