"""whence-accounts check-permissions: what the role of an account may not do is named, and nothing is tried."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest
from aiohttp import web

from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.aws_simulator import PolicySimulator
from landscape.aws import Aws
from whence_aggregator.accounts.permissions import actions_of
from whence_aggregator.accounts.steps.table import STEPS

HINT = "whence-accounts: whence-accounts check-permissions --policy prints a policy that allows all of it"
ALL = actions_of(STEPS, writing=True)


@pytest.fixture
async def program(moto: Aws, tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    """The program before one account, whose role is below a path."""
    account_id = new_account_id()
    (tmp_path / "accounts.yaml").write_text(
        f'version: 11\nglobal: {{regions: [eu-west-1]}}\naccounts:\n  hello: {{id: "{account_id}"}}\n', encoding="utf-8"
    )
    async with accounts_program(moto.url, tmp_path) as made:
        keys = moto.client("sts").assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/owner", RoleSessionName="owner")[
            "Credentials"
        ]
        iam = boto3.client(
            "iam", endpoint_url=moto.url, region_name="eu-west-1", aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
        )  # fmt: skip
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}
        iam.create_role(RoleName="whence-accounts", Path="/ops/", AssumeRolePolicyDocument=json.dumps(trust))
        yield made


async def test_a_role_that_may_do_everything_passes_and_every_action_was_asked_about(program: AccountsProgram) -> None:
    simulator = PolicySimulator()
    simulator.install(program.aws)
    ended = await program.run("check-permissions")
    assert (ended.code, ended.err) == (0, "")
    assert f"all {len(ALL)} actions are allowed" in ended.out
    assert {one for _, actions in simulator.asked for one in actions} == set(ALL)
    assert {role.rpartition(":")[2] for role, _ in simulator.asked} == {"role/ops/whence-accounts"}
    assert program.aws.writes == []


async def test_denied_actions_are_named_from_every_page(program: AccountsProgram) -> None:
    PolicySimulator(denied=frozenset((ALL[0], ALL[60], ALL[-1]))).install(program.aws)
    ended = await program.run("check-permissions")
    assert ended.code == 1
    assert ended.out.splitlines()[1:] == [f"    {one}" for one in (ALL[0], ALL[60], ALL[-1])]
    assert f"3 of {len(ALL)} actions are denied" in ended.out
    assert ended.err.strip() == HINT


async def test_only_what_a_plan_needs_is_asked_about_if_nothing_is_to_be_written(program: AccountsProgram) -> None:
    simulator = PolicySimulator(denied=frozenset(("iam:CreateRole",)))
    simulator.install(program.aws)
    assert (await program.run("check-permissions", "--read-only", "--step", "roles")).code == 0
    ((_, actions),) = simulator.asked
    assert "iam:CreateRole" not in actions
    assert "iam:ListRoles" in actions


async def test_a_role_that_may_not_simulate_is_no_success(program: AccountsProgram) -> None:
    body = (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        "<Code>AccessDenied</Code><Message>may not simulate</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
    program.aws.extensions["iam:SimulatePrincipalPolicy"] = lambda _: web.Response(
        status=403, text=body, content_type="text/xml"
    )
    ended = await program.run("check-permissions")
    assert ended.code == 1
    assert "AccessDenied: may not simulate" in ended.out


async def test_an_account_that_cannot_be_reached_is_no_success(program: AccountsProgram) -> None:
    program.aws.before = lambda call: web.Response(status=403) if call.action == "GetCallerIdentity" else None
    ended = await program.run("check-permissions")
    assert ended.code == 1
    assert ended.out.startswith("✗ hello")


async def test_an_unknown_step_is_refused_with_those_that_there_are(program: AccountsProgram) -> None:
    ended = await program.run("check-permissions", "--step", "rolls")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no step rolls" in ended.err
    assert "roles" in ended.err
