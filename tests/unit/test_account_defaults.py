"""What the configuration of keys and of regional defaults states, and what it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.resources import of
from whence_aggregator.accounts.steps import defaults, keys
from whence_common.errors import InputError

_ARN = "arn:aws:kms:{region}:123456789012:key/mrk-1234"


def account(**settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": ["eu-west-1", "us-east-1"], "alias": None, **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )


def states(**settings: Any) -> dict[str, Any]:
    return {one.address: dict(one.state) for one in defaults.wanted(account(**settings))}


def test_volumes_are_encrypted_in_every_region_by_default_and_nothing_else_is_stated() -> None:
    assert states() == {
        "eu-west-1/ebs-encryption/account": {"is_encrypted": True},
        "us-east-1/ebs-encryption/account": {"is_encrypted": True},
    }
    assert states(ebs_encrypt_by_default=False) == {}


def test_the_default_key_comes_before_the_encryption_and_may_be_one_of_kms() -> None:
    found = states(kms={"alias/disks": {}}, ebs_default_key="disks")["us-east-1/ebs-encryption/account"]
    assert list(found.items()) == [("key", of("us-east-1/key/disks", "arn")), ("is_encrypted", True)]
    found = states(ebs_default_key=_ARN)["eu-west-1/ebs-encryption/account"]
    assert found["key"] == "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234"


@pytest.mark.parametrize("key", ["disks", "alias/aws/ebs", "arn:aws:kms:eu-west-1:1:key/x", "", "*"])
def test_a_default_key_that_is_not_known_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=r"accounts.hello.ebs_default_key: .* is neither an alias of kms nor the ARN"):
        states(ebs_default_key=key)


def test_a_default_key_that_the_configuration_drops_is_refused() -> None:
    with pytest.raises(InputError, match="ebs_default_key"):
        states(kms={"disks": {"drop": True}}, ebs_default_key="disks")


def test_only_what_is_stated_of_the_metadata_service_is_compared() -> None:
    found = states(ebs_encrypt_by_default=False, instance_metadata={"hop_limit": 1, "instance_tags": "disabled"})
    assert found["eu-west-1/instance-metadata/account"] == {
        "defaults": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "disabled"}
    }
    assert states(ebs_encrypt_by_default=False, instance_metadata={"http_tokens": None}) == {}


def test_public_access_is_blocked_once_for_the_account_and_sharing_per_region() -> None:
    found = states(
        ebs_encrypt_by_default=False, public_access_block=True, image_public_access_block=True,
        snapshot_public_access_block="block-new-sharing",
    )  # fmt: skip
    assert found == {
        "public-access/account": {
            "public_access_block": {
                "BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            }
        },
        "eu-west-1/image-sharing/account": {"public": "block-new-sharing"},
        "us-east-1/image-sharing/account": {"public": "block-new-sharing"},
        "eu-west-1/snapshot-sharing/account": {"public": "block-new-sharing"},
        "us-east-1/snapshot-sharing/account": {"public": "block-new-sharing"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "section",
    [
        {"instance_metadata": {"hop_limit": 0}},
        {"instance_metadata": {"hop_limit": 65}},
        {"instance_metadata": {"http_tokens": "maybe"}},
        {"instance_metadata": {"tokens": "required"}},
        {"snapshot_public_access_block": "unblocked"},
        {"ebs_encrypt_by_default": "yes"},
        {"kms": {"a": {"key_usage": "SIGN"}}},
        {"kms": {"a": {"tags": {"a": "b"}}}},
        {"kms": {"a": {"tags": [{"TagKey": "a", "TagValue": "b" * 257}]}}},
    ],
)
def test_values_that_aws_does_not_have_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        account(**section)


def test_a_key_is_stated_in_every_region_by_its_alias_with_or_without_its_prefix() -> None:
    found = keys.wanted(account(kms={"alias/a": {}, "b": {"description": "of b", "rotation": True}}))
    assert [one.address for one in found] == [
        "eu-west-1/key/a", "us-east-1/key/a", "eu-west-1/key/b", "us-east-1/key/b"
    ]  # fmt: skip
    assert found[2].state == {
        "use": {"usage": "ENCRYPT_DECRYPT", "spec": "SYMMETRIC_DEFAULT"}, "enabled": True, "alias": "alias/b",
        "tags": {"whence:managed-by": "whence-accounts", "whence:name": "b"}, "description": "of b", "rotation": True,
    }  # fmt: skip


def test_a_dropped_key_states_nothing_but_that() -> None:
    found = keys.wanted(account(kms={"a": {"drop": True}}))
    assert [(one.is_dropped, one.state) for one in found] == [(True, {}), (True, {})]


@pytest.mark.parametrize("alias", ["alias/aws/ebs", "aws/ebs", "", "alias/", "a b", "ä", "a" * 251, "arn:aws:kms:x"])
def test_a_name_that_is_no_alias_is_refused(alias: str) -> None:
    with pytest.raises(InputError, match=r"accounts.hello.kms..* is not an alias of a key") as refused:
        keys.wanted(account(kms={alias: {}}))
    assert refused.value.fix == "use alias/NAME with letters, digits, / _ and -, not aws/"


@pytest.mark.parametrize("section", [{"key_spec": "RSA_2048"}, {"key_usage": "SIGN_VERIFY", "key_spec": "RSA_2048"}])
def test_rotation_of_a_key_that_aws_does_not_rotate_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"kms.a.rotation: AWS rotates symmetric keys that encrypt only"):
        keys.wanted(account(kms={"a": {**section, "rotation": True}}))


def test_a_key_policy_that_is_no_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"accounts.hello.kms.a.key_policy is not a policy"):
        keys.wanted(account(kms={"a": {"key_policy": {"Statement": "all"}}}))
