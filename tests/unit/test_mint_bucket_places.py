"""Which buckets mint writes, where they are and by which role, and which it refuses."""

from __future__ import annotations

import pytest

from whence_aggregator.mint.bucket_places import BucketPlace, BucketPlaces, BucketRow
from whence_aggregator.mint.ports import BucketUnsafe
from whence_common.errors import InputError

ONE, TWO = "111111111111", "222222222222"
_ROW = BucketRow(
    pattern="{prefix}-stups-mint-{account_id}-{region}", role="arn:aws:iam::{account_id}:role/whence-mint",
    external_id="only-mint",
)  # fmt: skip


def places(*rows: BucketRow, accounts: tuple[str, ...] = (ONE,)) -> BucketPlaces:
    return BucketPlaces(rows or (_ROW,), accounts=frozenset(accounts))


def refused(bucket: str, *rows: BucketRow) -> BucketUnsafe:
    with pytest.raises(BucketUnsafe) as found:
        places(*rows).of(bucket)
    assert found.value.fix
    return found.value


def test_a_name_by_the_convention_of_stups_states_account_and_region() -> None:
    assert places().of(f"acme-stups-mint-{ONE}-eu-central-1") == BucketPlace(
        bucket=f"acme-stups-mint-{ONE}-eu-central-1", account_id=ONE, region="eu-central-1",
        role=f"arn:aws:iam::{ONE}:role/whence-mint", external_id="only-mint",
    )  # fmt: skip


@pytest.mark.parametrize("region", ["us-gov-west-1", "ap-southeast-10", "cn-north-1", "eusc-de-east-1", "me-central-1"])
def test_every_form_of_a_region_is_read(region: str) -> None:
    assert places().of(f"a-stups-mint-{ONE}-{region}").region == region


def test_a_bucket_without_its_account_in_the_name_has_a_row_that_states_it() -> None:
    row = BucketRow(pattern="our-credentials", account_id=ONE, region="eu-west-1")
    found = places(_ROW, row).of("our-credentials")
    assert (found.account_id, found.region, found.role, found.external_id) == (ONE, "eu-west-1", "", None)


def test_the_first_row_that_matches_counts() -> None:
    special = BucketRow(pattern="acme-stups-mint-{account_id}-{region}", role="arn:aws:iam::{account_id}:role/acme")
    assert places(special, _ROW).of(f"acme-stups-mint-{ONE}-eu-west-1").role == f"arn:aws:iam::{ONE}:role/acme"
    assert places(special, _ROW).of(f"other-stups-mint-{ONE}-eu-west-1").role == f"arn:aws:iam::{ONE}:role/whence-mint"


def test_a_bucket_of_an_account_that_is_not_allowed_is_refused_with_its_account() -> None:
    found = refused(f"acme-stups-mint-{TWO}-eu-west-1")
    assert (found.code, TWO in found.message) == ("mint-bucket-account", True)


def test_without_allowed_accounts_no_bucket_is_written() -> None:
    with pytest.raises(BucketUnsafe):
        places(accounts=()).of(f"acme-stups-mint-{ONE}-eu-west-1")


@pytest.mark.parametrize(
    "bucket",
    [
        "somebody-elses", f"a-b-stups-mint-{ONE}-eu-west-1", f"acme-stups-mint-{ONE}-eu-west-1-mine",
        f"x-acme-stups-mint-{ONE}-eu-west-1", "acme-stups-mint-11111111111-eu-west-1", f"acme-stups-mint-{ONE}-here",
        f"a-{TWO}-eu-west-1-stups-mint-{ONE}-eu-west-1", f"acme-stups-mint-{ONE}-eu-west-1.evil",
    ],
)  # fmt: skip
def test_a_bucket_that_no_row_matches_as_a_whole_is_refused_with_the_patterns(bucket: str) -> None:
    found = refused(bucket)
    assert (found.code, _ROW.pattern in found.fix) == ("mint-bucket-unknown", True)


def test_a_bucket_of_google_is_refused() -> None:
    found = refused(f"gs://acme-stups-mint-{ONE}-eu-west-1")
    assert (found.code, found.fix) == (
        "mint-bucket-google", "remove it from s3_buckets: only buckets of S3 are written"
    )  # fmt: skip


@pytest.mark.parametrize(
    "bucket",
    [
        "", "ab", "s3://acme", "acme/greeter", "../acme", "a..b", "Acme-Mint", "10.0.0.1", "-acme", "acme\n", "a b c",
        "arn:aws:s3:eu-west-1:111111111111:accesspoint/mint", "a" * 64, f"acme-stups-mint-{ONE}-eu-west-1\n", "ａｃｍｅ",
    ],
)  # fmt: skip
def test_what_is_not_the_name_of_a_bucket_is_refused(bucket: str) -> None:
    found = refused(bucket)
    assert found.code == "mint-bucket-name"
    assert "\n" not in found.message


@pytest.mark.parametrize(
    "row, message",
    [
        (BucketRow(pattern="mint-{region}"), "account_id is stated twice or not at all"),
        (BucketRow(pattern="mint-{account_id}"), "region is stated twice or not at all"),
        (BucketRow(pattern="mint-{account_id}-{region}", account_id=ONE), "account_id is stated twice"),
        (BucketRow(pattern="mint", account_id="1", region="eu-west-1"), "account_id: 1 is invalid"),
        (BucketRow(pattern="mint", account_id=ONE, region="Europe"), "region: Europe is invalid"),
        (BucketRow(pattern="mint-*-{account_id}-{region}"), "matches no name of a bucket"),
        (BucketRow(pattern="Mint-{account_id}-{region}"), "matches no name of a bucket"),
        (BucketRow(pattern="mint-{team}-{account_id}-{region}"), "unknown or repeated"),
        (BucketRow(pattern="{account_id}-{account_id}-{region}"), "unknown or repeated"),
        (BucketRow(pattern="mint-{account_id}{region}"), "without text between them"),
        (BucketRow(pattern="", account_id=ONE, region="eu-west-1"), "matches no name of a bucket"),
        (BucketRow(pattern="m-{account_id}-{region}", role="whence-mint"), "is not the ARN of a role"),
        (BucketRow(pattern="m-{account_id}-{region}", role="arn:aws:iam::{account}:role/x"), "is not the ARN of a role"),
        (BucketRow(pattern="m-{account_id}-{region}", external_id="only-mint"), "external id is stated without a role"),
    ],
)  # fmt: skip
def test_a_row_that_is_incomplete_is_refused_with_its_place(row: BucketRow, message: str) -> None:
    with pytest.raises(InputError, match=rf"buckets\[1\].*{message}") as found:
        places(_ROW, row)
    assert (found.value.code, bool(found.value.fix)) == ("mint-bucket-row", True)


def test_an_external_id_is_never_shown() -> None:
    assert "only-mint" not in repr(_ROW)
    assert "only-mint" not in repr(places().of(f"acme-stups-mint-{ONE}-eu-west-1"))


def test_more_rows_than_anybody_writes_are_refused() -> None:
    with pytest.raises(InputError, match="more than 1000 rows"):
        places(*[_ROW] * 1_001)
