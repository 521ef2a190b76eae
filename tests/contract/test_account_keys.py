"""KMS keys of an account, on moto: found by alias or tag, never leaked, deleted only by name and after a month."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import AccountWorld, account_world
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.canonical import policy
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import keys
from whence_aggregator.accounts.steps.keys import KEY

_STEPS = (keys.STEP,)
_POLICY = {
    "Version": "2012-10-17",
    "Statement": {"Sid": "All", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
}
_STOCK = {
    "alias/deployment": {
        "description": "deployment secrets", "key_usage": "ENCRYPT_DECRYPT", "key_policy": _POLICY,
        "tags": [{"TagKey": "team", "TagValue": "stups"}],
    }
}  # fmt: skip
"""A section as Seven Seconds reads it."""
_ADDRESS = "eu-west-1/key/deployment"


def keys_world(moto: Aws, **more: Any) -> Any:
    section = {"alias/deployment": {**_STOCK["alias/deployment"], **more}}
    return account_world(moto.url, steps=_STEPS, settings={"kms": section})


def denied(name: str, message: str = "no identity-based policy allows it", key: str = "") -> Any:
    def answer(call: AwsCall) -> web.Response | None:
        if call.name != name or key not in call.body.decode():
            return None
        body = {"__type": "AccessDeniedException", "Message": f"User is not authorized because {message}"}
        return web.Response(status=400, text=json.dumps(body), content_type="application/x-amz-json-1.1")

    return answer


def key_of(world: AccountWorld, alias: str = "alias/deployment") -> dict[str, Any]:
    return dict(world.client("kms").describe_key(KeyId=alias)["KeyMetadata"])


def key_count(world: AccountWorld) -> int:
    return len(world.client("kms").list_keys()["Keys"])


async def test_a_section_of_seven_seconds_becomes_a_key_with_its_alias(moto: Aws) -> None:
    async with keys_world(moto, rotation=True) as world:
        await world.converge()
        key, kms = key_of(world), world.client("kms")
        assert (key["Description"], key["KeyUsage"], key["Enabled"]) == ("deployment secrets", "ENCRYPT_DECRYPT", True)
        assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [
            {"TagKey": "team", "TagValue": "stups"}, {"TagKey": "whence:managed-by", "TagValue": "whence-accounts"},
            {"TagKey": "whence:name", "TagValue": "deployment"},
        ]  # fmt: skip
        assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True


async def test_each_region_has_a_key_of_its_own_and_all_keys_are_created(moto: Aws) -> None:
    """Seven Seconds stopped after the first key that existed."""
    settings: dict[str, Any] = {"kms": {"alias/a": {}, "alias/b": {}, "c": {}}}
    async with account_world(
        moto.url, steps=_STEPS, settings=settings, regions=("eu-west-1", "eu-central-1")
    ) as world:  # fmt: skip
        await world.converge()
        for region in ("eu-west-1", "eu-central-1"):
            aliases = {one["AliasName"] for one in world.client("kms", region).list_aliases()["Aliases"]}
            assert {"alias/a", "alias/b", "alias/c"} <= aliases


@pytest.mark.parametrize(
    "aspect, change",
    [
        ("description", lambda kms, key: kms.update_key_description(KeyId=key, Description="other")),
        ("enabled", lambda kms, key: kms.disable_key(KeyId=key)),
        ("enabled", lambda kms, key: kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)),
        ("rotation", lambda kms, key: kms.disable_key_rotation(KeyId=key)),
        ("alias", lambda kms, key: kms.delete_alias(AliasName="alias/deployment")),
        ("tags", lambda kms, key: kms.untag_resource(KeyId=key, TagKeys=["team"])),
        ("policy", lambda kms, key: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(
            {**_POLICY, "Statement": [{**_POLICY["Statement"], "Action": "kms:Describe*"}]}))),  # type: ignore[dict-item]
    ],
)  # fmt: skip
async def test_a_change_by_hand_is_drift_in_that_aspect_and_is_put_right(moto: Aws, aspect: str, change: Any) -> None:
    async with keys_world(moto, rotation=True) as world:
        await world.converge()
        change(world.client("kms"), key_of(world)["KeyId"])
        (drift,) = (await world.plan()).changes
        assert (drift.address, drift.action, list(drift.after or ())) == (_ADDRESS, "update", [aspect])
        await world.converge()
        assert key_count(world) == 1


async def test_a_key_whose_alias_is_refused_is_found_again_and_no_second_one_is_created(moto: Aws) -> None:
    """Seven Seconds created one more key per run."""
    async with keys_world(moto) as world:
        world.aws.before = denied("kms:CreateAlias")
        for _ in range(3):
            report = await world.apply(await world.plan())
            assert [(one.address, one.outcome) for one in report.changes] == [(_ADDRESS, "failed")]
            assert key_count(world) == 1
        world.aws.before = lambda _: None
        await world.converge()
        assert (key_count(world), key_of(world)["Description"]) == (1, "deployment secrets")


async def test_an_alias_that_refers_to_another_key_is_not_moved(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        kms = world.client("kms")
        other = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.update_alias(AliasName="alias/deployment", TargetKeyId=other)
        plan = await world.plan()
        assert [one.message for one in plan.remarks] == [f"alias/deployment of the key {other} is left as it is"]
        report = await world.apply(plan)
        assert "AlreadyExistsException" in report.changes[0].message
        assert (key_of(world)["KeyId"], key_count(world)) == (other, 2)


async def test_a_key_of_others_with_the_alias_is_changed_only_when_it_is_named(moto: Aws) -> None:
    async with keys_world(moto) as world:
        kms = world.client("kms")
        key = kms.create_key(Description="theirs", Tags=[{"TagKey": "owner", "TagValue": "them"}])["KeyMetadata"][
            "KeyId"
        ]
        kms.create_alias(AliasName="alias/deployment", TargetKeyId=key)
        plan = await world.plan()
        assert (plan.changes, [one.kind for one in plan.remarks]) == ((), ["foreign"])
        await world.converge(adopt=(_ADDRESS,))
        assert (key_of(world)["KeyId"], key_of(world)["Description"]) == (key, "deployment secrets")
        assert {"TagKey": "owner", "TagValue": "them"} in kms.list_resource_tags(KeyId=key)["Tags"]


async def test_a_key_is_dropped_only_when_it_is_named_and_after_thirty_days(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        key = key_of(world)["KeyId"]
        world.settings = {"kms": {"alias/deployment": {"drop": True}}}
        plan = await world.plan()
        assert (plan.changes, [(one.kind, one.address) for one in plan.remarks]) == ((), [("kept", _ADDRESS)])
        plan = await world.plan(delete=("*/key/*",))
        assert [(one.action, one.address) for one in plan.changes] == [("delete", _ADDRESS)]
        assert (await world.apply(plan)).succeeded
        found = world.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        assert found["KeyState"] == "PendingDeletion"
        world.aws.forget()
        again = await world.apply(plan)
        assert ([one.outcome for one in again.changes], world.aws.writes) == (["already"], [])
        assert ((await world.plan()).changes, (await world.plan()).remarks) == ((), ())


async def test_a_key_that_is_configured_again_is_saved_from_its_deletion(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        key, settings = key_of(world)["KeyId"], world.settings
        world.settings = {}
        await world.converge(delete=(_ADDRESS,))
        world.settings = settings
        await world.converge()
        assert (key_of(world)["KeyId"], key_of(world)["KeyState"], key_count(world)) == (key, "Enabled", 1)


async def test_a_key_that_is_no_longer_configured_stays_until_it_is_named(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        world.client("kms").create_key(Description="theirs")
        world.settings = {}
        plan = await world.plan()
        assert (plan.changes, [(one.kind, one.address) for one in plan.remarks]) == ((), [("kept", _ADDRESS)])


async def test_what_a_key_is_for_cannot_be_changed_and_is_reported(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        world.settings = {"kms": {"deployment": {"key_usage": "SIGN_VERIFY", "key_spec": "RSA_2048"}}}
        plan = await world.plan()
        assert (plan.changes, [(one.kind, one.message) for one in plan.remarks]) == (
            (), [("kept", "AWS cannot change use of what exists: not changed")]
        )  # fmt: skip


async def test_a_list_that_is_denied_changes_nothing(moto: Aws) -> None:
    async with keys_world(moto) as world:
        await world.converge()
        for name in ("kms:ListKeys", "kms:ListAliases", "kms:ListResourceTags"):
            world.aws.before = denied(name)
            plan = await world.plan()
            assert (plan.changes, [(one.kind, one.address) for one in plan.remarks]) == (
                (), [("unread", "eu-west-1/key/*")]
            )  # fmt: skip


async def test_a_key_of_others_whose_own_policy_shuts_the_account_out_is_passed_over(moto: Aws) -> None:
    async with keys_world(moto) as world:
        locked = world.client("kms").create_key()["KeyMetadata"]["KeyId"]
        world.aws.before = denied("kms:ListResourceTags", "no resource-based policy allows it", locked)
        await world.converge()
        assert key_of(world)["Description"] == "deployment secrets"


async def test_what_is_called_is_what_the_kind_states(moto: Aws) -> None:
    async with keys_world(moto, rotation=True) as world:
        await world.apply(await world.plan())
        kms = world.client("kms")
        kms.schedule_key_deletion(KeyId=key_of(world)["KeyId"], PendingWindowInDays=7)
        await world.apply(await world.plan())
        world.settings = {}
        await world.apply(await world.plan(delete=("*",)))
        called = {one.name for one in world.aws.calls} - {"sts:AssumeRole", "sts:GetCallerIdentity"}
        assert called - {*KEY.reads, *KEY.writes} == set()


async def test_keys_that_stand_are_imported_as_a_section_that_changes_nothing(moto: Aws) -> None:
    async with keys_world(moto, rotation=True) as world:
        await world.converge()
        world.client("kms").create_key(Description="without alias")
        imported = await import_account(world.account.target, _STEPS, world.providers)
        assert imported.unread == ()
        assert imported.section == {
            "kms": {
                "alias/deployment": {
                    "description": "deployment secrets", "key_usage": "ENCRYPT_DECRYPT", "key_spec": "SYMMETRIC_DEFAULT",
                    "key_policy": policy(_POLICY), "rotation": True, "tags": [{"TagKey": "team", "TagValue": "stups"}],
                }
            }
        }  # fmt: skip
        world.settings = dict(imported.section)
        assert (await world.plan()).changes == ()
