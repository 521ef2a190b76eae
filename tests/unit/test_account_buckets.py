"""What the configuration of buckets states, and what it refuses."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.resources import of
from whence_aggregator.accounts.steps import configured_buckets, mint
from whence_aggregator.accounts.steps.bucket_parts import encryption, rule, rules_by_id, statements_by_sid, told_apart
from whence_aggregator.accounts.steps.buckets import bucket
from whence_common.errors import InputError

_ROLE = "arn:aws:iam::123456789012:role/mint-worker"
_STATEMENT = {"Effect": "Allow", "Principal": {"AWS": _ROLE}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*"}


def account(**settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": ["eu-west-1", "us-east-1"], "alias": "acme-hello", **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )  # fmt: skip


def one_bucket(**section: Any) -> ConfiguredAccount:
    return account(s3_buckets={"one": {"name": "one-{region}", "regions": ["eu-west-1"], **section}})


def test_a_bucket_is_closed_and_takes_tls_only_by_default() -> None:
    (found,) = configured_buckets.wanted(one_bucket())
    assert (found.address, found.state["region"], found.state["ownership"]) == (
        "bucket/one-eu-west-1", "eu-west-1", "BucketOwnerEnforced"
    )  # fmt: skip
    assert set(found.state) == {"region", "tags", "public_access_block", "ownership", "policy"}
    assert found.state["policy"] == {
        "WhenceTlsOnly": {
            "Sid": "WhenceTlsOnly", "Effect": "Deny", "Principal": {"AWS": ["*"]}, "Action": ["s3:*"],
            "Resource": ["arn:aws:s3:::one-eu-west-1", "arn:aws:s3:::one-eu-west-1/*"],
            "Condition": {"Bool": {"aws:SecureTransport": ["false"]}},
        }
    }  # fmt: skip


def test_a_bucket_without_regions_is_in_every_region_of_the_account() -> None:
    found = configured_buckets.wanted(account(s3_buckets={"one": {"name": "one-{region}"}}))
    assert [one.address for one in found] == ["bucket/one-eu-west-1", "bucket/one-us-east-1"]


def test_the_name_of_the_bucket_is_replaced_in_its_policy() -> None:
    statement = {**_STATEMENT, "Sid": "Read", "Resource": ["arn:aws:s3:::{bucket_name}/{region}/*"]}
    (found,) = configured_buckets.wanted(one_bucket(policy={"Statement": statement}, tls_only=False))
    assert found.state["policy"] == {
        "Read": {**_STATEMENT, "Sid": "Read", "Action": ["s3:GetObject"], "Principal": {"AWS": [_ROLE]},
                 "Resource": ["arn:aws:s3:::one-eu-west-1/eu-west-1/*"]}
    }  # fmt: skip


def test_access_logs_refer_to_their_bucket_which_is_stated_too() -> None:
    source, target = configured_buckets.wanted(one_bucket(logging_target="logs-{region}"))
    assert source.state["logging"] == {"target": of("bucket/logs-eu-west-1", "name"), "prefix": "logs/"}
    assert target.address == "bucket/logs-eu-west-1"
    assert list(target.state["policy"]) == ["WhenceLogDelivery", "WhenceTlsOnly"]  # type: ignore[arg-type]  # a mapping


def test_two_buckets_may_log_to_one_and_a_bucket_to_itself() -> None:
    both = {name: {"name": name, "regions": ["eu-west-1"], "logging_target": "logs"} for name in ("one", "two")}
    found = configured_buckets.wanted(account(s3_buckets=both))
    assert [one.name for one in found] == ["one", "logs", "two"]
    (alone,) = configured_buckets.wanted(account(s3_buckets={"a": {**both["one"], "name": "logs"}}))
    assert alone.state["logging"] == {"target": "logs", "prefix": "logs/"}


@pytest.mark.parametrize(
    "section, message",
    [
        ({"name": "One"}, "accounts.hello.s3_buckets.one.name: 'One' is not a bucket name"),
        ({"name": "a" * 64}, "is not a bucket name"),
        ({"logging_target": "-no-"}, "accounts.hello.s3_buckets.one.logging_target: '-no-' is not a bucket name"),
        ({"policy": {"Statement": "all"}}, "accounts.hello.s3_buckets.one.policy.Statement is not a list of mappings"),
        ({"policy": {"Statement": [_STATEMENT, 1]}}, "is not a list of mappings"),
        ({"policy": {"Statement": [{**_STATEMENT, "Sid": "A"}, {**_STATEMENT, "Sid": "A"}]}}, "two with the same Sid"),
        ({"policy": {"Statement": [{}] * 1001}}, "more than 1000 parts"),
        ({"lifecycle_configuration": {}}, "lifecycle_configuration.Rules is not a list of mappings"),
        ({"lifecycle_configuration": {"Rules": [{"ID": "a"}, {"ID": "a"}]}}, "two with the same ID"),
        ({"lifecycle_configuration": {"Rules": [{"Filter": "And"}]}}, "Rules is not what S3's API takes"),
        (
            {"lifecycle_configuration": {"Rules": [{"Filter": {"And": {"Tags": 5}}}]}},
            "Rules is not what S3's API takes",
        ),
        (
            {"policy": {"Statement": [{**_STATEMENT, "Condition": {"Bool": "no"}}]}},
            "Statement is not what S3's API takes",
        ),
        ({"policy": {"Statement": [_STATEMENT, _STATEMENT]}}, "two with the same Sid"),
        ({"encryption_config": {}}, "encryption_config is not an encryption of S3's API"),
        ({"encryption_config": {"Rules": []}}, "is not an encryption of S3's API"),
        ({"encryption_config": {"Rules": ["AES256"]}}, "is not an encryption of S3's API"),
        ({"encryption_config": {"Rules": [{"ApplyServerSideEncryptionByDefault": {}}]}}, "is not an encryption"),
    ],
)
def test_a_section_that_s3_would_refuse_is_refused_with_its_path(section: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as refused:
        configured_buckets.wanted(one_bucket(**section))
    assert refused.value.fix


def test_one_name_for_two_regions_is_refused() -> None:
    with pytest.raises(InputError, match="the bucket one is configured twice, differently") as refused:
        configured_buckets.wanted(account(s3_buckets={"a": {"name": "one"}}))
    assert refused.value.fix == "put {region} into its name, or remove one of the two"


@pytest.mark.parametrize("root", ["arn:aws:iam::123456789012:root", "123456789012", "*"])
def test_the_mint_statement_of_seven_seconds_for_a_whole_account_is_refused(root: str) -> None:
    statement = {"Sid": "AllowMintWrite", "Effect": "Allow", "Principal": {"AWS": root}, "Action": ["s3:PutObject"],
                 "Resource": ["arn:aws:s3:::{bucket_name}/*"]}  # fmt: skip
    with pytest.raises(InputError, match="lets every identity of an account write credentials") as refused:
        configured_buckets.wanted(one_bucket(policy={"Statement": [statement]}))
    assert refused.value.fix.startswith("write mint_bucket: {writer: ARN of the worker's role}")
    allowed = {**statement, "Principal": {"AWS": _ROLE}}
    assert configured_buckets.wanted(one_bucket(policy={"Statement": [allowed]}))


def test_the_mint_bucket_is_named_by_the_convention_that_deploy_tools_guess() -> None:
    found = mint.wanted(account(mint_bucket={"writer": _ROLE}))
    assert [one.name for one in found] == [
        "acme-stups-mint-123456789012-eu-west-1", "acme-stups-mint-123456789012-us-east-1"
    ]  # fmt: skip
    assert (found[0].state["versioning"], found[0].state["ownership"]) == (True, "BucketOwnerEnforced")
    policy = found[0].state["policy"]
    assert policy["WhenceMintWriterReadsNothing"] == {  # type: ignore[index, call-overload]  # a mapping
        "Sid": "WhenceMintWriterReadsNothing", "Effect": "Deny", "Principal": {"AWS": [_ROLE]},
        "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
        "Resource": [
            "arn:aws:s3:::acme-stups-mint-123456789012-eu-west-1",
            "arn:aws:s3:::acme-stups-mint-123456789012-eu-west-1/*",
        ],
    }  # fmt: skip


def test_the_writer_of_the_mint_bucket_lists_versions_and_reads_the_settings_of_the_bucket() -> None:
    policy: Any = mint.wanted(account(mint_bucket={"writer": _ROLE}))[0].state["policy"]
    arn = "arn:aws:s3:::acme-stups-mint-123456789012-eu-west-1"
    assert (policy["WhenceMintWrite"]["Action"], policy["WhenceMintWrite"]["Resource"]) == (
        ["s3:DeleteObject", "s3:PutObject"], [f"{arn}/*"]
    )  # fmt: skip
    assert (policy["WhenceMintVerify"]["Action"], policy["WhenceMintVerify"]["Resource"]) == (
        [
            "s3:GetBucketLocation", "s3:GetBucketOwnershipControls", "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
            "s3:ListBucketVersions",
        ],
        [arn],
    )  # fmt: skip
    denied = set(policy["WhenceMintWriterReadsNothing"]["Action"])
    assert denied.isdisjoint([*policy["WhenceMintWrite"]["Action"], *policy["WhenceMintVerify"]["Action"]])


def test_the_mint_bucket_may_be_encrypted_with_a_key_of_the_configuration() -> None:
    settings = {"mint_bucket": {"writer": _ROLE, "key": "alias/mint", "name": "m-{account_id}-{region}"}}
    found = mint.wanted(account(kms={"mint": {}}, **settings))
    assert found[1].state["encryption"] == {
        "algorithm": "aws:kms", "key": of("us-east-1/key/mint", "arn"), "bucket_key": True
    }  # fmt: skip
    with pytest.raises(InputError, match=r"mint_bucket.key: 'alias/mint' is neither an alias of kms nor the ARN"):
        mint.wanted(account(**settings))


@pytest.mark.parametrize("writer", ["arn:aws:iam::123456789012:root", "123456789012", "*", "mint-worker", _ROLE + "*"])
def test_the_mint_bucket_has_one_role_as_its_writer(writer: str) -> None:
    with pytest.raises(InputError, match=r"accounts.hello.mint_bucket.writer: .* is not the ARN of a role"):
        mint.wanted(account(mint_bucket={"writer": writer}))


def test_statements_and_rules_without_a_name_get_one_from_their_content() -> None:
    (sid,) = statements_by_sid([_STATEMENT])
    assert sid.startswith("Whence")
    assert list(statements_by_sid([{**_STATEMENT, "Action": ["s3:GetObject"]}])) == [sid]
    (rule_id,) = rules_by_id([{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}])
    assert list(rules_by_id([{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}])) == [rule_id]


def test_only_parts_that_are_stated_or_have_a_name_of_ours_are_our_own() -> None:
    wanted = statements_by_sid([{**_STATEMENT, "Sid": "A"}, _STATEMENT])
    unnamed, theirs = dict(_STATEMENT), {**_STATEMENT, "Sid": "B", "Action": "s3:PutObject"}
    old = {**_STATEMENT, "Sid": "WhenceOld"}
    own, others = told_apart([theirs, old, unnamed, {**_STATEMENT, "Sid": "A"}], wanted, "Sid")
    assert (sorted(own), others) == (sorted({*wanted, "WhenceOld"}), [theirs])


@pytest.mark.parametrize(
    "one, other",
    [
        ({"Prefix": "a/"}, {"Filter": {"Prefix": "a/"}}),
        ({"Prefix": ""}, {"Filter": {}}),
        ({"Prefix": None, "Filter": {"Prefix": ""}}, {}),
        ({"Expiration": {"Date": date(2026, 11, 27)}}, {"Expiration": {"Date": "2026-11-27T00:00:00Z"}}),
        (
            {"Transitions": [{"Days": 9, "StorageClass": "GLACIER"}, {"Days": 1, "StorageClass": "STANDARD_IA"}]},
            {"Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}, {"StorageClass": "GLACIER", "Days": 9}]},
        ),
        (
            {"Filter": {"And": {"Prefix": "a", "Tags": [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]}}},
            {"Filter": {"And": {"Prefix": "a", "Tags": [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "1"}]}}},
        ),
    ],
)
def test_rules_that_mean_the_same_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert rule({"Status": "Enabled", **one}) == rule({"Status": "Enabled", **other})


def test_encryption_that_aws_returns_is_that_of_the_configuration() -> None:
    stated = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    returned = {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    }
    assert encryption(stated) == encryption(returned) == {"algorithm": "AES256", "key": None, "bucket_key": False}
    blocked = {"Rules": [{**returned["Rules"][0], "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}]}
    assert encryption(blocked) == {"algorithm": "AES256", "key": None, "bucket_key": False, "blocked": ["SSE-C"]}


def test_other_steps_state_buckets_of_the_same_kind() -> None:
    found = bucket("logs-1", "eu-west-1", statements=({**_STATEMENT, "Sid": "Trail"},), versioning=True)
    assert (found.address, found.state["encryption"]) == (
        "bucket/logs-1", {"algorithm": "AES256", "key": None, "bucket_key": False}
    )  # fmt: skip
    assert list(found.state["policy"]) == ["Trail", "WhenceTlsOnly"]  # type: ignore[arg-type]  # a mapping
