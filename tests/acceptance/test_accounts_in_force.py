"""The declared state of accounts, as operators run it: applied by whence-accounts, and compared by a running aggregator."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiohttp import web

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.aws_cloudtrail_lookup import LookedUpEvents
from fakes.counted_aws import AwsCall, CountedAws
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.processes import Ended
from landscape.programs import Aggregator, aggregator
from whence_common.clock import to_instant, utc_now
from whence_common.runtime.pause import pause

REGION = "eu-west-1"
BY_HAND = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
HAPPENED = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
CONFIGURATION = """\
version: 11
global:
  regions: [eu-west-1]
  auditor_role: {trusted: ["210987654321"], drift: true}
  roles:
    deployer:
      assume_role_policy:
        Statement: {Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}
  kms: {app: {description: "for applications"}}
accounts:
"""
_AS_TEST = ("env", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")


@dataclass
class House:
    """A running aggregator that compares one account with its configuration. `reader` counts the aggregator's calls."""

    moto: Aws
    program: AccountsProgram
    reader: CountedAws
    trail: LookedUpEvents
    server: Aggregator
    account_id: str
    home: Path

    @property
    def configuration(self) -> Path:
        return self.program.folder / "accounts.yaml"

    async def apply(self, **environment: str) -> Ended:
        """Plan and apply; the report goes to the aggregator unless `environment` names another one."""
        told = {"WHENCE_URL": self.server.url, "WHENCE_TOKEN": self.server.token, **environment}
        self.program.environment = told
        assert (await self.program.run("plan", "-o", "p.json")).code == 2
        return await self.program.run("apply", "p.json")

    def iam(self) -> Any:
        """Return a client in the account: to change it by hand."""
        made: dict[str, Any] = {"endpoint_url": self.moto.url, "region_name": REGION}
        sts = boto3.client("sts", aws_access_key_id="test", aws_secret_access_key="test", **made)
        role = f"arn:aws:iam::{self.account_id}:role/ada"
        keys = sts.assume_role(RoleArn=role, RoleSessionName="ada")["Credentials"]
        return boto3.client(
            "iam", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"], **made,
        )  # fmt: skip

    async def drift(self, wanted: Callable[[dict[str, Any]], bool], *, is_due: bool = True) -> dict[str, Any]:
        """Have the account read, as after `seconds`, until its drift is as wanted."""
        if is_due:
            with closing(sqlite3.connect(self.home / "aggregator" / "ledger.db")) as database, database:
                database.execute("update task set due_at = ? where kind = 'account-drift'", (to_instant(utc_now()),))
        found: dict[str, Any] = await self._until(
            lambda: self.server.get(f"/v1/accounts/{self.account_id}"), lambda one: wanted(one["drift"])
        )
        return found

    async def violations(self, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        found = await self._until(
            lambda: self.server.get("/v1/violations", kind="account", rule="account-drift", account=self.account_id),
            lambda one: wanted(one["violations"]),
        )
        violations: list[dict[str, Any]] = found["violations"]
        return violations

    async def _until(self, ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
        found: Any = None
        try:
            async with asyncio.timeout(40):
                while True:
                    found = await ask()
                    if wanted(found):
                        return found
                    await pause(0.1)
        except TimeoutError:
            raise AssertionError(f"never as wanted: {json.dumps(found)[:4000]}") from None


@pytest.fixture(scope="module")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@asynccontextmanager
async def opened(moto: Aws, tmp_path: Path) -> AsyncIterator[House]:
    account_id, trail = new_account_id(), LookedUpEvents()
    folder = tmp_path / "operator"
    folder.mkdir()
    (folder / "accounts.yaml").write_text(f'{CONFIGURATION}  hello: {{id: "{account_id}"}}\n', encoding="utf-8")
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(accounts_program(moto.url, folder))
        reader = await stack.enter_async_context(CountedAws(moto.url).serve())
        for one in (program.aws, reader):
            speak_what_moto_lacks(one)
        trail.install(reader)
        server = await stack.enter_async_context(
            aggregator(
                tmp_path, tmp_path, authority_pem={REGION: SigningAuthority.make().pem}, accounts=(account_id,),
                within=_AS_TEST, aws_endpoint_url=reader.url,
                inventory={"regions": [REGION], "role_name": "fullstop"},
                account_configuration={"file": str(folder / "accounts.yaml"), "role": "fullstop", "seconds": 60},
            )
        )  # fmt: skip
        yield House(moto, program, reader, trail, server, account_id, tmp_path)


@pytest.fixture
async def house(moto: Aws, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(moto, tmp_path) as made:
        yield made


async def test_an_account_is_followed_from_its_first_apply_over_a_change_by_hand_to_a_denied_reading(
    house: House,
) -> None:
    fresh = await house.drift(lambda one: one["state"] == "drifted", is_due=False)
    assert {"role/deployer", "role/fullstop"} <= {one["address"] for one in fresh["drift"]["first"]}

    applied = await house.apply()
    assert applied.code == 0, applied.out + applied.err
    await house.drift(lambda one: one["state"] == "converged")
    await house.violations(lambda found: found == [])
    code, shown = await house.server.whence("accounts")
    assert code == 0, shown
    assert "converged" in shown

    house.iam().update_assume_role_policy(RoleName="deployer", PolicyDocument=json.dumps(BY_HAND))
    house.trail.happened(
        house.account_id, "us-east-1", "UpdateAssumeRolePolicy", resource="deployer", by="ada", at=HAPPENED
    )
    await house.drift(lambda one: one["state"] == "drifted")
    code, shown = await house.server.whence("accounts")
    assert code == 1
    assert "1 differ" in shown
    _, shown = await house.server.whence("accounts", "show", house.account_id)
    assert "update role/deployer (UpdateAssumeRolePolicy by ada at 2026-11-26T09:30:00.000Z)" in shown
    (violation,) = await house.violations(lambda found: [one["verdict"] for one in found] == ["fail"])
    assert violation["reason"] == (
        "1 resource differs from the configuration: role/deployer; "
        "ada changed role/deployer at 2026-11-26T09:30:00.000Z (UpdateAssumeRolePolicy)"
    )

    house.reader.before = _denied("iam:GetAccountAuthorizationDetails")
    await house.drift(lambda one: one["state"] == "unknown")
    (violation,) = await house.violations(lambda found: [one["verdict"] for one in found] == ["unknown"])
    assert "role/*: hello role: AWS denies it" in violation["reason"]
    assert "allow iam:GetAccountAuthorizationDetails" in violation["reason"]
    assert house.reader.writes == []


async def test_a_file_that_becomes_invalid_makes_the_account_unknown_and_ends_nothing(house: House) -> None:
    assert (await house.apply()).code == 0
    await house.drift(lambda one: one["state"] == "converged")
    content = house.configuration.read_bytes()
    house.configuration.write_bytes(content.replace(b"regions:", b"regiones:"))
    broken = await house.drift(lambda one: one["state"] == "unknown")
    assert (
        "accounts.yaml:3:3: error[settings-invalid]: global.regiones: unknown setting" in broken["drift"]["reason"]
    ), broken["drift"]["reason"]
    (violation,) = await house.violations(lambda found: [one["verdict"] for one in found] == ["unknown"])
    assert "global.regiones" in violation["reason"]
    house.configuration.write_bytes(content)
    await house.drift(lambda one: one["state"] == "converged")


async def test_the_report_of_an_apply_is_recorded_and_shown_and_sent_later_if_the_aggregator_was_down(
    house: House,
) -> None:
    down = await house.apply(WHENCE_URL="http://127.0.0.1:1")
    assert down.code == 1
    assert "the report is not recorded" in down.err
    assert "it is kept; send it with: whence-accounts submit p.json" in down.err
    assert (await house.server.get("/v1/account-plans"))["plans"] == []
    house.program.environment["WHENCE_URL"] = house.server.url
    for _ in range(2):
        sent = await house.program.run("submit", "p.json")
        assert sent.code == 0, sent.err
        (plan,) = (await house.server.get("/v1/account-plans", account=house.account_id))["plans"]
        assert f"the report is recorded in the ledger, entry {plan['ledger_index']}" in sent.err
    _, shown = await house.server.whence("accounts", "show", house.account_id)
    assert f"changed by demo (ledger {plan['ledger_index']})" in shown, shown


def _denied(name: str) -> Callable[[AwsCall], web.Response | None]:
    """Deny a call as IAM does, without its name in the message."""

    def refused(call: AwsCall) -> web.Response | None:
        if call.name != name:
            return None
        error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        text = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
        return web.Response(status=403, text=text, content_type="text/xml")

    return refused
