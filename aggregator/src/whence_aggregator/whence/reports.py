"""whence report: a compliance report of a team or an account, as files."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlencode

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import FAILED, GAPS, INCOMPLETE, UNREACHABLE, ask, end, note
from whence_common.digest import sha256_digest

FILES = ("report.html", "violations.csv", "assessment-results.json")
"""Names are ours, and not the aggregator's: no other file is written."""


@click.command()
@click.option("--team", help="Report about the applications of this team.")
@click.option("--account", help="Report about this account.")
@click.option("--from", "since", required=True, metavar="DAY", help="The first day, 2026-11-01.")
@click.option("--to", "until", required=True, metavar="DAY", help="The last day.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The directory.")
@click.pass_obj
def report(client: Client, team: str | None, account: str | None, since: str, until: str, output: Path) -> None:
    """Write a report as HTML, which prints well, with CSV and OSCAL assessment results beside it.

    Their digests are recorded in the log. Exits 1 if there are violations, and 5 if a source was not read.
    """
    if (team is None) == (account is None):
        raise click.UsageError("name a team or an account: --team TEAM or --account ID")
    named = {"team": team, "account": account, "from": since, "to": until}
    query = urlencode({name: value for name, value in named.items() if value is not None})
    made = ask(lambda: client.post(f"/v1/reports?{query}", {}))
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
    sys.exit(INCOMPLETE if not made["complete"] else GAPS if made["violations"] else 0)
