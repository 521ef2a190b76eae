"""The audit trail of an account, on moto: created, kept as it is configured, and never taken from others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.account_world import REGION, AccountWorld, account_world, new_account_id
from fakes.aws_refusals import denied
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import cloudtrail, configured_buckets
from whence_aggregator.accounts.steps.cloudtrail import OTHER_TRAILS, TRAIL, TRUSTED_ACCESS

_STEPS = (configured_buckets.STEP, cloudtrail.STEP)
_TRAIL = f"{REGION}/trail/Default"


@asynccontextmanager
async def a_world(
    moto: Aws, *, account_regions: tuple[str, ...] = (REGION,), **about: Any
) -> AsyncIterator[AccountWorld]:
    """Open an account whose trail writes into a bucket that stands, `logs-ID`."""
    account_id = new_account_id()
    section = {"s3_bucket_name": f"logs-{account_id}", **about}
    async with account_world(
        moto.url, steps=_STEPS, account_id=account_id, settings={"cloudtrail": section}, regions=account_regions,
        organization_id="o-exampleorgid",
    ) as world:  # fmt: skip
        if "log_bucket" not in about:
            a_bucket(world, f"logs-{account_id}")
        yield world


def a_bucket(world: AccountWorld, name: str) -> None:
    world.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})


def trail(world: AccountWorld, name: str = "Default", region: str = REGION) -> dict[str, Any]:
    found: dict[str, Any] = world.client("cloudtrail", region).get_trail(Name=name)["Trail"]
    return found


def a_foreign_trail(world: AccountWorld, name: str, region: str = REGION) -> None:
    world.client("cloudtrail", region).create_trail(Name=name, S3BucketName=f"logs-{world.account_id}")


async def test_a_fresh_account_gets_a_trail_that_records_in_one_apply(moto: Aws) -> None:
    async with a_world(moto, s3_key_prefix="audit") as world:
        plan = await world.plan()
        assert ([one.address for one in plan.changes], world.aws.writes) == ([_TRAIL], [])
        await world.apply(plan)
        assert world.aws.writes == ["cloudtrail:CreateTrail", "cloudtrail:StartLogging"]
        await world.converge()
        found = trail(world)
        assert (found["S3BucketName"], found["S3KeyPrefix"]) == (f"logs-{world.account_id}", "audit")
        assert (found["IsMultiRegionTrail"], found["IncludeGlobalServiceEvents"]) == (True, True)
        assert (found["LogFileValidationEnabled"], found["IsOrganizationTrail"]) == (True, False)
        assert world.client("cloudtrail").get_trail_status(Name="Default")["IsLogging"]


async def test_providers_call_what_their_kinds_state_and_nothing_else(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.apply(await world.plan())
        allowed = {one for kind in (TRAIL, OTHER_TRAILS) for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith("cloudtrail:")} <= allowed


def _update(**about: Any) -> Callable[[Any], None]:
    return lambda client: client.update_trail(Name="Default", **about)


def _stop(client: Any) -> None:
    client.stop_logging(Name="Default")


def _select(**about: Any) -> Callable[[Any], None]:
    return lambda client: client.put_event_selectors(TrailName="Default", EventSelectors=[about])


def _retag(client: Any) -> None:
    arn = client.get_trail(Name="Default")["Trail"]["TrailARN"]
    client.remove_tags(ResourceId=arn, TagsList=[{"Key": "whence:managed-by", "Value": "whence-accounts"}])


@pytest.mark.parametrize(
    "by_hand, aspect",
    [
        (_stop, "logging"),
        (_update(EnableLogFileValidation=False), "log_file_validation"),
        (_update(IsMultiRegionTrail=False), "coverage"),
        (_update(S3KeyPrefix="elsewhere"), "delivery"),
        (_update(KmsKeyId=f"arn:aws:kms:{REGION}:123456789012:key/a"), "kms_key"),
        (_select(ReadWriteType="ReadOnly", IncludeManagementEvents=True), "event_selectors"),
        (_select(ReadWriteType="All", ExcludeManagementEventSources=["kms.amazonaws.com"]), "event_selectors"),
    ],
)
async def test_a_change_by_hand_is_drift_in_one_aspect_and_is_put_right(
    moto: Aws, by_hand: Callable[[Any], None], aspect: str
) -> None:
    async with a_world(moto) as world:
        await world.converge()
        by_hand(world.client("cloudtrail"))
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_TRAIL, [aspect])]
        world.aws.forget()
        await world.apply(plan)
        assert len(world.aws.writes) == 1
        await world.converge()


async def test_a_trail_is_updated_in_place_when_its_configuration_changes(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        a_bucket(world, f"other-{world.account_id}")
        world.settings["cloudtrail"] |= {
            "s3_bucket_name": f"other-{world.account_id}", "logging": False,
            "event_selectors": [{"read_write": "WriteOnly", "exclude_sources": ["kms.amazonaws.com"]}],
        }  # fmt: skip
        plan = await world.plan()
        assert [(one.action, list(one.after or {})) for one in plan.changes] == [
            ("update", ["delivery", "event_selectors", "logging"])
        ]
        await world.converge()
        assert trail(world)["S3BucketName"] == f"other-{world.account_id}"
        assert not world.client("cloudtrail").get_trail_status(Name="Default")["IsLogging"]


async def test_a_log_group_is_set_and_a_change_of_it_is_put_right(moto: Aws) -> None:
    async with a_world(moto, cloud_watch_logs={"group": "whence/trail", "role": "trail-logs"}) as world:
        await world.converge()
        group = f"arn:aws:logs:{REGION}:{world.account_id}:log-group:whence/trail:*"
        assert trail(world)["CloudWatchLogsLogGroupArn"] == group
        world.client("cloudtrail").update_trail(Name="Default", CloudWatchLogsLogGroupArn="", CloudWatchLogsRoleArn="")
        assert [list(one.after or {}) for one in (await world.plan()).changes] == [["log_group"]]
        await world.converge()


async def test_trails_of_others_are_named_and_left_alone_in_every_region(moto: Aws) -> None:
    async with a_world(moto, account_regions=("eu-central-1", REGION)) as world:
        a_foreign_trail(world, "theirs")
        a_foreign_trail(world, "also-theirs", "eu-central-1")
        plan = await world.plan()
        named = [(one.kind, one.address, one.message) for one in plan.remarks]
        assert named == [
            ("foreign", "eu-central-1/other-trails/Default", "trail also-theirs is left as it is"),
            ("foreign", f"{REGION}/other-trails/Default", "trail theirs is left as it is"),
        ]
        await world.converge(delete=("*theirs*",))
        assert {trail(world, "theirs")["Name"], trail(world, "also-theirs", "eu-central-1")["Name"]} == {
            "theirs", "also-theirs",
        }  # fmt: skip


async def test_regions_limits_where_trails_of_others_are_searched(moto: Aws) -> None:
    async with a_world(moto, account_regions=("eu-central-1", REGION), regions=[REGION]) as world:
        a_foreign_trail(world, "also-theirs", "eu-central-1")
        assert (await world.plan()).remarks == ()


async def test_a_home_region_outside_of_the_regions_of_the_account_is_read_too(moto: Aws) -> None:
    async with a_world(moto, account_regions=("eu-central-1",)) as world:
        a_foreign_trail(world, "theirs")
        await world.converge()
        assert [one.message for one in (await world.plan()).remarks] == ["trail theirs is left as it is"]


async def test_a_trail_of_others_with_this_name_is_changed_only_when_it_is_adopted(moto: Aws) -> None:
    async with a_world(moto) as world:
        a_foreign_trail(world, "Default")
        plan = await world.plan()
        assert (plan.changes, [one.address for one in plan.remarks]) == ((), [_TRAIL])
        assert plan.remarks[0].fix.startswith(f"name it with --adopt '{_TRAIL}' to change coverage")
        await world.converge(adopt=(_TRAIL,))
        assert trail(world)["IsMultiRegionTrail"]


async def test_our_own_trail_of_a_former_name_is_kept_until_it_is_named(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        world.settings["cloudtrail"]["name"] = "Audit"
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [(f"{REGION}/trail/Audit", "create")]
        assert [(one.kind, one.address) for one in plan.remarks] == [("kept", _TRAIL)]
        await world.converge(delete=(_TRAIL,))
        assert [one["Name"] for one in world.client("cloudtrail").list_trails()["Trails"]] == ["Audit"]


@pytest.mark.parametrize("left", [{"enable_cloudtrail": False}, {"cloudtrail": None}])
async def test_a_trail_that_is_no_longer_configured_goes_on_recording(moto: Aws, left: dict[str, Any]) -> None:
    async with a_world(moto) as world:
        await world.converge()
        world.settings |= left
        plan = await world.plan()
        assert (plan.changes, [one.kind for one in plan.remarks]) == ((), ["kept"])
        assert world.client("cloudtrail").get_trail_status(Name="Default")["IsLogging"]


async def test_the_log_bucket_is_created_before_the_trail_and_admits_this_trail_only(moto: Aws) -> None:
    async with a_world(moto, log_bucket={}, s3_key_prefix="audit") as world:
        report = await world.converge()
        name, own = f"logs-{world.account_id}", world.account_id
        assert [one.address for one in report.changes] == [f"bucket/{name}", _TRAIL]
        s3 = world.client("s3")
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        statements = {one["Sid"]: one for one in json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]}
        trail_arn, logs = f"arn:aws:cloudtrail:{REGION}:{own}:trail/Default", f"arn:aws:s3:::{name}/audit/AWSLogs"
        service = {"Service": "cloudtrail.amazonaws.com"}
        assert statements["WhenceTrailChecks"] == {
            "Sid": "WhenceTrailChecks", "Effect": "Allow", "Principal": service, "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{name}", "Condition": {"StringEquals": {"aws:SourceArn": trail_arn}},
        }  # fmt: skip
        both = {"aws:SourceArn": trail_arn, "s3:x-amz-acl": "bucket-owner-full-control"}
        assert statements["WhenceTrailWrites"] == {
            "Sid": "WhenceTrailWrites", "Effect": "Allow", "Principal": service, "Action": "s3:PutObject",
            "Resource": f"{logs}/{own}/*", "Condition": {"StringEquals": both},
        }  # fmt: skip
        assert statements["WhenceReadersRead"] == {
            "Sid": "WhenceReadersRead", "Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{logs}/*",
            "Principal": {"AWS": f"arn:aws:iam::{own}:role/fullstop"},
        }  # fmt: skip
        assert "WhenceTlsOnly" in statements


async def test_a_trail_waits_for_a_bucket_that_could_not_be_configured(moto: Aws) -> None:
    async with a_world(moto, log_bucket={}) as world:
        world.aws.before = denied("s3:PutBucketPolicy")
        report = await world.apply(await world.plan())
        bucket = f"bucket/logs-{world.account_id}"
        assert [(one.outcome, one.message) for one in report.changes if one.address == _TRAIL] == [
            ("skipped", f"it needs {bucket}, which was not written")
        ]
        world.aws.before = lambda _: None
        assert (await world.converge()).succeeded


async def test_the_management_account_gets_a_trail_of_the_organisation(moto: Aws) -> None:
    async with a_world(moto, organization=True, log_bucket={}) as world:
        world.client("organizations").create_organization(FeatureSet="ALL")
        report = await world.converge()
        assert [one.address for one in report.changes] == [
            f"bucket/logs-{world.account_id}", "trusted-access/cloudtrail.amazonaws.com", _TRAIL,
        ]  # fmt: skip
        assert trail(world)["IsOrganizationTrail"]
        policy = json.loads(world.client("s3").get_bucket_policy(Bucket=f"logs-{world.account_id}")["Policy"])
        (writes,) = [one for one in policy["Statement"] if one["Sid"] == "WhenceTrailWrites"]
        logs = f"arn:aws:s3:::logs-{world.account_id}/AWSLogs"
        assert writes["Resource"] == [f"{logs}/{world.account_id}/*", f"{logs}/o-exampleorgid/*"]
        allowed = {*TRUSTED_ACCESS.reads, *TRUSTED_ACCESS.writes}
        assert {one.name for one in world.aws.calls if one.name.startswith("organizations:")} <= allowed


async def test_an_organisation_that_denies_the_question_is_unread(moto: Aws) -> None:
    async with a_world(moto, organization=True) as world:
        world.aws.before = denied("organizations:ListAWSServiceAccessForOrganization")
        plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "trusted-access/*")]
        assert plan.remarks[0].fix.startswith("allow organizations:ListAWSServiceAccessForOrganization")


async def imported(world: AccountWorld) -> Any:
    """Import the account's section, and return what it states of trails."""
    found = await import_account(world.account.target, _STEPS, world.providers)
    assert found.unread == ()
    return found.section.get("cloudtrail")


async def test_a_trail_that_stands_is_imported_and_needs_our_tag_only(moto: Aws) -> None:
    async with a_world(moto) as world:
        client, bucket = world.client("cloudtrail"), f"logs-{world.account_id}"
        client.create_trail(Name="theirs", S3BucketName=bucket, S3KeyPrefix="audit", IsMultiRegionTrail=True)
        selector = {
            "ReadWriteType": "WriteOnly", "IncludeManagementEvents": True,
            "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::secrets/"]}],
        }  # fmt: skip
        client.put_event_selectors(TrailName="theirs", EventSelectors=[selector])
        world.settings["cloudtrail"] = section = await imported(world)
        assert section == {
            "s3_bucket_name": bucket,
            "s3_key_prefix": "audit",
            "home_region": REGION,
            "name": "theirs",
            "organization": False,
            "log_file_validation": False,
            "event_selectors": [
                {
                    "read_write": "WriteOnly", "management_events": True, "exclude_sources": [],
                    "data_resources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::secrets/"]}],
                }
            ],
            "logging": False,
        }  # fmt: skip
        (remark,) = (await world.plan()).remarks
        assert remark.message == "it exists without our tag and differs in tags: not changed"
        report = await world.converge(adopt=("*/trail/theirs",))
        assert [(one.address, one.outcome) for one in report.changes] == [(f"{REGION}/trail/theirs", "done")]


async def test_advanced_selectors_of_a_trail_that_stands_are_left_as_they_are(moto: Aws) -> None:
    async with a_world(moto, cloud_watch_logs={"group": "whence/trail", "role": "trail-logs"}) as world:
        await world.converge()
        fields = [{"Field": "eventCategory", "Equals": ["Management"]}]
        world.client("cloudtrail").put_event_selectors(
            TrailName="Default", AdvancedEventSelectors=[{"Name": "calls", "FieldSelectors": fields}]
        )
        assert [list(one.after or {}) for one in (await world.plan()).changes] == [["event_selectors"]]
        world.settings["cloudtrail"] = section = await imported(world)
        assert section["event_selectors"] is None
        assert section["cloud_watch_logs"]["group"] == "whence/trail"
        assert (await world.plan()).changes == ()


async def test_a_trail_of_one_region_is_not_imported(moto: Aws) -> None:
    async with a_world(moto) as world:
        a_foreign_trail(world, "theirs")
        assert await imported(world) is None


async def test_a_trail_of_others_that_is_gone_before_the_apply_does_not_stop_it(moto: Aws) -> None:
    async with a_world(moto) as world:
        a_foreign_trail(world, "theirs")
        plan = await world.plan()
        world.client("cloudtrail").delete_trail(Name="theirs")
        assert (await world.apply(plan)).succeeded


async def test_a_denied_list_is_unread_and_changes_nothing(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("cloudtrail:DescribeTrails")
        plan = await world.plan()
        assert sorted((one.kind, one.address) for one in plan.remarks) == [
            ("unread", f"{REGION}/other-trails/*"), ("unread", f"{REGION}/trail/*"),
        ]  # fmt: skip
        assert plan.changes == ()


async def test_a_trail_whose_start_was_refused_is_started_by_the_next_apply(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("cloudtrail:StartLogging")
        report = await world.apply(await world.plan())
        assert [(one.address, one.outcome) for one in report.changes] == [(_TRAIL, "failed")]
        assert "cloudtrail:StartLogging" in report.changes[0].message
        world.aws.before = lambda _: None
        plan = await world.plan()
        assert [list(one.after or {}) for one in plan.changes] == [["logging"]]
        await world.converge()


async def test_a_bucket_that_does_not_exist_fails_the_trail_with_the_words_of_aws(moto: Aws) -> None:
    async with a_world(moto, log_bucket={}) as world:
        del world.settings["cloudtrail"]["log_bucket"]
        report = await world.apply(await world.plan())
        assert [(one.address, one.outcome) for one in report.changes] == [(_TRAIL, "failed")]
        assert "S3BucketDoesNotExistException" in report.changes[0].message


async def test_an_account_without_the_section_makes_one_call_a_region_to_find_leftovers(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.settings["cloudtrail"] = None
        await world.plan()
        assert [one.name for one in world.aws.calls if one.name.startswith("cloudtrail:")] == [
            "cloudtrail:DescribeTrails"
        ]
