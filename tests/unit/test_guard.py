"""RELIABILITY R170-R177 as a table: which addresses may be asked."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.collector.guard import Denied, Guard, Rules, judge, unpacked


def a_guard(**changes: Any) -> Guard:
    known = {"own": lambda: [("127.0.0.1", 8700), ("0.0.0.0", 4150)], "loopback_allowed": lambda: True}
    return Guard(**{**known, **changes})


def is_denied(guard: Guard, address: str, port: int = 8080) -> str:
    try:
        guard.check(address, port)
    except Denied as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fdff::1",
        "100.64.0.1",
        "1.1.1.1",
        "2606:4700::1111",
    ],
)
def test_R170_private_and_public_addresses_are_asked(address: str) -> None:
    assert is_denied(a_guard(), address) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::1%lo"])
def test_R171_loopback_is_asked_only_while_every_ingest_listener_is_on_loopback(address: str) -> None:
    open_wide = {"loopback_allowed": lambda: False}
    assert is_denied(a_guard(), address) == ""
    assert "loopback" in is_denied(a_guard(**open_wide), address)
    assert is_denied(a_guard(**open_wide, allow=["127.0.0.0/8", "::1"]), address) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::"])
@pytest.mark.parametrize("port", [8700, 4150])
def test_R172_our_own_listeners_are_never_asked_on_any_local_address(address: str, port: int) -> None:
    guard = a_guard(allow=["127.0.0.0/8", "::1", "0.0.0.0/0", "::/0"])
    assert "itself" in is_denied(guard, address, port)


def test_R172_the_same_port_of_another_machine_is_asked() -> None:
    assert is_denied(a_guard(), "10.255.255.1", 8700) == ""


@pytest.mark.parametrize(
    "address",
    [
        "169.254.0.1",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_R173_link_local_and_metadata_need_their_exact_address_in_collect_allow(address: str) -> None:
    exact = str(unpacked(ip_address(address.partition("%")[0])))
    assert "link-local" in is_denied(a_guard(), address)
    assert is_denied(a_guard(allow=["0.0.0.0/0", "::/0", "169.254.0.0/16", "fe80::/10"]), address)
    assert is_denied(a_guard(allow=[exact]), address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
        "3fff::1",
        "198.18.0.1",
        "198.19.255.255",
        "fec0::1",
        "2001::1",
        "2001:0:53aa:64c:0:7bff:8000:1",
        "100::1",
        "64:ff9b:1::1",
    ],
)
def test_R174_reserved_addresses_are_never_asked_even_when_allowed(address: str) -> None:
    assert "never" in is_denied(a_guard(), address)
    assert "never" in is_denied(a_guard(allow=["0.0.0.0/0", "::/0", address]), address)


@pytest.mark.parametrize("form", ["::ffff:{}", "::{}", "64:ff9b::{}"])
@pytest.mark.parametrize(("inner", "allowed"), [("169.254.169.254", False), ("0.0.0.0", False), ("10.0.0.1", True)])
def test_R175_an_IPv4_address_inside_an_IPv6_one_is_judged_itself(form: str, inner: str, allowed: bool) -> None:
    assert (is_denied(a_guard(), form.format(inner)) == "") is allowed


def test_R175_6to4_is_unpacked() -> None:
    assert is_denied(a_guard(), "2002:a9fe:a9fe::1")
    assert is_denied(a_guard(), "2002:0a00:0001::1") == ""


@given(st.integers(0, 2**32 - 1))
def test_R175_every_form_of_an_IPv4_address_unpacks_to_it(number: int) -> None:
    inner = IPv4Address(number)
    assert unpacked(IPv6Address((0xFFFF << 32) | number)) == inner
    assert unpacked(IPv6Address((0x0064FF9B << 96) | number)) == inner
    assert unpacked(IPv6Address((0x2002 << 112) | (number << 80))) == inner
    if number > 1:
        assert unpacked(IPv6Address(number)) == inner


@pytest.mark.parametrize(
    ("port", "allowed"), [(1, 0), (22, 0), (25, 0), (79, 0), (80, 1), (443, 1), (1023, 0), (1024, 1), (65535, 1)]
)
def test_R176_ports_below_1024_are_asked_only_when_they_are_80_443_or_named(port: int, allowed: bool) -> None:
    assert (is_denied(a_guard(), "10.0.0.1", port) == "") is bool(allowed)
    assert is_denied(a_guard(ports=[port]), "10.0.0.1", port) == ""


def test_R176_collect_allow_does_not_open_a_port() -> None:
    assert "port 22" in is_denied(a_guard(allow=["10.0.0.1"]), "10.0.0.1", 22)


def test_R177_deny_wins_over_allow_and_own_over_both() -> None:
    guard = a_guard(allow=["10.0.0.0/8", "127.0.0.1"], deny=["10.1.0.0/16", "127.0.0.1"])
    assert is_denied(guard, "10.0.0.1") == ""
    assert "collect.deny" in is_denied(guard, "10.1.0.1")
    assert "collect.deny" in is_denied(guard, "::ffff:10.1.0.1")
    assert "itself" in is_denied(guard, "127.0.0.1", 8700)


def test_R177_a_deny_of_an_IPv6_network_holds_for_addresses_with_an_IPv4_one_inside() -> None:
    assert "collect.deny" in is_denied(a_guard(deny=["64:ff9b::/96"]), "64:ff9b::0a00:0001")


def test_a_text_that_is_no_address_is_denied() -> None:
    assert "IP address" in is_denied(a_guard(), "0xa9fea9fe")


def test_no_socket_is_made_for_a_denied_address() -> None:
    made = []
    guard = a_guard(make_socket=lambda **kind: made.append(kind))
    guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))
    with pytest.raises(Denied):
        guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)))
    with pytest.raises(Denied):
        guard.open_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 2)))
    assert len(made) == 1


@given(st.one_of(st.ip_addresses()), st.integers(1, 65535))
def test_every_address_gets_a_judgement(address: IPv4Address | IPv6Address, port: int) -> None:
    reason = judge(address, port, is_own=False, loopback_allowed=True, rules=Rules())
    assert reason == "" or reason[0].islower()
