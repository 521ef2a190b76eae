"""configure plans and applies in one run: it assumes a role once, and reads again only what it changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.counted_aws import AwsCall
from landscape.aws import Aws, moto_server

_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_SECTION: dict[str, Any] = {
    "regions": ["eu-west-1"], "roles": {"app": {"assume_role_policy": _POLICY}},
    "kms": {"app": {"description": "for applications"}},
}  # fmt: skip


@pytest.fixture(scope="module")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
async def program(moto: Aws, tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    async with accounts_program(moto.url, tmp_path) as made:
        speak_what_moto_lacks(made.aws)
        yield made


def _state(program: AccountsProgram, **changed: Any) -> None:
    section = {**_SECTION, "id": new_account_id(), **changed}
    text = yaml.safe_dump({"version": 11, "accounts": {"hello": section}})
    (program.folder / "accounts.yaml").write_text(text, encoding="utf-8")


def _counted(program: AccountsProgram) -> Counter[str]:
    return Counter(one.name for one in program.aws.calls)


async def test_a_role_is_assumed_and_its_account_asked_once(program: AccountsProgram) -> None:
    _state(program)
    assert (await program.run("configure", "accounts.yaml", "*")).code == 0
    assert [_counted(program)[f"sts:{one}"] for one in ("AssumeRole", "GetCallerIdentity")] == [1, 1]
    assert _counted(program)["kms:CreateKey"] == 1


async def test_what_the_run_does_not_change_is_read_once(program: AccountsProgram) -> None:
    account = new_account_id()
    _state(program, id=account)
    assert (await program.run("configure", "accounts.yaml", "*")).code == 0
    _state(program, id=account, kms={"app": {"description": "for all"}})
    program.aws.forget()
    assert (await program.run("configure", "accounts.yaml", "*")).code == 0
    found = _counted(program)
    assert found["iam:GetAccountAuthorizationDetails"] == 1
    assert found["kms:ListKeys"] == 3, "to plan it, to find what has moved, and before its write"
    assert program.aws.writes == ["kms:UpdateKeyDescription"]


async def test_an_apply_of_a_reviewed_plan_reads_all_of_it_again(program: AccountsProgram) -> None:
    account = new_account_id()
    _state(program, id=account)
    assert (await program.run("configure", "accounts.yaml", "*")).code == 0
    _state(program, id=account, kms={"app": {"description": "for all"}})
    assert (await program.run("plan", "-c", "accounts.yaml", "-o", "p.json")).code == 2
    program.aws.forget()
    assert (await program.run("apply", "p.json")).code == 0
    assert _counted(program)["iam:GetAccountAuthorizationDetails"] == 1


async def test_what_it_changes_and_has_moved_since_it_was_read_is_refused(program: AccountsProgram) -> None:
    account = new_account_id()
    _state(program, id=account)
    assert (await program.run("configure", "accounts.yaml", "*")).code == 0
    _state(program, id=account, kms={"app": {"description": "for all"}})
    program.aws.forget()

    def change_after_the_plan(call: AwsCall) -> None:
        if call.name == "kms:ListKeys" and _counted(program)["kms:ListKeys"] == 2:
            program.aws.before = lambda _: None
            _describe_all_keys(program, account, "somebody's")

    program.aws.before = change_after_the_plan
    ended = await program.run("configure", "accounts.yaml", "*")
    assert ended.code == 1
    assert "the account has moved since the plan was made: eu-west-1/key/app" in ended.out + ended.err
    assert program.aws.writes == []


def _describe_all_keys(program: AccountsProgram, account_id: str, text: str) -> None:
    """Change the keys by hand, past the counting proxy."""
    made: Any = {"endpoint_url": program.aws.backend, "region_name": "eu-west-1"}
    sts = boto3.client("sts", aws_access_key_id="test", aws_secret_access_key="test", **made)
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/somebody", RoleSessionName="test")["Credentials"]
    kms = boto3.client(
        "kms", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"], **made,
    )  # fmt: skip
    for one in kms.list_keys()["Keys"]:
        kms.update_key_description(KeyId=one["KeyId"], Description=text)
