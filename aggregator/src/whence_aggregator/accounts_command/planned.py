"""The subcommands plan and configure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import click

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.difference import Allowed, names_nothing
from whence_aggregator.accounts.mistakes import mistakes_in
from whence_aggregator.accounts.plan import PlanFile, encode_plan
from whence_aggregator.accounts.planning import steps_missing
from whence_aggregator.accounts.shown import plan_lines
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.table import KINDS, STEPS
from whence_aggregator.accounts_command import options
from whence_aggregator.accounts_command.applied import applied_at_once
from whence_aggregator.accounts_command.configured import configured_accounts
from whence_aggregator.accounts_command.ending import CONVERGED, ERROR, PENDING, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import check_output, read_configuration_file, write_plan
from whence_aggregator.accounts_command.running import AwsSession
from whence_common.errors import InputError
from whence_common.visible import printable


def chosen_steps(names: Sequence[str]) -> tuple[AccountStep, ...]:
    """Return the steps of these names; all if none is named. Raises InputError."""
    known = {one.name: one for one in STEPS}
    wrong = [one for one in names if one not in known]
    if wrong:
        fix = f"write some of: {', '.join(known)}"
        raise InputError("step-unknown", f"there is no step {', '.join(wrong)}", fix=fix)
    return tuple(one for one in STEPS if not names or one.name in names)


@click.command()
@click.argument("pattern", nargs=-1)
@options.config
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Write the plan to this file, for apply.")
@click.option("--step", "steps", multiple=True, metavar="NAME", help="Only this step. May be repeated.")
@options.allowing
@options.max_procs
@options.as_json
def plan(
    pattern: tuple[str, ...], config: Path, out: Path | None, steps: tuple[str, ...], adopt: tuple[str, ...],
    delete: tuple[str, ...], max_procs: int, as_json: bool,
) -> None:  # fmt: skip
    """Show what an apply would change in the accounts whose names match a shell PATTERN; all by default.

    Makes no write call.
    """
    if out is not None:
        check_output(out, read=config)
    with AwsSession() as aws:
        made = planned(aws, config, pattern, chosen_steps(steps), adopt=adopt, delete=delete, at_once=max_procs)
    if out is not None:
        write_plan(out, made)
    show_plan(made, as_json=as_json)
    if out is not None and not made.is_converged:
        say(f"whence-accounts: apply it with: whence-accounts apply {out}")
    raise ProgramEnd(code_of(made))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("pattern")
@click.option("--dry-run", is_flag=True, help="Plan only, and write nothing.")
@options.allowing
@options.max_procs
@click.option("--quite", "--quiet", "quiet", is_flag=True, help="Do not show the plan.")
@click.option("--login-account", metavar="NAME", help="Not used: see access.profile.")
@click.option("--token", metavar="TOKEN", help="Not used: see access.role.")
@click.option("--login-only", is_flag=True, help="Only check that every account can be reached.")
@click.option("--update-odd-host", is_flag=True, help="Refused: there are no bastion hosts.")
@click.option("--redeploy-odd-host", is_flag=True, help="Refused: there are no bastion hosts.")
@click.option("--migrate2natgateway", metavar="REGEX", help="Refused: NAT gateways are stated by enable_nat.")
@click.option("--migrate2natgateway-if-empty", is_flag=True, help="Refused: see --migrate2natgateway.")
@click.option("--re-add-defaultroute", is_flag=True, help="Refused: routes are part of every plan.")
def configure(file: Path, pattern: str, dry_run: bool, quiet: bool, adopt: tuple[str, ...], delete: tuple[str, ...],
              max_procs: int, login_only: bool, **stock: object) -> None:  # fmt: skip
    """Plan and apply in one, as Seven Seconds' command does. FILE may be its configuration, version 10.

    The plan is kept beside FILE, so that a run that was cut off is continued with apply.
    """
    refuse_stock_options(stock)
    with AwsSession() as aws:
        made = planned(aws, file, (pattern,), STEPS, adopt=adopt, delete=delete, at_once=max_procs)
        if not quiet:
            show_plan(made, as_json=False)
        if dry_run or login_only:
            is_whole = all(one.is_whole for one in made.accounts)
            raise ProgramEnd(code_of(made) if dry_run else CONVERGED if is_whole else ERROR)
        if made.is_converged:
            raise ProgramEnd(code_of(made))
        raise ProgramEnd(applied_at_once(aws, made, file.with_name(f"{file.name}.plan.json"), at_once=max_procs))


def planned(
    aws: AwsSession, config: Path, pattern: Sequence[str], steps: Sequence[AccountStep], *, adopt: tuple[str, ...],
    delete: tuple[str, ...], at_once: int,
) -> PlanFile:  # fmt: skip
    """Read the configuration, check it whole, and plan. Raises WhenceError."""
    content = read_configuration_file(config)
    accounts = configured_accounts(content, pattern, name=str(config))
    return planned_accounts(aws, content, accounts, steps, config=config, adopt=adopt, delete=delete, at_once=at_once)


def planned_accounts(
    aws: AwsSession, content: bytes, accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep], *,
    config: Path, adopt: tuple[str, ...], delete: tuple[str, ...], at_once: int,
) -> PlanFile:  # fmt: skip
    """Check accounts of a configuration, and plan them. Raises WhenceError."""
    mistakes = mistakes_in(accounts, steps)
    if mistakes:
        raise read_configuration(content, name=str(config)).invalid(mistakes)
    flags = (*(f"--adopt {one}" for one in adopt), *(f"--delete {one}" for one in delete))
    made = aws.plan(
        accounts, steps, Allowed(adopt=adopt, delete=delete), flags=flags, at_once=at_once,
        configuration=f"sha256:{sha256(content).hexdigest()}",
    )  # fmt: skip
    _say_what_names_nothing(made, adopt=adopt, delete=delete)
    return made


def _say_what_names_nothing(plan: PlanFile, **flags: tuple[str, ...]) -> None:
    """Say which patterns match no address of a plan: nothing else tells a mistyped one. Without a whole plan it is not
    known."""
    if not all(one.is_whole for one in plan.accounts):
        return
    seen: set[str] = set()
    for each in plan.accounts:
        for part in (each.changes, each.standing, each.remarks):
            seen |= {one.address for one in part}
    for flag, patterns in flags.items():
        for one in patterns:
            if names_nothing(one, seen):
                say(f"whence-accounts: --{flag} '{printable(one)}' names nothing that stands in these accounts")


def with_needed(accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep]) -> tuple[AccountStep, ...]:
    """Return steps with those that they refer to, in the order of the table. Raises InputError."""
    names = {one.name for one in steps}
    for _ in STEPS:  # each turn adds one at least, or ends
        chosen = tuple(one for one in STEPS if one.name in names)
        missing = {name for one in accounts for _, name in steps_missing(one, chosen, KINDS).values()}
        if not missing:
            break
        names |= missing
    return chosen


def code_of(plan: PlanFile) -> int:
    """Return the exit code of a plan: an error outweighs pending changes."""
    if not all(one.is_whole for one in plan.accounts):
        return ERROR
    return CONVERGED if plan.is_converged else PENDING


def show_plan(plan: PlanFile, *, as_json: bool) -> None:
    if as_json:
        show(json.dumps(json.loads(encode_plan(plan)), indent=1))
        return
    for line in plan_lines(plan):
        show(line)


_STOCK = {
    "login_account": "write access: {profile: …} or access: {role: …} for the accounts in the configuration",
    "token": "set AWS credentials as for other AWS tools, and access: {role: …} in the configuration",
    "update_odd_host": "leave it out: there are no bastion hosts; use AWS Systems Manager or EC2 Instance Connect",
    "redeploy_odd_host": "leave it out: there are no bastion hosts; use AWS Systems Manager or EC2 Instance Connect",
    "migrate2natgateway": "leave it out, and write enable_nat: true in the configuration",
    "migrate2natgateway_if_empty": "leave it out, and write enable_nat: true in the configuration",
    "re_add_defaultroute": "leave it out: a missing default route is part of every plan",
}


def refuse_stock_options(stock: dict[str, object]) -> None:
    """Refuse options of Seven Seconds that have no meaning here, with what to do. Raises click.UsageError."""
    for name, value in stock.items():
        if value:
            raise click.UsageError(f"--{name.replace('_', '-')} is not supported: {_STOCK[name]}")
