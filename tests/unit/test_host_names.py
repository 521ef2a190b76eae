"""Only requests that mean this machine are answered: a browser whose page rebinds its own name reads nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_agent.http.host_names import is_own_host

NAMES = ("ip-10-0-0-1.eu-central-1.compute.internal", "Status.Example.org")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:7380", "localhost.", "127.0.0.1", "127.0.0.1:7380", "[::1]", "[::1]:7380",
     "ip-10-0-0-1.eu-central-1.compute.internal:7380", "status.example.org", "10.0.0.1", "10.0.0.1:7380", " localhost "],
)  # fmt: skip
def test_the_machines_own_names_and_the_address_asked_are_answered(host: str) -> None:
    assert is_own_host([host], names=NAMES, reached="10.0.0.1")


@pytest.mark.parametrize(
    "hosts",
    [["attacker.example.org"], ["attacker.example.org:7380"], ["localhost.attacker.example.org"], ["10.0.0.2"],
     ["127.0.0.1.nip.io"], ["[::2]"], ["[::1"], ["[::1]x"], ["[::1]:x"], ["localhost:7380:1"], ["localhost:x"], [""],
     [":7380"], ["localhost@attacker.example.org"], ["localhost", "attacker.example.org"], ["localhost", "localhost"],
     ["2130706433"], ["0x7f000001"], ["localhost\u0661:1"], ["localhost:\u0661"]],
)  # fmt: skip
def test_other_names_are_refused(hosts: list[str]) -> None:
    assert not is_own_host(hosts, names=NAMES, reached="10.0.0.1")


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert is_own_host(["10.0.0.1"], names=(), reached="::ffff:10.0.0.1")
    assert is_own_host(["[fe80::1]"], names=(), reached="fe80:0::1%eth0")
    assert not is_own_host(["10.0.0.1"], names=(), reached="")


def test_without_a_host_it_is_no_browser() -> None:
    assert is_own_host([], names=(), reached="10.0.0.1")


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(host: str) -> None:
    assert is_own_host([host], names=NAMES, reached="10.0.0.1") in (True, False)
