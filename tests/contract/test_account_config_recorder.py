"""AWS Config's recorders and channels, by a fake that is held to botocore's service model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import boto3
import msgspec
import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_config import ConfigOfAccounts, ConfigOfRegion
from fakes.aws_refusals import denied, passed
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import config_recorder
from whence_aggregator.accounts.steps.config_recorder import RECORDER, SERVICE_ROLE

_REGIONS = (REGION, "us-east-1")
_ADDRESS = f"{REGION}/config-recorder/recorder"
_ROLE = "service-linked-role/config.amazonaws.com"
_OWN = {"whence:managed-by": "whence-accounts"}
_BUCKET = {"s3_bucket_name": "logs"}


@asynccontextmanager
async def _world(
    moto: Aws, section: dict[str, Any] | None, regions: tuple[str, ...] = (REGION,)
) -> AsyncIterator[tuple[AccountWorld, ConfigOfAccounts]]:
    settings = {"aws_config": section} if section is not None else {}
    async with account_world(moto.url, steps=(config_recorder.STEP,), settings=settings, regions=regions) as world:
        fake = ConfigOfAccounts()
        fake.install(world.aws)
        yield world, fake


def _of(world: AccountWorld, fake: ConfigOfAccounts, region: str = REGION) -> ConfigOfRegion:
    return fake.of(world.account_id, region)


def _stands(world: AccountWorld, fake: ConfigOfAccounts, *, name: str = "default") -> ConfigOfRegion:
    """Let a recorder of some types stand, that somebody made, with its channel."""
    kept = _of(world, fake)
    kept.recorder = {
        "name": name, "roleARN": f"arn:aws:iam::{world.account_id}:role/theirs",
        "arn": f"arn:aws:config:{REGION}:{world.account_id}:configuration-recorder/{name}/abcd1234",
        "recordingGroup": {"allSupported": False, "resourceTypes": ["AWS::S3::Bucket"]},
        "recordingMode": {"recordingFrequency": "CONTINUOUS"},
    }  # fmt: skip
    kept.channel = {"name": "default", "s3BucketName": "theirs", "snsTopicARN": "arn:aws:sns:eu-west-1:1:theirs"}
    kept.is_recording = True
    return kept


async def test_a_fresh_account_records_in_every_region_after_one_apply(moto: Aws) -> None:
    section = {**_BUCKET, "s3_key_prefix": "config", "recording_frequency": "DAILY", "delivery_frequency": "Six_Hours"}
    async with _world(moto, section, _REGIONS) as (world, fake):
        plan = await world.plan()
        assert [one.address for one in plan.changes] == [
            _ROLE, f"{REGION}/config-recorder/recorder", "us-east-1/config-recorder/recorder"
        ]  # fmt: skip
        assert world.aws.writes == []
        await world.apply(plan)
        made = ["config:PutConfigurationRecorder", "config:PutDeliveryChannel", "config:StartConfigurationRecorder"]
        assert world.aws.writes == ["iam:CreateServiceLinkedRole", *made, *made]
        allowed = {one for kind in (SERVICE_ROLE, RECORDER) for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith(("config:", "iam:"))} <= allowed | {
            "iam:ListAccountAliases"
        }
        await world.converge()
        found = [_of(world, fake, one) for one in _REGIONS]
        assert [(one.is_recording, one.tags) for one in found] == [(True, _OWN)] * 2
        groups = [(one.recorder or {})["recordingGroup"] for one in found]
        assert groups == [
            {"allSupported": True, "includeGlobalResourceTypes": True},
            {"allSupported": True, "includeGlobalResourceTypes": False},
        ]
        role = f"arn:aws:iam::{world.account_id}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
        assert (found[0].recorder or {})["roleARN"] == role
        assert found[1].channel == {
            "name": "whence-accounts", "s3BucketName": "logs", "s3KeyPrefix": "config",
            "configSnapshotDeliveryProperties": {"deliveryFrequency": "Six_Hours"},
        }  # fmt: skip


async def test_a_role_that_aws_made_before_is_used(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, _):
        world.client("iam").create_service_linked_role(AWSServiceName="config.amazonaws.com")
        assert [one.address for one in (await world.plan()).changes] == [_ADDRESS]
        await world.converge()


def _stop(kept: ConfigOfRegion) -> None:
    kept.is_recording = False


def _record(**about: Any) -> Callable[[ConfigOfRegion], None]:
    def change(kept: ConfigOfRegion) -> None:
        kept.recorder = {**(kept.recorder or {}), **about}

    return change


def _deliver(**about: Any) -> Callable[[ConfigOfRegion], None]:
    def change(kept: ConfigOfRegion) -> None:
        kept.channel = {**(kept.channel or {}), **about}

    return change


_SOME: dict[str, Any] = {"allSupported": False, "resourceTypes": ["AWS::S3::Bucket"]}
_ALL_BUT: dict[str, Any] = {"allSupported": False, "exclusionByResourceTypes": {"resourceTypes": ["AWS::S3::Bucket"]}}
_OVERRIDES = {
    "recordingFrequency": "CONTINUOUS",
    "recordingModeOverrides": [{"resourceTypes": ["AWS::S3::Bucket"], "recordingFrequency": "DAILY"}],
}


_BY_HAND = (
    (_stop, "recording"),
    (_record(recordingGroup=_SOME), "records"),
    (_record(recordingGroup=_ALL_BUT), "records"),
    (_record(recordingMode={"recordingFrequency": "DAILY"}), "records"),
    (_record(recordingMode=_OVERRIDES), "records"),
    (_record(roleARN="arn:aws:iam::1:role/theirs"), "records"),
    (_deliver(s3BucketName="elsewhere"), "delivery"),
    (_deliver(s3KeyPrefix="elsewhere"), "delivery"),
    (_deliver(configSnapshotDeliveryProperties={"deliveryFrequency": "One_Hour"}), "delivery"),
)


async def test_each_change_by_hand_is_drift_in_one_aspect_and_is_put_right_in_one_call(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        await world.converge()
        for by_hand, aspect in _BY_HAND:
            by_hand(_of(world, fake))
            plan = await world.plan()
            assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_ADDRESS, [aspect])]
            world.aws.forget()
            await world.apply(plan)
            assert len(world.aws.writes) == 1
        assert (await world.plan()).changes == ()


async def test_a_recorder_of_others_is_reported_and_left_with_its_channel(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        kept = _stands(world, fake)
        plan = await world.plan()
        assert [(one.kind, one.address, one.message) for one in plan.remarks] == [
            ("foreign", _ADDRESS, "it exists without our tag and differs in records, delivery, tags: not changed")
        ]
        await world.converge()
        assert ((kept.recorder or {})["recordingGroup"], (kept.channel or {})["s3BucketName"]) == (_SOME, "theirs")


async def test_an_adopted_recorder_keeps_its_name_and_the_topic_of_its_channel(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        kept = _stands(world, fake)
        await world.converge(adopt=(_ADDRESS,))
        assert ((kept.recorder or {})["name"], kept.tags) == ("default", _OWN)
        assert kept.channel == {
            "name": "default", "s3BucketName": "logs", "snsTopicARN": "arn:aws:sns:eu-west-1:1:theirs",
            "configSnapshotDeliveryProperties": {"deliveryFrequency": "TwentyFour_Hours"},
        }  # fmt: skip


async def test_a_channel_of_others_without_a_recorder_is_left_too(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        fake.regions[world.account_id, REGION] = ConfigOfRegion(channel=_stands(world, fake).channel)
        plan = await world.plan()
        assert [one.kind for one in plan.remarks] == ["foreign"]
        assert [one.address for one in plan.changes] == [_ROLE]
        await world.converge(adopt=(_ADDRESS,))
        kept = _of(world, fake)
        assert ((kept.recorder or {})["name"], kept.tags, kept.is_recording) == ("whence-accounts", _OWN, True)


async def test_a_recorder_that_somebody_deleted_is_made_again_for_our_channel(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        await world.converge()
        _of(world, fake).recorder = None
        assert [(one.address, one.action) for one in (await world.plan()).changes] == [(_ADDRESS, "create")]
        await world.converge()


async def test_recorders_of_other_services_are_not_taken_for_it(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        name = "AWSConfigurationRecorderForSecurityHub"
        _of(world, fake).of_services = [{"name": name, "servicePrincipal": "securityhub.amazonaws.com"}]
        await world.converge()
        assert (_of(world, fake).recorder or {})["name"] == "whence-accounts"


async def test_a_recorder_that_is_no_longer_stated_is_kept_until_it_is_named(moto: Aws) -> None:
    async with _world(moto, _BUCKET, _REGIONS) as (world, fake):
        await world.converge()
        world.settings["aws_config"] = {**_BUCKET, "regions": ["us-east-1"]}
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (_ADDRESS, "the configuration no longer states it, but it may hold data: not deleted")
        ]
        world.aws.before = denied("config:DeleteConfigurationRecorder")
        report = await world.apply(plan := await world.plan(delete=(_ADDRESS,)))
        assert not report.succeeded
        world.aws.before = passed
        assert (await world.apply(plan)).succeeded, "a deletion that was cut off goes on"
        assert (_of(world, fake).recorder, _of(world, fake).channel) == (None, None)
        assert _of(world, fake, "us-east-1").is_recording


async def test_an_account_that_states_nothing_is_left_as_it_is(moto: Aws) -> None:
    async with _world(moto, None) as (world, fake):
        _stands(world, fake)
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())


async def test_recorders_that_cannot_be_read_are_unknown_and_none_is_created(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        _stands(world, fake)
        for action in RECORDER.reads:
            world.aws.before = denied(action)
            plan = await world.plan()
            assert [(one.kind, one.address) for one in plan.remarks] == [("unread", f"{REGION}/config-recorder/*")]
            assert [one.address for one in plan.changes] == [_ROLE], action


async def test_an_apply_that_is_refused_at_every_write_goes_on_where_it_stopped(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, fake):
        plan = await world.plan()
        for action in ("PutConfigurationRecorder", "PutDeliveryChannel", "StartConfigurationRecorder"):
            world.aws.before = denied(f"config:{action}")
            report = await world.apply(plan)
            assert [one.address for one in report.changes if one.outcome == "failed"] == [_ADDRESS], action
        world.aws.before = passed
        world.aws.forget()
        assert (await world.apply(plan)).succeeded
        assert world.aws.writes == ["config:StartConfigurationRecorder"]
        assert _of(world, fake).is_recording


async def test_import_states_recorders_of_all_types_that_record(moto: Aws) -> None:
    async with _world(moto, {**_BUCKET, "s3_key_prefix": "c"}, _REGIONS) as (world, fake):
        await world.converge()
        stated = world.settings.pop("aws_config")
        found = await import_account(world.account.target, world.steps, world.providers)
        assert found.section == {
            "aws_config": {
                **stated, "regions": [*_REGIONS], "global_resources_region": REGION,
                "recording_frequency": "CONTINUOUS", "delivery_frequency": "TwentyFour_Hours",
            }
        }  # fmt: skip
        world.settings |= found.section
        assert (await world.plan()).changes == ()
        _stands(world, fake)
        assert (await import_account(world.account.target, world.steps, world.providers)).section == {}, (
            "no recorder of all types records what is global"
        )


@pytest.mark.parametrize(
    "section",
    [
        {"recording_frequency": "HOURLY"}, {"delivery_frequency": "Daily"}, {"s3_bucket_name": "UPPER"},
        {"s3_key_prefix": ""}, {"regions": ["Frankfurt"]}, {"role": "mine"},
    ],
    ids=range(6),
)  # fmt: skip
async def test_values_that_aws_config_does_not_have_are_refused(moto: Aws, section: dict[str, Any]) -> None:
    async with _world(moto, {**_BUCKET, **section}) as (world, _):
        with pytest.raises(msgspec.ValidationError):
            await world.plan()


async def test_the_fake_answers_as_the_service_model_has_it(moto: Aws) -> None:
    async with _world(moto, _BUCKET) as (world, _):
        client = boto3.client(
            "config", endpoint_url=world.aws.url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
        )
        errors, named = client.exceptions, {"ConfigurationRecorderName": "x"}
        recorder = {"name": "x", "roleARN": "arn:aws:iam::1:role/r", "recordingGroup": {"allSupported": True}}

        def calls() -> None:
            assert client.describe_configuration_recorders()["ConfigurationRecorders"] == []
            assert client.describe_delivery_channels()["DeliveryChannels"] == []
            with pytest.raises(errors.NoSuchConfigurationRecorderException):
                client.start_configuration_recorder(**named)
            with pytest.raises(errors.NoAvailableConfigurationRecorderException):
                client.put_delivery_channel(DeliveryChannel={"name": "y", "s3BucketName": "b"})
            client.put_configuration_recorder(ConfigurationRecorder=recorder, Tags=[{"Key": "a", "Value": "b"}])
            with pytest.raises(errors.MaxNumberOfConfigurationRecordersExceededException):
                client.put_configuration_recorder(ConfigurationRecorder={**recorder, "name": "z"})
            with pytest.raises(errors.NoAvailableDeliveryChannelException):
                client.start_configuration_recorder(**named)
            client.put_delivery_channel(DeliveryChannel={"name": "y", "s3BucketName": "b"})
            client.start_configuration_recorder(**named)
            (found,) = client.describe_configuration_recorders()["ConfigurationRecorders"]
            assert found["recordingGroup"] == {"allSupported": True}
            status = client.describe_configuration_recorder_status(ConfigurationRecorderNames=["x"])
            assert status["ConfigurationRecordersStatus"][0]["recording"] is True
            client.tag_resource(ResourceArn=found["arn"], Tags=[{"Key": "c", "Value": "d"}])
            tags = client.list_tags_for_resource(ResourceArn=found["arn"])["Tags"]
            assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
            with pytest.raises(errors.LastDeliveryChannelDeleteFailedException):
                client.delete_delivery_channel(DeliveryChannelName="y")
            client.stop_configuration_recorder(**named)
            client.delete_delivery_channel(DeliveryChannelName="y")
            client.delete_configuration_recorder(**named)
            with pytest.raises(errors.NoSuchDeliveryChannelException):
                client.delete_delivery_channel(DeliveryChannelName="y")

        await asyncio.to_thread(calls)
