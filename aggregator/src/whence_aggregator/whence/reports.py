"""whence report: a compliance report of a team or an account, as files; and whether a file is a recorded one."""

from __future__ import annotations

import calendar
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.covered import end_covered
from whence_aggregator.whence.output import (
    FAILED,
    UNKNOWN,
    UNREACHABLE,
    ask,
    end,
    listed,
    listing,
    note,
    out,
    show_json,
    show_list,
)
from whence_common.digest import sha256_digest
from whence_common.visible import printable

FILES = ("report.html", "violations.csv", "steps.csv", "assessment-results.json")
"""Names are ours, and not the aggregator's: no other file is written."""
FILE_BYTES_MAX = 512 * 1024 * 1024
_PERIOD = re.compile(r"(\d{4})(?:-(?:(0[1-9]|1[0-2])|Q([1-4])))?\Z")


@click.group(invoke_without_command=True)
@click.option("--team", help="Report about what this team owns.")
@click.option("--account", help="Report about this account.")
@click.option("--from", "--since", "since", metavar="DAY", help="The first day, 2026-11-01.")
@click.option("--to", "--until", "until", metavar="DAY", help="The last day.")
@click.option("--period", metavar="PERIOD", help="A year, a month or a quarter instead: 2026, 2026-11 or 2026-Q4.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="The directory.")
@click.pass_context
def report(
    context: click.Context, team: str | None, account: str | None, since: str | None, until: str | None,
    period: str | None, output: Path | None,
) -> None:  # fmt: skip
    """Write a report as HTML, which prints well, with CSV and OSCAL assessment results beside it.

    Their digests are recorded in the log. Exits 5 if a source was not read, else 1 if a verdict or finding fails or is
    unknown, a violation was open at the end, or nothing was judged. `list` shows the reports that were made, and
    `verify` whether a file is one of them.
    """
    if context.invoked_subcommand is not None:
        return
    if (team is None) == (account is None):
        raise click.UsageError("name a team or an account: --team TEAM or --account ID")
    if output is None:
        raise click.UsageError("name the directory to write to: -o DIRECTORY")
    first, last = _days(since, until, period)
    named = {"team": team, "account": account, "from": first, "to": last}
    query = urlencode({name: value for name, value in named.items() if value is not None})
    client: Client = context.obj
    made = ask(lambda: client.post(f"/v1/reports?{query}", {}))
    _write(made, output)
    coverage: dict[str, Any] | None = made.get("coverage")
    if coverage is not None and coverage["complete"] and not made["complete"]:
        note("not complete: there are more violations, steps or findings than a report lists")
        coverage = {**coverage, "complete": False}
    judged = made.get("verdicts", 0)  # an earlier aggregator does not state it
    if not judged:
        note("nothing was judged: no verdict is of this team or account; check the name")
    gaps = made["violations"] or made.get("open_at_end") or made.get("findings_open") or not judged
    end_covered(coverage, gaps=bool(gaps))


@report.command(name="list")
@click.option("--team", help="Only reports about this team.")
@click.option("--account", help="Only reports about this account.")
@listing
@click.pass_obj
def list_reports(
    client: Client, team: str | None, account: str | None, limit: int, everything: bool, as_json: bool
) -> None:
    """List the reports that were made, the newest first."""
    found = listed(client, "/v1/reports", "reports", {"team": team, "account": account}, None if everything else limit)
    columns = ("ledger_index", "team", "account", "from", "to", "made_at", "made_by")
    show_list(found, "reports", columns, as_json=as_json)


@report.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the responses as JSON.")
@click.pass_obj
def verify(client: Client, files: tuple[Path, ...], as_json: bool) -> None:
    """State who made each FILE, when, and of what, by its digest in the log. Exits 4 if one is not recorded so."""
    unknown, found = False, []
    for file in files:
        digest = _digest(file)
        path = f"/v1/reports/{segment(digest)}"
        answer = ask(partial(client.get, path), unless="report-unknown")
        unknown = unknown or answer is None
        found.append({"file": str(file), "digest": digest, "reports": answer["reports"] if answer is not None else []})
        if as_json:
            continue
        if answer is None:
            note(f"{file}: not recorded: no report has a file with the digest {digest}")
        for one in answer["reports"] if answer is not None else ():
            about = f"team {one['team']}" if one["team"] else f"account {one['account']}"
            made = f"made by {one['made_by']} at {one['made_at']}, in entry {one['ledger_index']}"
            out(printable(f"{file}: {one['files'][0]} of {about} from {one['from']} to {one['to']}, {made}") + "\n")
    if as_json:
        show_json(found)
    sys.exit(UNKNOWN if unknown else 0)


def _write(made: Mapping[str, Any], output: Path) -> None:
    """Write the files of a report. Ends the command if one does not have the digest that was recorded."""
    files = made["files"]
    for name in FILES:
        if sha256_digest(files[name].encode()) != made["digests"][name]:
            end(f"{name} does not have the digest that the aggregator recorded: make the report again", UNREACHABLE)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (output / name).write_bytes(files[name].encode())
    except OSError as exc:
        end(f"{output}: {exc.strerror or exc}", FAILED)
    note(f"{output}: {', '.join(FILES)}; their digests are in entry {made['ledger_index']} of the log")


def _digest(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            end(f"{file} is larger than {FILE_BYTES_MAX} bytes: it is not a file of a report", UNKNOWN)
        return sha256_digest(file.read_bytes())
    except OSError as exc:
        end(f"{file}: {exc.strerror or exc}", FAILED)


def _days(since: str | None, until: str | None, period: str | None) -> tuple[str, str]:
    """Return the first and the last day. Raises UsageError."""
    if period is None:
        if since is None or until is None:
            raise click.UsageError("name the period: --from DAY and --to DAY, or --period 2026-11")
        return since, until
    if since is not None or until is not None:
        raise click.UsageError("--period goes with neither --from nor --to")
    named = _PERIOD.match(period)
    if named is None or named[1] == "0000":
        raise click.UsageError("--period is a year, a month or a quarter: 2026, 2026-11 or 2026-Q4")
    year, month, quarter = int(named[1]), named[2], named[3]
    first = int(month) if month else 3 * int(quarter) - 2 if quarter else 1
    last = int(month) if month else 3 * int(quarter) if quarter else 12
    return f"{year:04}-{first:02}-01", f"{year:04}-{last:02}-{calendar.monthrange(year, last)[1]:02}"
