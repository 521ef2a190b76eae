"""Images that another account shares with an account, on moto: permissions are added, and none is taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world, new_account_id
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import images


@asynccontextmanager
async def _world(moto: Aws, *names: str, **about: Any) -> AsyncIterator[AccountWorld]:
    owner = new_account_id()
    settings = {"ami_sharing": {"owner_id": owner, "names": list(names)}}
    async with account_world(moto.url, steps=(images.STEP,), settings=settings, **about) as world:
        yield world


def _owner(world: AccountWorld) -> str:
    return str(world.settings["ami_sharing"]["owner_id"])


def _register(world: AccountWorld, name: str, *accounts: str) -> str:
    ec2 = world.client("ec2", account_id=_owner(world))
    image_id = str(ec2.register_image(Name=name, RootDeviceName="/dev/sda1")["ImageId"])
    if accounts:
        added = [{"UserId": one} for one in accounts]
        ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": added})
    return image_id


def _allowed(world: AccountWorld, image_id: str) -> list[str]:
    ec2 = world.client("ec2", account_id=_owner(world))
    answer = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    return sorted(one["UserId"] for one in answer["LaunchPermissions"])


async def test_the_newest_image_of_a_name_is_shared_and_older_ones_are_not(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        old, other = _register(world, "base-1"), _register(world, "other-1")
        new = _register(world, "base-2")
        made = {old: "2026-01-02T00:00:00.000Z", new: "2026-01-10T00:00:00.000Z"}
        world.aws.extensions["ec2:DescribeImages"] = lambda _: _images(made)
        (change,) = (await world.plan()).changes
        assert (change.address, change.before, change.after) == (
            f"{REGION}/launch_permission/{_owner(world)}/base-*", {"shared": False}, {"shared": True}
        )  # fmt: skip
        assert world.aws.writes == []
        await world.converge()
        assert [_allowed(world, one) for one in (old, other, new)] == [[], [], [world.account_id]]


async def test_permissions_of_other_accounts_stay(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        friend = new_account_id()
        image_id = _register(world, "base-1", friend)
        await world.converge()
        assert _allowed(world, image_id) == sorted((friend, world.account_id))


async def test_a_permission_taken_away_by_hand_is_added_again(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        image_id = _register(world, "base-1")
        await world.converge()
        world.client("ec2", account_id=_owner(world)).modify_image_attribute(
            ImageId=image_id, LaunchPermission={"Remove": [{"UserId": world.account_id}]}
        )
        await world.converge()
        assert _allowed(world, image_id) == [world.account_id]


async def test_an_image_that_is_configured_no_more_stays_shared(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        image_id = _register(world, "base-1")
        await world.converge()
        world.settings["ami_sharing"] = {"owner_id": _owner(world)}
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())
        assert _allowed(world, image_id) == [world.account_id]


async def test_an_image_is_shared_by_its_id(moto: Aws) -> None:
    async with _world(moto) as world:
        image_id = _register(world, "base-1")
        world.settings["ami_sharing"]["image_ids"] = {REGION: [image_id]}
        await world.converge()
        assert _allowed(world, image_id) == [world.account_id]


async def test_a_name_without_image_is_a_problem_and_the_others_are_shared(moto: Aws) -> None:
    async with _world(moto, "base-*", "gone-*") as world:
        image_id = _register(world, "base-1")
        plan = await world.plan()
        (remark,) = plan.remarks
        missing = f"account {_owner(world)} has no available image gone-* in {REGION}"
        assert (remark.kind, remark.message) == ("warning", missing)
        report = await world.apply(plan)
        assert [(one.outcome, one.message) for one in report.changes] == [("done", ""), ("failed", missing)]
        assert _allowed(world, image_id) == [world.account_id]


async def test_an_owner_that_denies_the_list_is_unread_and_nothing_changes(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        _register(world, "base-1")
        world.aws.before = lambda call: _denied(call, "DescribeImages")
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [(f"{REGION}/launch_permission/*", "unread")]


async def test_an_apply_that_was_refused_goes_on(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        _register(world, "base-1")
        plan = await world.plan()
        world.aws.before = lambda call: _denied(call, "ModifyImageAttribute")
        (change,) = (await world.apply(plan)).changes
        assert (change.outcome, "ec2:ModifyImageAttribute" in change.fix) == ("failed", True)
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        await world.converge()


async def test_the_provider_calls_no_more_than_its_kind_states_and_all_in_the_owners_account(moto: Aws) -> None:
    async with _world(moto, "base-*") as world:
        _register(world, "base-1")
        await world.converge()
        called = [one for one in world.aws.calls if one.name.startswith("ec2:")]
        kind = images.LAUNCH_PERMISSION
        assert {one.name for one in called} <= {*kind.reads, *kind.writes}
        assert {one.account_id for one in called} == {_owner(world)}


def _images(made: Mapping[str, str]) -> web.Response:
    """Answer with images by their time of creation: moto's times have whole seconds."""
    items = "".join(
        f"<item><imageId>{image_id}</imageId><creationDate>{at}</creationDate><isPublic>false</isPublic></item>"
        for image_id, at in made.items()
    )
    text = f"<DescribeImagesResponse><requestId>1</requestId><imagesSet>{items}</imagesSet></DescribeImagesResponse>"
    return web.Response(text=f'<?xml version="1.0"?>{text}', content_type="text/xml")


def _denied(call: AwsCall, action: str) -> web.Response | None:
    """Answer as EC2 does to a caller without the permission."""
    if call.name != f"ec2:{action}":
        return None
    text = (
        '<?xml version="1.0"?><Response><Errors><Error><Code>UnauthorizedOperation</Code>'
        "<Message>not authorized</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
    return web.Response(status=403, text=text, content_type="text/xml")
