"""Defaults of an account and its regions: by moto, and by a fake of what moto lacks, held to botocore's model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest
from aiohttp import web

from fakes.account_world import AccountWorld, account_world
from fakes.aws_defaults import Ec2Defaults
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import defaults, keys

_STEPS = (keys.STEP, defaults.STEP)
_ALL: dict[str, Any] = {
    "public_access_block": True,
    "instance_metadata": {"http_tokens": "required", "hop_limit": 2},
    "image_public_access_block": True,
    "snapshot_public_access_block": "block-all-sharing",
}
_IAM_NAMES = {
    "s3:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
}


@asynccontextmanager
async def defaults_world(moto: Aws, **settings: Any) -> AsyncIterator[AccountWorld]:
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        Ec2Defaults().install(world.aws)
        yield world


def denied(name: str) -> Any:
    def answer(call: AwsCall) -> web.Response | None:
        body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"
        return web.Response(status=403, text=body, content_type="text/xml") if call.name == name else None

    return answer


async def test_an_account_that_states_nothing_gets_encrypted_volumes_only(moto: Aws) -> None:
    async with defaults_world(moto) as world:
        plan = await world.plan()
        assert [(one.address, one.after) for one in plan.changes] == [
            ("eu-west-1/ebs-encryption/account", {"is_encrypted": True})
        ]
        await world.converge()
        assert world.client("ec2").get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True


async def test_all_defaults_are_set_in_every_region_and_stay(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_ALL, regions=("eu-west-1", "eu-central-1")) as world:
        ec2 = Ec2Defaults()
        ec2.install(world.aws)
        await world.converge()
        for region in ("eu-west-1", "eu-central-1"):
            assert ec2.of(world.account_id, region) == {
                "HttpTokens": "required", "HttpPutResponseHopLimit": "2", "images": "block-new-sharing",
                "snapshots": "block-all-sharing",
            }  # fmt: skip


async def test_nothing_is_read_that_is_not_configured(moto: Aws) -> None:
    async with defaults_world(moto, ebs_encrypt_by_default=False) as world:
        assert (await world.plan()).changes == ()
        assert {one.name for one in world.aws.calls if one.name.startswith(("ec2:", "s3:"))} == set()


@pytest.mark.parametrize(
    "name, value, address",
    [
        ("HttpTokens", "optional", "eu-west-1/instance-metadata/account"),
        ("images", "unblocked", "eu-west-1/image-sharing/account"),
        ("snapshots", "block-new-sharing", "eu-west-1/snapshot-sharing/account"),
    ],
)
async def test_a_change_by_hand_is_drift_and_is_put_right(moto: Aws, name: str, value: str, address: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_ALL) as world:
        ec2 = Ec2Defaults()
        ec2.install(world.aws)
        await world.converge()
        ec2.of(world.account_id, "eu-west-1")[name] = value
        assert [one.address for one in (await world.plan()).changes] == [address]
        await world.converge()


async def test_unencrypted_volumes_and_public_access_are_drift_and_are_put_right(moto: Aws) -> None:
    async with defaults_world(moto, **_ALL) as world:
        await world.converge()
        world.client("ec2").disable_ebs_encryption_by_default()
        s3 = world_s3control(world)
        await asyncio.to_thread(lambda: s3.delete_public_access_block(AccountId=world.account_id))
        assert [one.address for one in (await world.plan()).changes] == [
            "eu-west-1/ebs-encryption/account", "public-access/account"
        ]  # fmt: skip
        await world.converge()
        found = await asyncio.to_thread(lambda: s3.get_public_access_block(AccountId=world.account_id))
        assert found["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True,
        }  # fmt: skip


def world_s3control(world: AccountWorld) -> Any:
    """Return the vendor's client for the account, past the host name with the account's id."""
    client = world.client("s3control")

    def keep_host(request: Any, **_: Any) -> None:
        request.url = request.url.replace(f"{world.account_id}.127.0.0.1", "127.0.0.1")

    client.meta.events.register("before-sign.s3-control", keep_host)
    return client


async def test_volumes_are_encrypted_with_a_key_of_the_configuration_that_is_created_first(moto: Aws) -> None:
    async with defaults_world(moto, kms={"alias/disks": {}}, ebs_default_key="disks") as world:
        plan = await world.plan()
        assert [one.address for one in plan.changes] == ["eu-west-1/key/disks", "eu-west-1/ebs-encryption/account"]
        await world.converge()
        key = world.client("kms").describe_key(KeyId="alias/disks")["KeyMetadata"]["Arn"]
        assert (await world.plan()).standing[0].state["key"] == key


async def test_a_setting_that_is_denied_leaves_the_others_applied(moto: Aws) -> None:
    async with defaults_world(moto, **_ALL) as world:
        world.aws.before = denied("ec2:GetImageBlockPublicAccessState")
        plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "eu-west-1/image-sharing/*")]
        assert "ec2:GetImageBlockPublicAccessState" in plan.remarks[0].fix
        assert (await world.apply(plan)).succeeded
        world.aws.before = lambda _: None
        assert [one.address for one in (await world.plan()).changes] == ["eu-west-1/image-sharing/account"]


async def test_a_setting_that_a_policy_of_the_organisation_governs_is_reported(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"image_public_access_block": True}) as world:
        Ec2Defaults(managed_by_policy=True).install(world.aws)
        report = await world.apply(await world.plan())
        failed = {one.address: one.message for one in report.changes if one.outcome == "failed"}
        assert list(failed) == ["eu-west-1/image-sharing/account"]
        assert "DeclarativePolicyViolation" in failed["eu-west-1/image-sharing/account"]
        assert not report.succeeded


async def test_what_is_called_is_what_the_kinds_state(moto: Aws) -> None:
    async with defaults_world(moto, **_ALL, kms={"disks": {}}, ebs_default_key="disks") as world:
        await world.converge()
        await world.apply(await world.plan())
        stated = {action for kind in (*defaults.STEP.kinds, *keys.STEP.kinds) for action in (*kind.reads, *kind.writes)}
        called = {_IAM_NAMES.get(one.name, one.name) for one in world.aws.calls}
        assert called - stated <= {"sts:AssumeRole", "sts:GetCallerIdentity"}


async def test_defaults_that_stand_are_imported_as_keys_that_change_nothing(moto: Aws) -> None:
    async with defaults_world(moto, **_ALL) as world:
        fresh = await import_account(world.account.target, (defaults.STEP,), world.providers)
        assert (fresh.unread, dict(fresh.section)) == (
            (), {"public_access_block": False, "ebs_encrypt_by_default": False, "image_public_access_block": False}
        )  # fmt: skip
        await world.converge()
        imported = await import_account(world.account.target, (defaults.STEP,), world.providers)
        assert dict(imported.section) == {**_ALL, "ebs_encrypt_by_default": True}


async def test_the_fake_answers_as_the_service_model_of_botocore_has_it(moto: Aws) -> None:
    """The vendor's own client sends the calls and parses the answers."""
    async with defaults_world(moto) as world:
        ec2 = boto3.client(
            "ec2", endpoint_url=world.aws.url, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
        )

        def ask(name: str, **given: Any) -> dict[str, Any]:
            answer = dict(getattr(ec2, name)(**given))
            del answer["ResponseMetadata"]
            return answer

        def all_calls() -> list[dict[str, Any]]:
            return [
                ask("get_instance_metadata_defaults"),
                ask("modify_instance_metadata_defaults", HttpTokens="required", HttpPutResponseHopLimit=2),
                ask("get_instance_metadata_defaults"),
                ask("get_image_block_public_access_state"),
                ask("enable_image_block_public_access", ImageBlockPublicAccessState="block-new-sharing"),
                ask("get_image_block_public_access_state"),
                ask("get_snapshot_block_public_access_state"),
                ask("enable_snapshot_block_public_access", State="block-all-sharing"),
                ask("get_snapshot_block_public_access_state"),
                ask("get_ebs_default_kms_key_id"),
                ask("modify_ebs_default_kms_key_id", KmsKeyId="alias/disks"),
                ask("get_ebs_default_kms_key_id"),
            ]

        assert await asyncio.to_thread(all_calls) == [
            {"AccountLevel": {"ManagedBy": "account"}},
            {"Return": True},
            {"AccountLevel": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "ManagedBy": "account"}},
            {"ImageBlockPublicAccessState": "unblocked"},
            {"ImageBlockPublicAccessState": "block-new-sharing"},
            {"ImageBlockPublicAccessState": "block-new-sharing"},
            {"State": "unblocked"},
            {"State": "block-all-sharing"},
            {"State": "block-all-sharing"},
            {"KmsKeyId": "alias/aws/ebs"},
            {"KmsKeyId": "alias/disks"},
            {"KmsKeyId": "alias/disks"},
        ]
