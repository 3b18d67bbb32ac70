"""The headers of every answer, also of what never becomes a request; no page has a script or style of its own. R155.

The store has no part in it: on the embedded one only.
"""

import asyncio
import ipaddress
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from taskdash.store.places import Place
from taskdash.web.auth import PUBLIC
from taskdash.web.headers import ALWAYS, HSTS
from taskdash.web.pages import static
from taskdash.web.routes import routes
from tests.journeys.api import stored
from tests.journeys.http import Site
from tests.support import a_place, a_service, a_task

WEB = Path("src/taskdash/web")
SIGN_IN = b'{"user":"a","password":"b"}'
OF_JSON = ("Content-Type: application/json", f"Content-Length: {len(SIGN_IN)}")
BODY = b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return a_place(tmp_path)


def head(line: str, *fields: str, host: str = "localhost") -> bytes:
    return "".join(f"{each}\r\n" for each in (line, f"Host: {host}", "Connection: close", *fields)).encode()


BELOW_THE_ROUTES = {
    "no http": (b"nonsense\r\n\r\n", 400),
    "two lengths": (head("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2") + b"\r\n", 400),
    "a long url": (head(f"GET /{'x' * 9_000} HTTP/1.1") + b"\r\n", 414),
    "a large head": (head("GET / HTTP/1.1", f"X: {'x' * 40_000}") + b"\r\n", 431),
    "a large body": (
        head("POST /api/v1/login HTTP/1.1", "Content-Type: application/json", "Content-Length: 9000") + b"\r\n",
        413,
    ),
    "a packed body": (head("POST /api/v1/login HTTP/1.1", "Content-Encoding: gzip") + BODY, 415),
    "no json": (head("POST /api/v1/login HTTP/1.1", "Content-Type: text/plain", "Content-Length: 2") + b"\r\n{}", 415),
    "another host": (head("GET / HTTP/1.1", host="evil.example") + b"\r\n", 421),
    "two hosts": (head("GET / HTTP/1.1", "Host: other") + b"\r\n", 400),
    "another method": (head("PUT /healthz HTTP/1.1") + BODY, 405),
    "no method": (head("BREW / HTTP/1.1") + b"\r\n", 400),
    "options": (head("OPTIONS /healthz HTTP/1.1") + b"\r\n", 204),
    "nothing there": (head("GET /none HTTP/1.1") + b"\r\n", 404),
    "a bad path": (head("GET /%ff/%00 HTTP/1.1") + b"\r\n", 404),
    "nobody": (head("GET /api/v1/me HTTP/1.1") + b"\r\n", 401),
    "a wrong token": (head("GET /api/v1/me HTTP/1.1", "Authorization: Bearer x") + b"\r\n", 401),
    "to the sign-in": (head("GET /tasks HTTP/1.1") + b"\r\n", 303),
    "from another site": (
        head("POST /api/v1/login HTTP/1.1", "Origin: http://evil.example", *OF_JSON) + b"\r\n" + SIGN_IN,
        403,
    ),
    "no such file": (head("GET /static/x/none.js HTTP/1.1") + b"\r\n", 404),
}


async def raw(site: Site, sent: bytes) -> tuple[int, dict[str, str]]:
    """(status, headers) of what comes back."""
    reader, writer = await asyncio.open_connection(site.host, site.port)
    writer.write(sent)
    async with asyncio.timeout(20):
        top = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    line, *fields = top.strip().split("\r\n")
    return int(line.split()[1]), {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}


def missing(headers: dict[str, str], but: str = "") -> list[str]:
    wanted = {name.decode(): value.decode() for name, value in ALWAYS.items() if name.decode() != but}
    return [f"{name}: {headers.get(name)}" for name, value in wanted.items() if headers.get(name) != value]


@pytest.mark.parametrize("name", BELOW_THE_ROUTES)
async def test_R155_also_an_answer_that_no_route_made_has_the_headers(site: Site, name: str) -> None:
    sent, expected = BELOW_THE_ROUTES[name]
    status, headers = await raw(site, sent)
    assert (status, missing(headers)) == (expected, [])
    assert not {"server", "access-control-allow-origin", "strict-transport-security"} & headers.keys()


async def test_R155_every_static_file_has_the_headers_and_its_own_type(site: Site) -> None:
    names = static.files()
    assert len(names) > 5
    for name in names:
        async with site.client().get(static.href(name)) as answer:
            assert answer.status == 200
            assert missing({k.lower(): v for k, v in answer.headers.items()}, but="cache-control") == [], name
            assert answer.content_type == static.TYPES[Path(name).suffix].partition(";")[0]


async def test_R155_over_tls_every_answer_asks_for_tls_from_then_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted proxy says that the browser spoke https; what is no request any more is never sent by a proxy."""
    gate = site.server._config.app
    monkeypatch.setattr(gate, "_proxies", (ipaddress.ip_network("127.0.0.0/8"),))
    for sent, status in BELOW_THE_ROUTES.values():
        if status in {400, 414, 431}:
            continue
        _line, rest = sent.split(b"\r\n", 1)
        _status, headers = await raw(site, _line + b"\r\nX-Forwarded-Proto: https\r\n" + rest)
        assert headers.get(HSTS[0].decode()) == HSTS[1].decode(), sent


class Own(HTMLParser):
    """What a page has that the policy forbids: scripts and styles that stand in it, handlers, urls that run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"style", "base", "iframe", "object", "embed"} or (
            tag == "script" and not given.get("src", "").startswith("/static/")
        ):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        urls = [given.get(name, "").strip().lower() for name in ("href", "src", "action", "formaction")]
        self.found += [f"{tag} {url}" for url in urls if url.startswith(("javascript:", "data:", "vbscript:"))]


async def test_R155_no_page_has_a_script_or_style_of_its_own(site: Site) -> None:
    await stored(site, a_service(id="x1"), a_task(id="x1", service_id="x1", url="http://10.0.0.1/x"))
    root = await site.person("root", "admin")
    pages = 0
    for handler in routes():
        if "GET" not in handler.http_methods or handler.paths & {"/api/v1/stream"}:
            continue
        for client in (root.http, *([site.client()] if handler.opt["action"] == PUBLIC else [])):
            for path in handler.paths:
                async with client.get(re.sub(r"\{\w+(:\w+)?\}", "x1", path), allow_redirects=False) as answer:
                    if answer.content_type != "text/html":
                        continue
                    page = Own()
                    page.feed(await answer.text())
                    pages += 1
                    assert page.found == [], path
    assert pages > 25


def test_R155_no_script_of_ours_makes_markup_or_code_of_text() -> None:
    banned = re.compile(r"\beval\(|new Function|innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|setTimeout\([\"'`]")
    for path in (WEB / "static/js").glob("*.js"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if banned.search(line)]
        assert lines == [], path
    for path in (WEB / "templates").glob("*.html"):
        assert not re.search(
            r"\|\s*safe\b|\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", path.read_text(encoding="utf-8")
        ), path
