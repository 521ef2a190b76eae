"""The subcommand bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.write import to_yaml
from whence_aggregator.accounts.for_whence import aggregator_settings, check_for_whence, remarks_for_whence
from whence_aggregator.accounts.steps.table import STEPS
from whence_aggregator.accounts_command import options
from whence_aggregator.accounts_command.applied import applied_at_once
from whence_aggregator.accounts_command.configured import configured_accounts
from whence_aggregator.accounts_command.ending import CONVERGED, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import read_configuration_file
from whence_aggregator.accounts_command.planned import code_of, planned_accounts, show_plan, with_needed
from whence_aggregator.accounts_command.running import AwsSession


@click.command()
@click.argument("pattern", nargs=-1, required=True)
@options.config
@options.allowing
@options.max_procs
@click.option("--dry-run", is_flag=True, help="Plan only, and write nothing.")
def bootstrap(pattern: tuple[str, ...], config: Path, adopt: tuple[str, ...], delete: tuple[str, ...], max_procs: int,
              dry_run: bool) -> None:  # fmt: skip
    """Plan and apply only what Whence itself needs in new accounts whose names match a shell PATTERN.

    These are the alias, the auditor role and other roles, the trail and its events, and the mint bucket. Ends with an
    error that names what the configuration does not state of it. Prints the aggregator's settings for these accounts.
    """
    content = read_configuration_file(config)
    accounts = configured_accounts(content, pattern, name=str(config))
    check_for_whence(accounts)
    for remark in remarks_for_whence(accounts):
        say(f"whence-accounts: {remark}")
    steps = with_needed(accounts, tuple(one for one in STEPS if one.is_for_whence))
    with AwsSession() as aws:
        made = planned_accounts(
            aws, content, accounts, steps, config=config, adopt=adopt, delete=delete, at_once=max_procs
        )
        show_plan(made, as_json=False)
        code = code_of(made)
        if not dry_run and not made.is_converged:
            kept = config.with_name(f"{config.name}.bootstrap.plan.json")
            code = applied_at_once(aws, made, kept, at_once=max_procs)
    if code == CONVERGED:
        _show_settings(accounts, config)
    raise ProgramEnd(code)


def _show_settings(accounts: Sequence[ConfiguredAccount], config: Path) -> None:
    show("# The aggregator's settings for these accounts: add them to /etc/whence/aggregator.yaml")
    show("# Who owns the accounts is stated by its setting `organisation`, not by this configuration")
    show(to_yaml(aggregator_settings(accounts, file=str(config.resolve()))).rstrip())
