"""Roles of an account, on moto: what is configured is put right, and what others added is left alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import AccountWorld, account_world
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from landscape.endurance import repeated
from whence_aggregator.accounts.importing import import_account
from whence_aggregator.accounts.plan import AccountPlan, PlanFile, decode_plan, encode_plan
from whence_aggregator.accounts.resources import ResourceKind
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps import roles

_STEPS = (roles.step(lambda: ()),)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_DENIED = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not for you</Message></Error>"
    b"<RequestId>r</RequestId></ErrorResponse>"
)


def _policy(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def _role(**about: Any) -> dict[str, Any]:
    return {"assume_role_policy": _TRUST, **about}


def _managed(world: AccountWorld, name: str) -> str:
    made = world.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(_policy("sqs:ListQueues")))
    return str(made["Policy"]["Arn"])


def _deny(*names: str) -> Any:
    def answer(call: AwsCall) -> web.Response | None:
        return web.Response(status=403, body=_DENIED, content_type="text/xml") if call.name in names else None

    return answer


def _changes(plan: AccountPlan) -> list[tuple[str, str, list[str]]]:
    return [(one.address, one.action, sorted(one.after or ())) for one in plan.changes]


def _remarks(plan: AccountPlan) -> list[tuple[str, str, str]]:
    return [(one.kind, one.address, one.message) for one in plan.remarks]


def _calls_are_declared(world: AccountWorld, *kinds: ResourceKind) -> bool:
    declared = {"sts:AssumeRole", "sts:GetCallerIdentity", "iam:ListAccountAliases"}
    declared |= {action for kind in kinds for action in (*kind.reads, *kind.writes)}
    return {one.name for one in world.aws.calls} <= declared


async def test_a_fresh_account_gets_its_roles_and_is_converged(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        arn = _managed(world, "queues")
        world.settings["roles"] = {
            "Reader": _role(
                policy=_policy("s3:ListAllMyBuckets"), inline_policies={"more": _policy("ec2:DescribeTags")},
                attached_policies=[arn], path="/people/", description="reads", max_session_duration=7200,
                tags={"team": "hello"}, permissions_boundary=arn,
            )
        }  # fmt: skip
        assert _changes(await world.plan()) == [
            ("role/Reader", "create", [
                f"attached:{arn}", "boundary", "details", "path", "policy:Reader", "policy:more", "tags", "trust",
            ])
        ]  # fmt: skip
        assert world.aws.writes == []
        await world.apply(await world.plan())
        assert world.aws.writes == [
            "iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy", "iam:PutRolePolicy",
        ]  # fmt: skip
        assert _calls_are_declared(world, roles.ROLE, roles.INSTANCE_PROFILE)
        await world.converge()
        iam = world.client("iam")
        role = iam.get_role(RoleName="Reader")["Role"]
        assert (role["Path"], role["Description"], role["MaxSessionDuration"]) == ("/people/", "reads", 7200)
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
        assert {one["Key"]: one["Value"] for one in role["Tags"]}["team"] == "hello"
        assert sorted(iam.list_role_policies(RoleName="Reader")["PolicyNames"]) == ["Reader", "more"]


async def test_reading_roles_without_description_takes_one_call_for_all_of_them(moto: Aws) -> None:
    settings = {"roles": {f"r{number}": _role(policy=_policy("s3:ListAllMyBuckets")) for number in range(5)}}
    async with account_world(moto.url, steps=(_only_roles(),), settings=settings) as world:
        await world.converge()
        assert [one.name for one in world.aws.calls if one.name.startswith("iam:")] == [
            "iam:GetAccountAuthorizationDetails"
        ]


def _only_roles() -> AccountStep:
    return AccountStep(name="roles", summary="roles without profiles", kinds=(roles.ROLE,), wanted=_STEPS[0].wanted)


async def test_a_change_by_hand_shows_in_exactly_its_aspect_and_is_put_right(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        arn = _managed(world, "queues")
        world.settings["roles"] = {
            "x": _role(policy=_policy("s3:ListAllMyBuckets"), attached_policies=[arn], description="d", tags={"a": "b"})
        }
        await world.converge()
        iam = world.client("iam")
        by_hand: dict[str, Callable[[], Any]] = {
            "trust": lambda: iam.update_assume_role_policy(
                RoleName="x", PolicyDocument=json.dumps(_trust_of("arn:aws:iam::999999999999:root"))
            ),
            "policy:x": lambda: iam.put_role_policy(
                RoleName="x", PolicyName="x", PolicyDocument=json.dumps(_policy("*"))
            ),
            f"attached:{arn}": lambda: iam.detach_role_policy(RoleName="x", PolicyArn=arn),
            "details": lambda: iam.update_role(RoleName="x", Description="other", MaxSessionDuration=7200),
            "tags": lambda: iam.tag_role(RoleName="x", Tags=[{"Key": "a", "Value": "c"}]),
        }
        for aspect, change in by_hand.items():
            change()
            assert _changes(await world.plan()) == [("role/x", "update", [aspect])]
            await world.converge()


def _trust_of(principal: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}],
    }


async def test_policies_are_compared_whatever_their_order_and_spelling(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        world.settings["roles"] = {
            "x": _role(policy={"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": ["s3:b", "s3:a"], "Resource": "*",
                "Condition": {"Bool": {"aws:SecureTransport": True}},
            }}, assume_role_policy=_trust_of("999999999999"))
        }  # fmt: skip
        await world.converge()
        rewritten = {"Statement": [{
            "Resource": ["*"], "Condition": {"Bool": {"aws:SecureTransport": "true"}}, "Action": ["s3:a", "s3:b"],
            "Effect": "Allow",
        }], "Version": "2012-10-17"}  # fmt: skip
        iam = world.client("iam")
        iam.put_role_policy(RoleName="x", PolicyName="x", PolicyDocument=json.dumps(rewritten))
        trust = _trust_of("arn:aws:iam::999999999999:root")
        iam.update_assume_role_policy(RoleName="x", PolicyDocument=json.dumps(trust))
        assert (await world.plan()).changes == ()


async def test_policies_of_others_on_our_role_are_listed_and_left(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        await world.converge()
        arn, iam = _managed(world, "theirs"), world.client("iam")
        iam.put_role_policy(RoleName="x", PolicyName="debug", PolicyDocument=json.dumps(_policy("*")))
        iam.attach_role_policy(RoleName="x", PolicyArn=arn)
        await world.converge()
        assert _remarks(await world.plan()) == [
            ("foreign", "role/x", "inline policy debug is left as it is"),
            ("foreign", "role/x", f"managed policy {arn} is left as it is"),
        ]
        assert iam.list_role_policies(RoleName="x")["PolicyNames"] == ["debug"]


async def test_policies_that_are_no_longer_configured_are_removed_and_only_those(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        ours, theirs = _managed(world, "ours"), _managed(world, "theirs")
        world.settings["roles"] = {
            "x": _role(
                policy=_policy("s3:a"), inline_policies={"more": _policy("s3:b")}, attached_policies=[ours]
            )
        }  # fmt: skip
        await world.converge()
        iam = world.client("iam")
        iam.attach_role_policy(RoleName="x", PolicyArn=theirs)
        world.settings["roles"] = {"x": _role()}
        plan = await world.plan()
        assert list(plan.changes[0].after or ()) == [f"attached:{ours}", "policy:more", "policy:x", "tags"]
        await world.converge()
        assert iam.list_role_policies(RoleName="x")["PolicyNames"] == []
        assert [one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName="x")["AttachedPolicies"]] == [
            theirs
        ]


async def test_an_apply_that_is_refused_between_two_removals_goes_on_with_the_same_plan(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        world.settings["roles"] = {"x": _role(inline_policies={"a": _policy("s3:a"), "b": _policy("s3:b")})}
        await world.converge()
        world.settings["roles"] = {"x": _role(policy=_policy("s3:c"))}
        plan = await world.plan()
        world.aws.before = _deny("iam:PutRolePolicy")
        report = await world.apply(plan)
        assert [(one.address, one.outcome) for one in report.changes] == [("role/x", "failed")]
        assert "AccessDenied: not for you" in report.changes[0].message
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        await world.converge()


async def test_a_plan_of_roles_survives_its_file(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role(policy=_policy("s3:a"))}}) as world:
        plan = PlanFile(made_at="2026-11-27T08:00:00Z", configuration="sha256:0", accounts=(await world.plan(),))
        again = decode_plan(encode_plan(plan), name="plan")
        assert (await world.apply(again.accounts[0])).succeeded


async def test_a_foreign_role_of_the_same_name_is_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role(policy=_policy("s3:a"))}}) as world:
        iam = world.client("iam")
        iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(_trust_of("arn:aws:iam::999999999999:root")))
        iam.put_role_policy(RoleName="x", PolicyName="x", PolicyDocument=json.dumps(_policy("*")))
        plan = await world.plan()
        assert plan.changes == ()
        assert _remarks(plan) == [
            ("foreign", "role/x", "it exists without our tag and differs in trust, policy:x, tags: not changed")
        ]
        assert plan.remarks[0].fix == "name it with --adopt 'role/x' to change trust, policy:x, tags"
        await world.converge(adopt=("role/x",))
        assert (await world.plan()).changes == ()
        assert "s3:a" in json.dumps(iam.get_role_policy(RoleName="x", PolicyName="x")["PolicyDocument"])


async def test_the_policy_with_the_name_of_an_adopted_role_is_removed_where_none_is_configured(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        iam = world.client("iam")
        iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(_TRUST))
        iam.put_role_policy(RoleName="x", PolicyName="x", PolicyDocument=json.dumps(_policy("*")))
        await world.converge(adopt=("role/*",))
        assert iam.list_role_policies(RoleName="x")["PolicyNames"] == []


async def test_a_role_of_ours_that_is_no_longer_configured_is_deleted_with_its_policies(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        arn = _managed(world, "queues")
        world.settings["roles"] = {"x": _role(policy=_policy("s3:a"), attached_policies=[arn]), "y": _role()}
        await world.converge()
        world.settings["roles"] = {"y": {"drop": True}}
        assert [(one.address, one.action) for one in (await world.plan()).changes] == [
            ("role/y", "delete"), ("role/x", "delete"),
        ]  # fmt: skip
        await world.converge()
        assert world.client("iam").list_roles()["Roles"] == []


async def test_a_role_of_ours_with_policies_of_others_is_kept_until_it_is_named(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        await world.converge()
        iam = world.client("iam")
        iam.put_role_policy(RoleName="x", PolicyName="debug", PolicyDocument=json.dumps(_policy("*")))
        world.settings["roles"] = {}
        await world.converge()
        assert ("kept", "role/x", "the configuration no longer states it, but it has inline policy debug: not deleted") in (
            _remarks(await world.plan())
        )  # fmt: skip
        await world.converge(delete=("role/x",))
        assert iam.list_roles()["Roles"] == []


async def test_a_policy_that_somebody_adds_after_the_plan_ends_the_deletion(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role(policy=_policy("s3:a"))}}) as world:
        await world.converge()
        world.settings["roles"] = {}
        plan = await world.plan(delete=("role/x",))
        iam = world.client("iam")
        iam.put_role_policy(RoleName="x", PolicyName="debug", PolicyDocument=json.dumps(_policy("*")))
        report = await world.apply(plan)
        assert [one.outcome for one in report.changes] == ["failed"]
        assert "DeleteConflict" in report.changes[0].message
        assert iam.list_role_policies(RoleName="x")["PolicyNames"] == ["debug"]


async def test_foreign_roles_that_are_not_configured_are_not_mentioned(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        world.client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(_TRUST))
        plan = await world.plan()
        assert (plan.changes, plan.standing, plan.remarks) == ((), (), ())


async def test_another_path_cannot_be_changed_and_is_said(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        await world.converge()
        world.settings["roles"] = {"x": _role(path="/other/")}
        await world.converge()
        assert _remarks(await world.plan()) == [
            ("kept", "role/x", "AWS cannot change path of what exists: not changed")
        ]


async def test_roles_that_cannot_be_read_are_unread_and_unchanged(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        world.aws.before = _deny("iam:GetAccountAuthorizationDetails")
        plan = await world.plan()
        assert plan.changes == ()
        (remark,) = plan.remarks
        assert (remark.kind, remark.address) == ("unread", "role/*")
        assert remark.message == "hello role: AWS denies it: AccessDenied: not for you"


async def test_a_creation_that_is_refused_half_way_goes_on_with_the_next_apply(moto: Aws) -> None:
    settings = {"roles": {"x": _role(policy=_policy("s3:a")), "y": _role(policy=_policy("s3:a"))}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        plan = await world.plan()
        world.aws.before = _deny("iam:PutRolePolicy")
        report = await world.apply(plan)
        assert [one.outcome for one in report.changes] == ["failed", "failed"]
        world.aws.before = lambda _: None
        world.aws.forget()
        assert (await world.apply(plan)).succeeded
        assert "iam:CreateRole" not in world.aws.writes
        await world.converge()


async def test_roles_that_trust_each_other_and_themselves_are_made_in_one_apply(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        one, other = _arn_of(world, "one"), _arn_of(world, "other")
        world.settings["roles"] = {
            "one": _role(assume_role_policy=_trust_of(other)), "other": _role(assume_role_policy=_trust_of(one)),
            "self": _role(assume_role_policy=_trust_of(_arn_of(world, "self"))),
        }  # fmt: skip
        world.aws.before = _refuse_unknown_principals(world)
        await world.converge()
        trust = world.client("iam").get_role(RoleName="one")["Role"]["AssumeRolePolicyDocument"]
        assert trust["Statement"][0]["Principal"] == {"AWS": [other]}


def _refuse_unknown_principals(world: AccountWorld) -> Any:
    """Answer as IAM does for a trust policy with a role that does not exist, which moto takes."""

    def answer(call: AwsCall) -> web.Response | None:
        document = call.form.get("AssumeRolePolicyDocument") or call.form.get("PolicyDocument", "")
        if call.name not in ("iam:CreateRole", "iam:UpdateAssumeRolePolicy"):
            return None
        known = {one["Arn"] for one in world.client("iam").list_roles()["Roles"]}
        named = {
            arn for one in json.loads(document)["Statement"] for arn in one["Principal"].get("AWS", [])
            if arn.startswith(f"arn:aws:iam::{world.account_id}:role/")
        }  # fmt: skip
        if named <= known:
            return None
        body = _DENIED.replace(b"AccessDenied", b"MalformedPolicyDocument").replace(
            b"not for you", b"Invalid principal"
        )
        return web.Response(status=400, body=body, content_type="text/xml")

    return answer


async def test_a_trusted_role_that_was_deleted_shows_as_drift_with_its_id(moto: Aws) -> None:
    trusted = "arn:aws:iam::999999999999:role/worker"
    settings = {"roles": {"x": _role(assume_role_policy=_trust_of(trusted))}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        gone = json.dumps(_trust_of("AROAEXAMPLEEXAMPLE123"))
        world.client("iam").update_assume_role_policy(RoleName="x", PolicyDocument=gone)
        (change,) = (await world.plan()).changes
        assert (change.before or {})["trust"]["Statement"][0]["Principal"] == {"AWS": ["AROAEXAMPLEEXAMPLE123"]}
        assert (change.after or {})["trust"]["Statement"][0]["Principal"] == {"AWS": [trusted]}
        await world.converge()


async def test_pages_of_roles_are_read_to_their_end(moto: Aws) -> None:
    settings = {"roles": {"x": _role()}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        world.aws.before = _empty_page_first
        assert (await world.plan()).changes == ()


def _empty_page(marker: str) -> web.Response:
    body = (
        '<GetAccountAuthorizationDetailsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<GetAccountAuthorizationDetailsResult><IsTruncated>true</IsTruncated><Marker>{marker}</Marker><RoleDetailList/>"
        "</GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>"
    )
    return web.Response(body=body.encode(), content_type="text/xml")


def _empty_page_first(call: AwsCall) -> web.Response | None:
    is_first = call.name == "iam:GetAccountAuthorizationDetails" and "Marker" not in call.form
    return _empty_page("next") if is_first else None


async def test_a_list_without_an_end_is_an_error_and_no_empty_account(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"roles": {"x": _role()}}) as world:
        numbers = iter(range(10_000))
        world.aws.extensions["iam:GetAccountAuthorizationDetails"] = lambda _: _empty_page(f"m{next(numbers)}")
        plan = await world.plan()
        assert plan.changes == ()
        assert _remarks(plan) == [
            ("unread", "role/*", "get_account_authorization_details lists more than 20000 items or 2000 pages")
        ]


@pytest.mark.endurance
async def test_an_apply_that_is_killed_at_any_write_goes_on_with_the_same_plan(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        old, new = _managed(world, "old"), _managed(world, "new")
        before = {
            "changed": _role(policy=_policy("s3:a"), inline_policies={"gone": _policy("s3:b")}, attached_policies=[old]),
            "removed": _role(policy=_policy("s3:a"), attached_policies=[old]),
        }  # fmt: skip
        after = {
            "changed": _role(
                policy=_policy("s3:c"), inline_policies={"more": _policy("s3:d")}, attached_policies=[new],
                assume_role_policy=_trust_of("999999999999"), description="changed",
            ),
            "made": _role(policy=_policy("s3:a"), assume_role_policy=_trust_of(_arn_of(world, "made"))),
        }  # fmt: skip
        world.settings["roles"] = before
        await world.converge()
        world.settings["roles"] = after
        await world.converge()
        for number in range(1, 100, repeated(sample=5, whole=1)):
            world.settings["roles"] = before
            await world.converge()
            world.settings["roles"] = after
            plan = await world.plan()
            world.journal.begun.clear()
            world.aws.forget()
            if not await _killed(world, plan, number):
                break
            assert (await world.apply(plan)).succeeded, number
            await world.converge()
        assert number > 13


def _arn_of(world: AccountWorld, role: str) -> str:
    return f"arn:aws:iam::{world.account_id}:role/{role}"


async def _killed(world: AccountWorld, plan: AccountPlan, number: int) -> bool:
    """Apply a plan, and end it in the middle of its write with this number; return whether it had so many."""
    work = asyncio.ensure_future(world.apply(plan))

    def kill(call: AwsCall) -> web.Response | None:
        if not call.is_write or len(world.aws.writes) < number:
            return None
        work.cancel()
        return web.Response(status=500)

    world.aws.before = kill
    try:
        await work
    except asyncio.CancelledError:
        return True
    finally:
        world.aws.before = lambda _: None
    return False


async def test_applications_get_a_role_and_an_instance_profile(moto: Aws) -> None:
    settings = {"application_roles": {"applications": ["greeter"], "mint_bucket": "hello-stups-mint"}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.apply(await world.plan())
        assert world.aws.writes[-4:] == [
            "iam:CreateRole", "iam:PutRolePolicy", "iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile",
        ]  # fmt: skip
        assert _calls_are_declared(world, roles.ROLE, roles.INSTANCE_PROFILE)
        await world.converge()
        iam = world.client("iam")
        profile = iam.get_instance_profile(InstanceProfileName="app-greeter")["InstanceProfile"]
        assert (profile["Path"], [one["RoleName"] for one in profile["Roles"]]) == ("/whence/", ["app-greeter"])
        iam.remove_role_from_instance_profile(InstanceProfileName="app-greeter", RoleName="app-greeter")
        assert _changes(await world.plan()) == [("instance-profile/app-greeter", "update", ["role"])]
        await world.converge()
        world.settings["application_roles"] = None
        assert [(one.address, one.action) for one in (await world.plan(delete=("*",))).changes] == [
            ("instance-profile/app-greeter", "delete"), ("role/app-greeter", "delete"),
        ]  # fmt: skip
        await world.converge(delete=("*",))


async def test_a_foreign_instance_profile_is_left_alone(moto: Aws) -> None:
    settings = {"application_roles": {"applications": ["greeter"]}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        iam = world.client("iam")
        iam.create_instance_profile(InstanceProfileName="app-greeter")
        await world.converge()
        assert [(kind, address) for kind, address, _ in _remarks(await world.plan())] == [
            ("foreign", "instance-profile/app-greeter")
        ]
        await world.converge(adopt=("instance-profile/app-greeter",))
        profile = iam.get_instance_profile(InstanceProfileName="app-greeter")["InstanceProfile"]
        assert [one["RoleName"] for one in profile["Roles"]] == ["app-greeter"]


async def test_imported_roles_differ_from_what_stands_in_our_tags_only(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        iam, arn = world.client("iam"), _managed(world, "queues")
        iam.create_role(
            RoleName="x", AssumeRolePolicyDocument=json.dumps(_TRUST), Path="/people/", Description="d",
            Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=arn,
        )  # fmt: skip
        for name in ("x", "more"):
            iam.put_role_policy(RoleName="x", PolicyName=name, PolicyDocument=json.dumps(_policy(f"s3:{name}")))
        iam.attach_role_policy(RoleName="x", PolicyArn=arn)
        iam.create_role(RoleName="plain", AssumeRolePolicyDocument=json.dumps(_TRUST))
        iam.create_role(
            RoleName="aws", AssumeRolePolicyDocument=json.dumps(_TRUST), Path="/aws-service-role/x.amazonaws.com/"
        )
        world.aws.forget()
        found = await import_account(world.account.target, _STEPS, world.providers)
        assert (found.unread, world.aws.writes) == ((), [])
        imported: Any = found.section["roles"]
        assert sorted(imported) == ["plain", "x"]
        assert list(imported["plain"]) == ["assume_role_policy"]
        assert imported["x"]["tags"] == {"a": "b"}
        world.settings |= found.section
        plan = await world.plan()
        assert plan.changes == ()
        assert [one.message for one in plan.remarks] == [
            "it exists without our tag and differs in tags: not changed",
            "it exists without our tag and differs in tags: not changed",
        ]
