"""Accounts on moto, for tests of the account tool's steps and providers: plan and apply in one line."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import msgspec

from fakes.account_extensions import speak_what_moto_lacks
from fakes.counted_aws import CountedAws
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.difference import Allowed
from whence_aggregator.accounts.plan import AccountPlan
from whence_aggregator.accounts.planning import plan_account, verify
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.table import KINDS, STEPS
from whence_aggregator.adapters.accounts.providers import AwsProviders

REGION = "eu-west-1"


def new_account_id() -> str:
    """Return an id that no other test uses: moto keeps a world for each."""
    return f"{secrets.randbelow(9 * 10**11) + 10**11}"


@dataclass
class KeptJournal:
    """A journal in memory."""

    begun: set[tuple[str, str]] = field(default_factory=set)

    def begin(self, account_id: str, address: str) -> None:
        self.begun.add((account_id, address))

    def has_begun(self, account_id: str, address: str) -> bool:
        return (account_id, address) in self.begun


@dataclass
class AccountWorld:
    """One fresh account behind a counting proxy. `settings` are the keys of its section besides `id` and `regions`."""

    aws: CountedAws
    providers: AwsProviders
    steps: Sequence[AccountStep]
    account_id: str = field(default_factory=new_account_id)
    settings: dict[str, Any] = field(default_factory=dict)
    regions: tuple[str, ...] = (REGION,)
    admin_account_id: str | None = None
    organization_id: str | None = None
    journal: KeptJournal = field(default_factory=KeptJournal)
    pauses: list[float] = field(default_factory=list)
    """Seconds that were waited until AWS knows what is new."""
    told: list[str] = field(default_factory=list)

    @property
    def account(self) -> ConfiguredAccount:
        section = {"id": self.account_id, "regions": list(self.regions), "alias": None, **self.settings}
        settings = msgspec.convert(section, AccountSettings)
        return ConfiguredAccount(
            name="hello", account_id=self.account_id, settings=settings, admin_account_id=self.admin_account_id,
            organization_id=self.organization_id,
        )  # fmt: skip

    async def plan(self, **allowed: tuple[str, ...]) -> AccountPlan:
        """Plan these steps for the account; `adopt` and `delete` as the command takes them."""
        account = self.account
        await verify(account.target, self.providers)
        return await plan_account(account, self.steps, self.providers, Allowed(**allowed))

    async def apply(self, plan: AccountPlan) -> AccountReport:
        return await Applier(
            plan=plan, kinds={**KINDS, **{kind.name: kind for step in self.steps for kind in step.kinds}},
            providers=self.providers, journal=self.journal, pause=_no_pause,
        ).apply()  # fmt: skip

    async def converge(self, **allowed: tuple[str, ...]) -> AccountReport:
        """Plan and apply; then check that a plan has no changes and makes no write call."""
        report = await self.apply(await self.plan(**allowed))
        assert report.succeeded, report
        self.aws.forget()
        again = await self.plan(**allowed)
        assert (again.changes, self.aws.writes) == ((), [])
        return report

    def client(
        self, service: str, region: str = REGION, account_id: str | None = None, *, role_name: str = "somebody"
    ) -> Any:
        """Return the vendor's own client in the account, past the counting proxy: to look, and to change by hand."""
        role = f"arn:aws:iam::{account_id or self.account_id}:role/{role_name}"
        sts = boto3.client("sts", **self._made("test", "test", region))
        given = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        keys = self._made(given["AccessKeyId"], given["SecretAccessKey"], region)
        return boto3.client(service, aws_session_token=given["SessionToken"], **keys)

    def _made(self, key: str, secret: str, region: str) -> Mapping[str, Any]:
        return {
            "endpoint_url": self.aws.backend, "region_name": region, "aws_access_key_id": key,
            "aws_secret_access_key": secret,
        }  # fmt: skip


@asynccontextmanager
async def account_world(
    backend: str, *, steps: Sequence[AccountStep] = STEPS, request_seconds_max: float = 20.0, attempts_max: int = 8,
    **about: Any,
) -> AsyncIterator[AccountWorld]:  # fmt: skip
    """Open a world on a running moto server; `steps` are those that are planned."""
    async with CountedAws(backend).serve() as aws:
        clock = asyncio.get_running_loop().time
        pauses: list[float] = []
        told: list[str] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        providers = AwsProviders.opened(
            endpoint_url=aws.url, clock=clock, pause=pause, told=told.append, request_seconds_max=request_seconds_max,
            attempts_max=attempts_max,
        )  # fmt: skip
        speak_what_moto_lacks(aws)
        try:
            yield AccountWorld(aws, providers, steps, pauses=pauses, told=told, **about)
        finally:
            await providers.close()


async def _no_pause(seconds: float) -> None:
    await asyncio.sleep(0)
