"""Run plans and applies: opens AWS, bounds the work, and shows its progress."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier
from whence_aggregator.accounts.difference import Allowed
from whence_aggregator.accounts.many import apply_accounts, plan_accounts
from whence_aggregator.accounts.plan import AccountPlan, PlanFile
from whence_aggregator.accounts.report import ApplyReport
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.table import KINDS
from whence_aggregator.accounts_command.files import FileJournal, account_lock, state_folder
from whence_aggregator.accounts_command.progress import ProgressLine
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_common.clock import to_instant, utc_now
from whence_common.errors import InputError


def endpoint_of(environment: Mapping[str, str]) -> str | None:
    """Return the endpoint of AWS_ENDPOINT_URL, if it is set. Raises InputError for a text that is no address."""
    found = environment.get("AWS_ENDPOINT_URL") or None
    try:
        parts = urlsplit(found or "https://aws")
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        fix = "write it as https://HOST or https://HOST:PORT, or unset it"
        raise InputError("endpoint-invalid", "AWS_ENDPOINT_URL is not the URL of an endpoint", fix=fix)
    return found


@asynccontextmanager
async def opened_aws(*, told: Callable[[str], None] = lambda _: None) -> AsyncIterator[AwsProviders]:
    """Open AWS with the SDK's usual credentials; AWS_ENDPOINT_URL names another endpoint, as for the SDK.

    `told` is told of calls that are repeated.
    """
    providers = AwsProviders.opened(
        endpoint_url=endpoint_of(os.environ), clock=asyncio.get_running_loop().time, told=told
    )
    try:
        yield providers
    finally:
        await providers.close()


async def make_plan(
    accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep], allowed: Allowed, *, configuration: str,
    flags: tuple[str, ...], at_once: int,
) -> PlanFile:  # fmt: skip
    """Return the plan of the accounts. Raises WhenceError before any account is read whole where one is another."""
    progress = ProgressLine("planned", len(accounts))
    try:
        async with opened_aws() as providers:
            plans = await plan_accounts(
                accounts, steps, providers, allowed, at_once=at_once,
                planned=lambda one: progress.step(one.account),
            )  # fmt: skip
    finally:
        progress.end()
    return PlanFile(made_at=to_instant(utc_now()), configuration=configuration, flags=flags, accounts=plans)


async def apply_plan(plan: PlanFile, *, journal: Path, at_once: int) -> ApplyReport:
    """Apply a plan and return its report. Raises WhenceError before the first write."""
    begun = to_instant(utc_now())
    kept = FileJournal(journal, plan.digest)
    progress = ProgressLine("applied", sum(len(one.changes) for one in plan.accounts))
    try:
        async with opened_aws(told=progress.say) as providers:

            def applier(account: AccountPlan) -> Applier:
                return Applier(
                    plan=account, kinds=KINDS, providers=providers, journal=kept, pause=asyncio.sleep,
                    progress=lambda one: progress.step(f"{account.account} {one.address}"),
                )  # fmt: skip

            reports = await apply_accounts(
                plan, applier, providers, at_once=at_once, lock=partial(account_lock, state_folder(os.environ))
            )
    finally:
        progress.end()
    return ApplyReport(
        plan=plan.digest, configuration=plan.configuration, begun_at=begun, ended_at=to_instant(utc_now()),
        accounts=reports,
    )  # fmt: skip
