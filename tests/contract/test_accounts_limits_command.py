"""whence-accounts limits: quotas with their use as its users see them, on moto and a fake of Service Quotas."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.aws_refusals import denied
from fakes.aws_service_quotas import ServiceQuotas, quota
from landscape.aws import Aws
from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.accounts.shown_limits import is_marked, limit_lines

_QUOTAS = {
    "vpc": [quota("vpc", "L-F678F1CE", "VPCs per Region", 1), quota("vpc", "L-407747CB", "Subnets per VPC", 200)],
    "iam": [quota("iam", "L-FE177D64", "Roles per account", 1000, is_global=True)],
}


@asynccontextmanager
async def _program(moto: Aws, folder: Path) -> AsyncIterator[tuple[AccountsProgram, str]]:
    account_id = new_account_id()
    async with accounts_program(moto.url, folder) as program:
        ServiceQuotas(_QUOTAS).extend(program.aws)
        text = f'version: 11\nglobal: {{regions: [eu-west-1]}}\naccounts:\n  hello: {{id: "{account_id}"}}\n'
        (folder / "accounts.yaml").write_text(text, encoding="utf-8")
        yield program, account_id


async def test_a_quota_that_is_nearly_used_up_is_marked_and_is_no_error(moto: Aws, tmp_path: Path) -> None:
    async with _program(moto, tmp_path) as (program, account_id):
        ended = await program.run("limits", "h*")
        assert (ended.code, ended.err, program.aws.writes) == (0, "", [])
        assert ended.out.splitlines() == [
            f"hello ({account_id})",
            "  the whole account",
            "        0% iam Roles per account (L-FE177D64): 0 of 1000",
            "  eu-west-1",
            "    ! 100% vpc VPCs per Region (L-F678F1CE): 1 of 1",
            "  1 more quota, whose use AWS does not state; --json shows all",
            "1 quota used to 80 % or more.",
        ]


async def test_json_has_every_quota(moto: Aws, tmp_path: Path) -> None:
    async with _program(moto, tmp_path) as (program, account_id):
        ended = await program.run("limits", "--json")
        (account,) = json.loads(ended.out)["accounts"]
        assert (account["account"], account["account_id"], account["error"]) == ("hello", account_id, "")
        assert {one["code"]: (one["used"], one["share"], one["marked"]) for one in account["limits"]} == {
            "L-FE177D64": (0, 0.0, False), "L-407747CB": (None, None, False), "L-F678F1CE": (1, 1.0, True),
        }  # fmt: skip


async def test_quotas_that_cannot_be_listed_are_an_error_with_the_needed_actions(moto: Aws, tmp_path: Path) -> None:
    async with _program(moto, tmp_path) as (program, _):
        program.aws.before = denied("servicequotas:ListServiceQuotas")
        ended = await program.run("limits")
        assert ended.code == 1
        assert "whence-accounts: hello eu-west-1: AWS denies it" in ended.err
        assert "servicequotas:ListServiceQuotas" in ended.err


async def test_a_pattern_without_accounts_is_refused(moto: Aws, tmp_path: Path) -> None:
    async with _program(moto, tmp_path) as (program, _):
        assert (await program.run("limits", "nobody*")).code == 1
        assert program.aws.calls == []


def _limit(value: float, used: int | None, problem: str = "") -> ServiceLimit:
    return ServiceLimit(
        service="vpc", code="L-1", name="VPCs", region="eu-west-1", value=value, unit="", is_adjustable=False, used=used,
        problem=problem,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "used", "marked"),
    [(100, 79, False), (100, 80, True), (100, 101, True), (0, 0, False), (0, 1, True), (5, None, False)],
)
def test_a_quota_is_marked_from_80_percent_on(value: float, used: int | None, marked: bool) -> None:
    assert is_marked(_limit(value, used)) is marked


def test_a_use_that_could_not_be_read_is_shown_with_the_reason() -> None:
    assert list(limit_lines("hello", "123456789012", [_limit(5, None, "AccessDenied")])) == [
        "hello (123456789012)", "  eu-west-1", "         ? vpc VPCs (L-1): the use is not known: AccessDenied",
    ]  # fmt: skip
