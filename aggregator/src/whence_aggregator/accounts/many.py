"""Plan and apply many accounts: verified first, then a bounded number at once, each failure kept to its account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.applying import Applier, refused
from whence_aggregator.accounts.difference import Allowed
from whence_aggregator.accounts.plan import AccountPlan, PlanFile
from whence_aggregator.accounts.planning import plan_account, unreachable, verify_all
from whence_aggregator.accounts.ports import Providers
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import WhenceError

Planned = Callable[[AccountPlan], None]


async def plan_accounts(
    accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep], providers: Providers, allowed: Allowed,
    *, at_once: int, planned: Planned = lambda _: None,
) -> tuple[AccountPlan, ...]:  # fmt: skip
    """Return the plans in the order of the accounts. Raises AccountMismatch before anything else is read.

    An account that cannot be reached has a plan with one remark `unread` and no changes.
    """
    wrong = await verify_all([one.target for one in accounts], providers, at_once=at_once)
    limit = asyncio.Semaphore(at_once)
    admins = {one.admin_account_id for one in accounts}

    async def one(account: ConfiguredAccount) -> AccountPlan:
        async with limit:
            if account.account_id in wrong:
                plan = unreachable(account, wrong[account.account_id])
            else:
                plan = await plan_account(account, steps, providers, allowed)
                if account.account_id not in admins:  # others read its zone
                    await providers.release(account.target)
            planned(plan)
            return plan

    return tuple(await asyncio.gather(*map(one, accounts)))


async def apply_accounts(
    plan: PlanFile, applier: Callable[[AccountPlan], Applier], providers: Providers, *, at_once: int,
    lock: Callable[[str], AbstractContextManager[None]],
    applied: Callable[[AccountReport], None] = lambda _: None, is_verified: bool = False,
) -> tuple[AccountReport, ...]:  # fmt: skip
    """Apply the accounts of a plan that have changes. Raises AccountMismatch before the first write anywhere.

    `is_verified`: they were verified in this run, to be planned; an applier verifies its account in any case.
    `lock` is held while an account is written, and raises WhenceError where another process holds it.
    """
    pending = [one for one in plan.accounts if one.changes]
    targets = [] if is_verified else [one.target for one in pending]
    wrong = await verify_all(targets, providers, at_once=at_once)
    limit = asyncio.Semaphore(at_once)

    async def one(account: AccountPlan) -> AccountReport:
        async with limit:
            report = await _apply_one(account, applier, lock, wrong.get(account.account_id))
            applied(report)
            return report

    return tuple(await asyncio.gather(*map(one, pending)))


async def _apply_one(
    account: AccountPlan, applier: Callable[[AccountPlan], Applier],
    lock: Callable[[str], AbstractContextManager[None]], wrong: WhenceError | None,
) -> AccountReport:  # fmt: skip
    try:
        if wrong is not None:
            raise wrong
        with lock(account.account_id):
            return await applier(account).apply()
    except WhenceError as exc:
        return refused(account, exc)
