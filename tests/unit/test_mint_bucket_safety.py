"""Which settings of a bucket are as credentials require them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from whence_aggregator.mint.bucket_places import BucketPlace
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS, BucketSettings, check_bucket
from whence_aggregator.mint.failing import failed, noted
from whence_aggregator.mint.ports import BucketUnsafe
from whence_aggregator.mint.state import StoredMint
from whence_aggregator.mint.values import MintApplication
from whence_common.backoff import Backoff

PLACE = BucketPlace(
    bucket="a-mint", account_id="1" * 12, region="eu-west-1", role="arn:aws:iam::111111111111:role/x", external_id=None
)
RULE = {
    "ID": "old",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
}
EXPIRES = {"ID": "new", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 9}}
STORED = StoredMint(
    application=MintApplication(
        application_id="greeter", team_id="hello", username="greeter", is_confidential=True, provider="stups",
        credentials=("client",),
    )
)  # fmt: skip


def check(place: BucketPlace = PLACE, **changes: Any) -> None:
    safe: dict[str, Any] = {
        "region": "eu-west-1", "encryption": "aws:kms", "versioning": "Enabled", "rules": [RULE],
        "blocks": PUBLIC_ACCESS_BLOCKS, "ownership": "",
    }  # fmt: skip
    check_bucket(place, BucketSettings(**{**safe, **changes}))


def changed(**parts: Any) -> dict[str, Any]:
    return {name: value for name, value in {**RULE, **parts}.items() if value is not None}


@pytest.mark.parametrize(
    "rules",
    [
        [RULE],
        [changed(Filter={})],
        [changed(Filter=None, Prefix="")],
        [changed(Filter=None)],
        [changed(Filter={"Prefix": "logs/"}, ID="logs"), RULE],
        [RULE, {**EXPIRES, "Filter": {"Prefix": "logs/"}}],
        [RULE, {**EXPIRES, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}],
        [RULE, {**EXPIRES, "Status": "Disabled"}],
        [RULE, {**EXPIRES, "Expiration": {"ExpiredObjectDeleteMarker": True}}],
    ],
)
def test_a_rule_that_deletes_all_old_versions_and_nothing_in_use_is_safe(rules: list[dict[str, Any]]) -> None:
    check(rules=rules)


@pytest.mark.parametrize(
    "rules, message",
    [
        ([], "no lifecycle rule"),
        ([changed(Status="Disabled")], "no lifecycle rule"),
        ([changed(Filter={"Prefix": "greeter/"})], "no lifecycle rule"),
        ([changed(Filter=None, Prefix="greeter/")], "no lifecycle rule"),
        ([changed(Filter={"Tag": {"Key": "a", "Value": "b"}})], "no lifecycle rule"),
        ([changed(Filter={"And": {"Prefix": "", "ObjectSizeGreaterThan": 500}})], "no lifecycle rule"),
        ([changed(Filter={"ObjectSizeGreaterThan": 131_072})], "no lifecycle rule"),
        ([changed(NoncurrentVersionExpiration={})], "no lifecycle rule"),
        (
            [changed(NoncurrentVersionExpiration={"NoncurrentDays": 9, "NewerNoncurrentVersions": 3})],
            "no lifecycle rule deletes old versions",
        ),
        ([changed(NoncurrentVersionExpiration=None)], "no lifecycle rule"),
        ([RULE, EXPIRES], "the lifecycle rule new deletes credentials that are in use"),
        ([RULE, {**EXPIRES, "Expiration": {"Date": "2027-01-01"}, "ID": ""}], "the lifecycle rule without ID deletes"),
        ([{**RULE, "Expiration": {"Days": 1}}], "the lifecycle rule old deletes"),
    ],
)
def test_rules_that_keep_old_versions_or_delete_new_ones_are_unsafe(rules: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BucketUnsafe, match=message):
        check(rules=rules)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"region": "us-east-1"}, "it is in us-east-1, not in eu-west-1"),
        ({"encryption": ""}, "no default encryption"),
        ({"versioning": ""}, "versioning is not enabled"),
        ({"versioning": "Suspended"}, "versioning is not enabled"),
        ({"blocks": frozenset()}, "public access is not blocked"),
        ({"blocks": PUBLIC_ACCESS_BLOCKS - {"IgnorePublicAcls"}}, r"not blocked \(IgnorePublicAcls\)"),
    ],
)
def test_each_setting_that_is_missing_is_named_with_its_fix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BucketUnsafe, match=message) as refused:
        check(**changes)
    assert refused.value.message.startswith("the bucket a-mint is not as credentials require it: ")
    assert "mint_bucket" in refused.value.fix


@pytest.mark.parametrize("role", ["", "arn:aws:iam::222222222222:role/x"])
@pytest.mark.parametrize("ownership", ["", "ObjectWriter", "BucketOwnerPreferred"])
def test_a_writer_of_another_account_needs_a_bucket_that_owns_its_objects(role: str, ownership: str) -> None:
    place = replace(PLACE, role=role)
    check(place, ownership="BucketOwnerEnforced")
    check(PLACE, ownership=ownership)
    with pytest.raises(BucketUnsafe, match="objects would belong to the account that writes them") as refused:
        check(place, ownership=ownership)
    assert "BucketOwnerEnforced, or write by a role of 111111111111" in refused.value.fix


def test_a_bucket_with_every_fault_is_told_whole_with_what_to_do() -> None:
    elsewhere = replace(PLACE, bucket="m" * 63, role="")
    with pytest.raises(BucketUnsafe) as caught:
        check(
            elsewhere, region="ap-southeast-2", encryption="", versioning="", rules=[{**EXPIRES, "ID": "x" * 60}],
            blocks=frozenset(), ownership="ObjectWriter",
        )  # fmt: skip
    backoff = Backoff(first_seconds=1.0, longest_seconds=9.0, random=lambda: 0.5)
    told = failed(STORED, "step", caught.value, now=datetime.now(UTC), backoff=backoff).failures["step"].problem
    assert told == caught.value.diagnostics()


def test_what_was_tampered_with_is_told_whole_with_what_to_do() -> None:
    long = "x" * 800
    now = datetime.now(UTC)
    told = noted(STORED, "step", "code", f"{long}: what to do", now=now, retry_at=now).failures["step"].problem
    assert told.endswith(": what to do")
