"""The subcommand limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.accounts.planning import verify_all
from whence_aggregator.accounts.shown_limits import is_marked, limit_lines, limits_json
from whence_aggregator.accounts_command import options
from whence_aggregator.accounts_command.configured import configured_accounts
from whence_aggregator.accounts_command.ending import CONVERGED, ERROR, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import read_configuration_file
from whence_aggregator.accounts_command.running import opened_aws
from whence_common.errors import WhenceError
from whence_common.visible import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    account: ConfiguredAccount
    limits: tuple[ServiceLimit, ...] = ()
    errors: tuple[str, ...] = ()


@click.command()
@click.argument("pattern", nargs=-1)
@options.config
@options.max_procs
@options.as_json
def limits(pattern: tuple[str, ...], config: Path, max_procs: int, as_json: bool) -> None:
    """Report the service quotas of the accounts whose names match a shell PATTERN, and how much of each is used.

    A quota of which 80 % or more is used is marked with !. It does not change the exit code. Makes no write call.
    """
    accounts = configured_accounts(read_configuration_file(config), pattern, name=str(config))
    found = asyncio.run(_ask(accounts, at_once=max_procs))
    if as_json:
        listed = [limits_json(*_named(one), one.limits, "; ".join(one.errors)) for one in found]
        show(json.dumps({"accounts": listed}, indent=1))
    for one in found:
        for line in limit_lines(*_named(one), one.limits) if not as_json else ():
            show(line)
        for error in one.errors:
            say(f"whence-accounts: {printable(error)}")
    if not as_json:
        marked = sum(is_marked(each) for one in found for each in one.limits)
        show(f"{marked} quota{'s' if marked != 1 else ''} used to 80 % or more.")
    raise ProgramEnd(ERROR if any(one.errors for one in found) else CONVERGED)


def _named(one: _Read) -> tuple[str, str]:
    return one.account.name, one.account.account_id


async def _ask(accounts: Sequence[ConfiguredAccount], *, at_once: int) -> list[_Read]:
    limit = asyncio.Semaphore(at_once)
    async with opened_aws() as providers:
        unreachable = await verify_all([one.target for one in accounts], providers, at_once=at_once)

        async def one(account: ConfiguredAccount) -> _Read:
            if account.account_id in unreachable:
                return _Read(account=account, errors=(unreachable[account.account_id].diagnostics(),))
            found: list[ServiceLimit] = []
            errors: list[str] = []
            async with limit:
                for region in account.regions:
                    try:
                        found += await providers.limits(account.target, region)
                    except WhenceError as exc:
                        errors.append(exc.diagnostics())
            return _Read(account=account, limits=tuple(found), errors=tuple(errors))

        return list(await asyncio.gather(*map(one, accounts)))
