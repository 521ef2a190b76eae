"""whence: trace what runs on your instances to its source.

\b
Exit codes:
  0    success, and nothing is wrong
  1    success, but with gaps or violations: a check failed, or could not be made
  2    invalid usage
  3    the aggregator is unreachable, or refuses the request
  4    not found
  5    the answer is incomplete: a source was not read, or retention removed what it rests on
  70   internal error, or the output could not be written
  130  interrupted by Ctrl-C
  141  the reader of the output closed the pipe

Lists show the first 100 rows; a message on stderr reports if there are more.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import NoReturn

import click

from whence_aggregator import __version__
from whence_aggregator.compliance.export import to_ocsf, to_sarif
from whence_aggregator.whence import accounts as account_commands
from whence_aggregator.whence import amis as ami_commands
from whence_aggregator.whence import apps as app_commands
from whence_aggregator.whence import audit as audit_commands
from whence_aggregator.whence import changes as change_commands
from whence_aggregator.whence import checks as check_commands
from whence_aggregator.whence import coverage as coverage_commands
from whence_aggregator.whence import credentials as credential_commands
from whence_aggregator.whence import diff as diff_commands
from whence_aggregator.whence import events as event_commands
from whence_aggregator.whence import exemptions as exemption_commands
from whence_aggregator.whence import findings as finding_commands
from whence_aggregator.whence import images as image_commands
from whence_aggregator.whence import notifications as notification_commands
from whence_aggregator.whence import reports as report_commands
from whence_aggregator.whence import rules as rule_commands
from whence_aggregator.whence import sign_in as sign_in_commands
from whence_aggregator.whence import summaries as summary_commands
from whence_aggregator.whence import teams as team_commands
from whence_aggregator.whence import trace as trace_commands
from whence_aggregator.whence import versions as version_commands
from whence_aggregator.whence import violations as violation_commands
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.connection import CONNECTION, AggregatorAccess
from whence_aggregator.whence.covered import end_covered
from whence_aggregator.whence.importing import commands as import_commands
from whence_aggregator.whence.output import (
    FAILED,
    USAGE,
    ReaderGone,
    end,
    listed,
    listing,
    note,
    show_json,
    show_list,
)
from whence_aggregator.whence.packages import show_with_package
from whence_common.clock import utc_now
from whence_common.runtime.output import prepare_output

_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")


_INTERRUPTED, _READER_GONE = 130, 141


@click.group(help=__doc__)
@click.version_option(__version__, prog_name="whence")
@click.option(
    "--url", envvar="WHENCE_URL", default="http://127.0.0.1:7381", show_default=True, help="The aggregator's URL."
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    help="File with the token; by default WHENCE_TOKEN, then that of `whence login`.",
)
@click.option("--ca-file", envvar="WHENCE_CA_FILE", help="PEM file with additional CA certificates for the aggregator.")
@click.option(
    "--profile", envvar="WHENCE_PROFILE", default="default", show_default=True, help="Which of several sign-ins to use."
)
@click.pass_context
def whence(context: click.Context, url: str, token_file: str | None, ca_file: str | None, profile: str) -> None:
    """Create the client for the subcommands."""
    context.meta[CONNECTION] = connection = AggregatorAccess(url=url, ca_file=ca_file or None, profile=profile)
    context.obj = connection.client(token_file)


def main() -> NoReturn:
    """Run the command and exit with a code from the help text, also when interrupted."""
    prepare_output()
    code = FAILED
    try:
        code = _run()
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):
        code = _READER_GONE
    except OSError as exc:
        code = FAILED
        note(f"whence: the output cannot be written: {exc.strerror or exc}")
    os._exit(code)  # not sys.exit: it would flush again, and fail again if the output is closed


def _run() -> int:
    try:
        whence.main(standalone_mode=False)
    except click.Abort:
        note("whence: interrupted")
        return _INTERRUPTED
    except click.ClickException as exc:
        exc.show()
        return USAGE
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except (OSError, ReaderGone):
        raise
    except Exception:  # noqa: BLE001 - the traceback is printed; Python's own exit code, 1, would mean gaps
        traceback.print_exc()
        return FAILED
    return 0


@whence.command()
@click.option("--application", help="Only instances of this application.")
@click.option("--version", help="Only instances of this version of the application.")
@click.option("--team", help="Only instances of applications that this team owns in the application registry.")
@click.option("--account", help="Only instances in this account.")
@click.option("--region", help="Only instances in this region.")
@click.option("--ami", help="Only instances that were started from this AMI.")
@click.option("--image", help="Only instances that run this digest, as application, as sidecar or by its index.")
@click.option("--user-data", help="Only instances whose user data has this digest.")
@click.option("--commit", help="Only instances whose image was built from this commit, or one with this prefix.")
@click.option("--ticket", help="Only instances whose image's commit names this ticket.")
@click.option(
    "--cause",
    type=click.Choice(["boot", "change", "stop", "failed"]),
    help="Only if the last statement has this cause.",
)
@click.option("--since", help="Only if the shown statement was recorded at this time or later.")
@click.option("--until", help="Only if the shown statement was recorded before this time.")
@click.option(
    "--state",
    help="Comma-separated states: of life (running, stopped, terminated, unknown …) and of reporting (speaking, silent,"
    " never); `any` for all. By default instances that run, or that report and whose life is unknown.",
)
@click.option("--package", help="Only with this package, as in 'openssl<3.0.17' or pypi/aiohttp.")
@click.option("--unknown", is_flag=True, help="With --package: those of which its version is not known.")
@click.option("--at", help="The state at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="Use only what was recorded by this time; by default now.")
@listing
@click.pass_obj
def instances(
    client: Client, /, unknown: bool, limit: int, everything: bool, as_json: bool, **filters: str | None
) -> None:
    """List the instances that run now, or ran at a time, with their applications.

    With --package, exits 5 if the version is not known of some instances: they are counted, and not listed as safe.
    """
    if filters["package"] is not None:
        filters["package_state"] = "unknown" if unknown else None
        show_with_package(client, filters, None if everything else limit, as_json=as_json)
        return
    if unknown:
        raise click.UsageError("--unknown needs --package")
    found = listed(client, "/v1/instances", "instances", filters, None if everything else limit)
    asked = filters["at"] or filters["known_at"]
    last = ("recorded_at", "recorded_by_then") if asked else ("heard", "seen_at")
    columns = ("instance_id", "account_id", "region", "application_id", "application_version", "life", *last)
    show_list(found, "instances", columns, as_json=as_json)


@whence.command()
@click.option("--verdict", type=click.Choice(["fail", "unknown"]), help="Only this verdict; by default both.")
@click.option("--rule", help="Only this rule.")
@click.option(
    "--severity", type=click.Choice(["1", "2", "3", "4"]), help="Only rules of this severity; 1 is the highest."
)
@click.option(
    "--team", help="Only what this team owns: applications, and in its accounts what no application's team owns."
)
@click.option("--account", help="Only this account.")
@click.option("--region", help="Only this region.")
@click.option("--ami", help="Only instances that were started from this AMI.")
@click.option("--application", help="Only this application.")
@click.option("--instance", help="Only this instance.")
@click.option("--state", help="Only of instances in these states, as for `whence instances --state`; by default any.")
@click.option("--since", help="Only violations that began at this time or later, 2026-11-22T12:00:00Z.")
@click.option("--until", help="Only violations that began before this time.")
@click.option(
    "--kind",
    type=click.Choice(["instance", "version", "application", "ami", "account"]),
    help="The kind of subject that violates a rule; by default instances.",
)
@click.option(
    "--folded",
    type=click.Choice(["all"]),
    help="List also what follows from a broken link of the lineage that is itself listed.",
)
@click.option(
    "--grouped", is_flag=True,
    help="List violations with their life: one for each rule and application version, however many instances break it.",
)  # fmt: skip
@click.option("--status", help="With --grouped: unfixed (default), any, or open,acknowledged,exempted,fixed,reopened.")
@click.option("--version", help="With --grouped and --application: only of this version.")
@click.option("--exemption", help="With --grouped: only what this exemption covers.")
@click.option("--sort", help="With --grouped: severity (default), since, last_seen, rule, team; -since is descending.")
@click.option("--at", help="With --grouped: as they were recorded at this time, 2026-11-22T12:00:00Z.")
@click.option("--known-at", help="With --grouped: use only what was recorded by this time; by default now.")
@click.option("--csv", "as_csv", is_flag=True, help="With --grouped: print CSV.")
@click.option(
    "--format", "form", type=click.Choice(["ocsf", "sarif"]),
    help="Print them all for other tools: as OCSF compliance findings, or as one SARIF document.",
)  # fmt: skip
@listing
@click.pass_obj
def violations(
    client: Client, /, form: str | None, limit: int, everything: bool, as_json: bool, grouped: bool, as_csv: bool,
    **filters: str | None,
) -> None:  # fmt: skip
    """List violations of rules, and rules that could not be evaluated.

    Exits 5 if a source was not read that could add to the list, else 1 if there are any.
    """
    if grouped and form is None:
        asked = {**filters, "grouped": "true"}
        found = listed(client, "/v1/violations", "violations", asked, None if everything else limit)
        violation_commands.show_grouped(found, as_json=as_json, as_csv=as_csv)
    if grouped or as_csv:
        end("--grouped does not go with --format, and --csv needs --grouped", USAGE)
    found = listed(client, "/v1/violations", "violations", filters, None if everything or form else limit)
    if form is not None:
        rows = [row for page in found.pages for row in page]
        show_json((to_ocsf if form == "ocsf" else to_sarif)(rows, version=__version__, now=utc_now()))
        end_covered(found.first.get("coverage"), gaps=bool(rows))
    subject = ("instance_id", "account_id") if filters["kind"] in (None, "instance") else ("subject",)
    columns = ("verdict", "rule", "severity", *subject, "application_id", "reason", "since")
    show_list(found, "violations", columns, as_json=as_json)
    end_covered(found.first.get("coverage"), gaps=bool(found.rows))


whence.add_command(ami_commands.ami)
whence.add_command(image_commands.images)
whence.add_command(image_commands.attest)
whence.add_command(trace_commands.trace)
whence.add_command(trace_commands.why)
whence.add_command(diff_commands.diff)
whence.add_command(change_commands.changes)
whence.add_command(rule_commands.rules)
whence.add_command(rule_commands.replay)
whence.add_command(summary_commands.summary)
whence.add_command(report_commands.report)
whence.add_command(check_commands.check)
whence.add_command(coverage_commands.coverage)
whence.add_command(event_commands.events)
whence.add_command(notification_commands.notifications)
whence.add_command(account_commands.accounts)
whence.add_command(credential_commands.credentials)
whence.add_command(team_commands.teams)
whence.add_command(version_commands.versions)
whence.add_command(finding_commands.findings)
whence.add_command(version_commands.approve)
whence.add_command(team_commands.people)
whence.add_command(app_commands.apps)
whence.add_command(audit_commands.verify)
whence.add_command(audit_commands.receipt)
whence.add_command(audit_commands.bundle)
for command in (
    sign_in_commands.login, sign_in_commands.logout, sign_in_commands.whoami, sign_in_commands.console,
):  # fmt: skip
    whence.add_command(command)
whence.add_command(import_commands.import_group)
whence.add_command(violation_commands.violation)
whence.add_command(violation_commands.acknowledge)
whence.add_command(violation_commands.exempt)
whence.add_command(violation_commands.unexempt)
whence.add_command(exemption_commands.exemptions)
