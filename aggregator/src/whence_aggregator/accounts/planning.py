"""Make plans: verify every account, read what stands, compare. Makes no write call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from whence_aggregator.accounts.account import ConfiguredAccount, Target
from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.plan import AccountPlan, RecordedResource, Remark
from whence_aggregator.accounts.ports import Providers
from whence_aggregator.accounts.reading import read_account
from whence_aggregator.accounts.resources import ResourceKind, StandingResource, WantedResource, referred
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError, WhenceError

READS_AT_ONCE = 32
"""Of one account; the SDK retries throttled calls with jitter."""

_MISMATCHES_NAMED_MAX = 10


class AccountMismatch(InputError):
    """The credentials or the alias of an account are those of another one. Nothing was written anywhere."""


async def verify(target: Target, providers: Providers) -> None:
    """Check that an account is the one that its name says. Raises AccountMismatch, or RoadError."""
    found = await providers.identity(target)
    if found != target.account_id:
        message = f"account {target.name} has id {target.account_id}, but its credentials are those of {found}"
        raise AccountMismatch("account-mismatch", message, fix="correct the id, or the role or profile of its access")
    if target.alias is None:
        return
    aliases = await providers.aliases(target)
    if aliases and target.alias not in aliases:
        message = f"account {target.name} ({target.account_id}) has the alias {aliases[0]}, not {target.alias}"
        fix = f"check that it is the right account, then write alias: {aliases[0]}"
        raise AccountMismatch("alias-mismatch", message, fix=fix)


async def verify_all(targets: Sequence[Target], providers: Providers, *, at_once: int) -> Mapping[str, WhenceError]:
    """Check all accounts; return why those cannot be reached that cannot, by id. Raises AccountMismatch, naming ten."""
    limit = asyncio.Semaphore(at_once)

    async def one(target: Target) -> WhenceError | None:
        async with limit:
            try:
                await verify(target, providers)
            except WhenceError as exc:
                return exc
            finally:
                await providers.release(target)
        return None

    found = zip(targets, await asyncio.gather(*map(one, targets)), strict=True)
    wrong = {target.account_id: exc for target, exc in found if exc is not None}
    mismatches = [exc for exc in wrong.values() if isinstance(exc, AccountMismatch)]
    if len(mismatches) > 1:
        more = [f"{len(mismatches) - _MISMATCHES_NAMED_MAX} more"] if len(mismatches) > _MISMATCHES_NAMED_MAX else []
        message = "; ".join([*(each.message for each in mismatches[:_MISMATCHES_NAMED_MAX]), *more])
        raise AccountMismatch("account-mismatch", message, fix="correct the configuration; nothing was written")
    if mismatches:
        raise mismatches[0]
    return wrong


def unreachable(account: ConfiguredAccount, exc: WhenceError) -> AccountPlan:
    """Return the plan of an account of which nothing can be read."""
    remark = Remark(address="*", step="account", kind="unread", message=exc.message[:1_500], fix=exc.fix[:400])
    return AccountPlan(
        account=account.name, account_id=account.account_id, access=account.settings.access,
        regions=account.settings.regions, alias=account.settings.alias, changes=(), standing=(), remarks=(remark,),
    )  # fmt: skip


async def plan_account(
    account: ConfiguredAccount, steps: Sequence[AccountStep], providers: Providers, allowed: Allowed
) -> AccountPlan:
    """Return the plan of one account that was verified. A kind that cannot be read becomes a remark."""
    wanted = wanted_of(account, steps)
    kinds = [kind for step in steps for kind in step.kinds]
    reading = await read_account(
        account.target, kinds, wanted, providers, at_once=asyncio.Semaphore(READS_AT_ONCE)
    )  # fmt: skip
    found = compare(wanted, reading.standing, allowed, reading.unread)
    return AccountPlan(
        account=account.name, account_id=account.account_id, access=account.settings.access,
        regions=account.settings.regions, alias=account.settings.alias, changes=found.changes,
        standing=_recorded(reading.standing, wanted), remarks=_sorted((*reading.remarks, *found.remarks)),
    )  # fmt: skip


def wanted_of(account: ConfiguredAccount, steps: Sequence[AccountStep]) -> tuple[WantedResource, ...]:
    """Return what the configuration of an account states. Raises InputError, also for an address that occurs twice."""
    wanted = tuple(one for step in steps for one in step.wanted(account))
    twice = {address for address, count in Counter(one.address for one in wanted).items() if count > 1}
    if twice:
        message = f"accounts.{account.name}: {', '.join(sorted(twice))} is configured twice"
        raise InputError("accounts-twice", message, fix="remove one of the two")
    return wanted


def steps_missing(
    account: ConfiguredAccount, steps: Sequence[AccountStep], kinds: Mapping[str, ResourceKind]
) -> dict[str, tuple[str, str]]:
    """Return resources that refer to one of a step that was not chosen, each with that address and the step's name.

    `kinds` are those of all steps. What is referred to would not be read, so that its value would not be known.
    Raises InputError.
    """
    wanted = wanted_of(account, steps)
    known, chosen = {one.address for one in wanted}, {one.name for one in steps}
    found: dict[str, tuple[str, str]] = {}
    for one in wanted:
        for address in sorted(referred(dict(one.state)) - known):
            kind = kinds[next(part for part in address.split("/") if part in kinds)]
            if kind.step not in chosen:
                found.setdefault(one.address, (address, kind.step))
    return found


def _recorded(standing: Sequence[StandingResource], wanted: Sequence[WantedResource]) -> tuple[RecordedResource, ...]:
    aspects = {one.address: tuple(one.state) for one in wanted}
    return tuple(
        RecordedResource(
            address=one.address, own=one.is_own, outputs=msgspec.to_builtins(dict(one.outputs)),
            state=msgspec.to_builtins(
                {name: one.state.get(name) for name in (*one.surplus, *(aspects.get(one.address) or one.state))}
            ),
        )
        for one in sorted(standing, key=lambda each: each.address)
    )  # fmt: skip


def _sorted(remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    return tuple(sorted(remarks, key=lambda one: (one.kind, one.address, one.message)))
