"""The subcommands apply, show and submit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from whence_aggregator.accounts.plan import PlanFile
from whence_aggregator.accounts.report import ApplyReport
from whence_aggregator.accounts.shown import plan_lines, report_lines
from whence_aggregator.accounts_command import options
from whence_aggregator.accounts_command.ending import CONVERGED, ERROR, ProgramEnd, say, show
from whence_aggregator.accounts_command.files import (
    journal_path,
    read_plan,
    read_report,
    report_path,
    write_plan,
    write_report,
)
from whence_aggregator.accounts_command.running import ApplyInterrupted, AwsSession
from whence_aggregator.whence.connection import AggregatorAccess
from whence_common.errors import InputError, WhenceError
from whence_common.visible import printable


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@options.max_procs
@options.as_json
@click.option(
    "--submit/--no-submit", default=True, help="Post the report to the aggregator of WHENCE_URL, if it is set."
)
def apply(plan: Path, max_procs: int, as_json: bool, submit: bool) -> None:
    """Apply exactly the changes of a PLAN. A plan that was cut off is continued by applying it again.

    An account that has moved since the plan was made is refused, and what moved is named.
    """
    made = read_plan(plan)
    with AwsSession() as aws, kept_if_interrupted(plan, submit=submit, as_json=as_json):
        report = aws.apply(made, journal=journal_path(plan), at_once=max_procs)
    raise ProgramEnd(reported(report, made, plan, submit=submit, as_json=as_json))


def applied_at_once(aws: AwsSession, plan: PlanFile, path: Path, *, at_once: int) -> int:
    """Keep a plan that was just made, apply it, report it, and return the exit code."""
    write_plan(path, plan)
    with kept_if_interrupted(path):
        report = aws.apply(plan, journal=journal_path(path), at_once=at_once, was_made_here=True)
    return reported(report, plan, path, submit=True)


@contextmanager
def kept_if_interrupted(path: Path, *, submit: bool = True, as_json: bool = False) -> Iterator[None]:
    """Keep and show what an apply did before Ctrl-C. It is not posted: whoever interrupts does not wait for that."""
    try:
        yield
    except ApplyInterrupted as exc:
        if exc.report.has_begun:
            is_kept = _keep(exc.report, report_path(path))
            _show_report(exc.report, as_json=as_json)
            if is_kept and submit and os.environ.get("WHENCE_URL"):
                say(f"whence-accounts: the report is kept; send it with: whence-accounts submit {path}")
        raise


def reported(report: ApplyReport, plan: PlanFile, path: Path, *, submit: bool, as_json: bool = False) -> int:
    """Keep a report beside its plan, post it, show it, and return the exit code."""
    is_kept = _keep(report, report_path(path))
    submitted = not submit or not os.environ.get("WHENCE_URL") or _submit(report, path, is_kept=is_kept)
    _show_report(report, as_json=as_json)
    unread = [one.account for one in plan.accounts if not one.is_whole]
    if unread:
        say(f"whence-accounts: the plan could not read all of {', '.join(unread)}: plan again")
    return CONVERGED if report.succeeded and is_kept and submitted and not unread else ERROR


def _show_report(report: ApplyReport, *, as_json: bool) -> None:
    for line in [json.dumps(msgspec.to_builtins(report), indent=1)] if as_json else report_lines(report):
        show(line)


def _keep(report: ApplyReport, path: Path) -> bool:
    """Write a report; return whether it is kept. It is shown either way, as the accounts have changed."""
    try:
        write_report(path, report)
    except WhenceError as exc:
        say(f"whence-accounts: the report is not kept: {printable(exc.diagnostics())}")
        return False
    return True


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--report", is_flag=True, help="Show the report of its last apply instead.")
@options.as_json
def show_(plan: Path, report: bool, as_json: bool) -> None:
    """Show a PLAN, or the report of its last apply."""
    found = read_report(report_path(plan)) if report else read_plan(plan)
    if as_json:
        show(json.dumps(msgspec.to_builtins(found), indent=1))
        return
    for line in report_lines(found) if isinstance(found, ApplyReport) else plan_lines(found):
        show(line)


show_.name = "show"


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
def submit(plan: Path) -> None:
    """Post the report of the last apply of a PLAN to the aggregator of WHENCE_URL. Posting it again changes nothing."""
    if not os.environ.get("WHENCE_URL"):
        raise click.UsageError("set WHENCE_URL to the aggregator's address")
    raise ProgramEnd(CONVERGED if _submit(read_report(report_path(plan)), plan, is_kept=True) else ERROR)


def _submit(report: ApplyReport, path: Path, *, is_kept: bool) -> bool:
    """Post a report; return whether the aggregator recorded it. A report that is kept stays beside the plan."""
    url = os.environ["WHENCE_URL"]
    access = AggregatorAccess(
        url=url, ca_file=os.environ.get("WHENCE_CA_FILE") or None, profile=os.environ.get("WHENCE_PROFILE", "default")
    )
    try:
        answer = access.client(None).post("/v1/account-plans", msgspec.to_builtins(report))
        if not isinstance(answer, dict) or "index" not in answer:
            raise InputError("not-an-aggregator", f"{url} does not answer as an aggregator does")
    except (SystemExit, WhenceError) as exc:  # the client ends its command for a token file or URL that is invalid
        reason = exc.diagnostics() if isinstance(exc, WhenceError) else "WHENCE_URL or WHENCE_TOKEN is invalid"
        say(f"whence-accounts: the report is not recorded: {printable(reason)}")
        if is_kept:
            say(f"whence-accounts: it is kept; send it with: whence-accounts submit {path}")
        return False
    say(f"whence-accounts: the report is recorded in the ledger, entry {answer['index']}")
    return True
