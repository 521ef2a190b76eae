"""What the roles of minted credentials may do, as moto's IAM reads their policies."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from moto.iam.access_control import IAMPolicy, PermissionResult

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.identity import Role
from whence_aggregator.accounts.steps import mint
from whence_aggregator.accounts.steps.standard_roles import standard_roles
from whence_common.errors import InputError

ID = "123456789012"
BUCKET = f"acme-stups-mint-{ID}-eu-west-1"
TRUSTED = "arn:aws:iam::999999999999:role/whence"
READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:ListBucket")
_IDS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


def account(**settings: Any) -> ConfiguredAccount:
    section = {"id": ID, "regions": ["eu-west-1", "us-east-1"], "alias": "acme-hello", **settings}
    return ConfiguredAccount(name="hello", account_id=ID, settings=msgspec.convert(section, AccountSettings))


def role(name: str, **settings: Any) -> Role:
    return next(found for one, _, found in standard_roles(account(**settings), ()) if one == name)


def writer(**more: Any) -> Role:
    section = {"writer_role": {"trusted": [TRUSTED], "external_id": "only-mint"}, **more}
    return role("whence-mint", mint_bucket=section)


def permits(found: Role, action: str, resource: str) -> bool:
    judged = IAMPolicy(json.dumps(found.policy)).is_action_permitted(action, resource)
    return bool(judged is PermissionResult.PERMITTED)


@given(own=_IDS, other=_IDS | st.just(""), suffix=st.sampled_from(["", "-two", "x"]))
def test_the_role_of_an_application_reads_its_own_prefix_and_no_other(own: str, other: str, suffix: str) -> None:
    found = role(f"app-{own}", application_roles={"applications": [own], "mint_bucket": BUCKET})
    other = other + suffix if other else own + suffix
    assume(other != own)
    arn = f"arn:aws:s3:::{BUCKET}"
    assert permits(found, "s3:GetObject", f"{arn}/{own}/user.json")
    assert not permits(found, "s3:GetObject", f"{arn}/{other}/user.json")
    assert not permits(found, "s3:GetObjectVersion", f"{arn}/{own}/user.json")
    assert not permits(found, "s3:PutObject", f"{arn}/{own}/user.json")
    assert not permits(found, "s3:GetObject", f"{arn}-two/{own}/user.json")


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_the_writer_writes_and_verifies_in_every_region_and_reads_no_object(region: str) -> None:
    found, arn = writer(), f"arn:aws:s3:::acme-stups-mint-{ID}-{region}"
    for action in mint.WRITES:
        assert permits(found, action, f"{arn}/greeter/user.json")
        assert not permits(found, action, "arn:aws:s3:::acme-logs/greeter/user.json")
    for action in mint.VERIFIES:
        assert permits(found, action, arn)
        assert not permits(found, action, "arn:aws:s3:::acme-logs")
    for action in (*READS, "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:PutObjectAcl"):
        assert not permits(found, action, arn)
        assert not permits(found, action, f"{arn}/greeter/user.json")


def test_the_writer_encrypts_with_a_key_and_cannot_decrypt() -> None:
    arn = "arn:aws:kms:{region}:999999999999:key/1234"
    found = writer(key=arn)
    assert permits(found, "kms:GenerateDataKey", arn.replace("{region}", "us-east-1"))
    assert not permits(found, "kms:Decrypt", arn.replace("{region}", "us-east-1"))
    assert not permits(writer(), "kms:GenerateDataKey", arn.replace("{region}", "us-east-1"))
    (statement,) = [one for one in writer(key="alias/mint").policy["Statement"] if one["Sid"] == "Encrypt"]  # type: ignore[index]  # has a policy
    assert statement == {
        "Sid": "Encrypt", "Effect": "Allow", "Action": ["kms:GenerateDataKey"],
        "Resource": [f"arn:aws:kms:*:{ID}:key/*"],
        "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/mint"}},
    }  # fmt: skip


def test_the_writer_is_assumed_by_whom_the_section_states_with_its_external_id() -> None:
    assert writer().assume_role_policy == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow", "Principal": {"AWS": [TRUSTED]}, "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "only-mint"}},
            }
        ],
    }  # fmt: skip


def test_the_bucket_lets_the_writer_of_its_section_in() -> None:
    found: Any = mint.wanted(account(mint_bucket={"writer_role": {"trusted": [TRUSTED]}}))[0].state["policy"]
    assert found["WhenceMintWrite"]["Principal"] == {"AWS": [f"arn:aws:iam::{ID}:role/whence-mint"]}
    assert found["WhenceMintWriterReadsNothing"]["Principal"] == {"AWS": [f"arn:aws:iam::{ID}:role/whence-mint"]}


@pytest.mark.parametrize(
    "section", [{}, {"writer": f"arn:aws:iam::{ID}:role/mint", "writer_role": {"trusted": [TRUSTED]}}]
)
def test_exactly_one_writer_is_stated(section: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"accounts.hello.mint_bucket: writer and writer_role") as refused:
        mint.wanted(account(mint_bucket=section))
    assert refused.value.fix.startswith("write writer_role: {trusted: [ARN")


def test_no_writer_is_made_where_another_role_writes() -> None:
    other = account(mint_bucket={"writer": f"arn:aws:iam::{ID}:role/mint"})
    assert [name for name, _, _ in standard_roles(other, ())] == []
