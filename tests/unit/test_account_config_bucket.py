"""Which bucket AWS Config delivers to, who may write into the log bucket, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.steps import cloudtrail, config_recorder
from whence_common.errors import InputError

_OWN, _OTHER = "123456789012", "210987654321"
_BUCKET = "bucket/audit-logs"


def account(**settings: Any) -> ConfiguredAccount:
    section = {"id": _OWN, "regions": ["eu-west-1", "us-east-1"], **settings}
    return ConfiguredAccount(name="hello", account_id=_OWN, settings=msgspec.convert(section, AccountSettings))


def trail(**log_bucket: Any) -> dict[str, Any]:
    return {"s3_bucket_name": "audit-logs", "log_bucket": log_bucket}


def statements(**settings: Any) -> dict[str, Any]:
    (bucket,) = [one for one in cloudtrail.wanted(account(**settings)) if one.address == _BUCKET]
    policy: Any = bucket.state["policy"]
    return {sid: one for sid, one in policy.items() if sid.startswith("WhenceConfig")}


def delivery(**settings: Any) -> Any:
    (recorder, *_) = [one for one in config_recorder.wanted(account(**settings)) if one.region is not None]
    return recorder.state["delivery"]


def test_nothing_is_wanted_unless_it_is_configured() -> None:
    assert config_recorder.wanted(account(cloudtrail=trail())) == ()
    assert statements(cloudtrail=trail()) == {}


def test_files_go_into_the_log_bucket_that_is_created_here_and_wait_for_it() -> None:
    found = delivery(aws_config={"s3_key_prefix": "config"}, cloudtrail=trail())
    name = {"$of": _BUCKET, "output": "name"}
    assert found == {"bucket": name, "prefix": "config", "frequency": "TwentyFour_Hours"}


def test_files_go_into_the_bucket_of_the_trail_also_where_another_account_has_it() -> None:
    found = delivery(aws_config={}, cloudtrail={"s3_bucket_name": "audit-logs"})
    assert (found["bucket"], found["prefix"]) == ("audit-logs", None)


def test_the_log_bucket_admits_aws_config_of_this_account_to_its_own_folder() -> None:
    assert statements(aws_config={"s3_key_prefix": "config"}, cloudtrail=trail()) == {
        "WhenceConfigChecks": {
            "Sid": "WhenceConfigChecks", "Effect": "Allow", "Principal": {"Service": ["config.amazonaws.com"]},
            "Action": ["s3:GetBucketAcl", "s3:ListBucket"], "Resource": ["arn:aws:s3:::audit-logs"],
            "Condition": {"StringEquals": {"aws:SourceAccount": [_OWN]}},
        },
        "WhenceConfigWrites": {
            "Sid": "WhenceConfigWrites", "Effect": "Allow", "Principal": {"Service": ["config.amazonaws.com"]},
            "Action": ["s3:PutObject"],
            "Resource": [f"arn:aws:s3:::audit-logs/config/AWSLogs/{_OWN}/Config/*"],
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": [_OWN], "s3:x-amz-acl": ["bucket-owner-full-control"]
                }
            },
        },
    }  # fmt: skip


def test_the_log_bucket_admits_other_accounts_only_where_it_says_so() -> None:
    about = {"accounts": [_OTHER], "aws_config": True}
    found = statements(aws_config={}, cloudtrail=trail(**about))["WhenceConfigWrites"]
    assert found["Resource"] == [f"arn:aws:s3:::audit-logs/AWSLogs/{one}/Config/*" for one in (_OWN, _OTHER)]
    found = statements(cloudtrail=trail(**about))["WhenceConfigWrites"]
    assert found["Condition"]["StringEquals"]["aws:SourceAccount"] == [_OTHER]
    assert statements(cloudtrail=trail(accounts=[_OTHER])) == {}


def test_the_log_bucket_admits_nobody_where_the_files_go_elsewhere() -> None:
    elsewhere = {"s3_bucket_name": "config-files"}
    assert statements(aws_config=elsewhere, cloudtrail=trail()) == {}
    assert delivery(aws_config=elsewhere, cloudtrail=trail())["bucket"] == "config-files"


def test_a_bucket_that_is_not_known_is_refused_with_what_to_write() -> None:
    with pytest.raises(InputError, match=r"accounts.hello.aws_config.s3_bucket_name: the bucket") as refused:
        delivery(aws_config={})
    assert refused.value.fix == "state it, or a trail with a bucket (cloudtrail)"


def test_a_region_of_global_resources_without_a_recorder_is_refused() -> None:
    section = {"s3_bucket_name": "config-files", "regions": ["us-east-1"], "global_resources_region": "eu-west-1"}
    with pytest.raises(InputError, match=r"global_resources_region: eu-west-1 has no recorder") as refused:
        delivery(aws_config=section)
    assert refused.value.fix == "name one of us-east-1"
