"""What the step certificates wants of an account's configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.steps import certificates
from whence_common.errors import InputError

_OWN = {"whence:managed-by": "whence-accounts"}


def _account(*regions: str, **settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": regions or ["eu-west-1"], **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )


def test_an_account_without_certificates_wants_none() -> None:
    assert list(certificates.wanted(_account())) == []


def test_a_certificate_is_wanted_in_every_region() -> None:
    found = certificates.wanted(_account("eu-west-1", "eu-central-1", acm={"domain_name": "hello.example.org"}))
    assert [one.address for one in found] == [
        "eu-west-1/certificate/hello.example.org", "eu-central-1/certificate/hello.example.org",
    ]  # fmt: skip


def test_the_section_of_version_10_is_read() -> None:
    acm = {
        "domain_name": "*.hello.example.org", "validation_domain": "example.org",
        "subject_alternative_names": {"hello.example.org": "example.org", "Hello.example.net": "example.net"},
    }  # fmt: skip
    (one,) = certificates.wanted(_account(domain="hello.example.org", acm=acm))
    assert one.name == "*.hello.example.org,hello.example.net,hello.example.org"
    assert one.state == {
        "names": {
            "domain_name": "*.hello.example.org",
            "subject_alternative_names": ["hello.example.net", "hello.example.org"],
        },
        "tags": _OWN,
        "validation": {"zone": "hello.example.org", "names": ["hello.example.org"]},
    }


def test_names_outside_of_the_zone_need_no_record_in_it() -> None:
    acm = [{"domain_name": "example.org"}, {"domain_name": "nothello.example.org"}]
    found = certificates.wanted(_account(domain="hello.example.org", acm=acm))
    assert [one.state for one in found] == [
        {"names": {"domain_name": one, "subject_alternative_names": []}, "tags": _OWN}
        for one in ("example.org", "nothello.example.org")
    ]


def test_the_first_name_is_not_repeated_among_the_others() -> None:
    acm = {"domain_name": "a.example.org", "subject_alternative_names": ["A.example.org.", "b.example.org"]}
    (one,) = certificates.wanted(_account(acm=acm))
    assert one.state["names"] == {"domain_name": "a.example.org", "subject_alternative_names": ["b.example.org"]}


def test_certificates_with_many_names_differ_in_their_addresses() -> None:
    many = [f"n{one}.example.org" for one in range(60)]
    first = certificates.certificate_name("example.org", many)
    assert first.startswith("example.org,60 others,")
    assert len(first) < 60
    assert first == certificates.certificate_name("example.org", list(reversed(many)))
    assert first != certificates.certificate_name("example.org", [*many[:-1], "m.example.org"])


def test_validation_by_mail_is_refused_with_what_to_write() -> None:
    acm = [{"domain_name": "a.example.org"},
           {"domain_name": "b.example.org", "validation_domain": "example.org", "method": "email"}]  # fmt: skip
    with pytest.raises(InputError, match=r"accounts\.hello\.acm\[1\]\.method: validation by e-mail") as refused:
        certificates.wanted(_account(acm=acm))
    assert refused.value.fix == "write method: dns, and leave out validation_domain"


@pytest.mark.parametrize("name", ["org", "*", "a.*.example.org", "https://example.org", ""])
def test_a_name_that_is_no_domain_is_refused_with_its_key(name: str) -> None:
    with pytest.raises(InputError, match=r"accounts\.hello\.acm\.subject_alternative_names: "):
        certificates.wanted(
            _account(acm={"domain_name": "a.example.org", "subject_alternative_names": {name or "_.": None}})
        )


def test_more_names_than_aws_grants_are_refused() -> None:
    many = [f"n{one}.example.org" for one in range(100)]
    with pytest.raises(InputError, match="at most 100 names"):
        certificates.wanted(_account(acm={"domain_name": "example.org", "subject_alternative_names": many}))
