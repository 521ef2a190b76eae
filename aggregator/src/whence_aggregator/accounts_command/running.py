"""Run plans and applies: opens AWS, bounds the work, and shows its progress."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier, refused
from whence_aggregator.accounts.difference import Allowed
from whence_aggregator.accounts.many import apply_accounts, plan_accounts
from whence_aggregator.accounts.plan import AccountPlan, PlanFile
from whence_aggregator.accounts.report import AccountReport, ApplyReport
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.table import KINDS
from whence_aggregator.accounts_command.files import FileJournal, account_lock, state_folder
from whence_aggregator.accounts_command.progress import ProgressLine
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_common.clock import to_instant, utc_now
from whence_common.errors import InputError, RoadError


class ApplyInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended an apply. `report` states what was done until then."""

    def __init__(self, report: ApplyReport) -> None:
        super().__init__()
        self.report = report


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


class AwsSession:
    """Plans and applies with the same clients, which stay open from one to the other. To be used in a `with` block."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._told: Callable[[str], None] = lambda _: None
        self._stack = AsyncExitStack()

    def __enter__(self) -> AwsSession:
        self._runner.__enter__()
        opened = opened_aws(told=lambda text: self._told(text))
        self._providers = self._runner.run(self._stack.enter_async_context(opened))
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.close()

    def plan(
        self, accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep], allowed: Allowed, *,
        configuration: str, flags: tuple[str, ...], at_once: int,
    ) -> PlanFile:  # fmt: skip
        """Return the plan of the accounts. Raises WhenceError before any account is read whole where one is another."""
        progress = ProgressLine("planned", len(accounts))
        try:
            plans = self._runner.run(
                plan_accounts(
                    accounts, steps, self._providers, allowed, at_once=at_once,
                    planned=lambda one: progress.step(one.account),
                )
            )  # fmt: skip
        finally:
            progress.end()
        return PlanFile(made_at=to_instant(utc_now()), configuration=configuration, flags=flags, accounts=plans)

    def apply(self, plan: PlanFile, *, journal: Path, at_once: int, was_made_here: bool = False) -> ApplyReport:
        """Apply a plan and return its report. Raises WhenceError before the first write, and ApplyInterrupted.

        `was_made_here`: this session has just planned the accounts, and verified them.
        """
        begun = to_instant(utc_now())
        kept = FileJournal(journal, plan.digest)
        progress = ProgressLine("applied", sum(len(one.changes) for one in plan.accounts))
        self._told = progress.say

        appliers: dict[str, Applier] = {}
        ended: dict[str, AccountReport] = {}

        def applier(account: AccountPlan) -> Applier:
            return appliers.setdefault(account.account_id, Applier(
                plan=account, kinds=KINDS, providers=self._providers, journal=kept, pause=asyncio.sleep,
                progress=lambda one: progress.step(f"{account.account} {one.address}"), reads_all=not was_made_here,
            ))  # fmt: skip

        def report(accounts: tuple[AccountReport, ...]) -> ApplyReport:
            return ApplyReport(
                plan=plan.digest, configuration=plan.configuration, begun_at=begun, ended_at=to_instant(utc_now()),
                accounts=accounts,
            )  # fmt: skip

        work = apply_accounts(
            plan, applier, self._providers, at_once=at_once, lock=partial(account_lock, state_folder(os.environ)),
            applied=lambda one: ended.update({one.account_id: one}), is_verified=was_made_here,
        )  # fmt: skip
        try:
            return report(self._runner.run(work))
        except KeyboardInterrupt as exc:
            raise ApplyInterrupted(report(_until_interrupted(plan, appliers, ended))) from exc
        finally:
            progress.end()


def _until_interrupted(
    plan: PlanFile, appliers: Mapping[str, Applier], ended: Mapping[str, AccountReport]
) -> tuple[AccountReport, ...]:
    """Return what an interrupted apply did in each account with changes."""
    return tuple(
        ended.get(one.account_id)
        or (
            appliers[one.account_id].interrupted()
            if one.account_id in appliers
            else refused(one, RoadError("interrupted", "interrupted before anything was written"))
        )
        for one in plan.accounts
        if one.changes
    )
