"""The aggregator's plan of an account whose reading AWS refuses: unknown with the reason, and no violation is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from contract.test_account_drift import ONE, DriftHouse, drift, drifting
from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.aws_refusals import denied, passed, refused
from fakes.counted_aws import AwsCall, CountedAws
from landscape.aws import Aws
from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.adapters.accounts.configuration_file import ConfigurationFile
from whence_aggregator.adapters.accounts.planner import ConfiguredPlanner
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_aggregator.adapters.aws_clients import ServiceClients
from whence_aggregator.ports import SourceUnavailable

__all__ = ["drifting"]
_TEXT = """\
version: 11
global: {{regions: [eu-west-1], alias: null, ebs_encrypt_by_default: false, kms: {{app: {{}}}}}}
accounts: {{hello: {{id: "{id}"}}}}
"""


@dataclass
class Released(AwsProviders):
    """Providers that note which accounts were released."""

    released: list[str] = field(default_factory=list)

    def __init__(self, url: str, *, attempts_max: int, request_seconds_max: float) -> None:
        super().__init__(
            lambda profile: ServiceClients(
                endpoint_url=url, session_name="reader", clock=asyncio.get_running_loop().time,
                attempts_max=attempts_max, request_seconds_max=request_seconds_max, profile=profile,
            )
        )  # fmt: skip
        self.released = []

    async def release(self, target: Target) -> None:
        self.released.append(target.account_id)
        await super().release(target)


@dataclass
class Planned:
    aws: CountedAws
    providers: Released
    planner: ConfiguredPlanner
    account_id: str


@pytest.fixture
async def planned(moto: Aws, tmp_path: Path) -> AsyncIterator[Planned]:
    account_id = new_account_id()
    (tmp_path / "accounts.yaml").write_text(_TEXT.format(id=account_id), encoding="utf-8")
    async with CountedAws(moto.url).serve() as aws:
        speak_what_moto_lacks(aws)
        providers = Released(aws.url, attempts_max=2, request_seconds_max=2.0)
        planner = ConfiguredPlanner(
            file=ConfigurationFile(str(tmp_path / "accounts.yaml"), endpoint_url=aws.url), providers=providers,
            steps=[one for one in STEPS if one.name == "keys"], access=AccountAccess(role="reader"), at_once=1,
            asks_doers=True,
        )  # fmt: skip
        try:
            yield Planned(aws, providers, planner, account_id)
        finally:
            await providers.close()


async def test_an_account_is_planned_read_only_and_its_clients_are_closed(planned: Planned) -> None:
    found = await planned.planner.drift(planned.account_id)
    assert found is not None
    assert ([one.address for one in found.first], found.unread) == (["eu-west-1/key/app"], ())
    assert planned.aws.writes == []
    assert planned.providers.released == [planned.account_id]


@pytest.mark.parametrize(
    "code, message, said, fix",
    [
        ("AccessDenied", "not authorized to perform: sts:AssumeRole", "cannot be assumed: AWS denies it", "trust policy"),
        ("Throttling", "Rate exceeded", "cannot be assumed: AWS throttles requests", "run it again"),
        ("ExpiredToken", "The token is expired", "cannot be assumed: AWS does not accept your own", "renew"),
    ],
)  # fmt: skip
async def test_a_role_that_cannot_be_assumed_is_named_with_its_account_and_the_reason(
    planned: Planned, code: str, message: str, said: str, fix: str
) -> None:
    planned.aws.before = lambda call: refused(call, code, message) if call.action == "AssumeRole" else None
    with pytest.raises(SourceUnavailable) as caught:
        await planned.planner.drift(planned.account_id)
    assert f"hello: the role arn:aws:iam::{planned.account_id}:role/reader {said}" in caught.value.message
    assert fix in caught.value.fix
    assert planned.providers.released == [planned.account_id]
    planned.aws.before = passed
    assert await planned.planner.drift(planned.account_id) is not None


async def test_a_service_that_never_answers_is_unread_and_ends_in_time(planned: Planned) -> None:
    async def hangs(call: AwsCall) -> web.Response | None:
        if call.name.startswith("kms:"):
            await asyncio.Event().wait()
        return None

    planned.aws.before = hangs
    async with asyncio.timeout(30):
        found = await planned.planner.drift(planned.account_id)
    assert found is not None
    assert (found.changes, [one.address for one in found.unread]) == (0, ["eu-west-1/key/*"])
    assert "AWS does not answer in time" in found.unread[0].reason


async def test_a_denied_list_is_unread_with_the_actions_that_are_missing_the_same_at_each_reading(
    planned: Planned,
) -> None:
    planned.aws.before = denied("kms:ListAliases")
    first = await planned.planner.drift(planned.account_id)
    assert first is not None
    assert "allow kms:" in first.unread[0].reason
    assert await planned.planner.drift(planned.account_id) == first, "another fact would be recorded each time"


@pytest.mark.parametrize("code", ["account-denied", "account-throttled", "account-credentials", "account-unreachable"])
async def test_a_reading_that_fails_is_never_a_pass_and_closes_no_violation(drifting: DriftHouse, code: str) -> None:
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    opened = await drifting.open()
    assert len(opened) == 1
    drifting.planner.accounts[ONE] = SourceUnavailable(code, "one: the role cannot be assumed", fix="allow it")
    for _ in range(3):
        await drifting.later()
        outcome, reason = await drifting.verdict()
        assert (outcome, "one: the role cannot be assumed" in reason) == ("unknown", True)
        assert await drifting.open() == opened
    drifting.planner.accounts[ONE] = drift(unread="eu-west-1/vpc/*")
    await drifting.later()
    assert (await drifting.verdict())[0] == "unknown"
    assert await drifting.open() == opened
    drifting.planner.accounts[ONE] = drift()
    await drifting.later()
    assert await drifting.open() == []
