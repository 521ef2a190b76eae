"""What bootstrap requires of a configuration, and the aggregator's settings that it prints."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.write import to_yaml
from whence_aggregator.accounts.for_whence import aggregator_settings, check_for_whence, remarks_for_whence
from whence_aggregator.settings.server import parse_settings
from whence_common.errors import InputError

ONE, TWO = "111111111111", "222222222222"
_AUDITOR = {"trusted": [TWO], "external_id": "whence-7f3a", "trail": {}, "drift": True, "registry_pull": True}
_TRAIL = {"s3_bucket_name": "trails", "home_region": "eu-west-1", "log_bucket": {}, "events": {}}
_WHOLE: dict[str, Any] = {
    "alias": "hello", "mint_bucket": {"writer": f"arn:aws:iam::{TWO}:role/mint"}, "auditor_role": _AUDITOR,
    "cloudtrail": _TRAIL, "application_roles": {"applications": ["greeter"]},
}  # fmt: skip


def account(name: str = "one", account_id: str = ONE, **changes: Any) -> ConfiguredAccount:
    section = {"id": account_id, "regions": ["eu-west-1"], **_WHOLE, **changes}
    return ConfiguredAccount(name=name, account_id=account_id, settings=msgspec.convert(section, AccountSettings))


def missing(*accounts: ConfiguredAccount) -> str:
    with pytest.raises(InputError) as refused:
        check_for_whence(accounts)
    return refused.value.message


def test_a_configuration_that_states_all_of_it_is_accepted_without_remarks() -> None:
    check_for_whence([account()])
    assert list(remarks_for_whence([account()])) == []


def test_everything_that_is_missing_is_named_at_once_with_what_to_write() -> None:
    found = missing(account(auditor_role=None, mint_bucket=None, cloudtrail=None, alias=None)).splitlines()
    assert [one.split(":")[0] for one in found[1:]] == [
        f"accounts.one.{key}" for key in ("alias", "mint_bucket", "auditor_role", "cloudtrail")
    ]
    assert "write mint_bucket: {writer_role: {trusted: [ARN of the role that mint runs as]}}" in found[2]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"cloudtrail": {**_TRAIL, "events": None}}, "cloudtrail.events: write events: {}"),
        ({"cloudtrail": {**_TRAIL, "logging": False}}, "cloudtrail.logging: write logging: true"),
        ({"cloudtrail": {**_TRAIL, "auditor_role": "other"}}, "cloudtrail.auditor_role: write auditor_role: fullstop"),
        ({"auditor_role": {**_AUDITOR, "trail": None}}, "auditor_role.trail: write trail: {}"),
        ({"cloudtrail": {**_TRAIL, "log_bucket": None}}, "auditor_role.trail.buckets: add trails"),
    ],
)
def test_parts_of_a_section_that_are_missing_are_named(changes: dict[str, Any], expected: str) -> None:
    assert f"accounts.one.{expected}" in missing(account(**changes))


def test_accounts_with_other_auditors_are_refused_because_the_aggregator_has_one() -> None:
    other = account("two", TWO, auditor_role={**_AUDITOR, "external_id": "another"})
    assert "auditor_role: name and external_id must be the same in all accounts" in missing(account(), other)


def test_a_trail_of_another_account_needs_no_section_and_is_remarked() -> None:
    one = account(cloudtrail=None, enable_cloudtrail=False, application_roles=None)
    check_for_whence([one])
    assert [each.partition(": ")[2] for each in remarks_for_whence([one])] == [
        "no role for instances is configured: state application_roles, or deploy each one",
        "enable_cloudtrail is off: the trail of another account must record this one",
    ]
    assert "cloud_trail" not in aggregator_settings([one], file="/etc/whence/accounts.yaml")


def test_the_settings_name_the_accounts_the_role_the_queue_its_topic_and_the_bucket() -> None:
    found = aggregator_settings([account()], file="/etc/whence/accounts.yaml")
    role = {"role_arn": f"arn:aws:iam::{ONE}:role/fullstop", "external_id": "whence-7f3a"}
    assert found == {
        "accounts": [ONE],
        "inventory": {"role_name": "fullstop", "external_id": "whence-7f3a", "regions": ["eu-west-1"]},
        "cloud_trail": {
            **role,
            "queues": [
                {
                    "url": f"https://sqs.eu-west-1.amazonaws.com/{ONE}/whence-trail", "region": "eu-west-1", **role,
                    "topics": [f"arn:aws:sns:eu-west-1:{ONE}:whence-trail"],
                }
            ],
            "buckets": {"trails": {"region": "eu-west-1", **role, "accounts": [ONE]}},
        },
        "account_configuration": {
            "file": "/etc/whence/accounts.yaml", "role": "fullstop", "external_id": "whence-7f3a",
        },
    }  # fmt: skip


def test_drift_that_is_off_is_remarked_and_is_no_setting() -> None:
    one = account(auditor_role={**_AUDITOR, "drift": False})
    assert list(remarks_for_whence([one])) == ["one: drift is not read: auditor_role.drift is off"]
    assert "account_configuration" not in aggregator_settings([one], file="a.yaml")


def test_an_aggregator_accepts_the_settings_of_several_accounts_with_one_bucket() -> None:
    two = account("two", TWO, cloudtrail={**_TRAIL, "log_bucket": None}, auditor_role={
        **_AUDITOR, "trail": {"buckets": ["trails"]}
    })  # fmt: skip
    check_for_whence([account(), two])
    found = to_yaml(aggregator_settings([account(), two], file="/etc/whence/accounts.yaml"))
    settings = parse_settings(f"audience: https://whence.example.org\n{found}".encode(), name="a.yaml")
    assert settings.accounts == [ONE, TWO]
    assert settings.cloud_trail is not None
    assert settings.cloud_trail.buckets["trails"].accounts == [ONE, TWO]
    assert yaml.safe_load(found)["inventory"]["regions"] == ["eu-west-1"]
