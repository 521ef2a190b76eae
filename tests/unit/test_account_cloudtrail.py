"""What the section `cloudtrail` wants: trail, log bucket, events; and which values contradict each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.resources import WantedResource
from whence_aggregator.accounts.steps.cloudtrail import STEP, wanted
from whence_common.errors import InputError

_OWN, _OTHER = "123456789012", "210987654321"
_SEVEN_SECONDS = {"s3_bucket_name": "audit-logs", "s3_key_prefix": "audit", "home_region": "eu-west-1", "regions": []}
_CREATED = {"cloud_watch_logs": {"group": "whence/trail", "role": "trail-logs", "create": {"retention_in_days": 30}}}
_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-4333-8444-555555555555"


def account(section: dict[str, Any] | None, *, organization_id: str | None = None, **more: Any) -> ConfiguredAccount:
    settings = {"id": _OWN, "regions": ["eu-west-1", "eu-central-1"], "cloudtrail": section, **more}
    return ConfiguredAccount(
        name="hello", account_id=_OWN, settings=msgspec.convert(settings, AccountSettings),
        organization_id=organization_id,
    )  # fmt: skip


def by_address(section: dict[str, Any], **more: Any) -> dict[str, WantedResource]:
    return {one.address: one for one in wanted(account({**_SEVEN_SECONDS, **section}, **more))}


def statements(bucket: WantedResource) -> dict[str, Any]:
    policy: Any = bucket.state["policy"]
    return dict(policy)


def test_the_section_of_seven_seconds_wants_a_trail_and_no_bucket_and_no_events() -> None:
    found = by_address({})
    assert list(found) == [
        "eu-west-1/trail/Default", "eu-west-1/other-trails/Default", "eu-central-1/other-trails/Default",
    ]  # fmt: skip
    assert found["eu-west-1/trail/Default"].state == {
        "delivery": {"bucket": "audit-logs", "prefix": "audit"},
        "topic": None,
        "coverage": {"multi_region": True, "global_service_events": True, "organization": False},
        "log_file_validation": True,
        "kms_key": None,
        "tags": {"whence:managed-by": "whence-accounts"},
        "event_selectors": {
            "basic": [
                {
                    "ReadWriteType": "All", "IncludeManagementEvents": True, "ExcludeManagementEventSources": [],
                    "DataResources": [],
                }
            ]
        },
        "logging": True,
    }  # fmt: skip


def test_no_section_wants_nothing() -> None:
    assert wanted(account(None)) == ()


def test_a_disabled_trail_wants_nothing_but_its_log_bucket() -> None:
    assert by_address({}, enable_cloudtrail=False) == {}
    found = by_address({"log_bucket": {"accounts": [_OTHER]}}, enable_cloudtrail=False)
    assert list(found) == ["bucket/audit-logs"]
    writes = statements(found["bucket/audit-logs"])["WhenceTrailWrites"]
    assert writes["Resource"] == [f"arn:aws:s3:::audit-logs/audit/AWSLogs/{_OTHER}/*"]
    assert writes["Condition"]["StringEquals"]["aws:SourceArn"] == [
        f"arn:aws:cloudtrail:eu-west-1:{_OTHER}:trail/Default"
    ]


def test_the_bucket_of_a_log_archive_admits_the_trails_of_every_account_by_name() -> None:
    found = by_address({"name": "Audit", "log_bucket": {"accounts": [_OTHER, _OWN]}})
    writes = statements(found["bucket/audit-logs"])["WhenceTrailWrites"]
    assert writes["Condition"]["StringEquals"] == {
        "aws:SourceArn": [
            f"arn:aws:cloudtrail:eu-west-1:{_OWN}:trail/Audit", f"arn:aws:cloudtrail:eu-west-1:{_OTHER}:trail/Audit",
        ],
        "s3:x-amz-acl": ["bucket-owner-full-control"],
    }  # fmt: skip
    assert writes["Resource"] == [
        f"arn:aws:s3:::audit-logs/audit/AWSLogs/{_OWN}/*", f"arn:aws:s3:::audit-logs/audit/AWSLogs/{_OTHER}/*",
    ]  # fmt: skip


def test_the_bucket_of_an_organisations_trail_admits_the_folder_of_the_organisation() -> None:
    section = {"s3_key_prefix": None, "log_bucket": {"accounts": [_OTHER], "organization": True}}
    found = by_address(section, enable_cloudtrail=False, organization_id="o-exampleorgid")
    assert statements(found["bucket/audit-logs"])["WhenceTrailWrites"]["Resource"] == [
        f"arn:aws:s3:::audit-logs/AWSLogs/{_OTHER}/*", "arn:aws:s3:::audit-logs/AWSLogs/o-exampleorgid/*",
    ]  # fmt: skip


def test_the_trail_refers_to_the_bucket_that_is_created_here() -> None:
    found = by_address({"log_bucket": {}})
    assert found["eu-west-1/trail/Default"].state["delivery"] == {
        "bucket": {"$of": "bucket/audit-logs", "output": "name"}, "prefix": "audit",
    }  # fmt: skip


def test_without_an_auditor_role_nobody_is_admitted_to_read() -> None:
    found = by_address({"log_bucket": {}, "events": {}, "auditor_role": None})
    assert sorted(statements(found["bucket/audit-logs"])) == ["WhenceTlsOnly", "WhenceTrailChecks", "WhenceTrailWrites"]
    policy: Any = found["eu-west-1/queue/whence-trail"].state["policy"]
    assert [one["Sid"] for one in policy["Statement"]] == ["WhenceSends"]


def test_an_auditor_of_another_account_is_named_by_its_arn() -> None:
    role = f"arn:aws:iam::{_OTHER}:role/whence/fullstop"
    more = f"arn:aws:iam::{_OTHER}:role/security"
    found = by_address({"log_bucket": {"readers": [more]}, "events": {}, "auditor_role": role})
    assert statements(found["bucket/audit-logs"])["WhenceReadersList"]["Principal"] == {"AWS": [more, role]}
    policy: Any = found["eu-west-1/queue/whence-trail"].state["policy"]
    assert policy["Statement"][1]["Principal"] == {"AWS": [role]}


def test_the_organisations_id_may_be_stated_where_accounts_are_a_list() -> None:
    found = by_address({"organization": True, "organization_id": "o-exampleorgid", "log_bucket": {}})
    assert statements(found["bucket/audit-logs"])["WhenceTrailWrites"]["Resource"][1] == (
        "arn:aws:s3:::audit-logs/audit/AWSLogs/o-exampleorgid/*"
    )


def test_keys_of_the_section_kms_are_referred_to_by_alias() -> None:
    section = {"kms_key": "alias/logs", "events": {"kms_key": "alias/logs"}}
    found = by_address(section, kms={"alias/logs": {}})
    key = {"$of": "eu-west-1/key/logs", "output": "arn"}
    assert found["eu-west-1/trail/Default"].state["kms_key"] == key
    assert found["eu-west-1/topic/whence-trail"].state["kms_key"] == key
    assert found["eu-west-1/queue/whence-trail"].state["encryption"] == {"kms_key": key, "sqs_managed": False}


def test_the_key_of_log_files_is_in_the_region_of_a_bucket_that_is_not_created_here() -> None:
    assert by_address({"kms_key": _KEY})["eu-west-1/trail/Default"].state["kms_key"] == _KEY


def test_a_log_group_and_its_role_are_named_by_arn() -> None:
    found = by_address({"cloud_watch_logs": {"group": "whence/trail", "role": "trail-logs"}})
    assert found["eu-west-1/trail/Default"].state["log_group"] == {
        "group": f"arn:aws:logs:eu-west-1:{_OWN}:log-group:whence/trail:*",
        "role": f"arn:aws:iam::{_OWN}:role/trail-logs",
    }


def test_names_in_other_partitions_have_their_partition() -> None:
    found = by_address({"home_region": "cn-north-1", "events": {}})
    policy: Any = found["cn-north-1/topic/whence-trail"].state["policy"]
    assert policy["Statement"][0]["Condition"] == {
        "ArnEquals": {"aws:SourceArn": [f"arn:aws-cn:cloudtrail:cn-north-1:{_OWN}:trail/Default"]}
    }


@pytest.mark.parametrize(
    "section, more, message",
    [
        ({"organization": True}, {}, r"accounts\.hello\.cloudtrail\.organization: the organisation's id is not known"),
        (
            {"log_bucket": {"organization": True, "accounts": [_OTHER]}},
            {},
            r"accounts\.hello\.cloudtrail\.organization: the organisation's id is not known",
        ),
        (
            {"log_bucket": {}},
            {"enable_cloudtrail": False},
            r"accounts\.hello\.cloudtrail\.log_bucket: no trail writes into it",
        ),
        (
            {"log_bucket": {"organization": True}},
            {"organization_id": "o-exampleorgid"},
            r"log_bucket\.organization: accounts does not state the account with the organisation's trail",
        ),
        ({"events": {"kms_key": _KEY}}, {}, r"events\.kms_key: the key is in us-east-1, .* in eu-west-1"),
        ({"kms_key": _KEY, "log_bucket": {}}, {}, r"cloudtrail\.kms_key: the key is in us-east-1"),
        ({"kms_key": "alias/nothing"}, {}, r"kms_key: 'alias/nothing' is neither an alias of kms nor the ARN of a key"),
        (
            {"kms_key": "alias/logs", "home_region": "us-east-1"},
            {"kms": {"alias/logs": {}}},
            r"kms_key: the key is in eu-west-1, eu-central-1, and what it encrypts in us-east-1",
        ),
        ({"event_selectors": [{"management_events": False}]}, {}, r"event_selectors\[0\]: it selects no events"),
    ],
)
def test_values_that_contradict_each_other_are_refused_by_key(
    section: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        by_address(section, **more)
    assert refused.value.fix


@pytest.mark.parametrize(
    "section",
    [
        {"s3_bucket_name": "Audit_Logs"},
        {"s3_bucket_name": "a" * 64},
        {"s3_key_prefix": "a" * 201},
        {"home_region": "eu-west-1/../x"},
        {"name": "my--trail"},
        {"name": "-trail"},
        {"regions": ["eu"]},
        {"kms_key": "a" * 2_049},
        {"event_selectors": []},
        {"event_selectors": [{"data_resources": [{"type": "AWS::EC2::Instance", "values": ["*"]}]}]},
        {"auditor_role": "a role"},
        {"auditor_role": "arn:aws:iam::123456789012:user/jane"},
        {"log_bucket": {"readers": ["*"]}},
        {"log_bucket": {"accounts": ["*"]}},
        {"events": {"topic_name": "a topic"}},
        {"events": {"queue_name": "queue.fifo"}},
        {"events": {"receives_max": 0}},
        {"cloud_watch": {}},
    ],
)
def test_what_the_section_does_not_accept_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        by_address(section)


def test_the_steps_kinds_are_those_that_it_wants_besides_the_bucket() -> None:
    section = {"organization": True, "log_bucket": {}, "events": {}, **_CREATED}
    found = by_address(section, organization_id="o-exampleorgid")
    assert {one.kind.name for one in found.values()} - {"bucket"} == {one.name for one in STEP.kinds}


def test_a_log_group_that_is_created_comes_before_the_trail_with_its_role() -> None:
    found = by_address(_CREATED)
    assert found["eu-west-1/log-group/whence/trail"].state == {
        "tags": {"whence:managed-by": "whence-accounts"}, "retention_in_days": 30
    }  # fmt: skip
    assert found["eu-west-1/trail/Default"].state["log_group"] == {
        "group": {"$of": "eu-west-1/log-group/whence/trail", "output": "streams"},
        "role": {"$of": "role/trail-logs", "output": "arn"},
    }


def test_a_log_group_that_exists_is_named_and_not_created() -> None:
    found = by_address({"cloud_watch_logs": {"group": "whence/trail", "role": "trail-logs"}})
    assert "eu-west-1/log-group/whence/trail" not in found
    assert found["eu-west-1/trail/Default"].state["log_group"] == {
        "group": f"arn:aws:logs:eu-west-1:{_OWN}:log-group:whence/trail:*", "role": f"arn:aws:iam::{_OWN}:role/trail-logs",
    }  # fmt: skip


def test_a_log_group_is_not_created_where_there_is_no_trail() -> None:
    assert by_address(_CREATED, enable_cloudtrail=False) == {}


def test_a_role_that_is_created_must_have_a_name() -> None:
    role = f"arn:aws:iam::{_OTHER}:role/trail-logs"
    with pytest.raises(InputError, match=r"accounts.hello.cloudtrail.cloud_watch_logs.role: the role that is created"):
        by_address({"cloud_watch_logs": {"group": "whence/trail", "role": role, "create": {}}})


def test_a_retention_that_cloudwatch_logs_does_not_have_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="retention_in_days"):
        by_address({"cloud_watch_logs": {"group": "g", "role": "r", "create": {"retention_in_days": 42}}})
