"""Credentials that expire, roles that cannot be assumed, and services that do not answer: what was done is reported."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import account_world
from fakes.aws_refusals import refused
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.planning import verify
from whence_aggregator.accounts.steps import alias, keys
from whence_aggregator.accounts.steps.table import STEPS
from whence_common.errors import RoadError

_KEY = re.compile(r"Credential=([^/]+)/")
_ROLES = next(one for one in STEPS if one.name == "roles")
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}  # fmt: skip
_SETTINGS: dict[str, Any] = {
    "kms": {"app": {}, "other": {}},
    "roles": {name: {"assume_role_policy": _TRUST, "tags": {"a": "b"}} for name in ("one", "two")},
}
_STEPS = (_ROLES, keys.STEP)


@dataclass
class Expiring:
    """Refuses keys after a number of writes, or at once where `is_expired` says so. New keys are accepted."""

    writes_max: int
    renews: bool = True
    seen: dict[str, int] = field(default_factory=dict)
    """Writes by access key."""

    def __call__(self, call: AwsCall) -> web.Response | None:
        if call.action == "AssumeRole":
            is_first = not any(key != "test" for key in self.seen)
            return None if self.renews or is_first else self._refused(call)
        found = _KEY.search(call.headers["Authorization"])
        assert found is not None
        count = self.seen.setdefault(found[1], 0)
        if count >= self.writes_max:
            return self._refused(call)
        self.seen[found[1]] += call.is_write
        return None

    def _refused(self, call: AwsCall) -> web.Response:
        code = "ExpiredTokenException" if "X-Amz-Target" in call.headers else "ExpiredToken"
        return refused(call, code, "The security token included in the request is expired", status=400)


@pytest.mark.parametrize("writes_max", [1, 2, 3])
async def test_keys_that_expire_in_an_apply_are_renewed_and_nothing_is_written_twice(
    moto: Aws, writes_max: int
) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        plan = await world.plan()
        world.aws.before = Expiring(writes_max)
        world.aws.forget()
        report = await world.apply(plan)
        assert {one.outcome for one in report.changes} == {"done"}, report
        assert world.aws.writes.count("kms:CreateKey") >= 2
        world.aws.before = lambda _: None
        assert (await world.plan()).changes == ()
        assert len(world.client("kms").list_keys()["Keys"]) == 2


async def test_no_call_in_an_account_is_signed_with_the_callers_own_keys(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        plan = await world.plan()
        world.aws.before = Expiring(2)
        assert (await world.apply(plan)).succeeded
        own = {one.name for one in world.aws.calls if "Credential=test/" in one.headers["Authorization"]}
        assert own == {"sts:AssumeRole"}


async def test_credentials_that_cannot_be_renewed_end_the_apply_with_a_whole_report_and_what_to_do(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        plan = await world.plan()
        world.aws.before = Expiring(1, renews=False)
        world.aws.forget()
        report = await world.apply(plan)
        assert [one.address for one in report.changes] == [one.address for one in plan.changes]
        assert {one.outcome for one in report.changes} <= {"done", "failed", "skipped"}
        assert "cannot be assumed: AWS does not accept your own credentials: ExpiredToken" in report.error
        assert "renew your own AWS credentials, and run it again: an apply goes on where it has ended" in report.error
        assert len(world.aws.writes) <= 3, "no other write is tried"
        world.aws.before = lambda _: None
        assert (await world.apply(plan)).succeeded
        assert (await world.plan()).changes == ()


async def test_own_credentials_that_have_expired_name_what_to_do(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={**_SETTINGS, "access": {"role": None}}) as world:
        world.aws.before = Expiring(0)
        with pytest.raises(RoadError, match="hello: the credentials have expired: ExpiredToken") as caught:
            await verify(world.account.target, world.providers)
        assert caught.value.fix.startswith("renew your own AWS credentials")


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "SignatureDoesNotMatch"])
async def test_wrong_keys_say_what_to_check(moto: Aws, code: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"access": {"role": None}}) as world:
        world.aws.before = lambda call: refused(call, code, "The security token is invalid", status=403)
        with pytest.raises(RoadError, match=f"hello: AWS does not accept the credentials: {code}") as caught:
            await verify(world.account.target, world.providers)
        assert caught.value.fix.startswith("check the access key and its secret")


async def test_a_role_that_is_denied_is_named_with_its_account_at_once(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        world.aws.before = _at("AssumeRole", "AccessDenied", "not authorized to perform: sts:AssumeRole", 403)
        with pytest.raises(RoadError) as caught:
            await verify(world.account.target, world.providers)
        arn = f"arn:aws:iam::{world.account_id}:role/whence-accounts"
        assert caught.value.message == (
            f"hello: the role {arn} cannot be assumed: AWS denies it: AccessDenied: not authorized to perform:"
            " sts:AssumeRole"
        )
        assert "access.external_id" in caught.value.fix
        assert [one.action for one in world.aws.calls] == ["AssumeRole"], "it is not repeated"


async def test_a_role_that_is_throttled_is_asked_for_again(moto: Aws) -> None:
    async with account_world(moto.url, steps=(alias.STEP,)) as world:
        left = 2

        def throttled(call: AwsCall) -> web.Response | None:
            nonlocal left
            left -= call.action == "AssumeRole"
            return refused(call, "Throttling", "Rate exceeded") if left >= 0 and call.action == "AssumeRole" else None

        world.aws.before = throttled
        await verify(world.account.target, world.providers)
        assert [one.action for one in world.aws.calls].count("AssumeRole") == 3


async def test_a_role_that_is_throttled_to_the_end_says_so(moto: Aws) -> None:
    async with account_world(moto.url, steps=(alias.STEP,), attempts_max=2) as world:
        world.aws.before = _at("AssumeRole", "Throttling", "Rate exceeded", 400)
        with pytest.raises(
            RoadError, match=r"role/whence-accounts cannot be assumed: AWS throttles requests"
        ) as caught:
            await verify(world.account.target, world.providers)
        assert "--max-procs" in caught.value.fix
        assert len(world.aws.calls) == 2


async def test_a_service_that_never_answers_is_unread_and_the_others_are_planned(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS, request_seconds_max=1.5) as world:

        async def hangs(call: AwsCall) -> web.Response | None:
            if call.name.startswith("kms:"):
                await asyncio.Event().wait()
            return None

        world.aws.before = hangs
        async with asyncio.timeout(20):
            plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "eu-west-1/key/*")]
        assert plan.remarks[0].message.startswith("hello eu-west-1 key: AWS does not answer in time: Read timeout on")
        assert {one.address for one in plan.changes} == {"role/one", "role/two"}
        asked = [one.name for one in world.aws.calls if one.name.startswith("kms:")]
        assert len(asked) <= 2 * len(set(asked)), "each call is made twice at most"


async def test_a_role_that_never_answers_is_given_up(moto: Aws) -> None:
    async with account_world(moto.url, steps=(alias.STEP,), request_seconds_max=1.5) as world:

        async def hangs(call: AwsCall) -> None:
            await asyncio.Event().wait()

        world.aws.before = hangs
        async with asyncio.timeout(20):
            with pytest.raises(RoadError, match="hello: AWS does not answer in time"):
                await verify(world.account.target, world.providers)


def _at(action: str, code: str, message: str, status: int) -> Callable[[AwsCall], web.Response | None]:
    return lambda call: refused(call, code, message, status=status) if call.action == action else None
