"""Buckets of an account, on moto: created whole, put right by aspect, and never taken from others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import AccountWorld, account_world, new_account_id
from fakes.aws_buckets import tag_created_buckets
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import configured_buckets, mint
from whence_aggregator.accounts.steps.buckets import BUCKET

_STEPS = (configured_buckets.STEP, mint.STEP)
_IAM_NAMES = {
    "s3:ListBuckets": "s3:ListAllMyBuckets", "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration", "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration", "tagging:GetResources": "tag:GetResources",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration", "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
}  # fmt: skip
"""IAM's names of operations that have another name there, by S3's table of actions."""
_WRITER = "arn:aws:iam::123456789012:role/mint-worker"


def configured(account_id: str, **more: Any) -> dict[str, Any]:
    return {"s3_buckets": {"logs": {"name": f"logs-{account_id}-{{region}}", **more}}}


def bucket_world(moto: Aws, **more: Any) -> Any:
    """Open a world with one bucket, `logs-ID-eu-west-1`."""
    account_id = new_account_id()
    return account_world(moto.url, steps=_STEPS, account_id=account_id, settings=configured(account_id, **more))


def name_of(world: AccountWorld) -> str:
    return f"logs-{world.account_id}-eu-west-1"


def denied(name: str) -> Any:
    def answer(call: AwsCall) -> web.Response | None:
        body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        return web.Response(status=403, text=body, content_type="text/xml") if call.name == name else None

    return answer


def sids(world: AccountWorld, name: str) -> list[str]:
    document = json.loads(world.client("s3").get_bucket_policy(Bucket=name)["Policy"])
    return [one.get("Sid", "") for one in document["Statement"]]


async def test_a_bucket_is_created_with_everything_and_is_converged(moto: Aws) -> None:
    rule = {"Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 9}}
    async with bucket_world(
        moto, versioning=True, tags={"team": "stups"}, lifecycle_configuration={"Rules": [rule]},
        encryption_config={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]},
    ) as world:  # fmt: skip
        await world.converge()
        s3, name = world.client("s3"), name_of(world)
        assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [
            {"Key": "team", "Value": "stups"}, {"Key": "whence:managed-by", "Value": "whence-accounts"}
        ]  # fmt: skip
        assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True,
        }  # fmt: skip
        ownership = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
        assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]["Expiration"] == {"Days": 9}
        encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms"}
        assert sids(world, name) == ["WhenceTlsOnly"]


async def test_a_bucket_with_the_defaults_of_aws_needs_two_writes_only(moto: Aws) -> None:
    """Since 2023 AWS creates buckets with SSE-S3, blocked public access and enforced ownership; moto does not."""
    async with bucket_world(moto) as world:
        s3, name = world.client("s3"), name_of(world)
        plan = await world.plan()
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration=dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
        )
        s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        )
        world.journal.begin(world.account_id, f"bucket/{name}")
        assert (await world.apply(plan)).succeeded
        assert world.aws.writes == ["s3:PutBucketTagging", "s3:PutBucketPolicy"]


async def test_a_bucket_in_us_east_1_has_no_location_constraint(moto: Aws) -> None:
    account_id = new_account_id()
    async with account_world(
        moto.url, steps=_STEPS, account_id=account_id, settings=configured(account_id), regions=("us-east-1", "eu-west-1")
    ) as world:  # fmt: skip
        await world.converge()
        s3 = world.client("s3", "us-east-1")
        assert s3.get_bucket_location(Bucket=f"logs-{account_id}-us-east-1")["LocationConstraint"] is None
        assert s3.get_bucket_location(Bucket=f"logs-{account_id}-eu-west-1")["LocationConstraint"] == "eu-west-1"


@pytest.mark.parametrize(
    "aspect, change",
    [
        ("versioning", lambda s3, name: s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Suspended"})),
        ("public_access_block", lambda s3, name: s3.delete_public_access_block(Bucket=name)),
        ("ownership", lambda s3, name: s3.delete_bucket_ownership_controls(Bucket=name)),
        ("policy", lambda s3, name: s3.delete_bucket_policy(Bucket=name)),
        ("tags", lambda s3, name: s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [
            {"Key": "whence:managed-by", "Value": "whence-accounts"}, {"Key": "team", "Value": "other"}]})),
        ("encryption", lambda s3, name: s3.delete_bucket_encryption(Bucket=name)),
        ("lifecycle", lambda s3, name: s3.delete_bucket_lifecycle(Bucket=name)),
        ("logging", lambda s3, name: s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={})),
    ],
)  # fmt: skip
async def test_a_change_by_hand_is_drift_in_that_aspect_and_is_put_right(moto: Aws, aspect: str, change: Any) -> None:
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 9}}
    async with bucket_world(
        moto, versioning=True, tags={"team": "stups"}, lifecycle_configuration={"Rules": [rule]},
        encryption_config={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
        logging_target="access-{account_id}-{region}".replace("{account_id}", new_account_id()),
    ) as world:  # fmt: skip
        await world.converge()
        change(world.client("s3"), name_of(world))
        (drift,) = (await world.plan()).changes
        assert (drift.address, drift.action, list(drift.after or ())) == (
            f"bucket/{name_of(world)}",
            "update",
            [aspect],
        )
        world.aws.forget()
        await world.converge()


async def test_statements_of_others_stay_and_are_listed(moto: Aws) -> None:
    statement = {"Sid": "Ours", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                 "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket_name}/*"}  # fmt: skip
    async with bucket_world(moto, policy={"Statement": [statement]}) as world:
        s3, name = world.client("s3"), name_of(world)
        await world.converge()
        policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
        foreign = {**statement, "Sid": "Theirs", "Resource": f"arn:aws:s3:::{name}/theirs/*"}
        policy["Statement"] = [foreign, {**policy["Statement"][0], "Action": "s3:*"}]
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        await world.converge()
        assert sids(world, name) == ["Theirs", "Ours", "WhenceTlsOnly"]
        assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][0] == foreign
        remarks = (await world.plan()).remarks
        assert [(one.kind, one.address, one.message) for one in remarks] == [
            ("foreign", f"bucket/{name}", "policy statement Theirs is left as it is")
        ]


async def test_a_statement_without_sid_is_replaced_when_the_configuration_changes(moto: Aws) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "s3:GetObject",
                 "Resource": "arn:aws:s3:::{bucket_name}/*"}  # fmt: skip
    async with bucket_world(moto, policy={"Statement": [statement]}) as world:
        await world.converge()
        world.settings |= configured(
            world.account_id, policy={"Statement": [{**statement, "Action": "s3:PutObject"}]}, tls_only=False
        )
        await world.converge()
        document = json.loads(world.client("s3").get_bucket_policy(Bucket=name_of(world))["Policy"])
        assert [one["Action"] for one in document["Statement"]] == ["s3:PutObject"]
        world.settings |= configured(world.account_id, tls_only=False)
        await world.converge()
        with pytest.raises(world.client("s3").exceptions.ClientError, match="NoSuchBucketPolicy"):
            world.client("s3").get_bucket_policy(Bucket=name_of(world))


async def test_rules_of_others_stay_and_rules_that_aws_named_are_taken_over(moto: Aws) -> None:
    rule = {"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 9}}
    async with bucket_world(moto, lifecycle_configuration={"Rules": [rule]}) as world:
        s3, name = world.client("s3"), name_of(world)
        await world.converge()
        theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 2}}
        named = {"ID": "NTZhMGRj", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 9}}
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs, named]})
        plan = await world.plan()
        assert plan.changes == ()
        assert [one.message for one in plan.remarks] == ["lifecycle rule theirs is left as it is"]


async def test_a_bucket_of_others_is_changed_only_when_it_is_named(moto: Aws) -> None:
    async with bucket_world(moto) as world:
        s3, name = world.client("s3"), name_of(world)
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "owner", "Value": "them"}]})
        plan = await world.plan()
        assert (plan.changes, [one.kind for one in plan.remarks]) == ((), ["foreign"])
        await world.converge(adopt=(f"bucket/{name}",))
        tags = {one["Key"]: one["Value"] for one in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
        assert tags == {"owner": "them", "whence:managed-by": "whence-accounts"}


async def test_a_bucket_that_is_no_longer_configured_stays_until_it_is_named(moto: Aws) -> None:
    async with bucket_world(moto) as world:
        await world.converge()
        world.client("s3").create_bucket(
            Bucket=f"theirs-{world.account_id}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        world.settings = {}
        plan = await world.plan()
        assert (plan.changes, [(one.kind, one.address) for one in plan.remarks]) == (
            (), [("kept", f"bucket/{name_of(world)}")]
        )  # fmt: skip
        await world.converge(delete=("bucket/*",))
        assert [one["Name"] for one in world.client("s3").list_buckets()["Buckets"]] == [f"theirs-{world.account_id}"]


async def test_a_bucket_with_objects_is_not_deleted_and_the_report_says_so(moto: Aws) -> None:
    async with bucket_world(moto, tls_only=False) as world:
        await world.converge()
        world.client("s3").put_object(Bucket=name_of(world), Key="a", Body=b"data")
        world.settings = {}
        report = await world.apply(await world.plan(delete=("bucket/*",)))
        assert [one.outcome for one in report.changes] == ["failed"]
        assert "BucketNotEmpty" in report.changes[0].message


async def test_a_bucket_in_another_region_is_reported_and_not_touched(moto: Aws) -> None:
    account_id = new_account_id()
    settings = {"s3_buckets": {"one": {"name": f"one-{account_id}", "regions": ["eu-central-1"]}}}
    async with account_world(moto.url, steps=_STEPS, account_id=account_id, settings=settings) as world:
        await world.converge()
        world.settings = {"s3_buckets": {"one": {"name": f"one-{account_id}", "regions": ["eu-west-1"]}}}
        plan = await world.plan()
        assert (plan.changes, [one.message for one in plan.remarks]) == (
            (), ["AWS cannot change region of what exists: not changed"]
        )  # fmt: skip


async def test_a_list_that_is_denied_changes_nothing(moto: Aws) -> None:
    async with bucket_world(moto) as world:
        world.aws.before = denied("s3:ListBuckets")
        plan = await world.plan()
        assert (plan.changes, [(one.kind, one.address) for one in plan.remarks]) == ((), [("unread", "bucket/*")])
        assert "s3:ListAllMyBuckets" in plan.remarks[0].fix


async def test_a_write_that_is_refused_is_reported_and_the_next_run_goes_on(moto: Aws) -> None:
    async with bucket_world(moto, versioning=True) as world:
        world.aws.before = denied("s3:PutBucketVersioning")
        report = await world.apply(await world.plan())
        assert [(one.address, one.outcome) for one in report.changes] == [(f"bucket/{name_of(world)}", "failed")]
        assert "AccessDenied" in report.changes[0].message
        world.aws.before = lambda _: None
        world.aws.forget()
        await world.converge()
        assert sids(world, name_of(world)) == ["WhenceTlsOnly"]


@pytest.mark.parametrize("refused", ["s3:PutPublicAccessBlock", "s3:PutBucketPolicy"])
async def test_a_bucket_is_our_own_from_its_first_call_on(moto: Aws, refused: str) -> None:
    async with bucket_world(moto) as world:
        tag_created_buckets(world.aws)
        world.aws.before = denied(refused)
        assert not (await world.apply(await world.plan())).succeeded
        assert "s3:PutBucketTagging" not in world.aws.writes
        world.aws.before = lambda _: None
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [(f"bucket/{name_of(world)}", "update")]
        await world.converge()


async def test_a_name_that_another_account_has_is_reported(moto: Aws) -> None:
    async with bucket_world(moto) as world:
        other = world.client("s3", account_id=new_account_id())
        other.create_bucket(Bucket=name_of(world), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        report = await world.apply(await world.plan())
        assert [one.outcome for one in report.changes] == ["failed"]
        assert "BucketAlreadyExists" in report.changes[0].message


async def test_access_logs_go_to_a_bucket_that_is_created_in_the_same_apply(moto: Aws) -> None:
    async with bucket_world(moto) as world:
        target = f"access-{world.account_id}"
        world.settings |= configured(
            world.account_id, logging_target=target,
            logging_lifecycle_configuration={"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 3}}]},
        )  # fmt: skip
        await world.converge()
        s3 = world.client("s3")
        assert s3.get_bucket_logging(Bucket=name_of(world))["LoggingEnabled"] == {
            "TargetBucket": target, "TargetPrefix": "logs/"
        }  # fmt: skip
        assert sids(world, target) == ["WhenceLogDelivery", "WhenceTlsOnly"]
        assert s3.get_bucket_lifecycle_configuration(Bucket=target)["Rules"][0]["Expiration"] == {"Days": 3}


async def test_what_is_called_is_what_the_kind_states(moto: Aws) -> None:
    rule = {"ID": "a", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 3}}
    async with bucket_world(moto, versioning=True, lifecycle_configuration={"Rules": [rule]}) as world:
        await world.apply(await world.plan())
        world.settings |= configured(world.account_id, lifecycle_configuration={"Rules": []}, tls_only=False)
        await world.apply(await world.plan())
        world.settings = {}
        await world.apply(await world.plan(delete=("*",)))
        called = {_IAM_NAMES.get(one.name, one.name) for one in world.aws.calls} - {
            "sts:AssumeRole", "sts:GetCallerIdentity"
        }  # fmt: skip
        assert called - {*BUCKET.reads, *BUCKET.writes} == set()


async def test_the_mint_bucket_is_written_by_one_role_and_keeps_no_old_versions(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"mint_bucket": {"writer": _WRITER}}) as world:
        await world.converge()
        s3, name = world.client("s3"), f"hello-stups-mint-{world.account_id}-eu-west-1"
        assert sids(world, name) == [
            "WhenceMintVerify", "WhenceMintWrite", "WhenceMintWriterReadsNothing", "WhenceTlsOnly",
        ]  # fmt: skip
        allowed = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][1]
        assert (allowed["Principal"], allowed["Action"], allowed["Resource"]) == (
            {"AWS": _WRITER}, ["s3:DeleteObject", "s3:PutObject"], f"arn:aws:s3:::{name}/*"
        )  # fmt: skip
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


async def test_buckets_that_stand_are_imported_as_a_section_that_changes_nothing(moto: Aws) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": _WRITER}, "Action": ["s3:GetObject"],
                 "Resource": ["arn:aws:s3:::{bucket_name}/*"]}  # fmt: skip
    rule = {"Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 9}}
    async with bucket_world(
        moto, versioning=True, tags={"team": "stups"}, lifecycle_configuration={"Rules": [rule]},
        policy={"Statement": [statement]}, logging_target=f"access-{new_account_id()}",
        encryption_config={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]},
    ) as world:  # fmt: skip
        await world.converge()
        bare = f"bare-{world.account_id}"
        world.client("s3").create_bucket(Bucket=bare, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        imported = await import_account(world.account.target, _STEPS, world.providers)
        sections: Any = imported.section["s3_buckets"]
        assert sections[bare] == {
            "name": bare, "regions": ["eu-west-1"], "public_access_block": False, "ownership": "ObjectWriter",
            "tls_only": False,
        }  # fmt: skip
        name = name_of(world)
        assert sections[name]["policy"] == {"Statement": [{**statement, "Principal": {"AWS": [_WRITER]},
                                                           "Resource": [f"arn:aws:s3:::{name}/*"]}]}  # fmt: skip
        assert sections[name]["lifecycle_configuration"] == {"Rules": [rule]}
        del sections[bare]
        world.settings = {"s3_buckets": sections}
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())
