"""RELIABILITY R88: only plain http and https urls are stored, by whichever entrance they come; hosts are shown in ASCII."""

import asyncio
import json
from pathlib import Path

import pytest

from taskdash.errors import BadField
from taskdash.model.fields import check_url
from taskdash.web.pages.links import host
from tests.serving import Serving, serving

REFUSED = [
    "javascript:alert(1)",
    "JaVaScRiPt://localhost/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://localhost/",
    "//localhost/",
    "localhost:8080",
    "http://u:p@h/",
    "http://u@h/",
    "http://@h/",
    "http://a b/",
    " http://a/",
    "http://a/\r\nX: y",
    "http://a/\tb",
    "http:///",
    "http://",
    "http:a",
    "http://[::1",
    "http://[::zz]/",
    "http://a:99999/",
    "http://a:0/",
    "http://a:b/",
    "http://a\\@b/",
    "http://a/<b>",
    "http://a/" + "x" * 2_048,
]
SHOWN = {
    "http://münchen.example:8080/x": "xn--mnchen-3ya.example:8080",
    "http://straße.example/": "xn--strae-oqa.example",
    "http://例え.jp/a": "xn--r8jz45g.jp",
    "http://１２７.０.０.１:8700/": "127.0.0.1:8700",
    "http://①②⑦.⓪.⓪.①/": "127.0.0.1",
    "http://127。0。0。1/": "127.0.0.1",
    "http://[::1]:8080/": "[::1]:8080",
    "http://plain.example/": "plain.example",
}


@pytest.mark.parametrize("url", REFUSED)
def test_R88_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(BadField):
        check_url(url)


@pytest.mark.parametrize(("url", "shown"), SHOWN.items())
def test_R88_a_host_is_shown_in_the_form_that_is_dialled(url: str, shown: str) -> None:
    assert check_url(url) == url
    assert host(url) == shown


async def _over_tcp(server: Serving, url: str) -> int:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": "bad", "url": url}}
    writer.write(json.dumps(pack).encode() + b"\n")
    answer = json.loads(await asyncio.wait_for(reader.readline(), 20))
    writer.close()
    await writer.wait_closed()
    return int(answer["Body"]["errid"])


async def test_R88_by_nsq_and_tcp_and_http_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, server.signed_in() as browser:
        nsq_host, nsq_port = server.addresses["nsq-http"]
        for url in REFUSED:
            assert await _over_tcp(server, url) == 1_000
            body = json.dumps({"id": "bad", "url": url})
            topic = f"http://{nsq_host}:{nsq_port}/pub?topic=taskdash.services"
            async with browser.post(topic, data=body, headers={"Sec-Fetch-Site": "none"}) as told:
                assert told.status == 200, "a message that is not understood never blocks a queue"
            async with browser.post("/api/v1/services", json={"id": "bad", "url": url}) as refused:
                assert refused.status == 422
        for path in ("/api/v1/tasks/bad", "/api/v1/services/bad"):
            async with browser.get(path) as missing:
                assert missing.status == 404
        async with browser.get("/api/v1/dead-letters?limit=500") as letters:
            assert len((await letters.json())["items"]) == len(REFUSED)
