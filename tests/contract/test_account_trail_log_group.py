"""The log group of a trail and the role that writes it, on moto: made before the trail, kept, and never taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world, new_account_id
from fakes.aws_refusals import denied, passed
from landscape.aws import Aws
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.steps import cloudtrail, roles
from whence_aggregator.accounts.steps.cloudtrail import LOG_GROUP

_STEPS = (roles.step(lambda: ()), cloudtrail.STEP)
_NAME = "whence/trail"
_GROUP = f"{REGION}/log-group/{_NAME}"
_ROLE = "role/trail-logs"
_TRAIL = f"{REGION}/trail/Default"


@asynccontextmanager
async def a_world(moto: Aws, **created: Any) -> AsyncIterator[AccountWorld]:
    """Open an account whose trail writes into a bucket that stands, and into a log group that is created."""
    account_id = new_account_id()
    logs = {"group": _NAME, "role": "trail-logs", "create": created}
    settings = {"cloudtrail": {"s3_bucket_name": f"logs-{account_id}", "cloud_watch_logs": logs}}
    async with account_world(moto.url, steps=_STEPS, account_id=account_id, settings=settings) as world:
        world.client("s3").create_bucket(
            Bucket=f"logs-{account_id}", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield world


def groups(world: AccountWorld) -> list[tuple[str, int | None]]:
    found = world.client("logs").describe_log_groups()["logGroups"]
    return [(one["logGroupName"], one.get("retentionInDays")) for one in found]


def list_by_tag(world: AccountWorld) -> None:
    """List the group by its tag, as AWS does, if it is asked for groups."""
    arn = f"arn:aws:logs:{REGION}:{world.account_id}:log-group:{_NAME}"
    world.aws.extensions["tagging:GetResources"] = lambda call: (
        web.json_response({"ResourceTagMappingList": [{"ResourceARN": arn}]})
        if b"logs:log-group" in call.body
        else None
    )


async def test_group_and_role_are_created_before_the_trail_that_uses_them(moto: Aws) -> None:
    async with a_world(moto, retention_in_days=30) as world:
        plan = await world.plan()
        written = [one.address for one in plan.changes]
        assert sorted(written) == sorted([_ROLE, _GROUP, _TRAIL])
        assert written[-1] == _TRAIL
        assert plan.changes[-1].requires == (_GROUP, _ROLE)
        await world.apply(plan)
        allowed = {one for one in (*LOG_GROUP.reads, *LOG_GROUP.writes) if one.startswith("logs:")}
        assert {one.name for one in world.aws.calls if one.name.startswith("logs:")} <= allowed
        await world.converge()
        trail = world.client("cloudtrail").get_trail(Name="Default")["Trail"]
        arn = f"arn:aws:logs:{REGION}:{world.account_id}:log-group:{_NAME}:*"
        assert trail["CloudWatchLogsLogGroupArn"] == arn
        assert trail["CloudWatchLogsRoleArn"] == f"arn:aws:iam::{world.account_id}:role/trail-logs"
        assert groups(world) == [(_NAME, 30)]


@pytest.mark.parametrize("action", ["logs:CreateLogGroup", "iam:CreateRole"])
async def test_a_trail_waits_for_a_group_or_role_that_was_refused(moto: Aws, action: str) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        outcomes = {one.address: one.outcome for one in report.changes}
        assert outcomes[_TRAIL] == "skipped"
        assert [one for one, outcome in outcomes.items() if outcome == "failed"] == [
            _GROUP if action.startswith("logs:") else _ROLE
        ]
        world.aws.before = passed
        await world.converge()


async def test_a_retention_that_is_refused_is_reported_and_the_next_apply_sets_it(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("logs:PutRetentionPolicy")
        report = await world.apply(await world.plan())
        assert {one.address: one.outcome for one in report.changes} == {
            _ROLE: "done", _GROUP: "failed", _TRAIL: "skipped"
        }  # fmt: skip
        world.aws.before = passed
        await world.converge()
        assert groups(world) == [(_NAME, 365)]


async def test_a_retention_changed_by_hand_is_put_right_and_the_trail_is_left(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        world.client("logs").delete_retention_policy(logGroupName=_NAME)
        assert [(one.address, one.after) for one in (await world.plan()).changes] == [
            (_GROUP, {"retention_in_days": 365})
        ]
        await world.converge()


async def test_a_log_group_of_others_is_used_and_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.client("logs").create_log_group(logGroupName=_NAME)
        plan = await world.plan()
        assert [(one.kind, one.address, one.message) for one in plan.remarks] == [
            ("foreign", _GROUP, "it exists without our tag and differs in tags, retention_in_days: not changed")
        ]
        await world.converge()
        assert groups(world) == [(_NAME, None)]
        await world.converge(adopt=(_GROUP,))
        assert groups(world) == [(_NAME, 365)]


async def test_a_group_whose_name_only_begins_alike_is_not_taken_for_it(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.client("logs").create_log_group(logGroupName=f"{_NAME}-of-others")
        await world.converge()
        assert groups(world) == [(_NAME, 365), (f"{_NAME}-of-others", None)]


async def test_a_group_that_cannot_be_read_changes_nothing_that_needs_it(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("logs:DescribeLogGroups")
        plan = await world.plan()
        assert (f"{REGION}/log-group/*", "unread") in {(one.address, one.kind) for one in plan.remarks}
        assert [one.address for one in plan.changes] == [_ROLE]


async def test_a_group_that_is_no_longer_stated_is_kept_until_it_is_named(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        list_by_tag(world)
        world.settings["cloudtrail"] = {"s3_bucket_name": f"logs-{world.account_id}"}
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks if one.kind == "kept"] == [
            (_GROUP, "the configuration no longer states it, but it may hold data: not deleted"),
            (_ROLE, "the configuration no longer states it, but it states nothing of the step roles: not deleted"),
        ]
        report = await world.apply(await world.plan(delete=(_GROUP,)))
        assert report.succeeded, report
        assert groups(world) == []


async def test_a_created_group_is_imported_as_created_and_planned_without_changes(moto: Aws) -> None:
    async with a_world(moto, retention_in_days=30) as world:
        await world.converge()
        list_by_tag(world)
        world.aws.forget()
        found = await import_account(world.account.target, world.steps, world.providers)
        trail: Any = found.section["cloudtrail"]
        assert trail["cloud_watch_logs"] == {
            "group": _NAME, "role": "trail-logs", "create": {"retention_in_days": 30}
        }  # fmt: skip
        assert ("roles" in found.section, found.notes, found.unread) == (False, (), ())
        world.settings = dict(found.section)
        plan = await world.plan()
        assert (plan.changes, plan.remarks, world.aws.writes) == ((), (), [])


async def test_a_group_of_others_is_imported_with_its_role_as_they_exist(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.client("logs").create_log_group(logGroupName=_NAME)
        await world.converge()
        found = await import_account(world.account.target, world.steps, world.providers)
        trail: Any = found.section["cloudtrail"]
        role = f"arn:aws:iam::{world.account_id}:role/trail-logs"
        assert trail["cloud_watch_logs"] == {"group": _NAME, "role": role}
        roles_of: Any = found.section["roles"]
        assert list(roles_of) == ["trail-logs"]
        world.settings = dict(found.section)
        assert (await world.plan()).changes == ()
