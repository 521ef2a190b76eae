"""The subcommand check-permissions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import click

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.permissions import actions_of, policy_of
from whence_aggregator.accounts.planning import verify_all
from whence_aggregator.accounts_command import options
from whence_aggregator.accounts_command.configured import configured_accounts
from whence_aggregator.accounts_command.ending import CONVERGED, ERROR, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import read_configuration_file
from whence_aggregator.accounts_command.planned import chosen_steps
from whence_aggregator.accounts_command.running import opened_aws
from whence_common.errors import WhenceError
from whence_common.visible import printable


@click.command("check-permissions")
@click.argument("pattern", nargs=-1)
@options.config
@click.option("--step", "steps", multiple=True, metavar="NAME", help="Only this step. May be repeated.")
@click.option("--read-only", is_flag=True, help="Only what plan needs.")
@click.option("--policy", is_flag=True, help="Print the IAM policy with exactly the needed actions, and ask nobody.")
@options.max_procs
def check_permissions(
    pattern: tuple[str, ...], config: Path, steps: tuple[str, ...], read_only: bool, policy: bool, max_procs: int
) -> None:
    """Check that the role of each account may do what plan and apply need. Asks IAM, and writes nothing."""
    chosen = chosen_steps(steps)
    if policy:
        show(json.dumps(policy_of(chosen, writing=not read_only), indent=2))
        return
    accounts = configured_accounts(read_configuration_file(config), pattern, name=str(config))
    actions = actions_of(chosen, writing=not read_only)
    lines, wrong = asyncio.run(_ask(accounts, actions, at_once=max_procs))
    for line in lines:
        show(line)
    if wrong:
        say("whence-accounts: whence-accounts check-permissions --policy prints a policy that allows all of it")
    raise ProgramEnd(ERROR if wrong else CONVERGED)


async def _ask(
    accounts: Sequence[ConfiguredAccount], actions: Sequence[str], *, at_once: int
) -> tuple[list[str], bool]:
    limit = asyncio.Semaphore(at_once)
    async with opened_aws() as providers:
        unreachable = await verify_all([one.target for one in accounts], providers, at_once=at_once)

        async def one(account: ConfiguredAccount) -> tuple[list[str], bool]:
            shown = f"{account.name} ({account.account_id})"
            if account.account_id in unreachable:
                return [f"✗ {shown}: {printable(unreachable[account.account_id].diagnostics())}"], True
            async with limit:
                try:
                    denied = await providers.denied(account.target, actions)
                except WhenceError as exc:
                    return [f"✗ {shown}: {printable(exc.diagnostics())}"], True
            if not denied:
                return [f"✓ {shown}: all {len(actions)} actions are allowed"], False
            return [
                f"✗ {shown}: {len(denied)} of {len(actions)} actions are denied",
                *(f"    {a}" for a in denied),
            ], True

        found = await asyncio.gather(*map(one, accounts))
    return [line for lines, _ in found for line in lines], any(wrong for _, wrong in found)
