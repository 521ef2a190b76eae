"""What the step dns wants of an account's configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.domains import parse_domain
from whence_aggregator.accounts.steps import dns
from whence_common.errors import InputError

_ADMIN = "210987654321"


def _account(admin: str | None = _ADMIN, **settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": ["eu-west-1"], **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings),
        admin_account_id=admin,
    )  # fmt: skip


def test_an_account_without_domain_wants_no_zone() -> None:
    assert list(dns.wanted(_account(domain=None))) == []


def test_a_domain_is_a_zone_and_its_delegation_in_the_admin_account() -> None:
    zone, delegation = dns.wanted(_account(domain="Hello.Example.org."))
    assert (zone.address, zone.state) == (
        "zone/hello.example.org",
        {
            "tags": {"whence:delegated-in": _ADMIN, "whence:managed-by": "whence-accounts"},
            "soa_ttl": 60,
        },
    )
    assert (delegation.address, delegation.state) == (
        f"delegation/{_ADMIN}/hello.example.org",
        {"record": {"name_servers": {"$of": "zone/hello.example.org", "output": "name_servers"}, "ttl": 7200}},
    )


def test_without_an_admin_account_nothing_is_delegated() -> None:
    (zone,) = dns.wanted(_account(admin=None, domain="hello.example.org", domain_soa_ttl=300))
    assert zone.state == {"tags": {"whence:managed-by": "whence-accounts"}, "soa_ttl": 300}


@pytest.mark.parametrize(
    "text", ["", "org", "a..org", "-a.org", "hello example.org", "*.example.org", "x" * 64 + ".org", "ä.org", "a.b/c"]
)
def test_what_is_not_a_domain_is_refused_with_its_key(text: str) -> None:
    with pytest.raises(InputError, match=r"accounts\.hello\.domain: ") as refused:
        dns.wanted(_account(domain=text))
    assert "hello.example.org" in refused.value.fix


def test_a_domain_longer_than_253_characters_is_refused() -> None:
    with pytest.raises(InputError, match="not the name of a domain"):
        parse_domain(".".join(["abcdefghi"] * 26), key="domain")


def test_a_wildcard_is_a_name_only_where_it_is_allowed() -> None:
    assert parse_domain("*.Example.ORG", key="acm", wildcard=True) == "*.example.org"
    with pytest.raises(InputError):
        parse_domain("a.*.example.org", key="acm", wildcard=True)
