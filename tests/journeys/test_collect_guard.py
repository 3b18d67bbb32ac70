"""RELIABILITY R178: whatever the url, the name server or the service says, nobody connects to a denied address.

A recording socket maker stands where sockets are made: what it did not make was never connected.
"""

from typing import Any

import pytest

from taskdash.collector.guard import Guard
from taskdash.collector.names import Names
from tests.service import ONE, Dialled, a_fetcher, a_guard, asked, redirects, running, tells

LITERALS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://0.0.0.0/",
    "http://0.0.0.0:8080/",
    "http://0/",
    "http://[::]/",
    "http://[::ffff:0.0.0.0]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://[fe80::1%251]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[ff02::1]/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://[2001::1]/",
    "http://10.0.0.1:22/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.254.169.254./",
    "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
    "http://169。254。169。254/",
]


def leading_to(*addresses: str) -> Any:
    """A name server that knows every name, and these addresses for it; literals too, as getaddrinfo does."""

    def look_up(_name: str, *_args: Any, **_kind: Any) -> list[tuple[Any, ...]]:
        return [(10 if ":" in a else 2, 1, 6, "", (a, 0, 0, 0) if ":" in a else (a, 0)) for a in addresses]

    return look_up


async def refused(url: str, look_up: Any = None, **changes: Any) -> str:
    """The sentence for a url that must not be asked; fails when a socket was made."""
    dialled = Dialled()
    guard = a_guard(make_socket=dialled, **changes)
    async with a_fetcher(guard, Names(guard, look_up=look_up or leading_to("169.254.169.254"))) as fetcher:
        answer = await fetcher.fetch(asked(url))
    assert not answer.ok
    assert dialled.made == []
    return answer.error


@pytest.mark.parametrize("url", LITERALS)
async def test_R178_no_spelling_of_a_denied_address_is_dialled(url: str) -> None:
    assert await refused(url)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "fe80::1", "64:ff9b::a9fe:a9fe"])
async def test_R178_a_name_that_leads_to_a_denied_address_is_not_dialled(address: str) -> None:
    assert await refused("http://metadata.test/", leading_to(address))


async def test_R178_one_denied_address_denies_the_name() -> None:
    assert "link-local" in await refused("http://mixed.test/", leading_to("127.0.0.1", "169.254.169.254"))


async def test_R178_a_second_answer_of_the_name_server_finds_no_gap() -> None:
    """Rebinding: the resolver saw a good address, the socket maker gets the bad one."""

    class Blind(Guard):
        def check(self, address: str, port: int) -> None:
            if not in_resolver:
                super().check(address, port)

    in_resolver = False
    dialled = Dialled()
    guard = Blind(lambda: [], lambda: True, make_socket=dialled)

    class Rebound(Names):
        async def resolve(self, *where: Any, **kind: Any) -> Any:
            nonlocal in_resolver
            in_resolver = True
            try:
                return await super().resolve(*where, **kind)
            finally:
                in_resolver = False

    names = Rebound(guard, look_up=leading_to("169.254.169.254"))
    async with a_fetcher(guard, names) as fetcher:
        answer = await fetcher.fetch(asked("http://rebound.test/"))
    assert "link-local" in answer.error
    assert dialled.made == []


async def test_R178_a_kept_connection_stays_with_the_host_it_was_made_for() -> None:
    dialled = Dialled(1)
    guard = a_guard(make_socket=dialled)
    async with running(tells([ONE])) as service, a_fetcher(guard) as fetcher:
        assert (await fetcher.fetch(asked(service.url))).ok
        assert not (await fetcher.fetch(asked(f"http://169.254.169.254:{service.port}/"))).ok
        assert (await fetcher.fetch(asked(service.url))).ok
    assert len(dialled.made) == 1


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://metadata.test/"])
async def test_R178_a_redirect_to_a_denied_address_is_not_dialled(target: str) -> None:
    dialled = Dialled(1)
    guard = a_guard(make_socket=dialled)
    async with running(redirects(target)) as service, a_fetcher(guard) as fetcher:
        assert not (await fetcher.fetch(asked(service.url))).ok
    assert len(dialled.made) == 1


async def test_R178_a_redirect_on_the_same_host_to_a_denied_port_is_not_dialled() -> None:
    dialled = Dialled(1)
    guard = a_guard(make_socket=dialled)
    async with running(redirects("http://127.0.0.1:22/")) as service, a_fetcher(guard) as fetcher:
        assert "port 22" in (await fetcher.fetch(asked(service.url))).error
    assert len(dialled.made) == 1


async def test_R172_our_own_listener_is_not_asked_by_address_nor_by_name_nor_by_redirect() -> None:
    async with running(tells([ONE])) as ours, running(redirects(ours.url)) as service:
        own = {"own": lambda: [("127.0.0.1", ours.port)]}
        assert "itself" in await refused(ours.url, **own)
        assert "itself" in await refused(ours.at("/", "ours.test"), leading_to("127.0.0.1"), **own)
        async with a_fetcher(a_guard(**own)) as fetcher:
            assert "itself" in (await fetcher.fetch(asked(service.url))).error
    assert ours.requests == []


async def test_R171_loopback_is_not_dialled_while_a_listener_is_open_to_others() -> None:
    assert "loopback" in await refused("http://127.0.0.1:8080/", loopback_allowed=lambda: False)
    assert "loopback" in await refused("http://localhost:8080/", leading_to("::1"), loopback_allowed=lambda: False)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tells([])) as proxy, running(tells([ONE])) as service:
        monkeypatch.setenv("http_proxy", proxy.at(""))
        async with a_fetcher() as fetcher:
            assert (await fetcher.fetch(asked(service.url))).ok
    assert proxy.requests == []
