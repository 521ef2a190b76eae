"""Only requests whose Host is this machine are answered, so that DNS rebinding cannot read the status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_agent.status.host_names import is_own_host

NAMES = ("ip-10-0-0-1.eu-central-1.compute.internal", "Status.Example.org")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:7380", "localhost.", "127.0.0.1", "127.0.0.1:7380", "[::1]", "[::1]:7380",
     "ip-10-0-0-1.eu-central-1.compute.internal:7380", "status.example.org", "10.0.0.1", "10.0.0.1:7380", " localhost ",
     "198.51.100.7:7380", "[2001:db8::7]:7380", "IP-10-0-0-9.eu-central-1.compute.internal:7380", "ip-10-0-0-9.ec2.internal",
     "i-0123456789abcdef0.eu-central-1.compute.internal", "ec2-198-51-100-7.eu-central-1.compute.amazonaws.com:7380",
     "ec2-198-51-100-7.compute-1.amazonaws.com", "ec2-198-51-100-7.cn-north-1.compute.amazonaws.com.cn"],
)  # fmt: skip
def test_the_machines_names_and_addresses_that_cannot_be_rebound_are_accepted(host: str) -> None:
    assert is_own_host([host], names=NAMES)


@pytest.mark.parametrize(
    "hosts",
    [["attacker.example.org"], ["attacker.example.org:7380"], ["localhost.attacker.example.org"],
     ["ip-10-0-0-1.attacker.example.org"], ["ip-10-0-0-1.ec2.internal.attacker.example.org"], ["x.compute.amazonaws.com"],
     ["attacker.ec2-1-2-3-4.compute-1.amazonaws.com"], ["ip-10-0-0-1.x.y.compute.internal"],
     ["127.0.0.1.nip.io"], ["[localhost.x]"], ["[::1"], ["[::1]x"], ["[::1]:x"], ["localhost:7380:1"], ["localhost:x"], [""],
     [":7380"], ["localhost@attacker.example.org"], ["localhost", "attacker.example.org"], ["localhost", "localhost"],
     ["2130706433"], ["0x7f000001"], ["localhost\u0661:1"], ["localhost:\u0661"]],
)  # fmt: skip
def test_other_names_are_refused(hosts: list[str]) -> None:
    assert not is_own_host(hosts, names=NAMES)


def test_a_request_without_host_is_accepted() -> None:
    assert is_own_host([], names=())


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(host: str) -> None:
    assert is_own_host([host], names=NAMES) in (True, False)
