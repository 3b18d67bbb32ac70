"""Alive, ready, measured; and how the server ends. RELIABILITY R15, R16, R112, R167, F13."""

import asyncio
import threading
from functools import partial
from ipaddress import ip_network

from taskdash.store.places import Place
from taskdash.web.hasher import THREADS
from tests.journeys.http import PASSWORD, Site, a_site
from tests.support import eventually

FAR = {"X-Forwarded-For": "192.0.2.1"}


async def test_R15_readyz_names_the_part_that_does_not_work_and_clears(site: Site) -> None:
    client = site.client()
    site.web.parts.report("store", "the disk is full")
    async with client.get("/readyz") as answer:
        body = await answer.json()
        assert answer.status == 503
    assert {part["name"]: part["reason"] for part in body["parts"]}["store"] == "the disk is full"
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")
    site.web.parts.report("store")
    async with client.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["ready"]) == (200, True)


async def test_R15_readyz_says_so_while_no_nsqd_node_can_be_heard(site: Site) -> None:
    inputs, client = site.web.inputs, site.client()
    for lost, status in ((("nsqd:a", "nsqd:b"), 503), (("nsqd:a",), 200), ((), 200)):
        for name in ("nsqd:a", "nsqd:b"):
            inputs.report(name, healthy=name not in lost, reason="refused" if name in lost else "")
        async with client.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["ready"]) == (status, status == 200)


async def test_a_content_type_names_its_charset_once(site: Site) -> None:
    for path in ("/metrics", "/api/docs", "/healthz"):
        async with site.client().get(path) as answer:
            assert answer.headers["Content-Type"].count("charset=utf-8") == 1


async def test_R167_details_are_for_loopback_or_a_token(place: Place) -> None:
    async with a_site(place, trusted_proxies=(ip_network("127.0.0.0/8"),)) as site:
        site.web.parts.report("store", "the disk is full")
        await site.account("ada", "viewer")
        token = await site.token("ada")
        near, far, known = site.client(), site.client(FAR), site.client({**FAR, "Authorization": f"Bearer {token}"})
        for client, sees in ((near, True), (far, False), (known, True)):
            async with client.get("/readyz") as answer:
                assert ("disk" in await answer.text()) == sees
                assert answer.status == 503
            async with client.get("/metrics") as answer:
                assert answer.status == (200 if sees else 401)
            async with client.get("/healthz") as answer:
                assert answer.status == 200


async def test_R112_metrics_have_no_label_that_came_from_outside(site: Site) -> None:
    await site.account("ada")
    client = site.client({"User-Agent": "canary-agent"})
    for path in ("/canary-path", "/api/v1/tasks/canary-id", "/api/v1/me?canary-query=1"):
        async with client.get(path):
            pass
    async with client.post("/api/v1/login", json={"user": "canary-user", "password": PASSWORD}):
        pass
    async with client.get("/metrics") as answer:
        text = await answer.text()
    assert "canary" not in text
    assert 'taskdash_http_requests_total{status="4xx"}' in text
    assert 'taskdash_part_ready{part="http"} 1.0' in text


async def _sign_in(site: Site) -> int:
    async with site.client().post("/api/v1/login", json={"user": "ada", "password": PASSWORD}) as answer:
        return answer.status


async def test_R16_a_drain_ends_streams_cleanly_and_lets_requests_finish(site: Site) -> None:
    ada = await site.person("ada")
    async with ada.http.get("/api/v1/stream") as stream:
        await stream.content.readline()
        reader, writer = await asyncio.open_connection(site.host, site.port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        hasher, gate = site.server.app.state.hasher, threading.Event()
        held = [asyncio.ensure_future(hasher._run(partial(gate.wait, 10))) for _thread in range(THREADS)]
        under_way = asyncio.ensure_future(_sign_in(site))
        await eventually(lambda: hasher._waiting > THREADS)
        async with asyncio.timeout(10):
            draining = asyncio.ensure_future(site.server.drain())
            await stream.content.read()  # ends with the last chunk: a cut would raise
            gate.set()
            assert await under_way == 200
            await asyncio.gather(draining, reader.read(), *held)
        writer.close()
