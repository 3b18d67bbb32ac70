"""Who may connect (RELIABILITY R103)."""

from ipaddress import ip_network

import pytest

from taskdash.model.admission import Admission


def test_R103_beyond_the_cap_a_peer_is_told_so_and_a_place_that_becomes_free_is_taken() -> None:
    admission = Admission(most=2)
    assert [admission.admit("127.0.0.1") for _ in range(2)] == ["", ""]
    assert "connections" in admission.admit("127.0.0.1")
    admission.gone("127.0.0.1")
    admission.gone("127.0.0.1")
    assert admission.admit("127.0.0.1") == ""


def test_R103_one_address_has_its_own_cap_but_loopback_has_not() -> None:
    admission = Admission(an_address=1)
    assert admission.admit("10.0.0.1") == ""
    assert "this address" in admission.admit("10.0.0.1")
    assert admission.admit("10.0.0.2") == ""
    assert [admission.admit("::1") for _ in range(3)] == ["", "", ""]


@pytest.mark.parametrize(
    ("address", "is_allowed"), [("10.1.2.3", True), ("11.1.2.3", False), ("fe80::1%eth0", True), ("2001:db8::1", False)]
)
def test_only_networks_that_listen_allow_names_may_connect(address: str, is_allowed: bool) -> None:
    admission = Admission([ip_network("10.0.0.0/8"), ip_network("fe80::/10")])
    assert (admission.admit(address) == "") == is_allowed
