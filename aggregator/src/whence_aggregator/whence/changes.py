"""whence changes: the change record of production."""

from __future__ import annotations

from itertools import chain

import click

from whence_aggregator.whence.change_formats import csv_head, csv_of, markdown_of, text_of
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import PagedList, json_list, listed, listing, note, out


@click.command()
@click.option("--application", help="Only changes of this application.")
@click.option("--team", help="Only changes of applications that this team owns.")
@click.option("--account", help="Only changes in this account.")
@click.option("--from", "since", help="Only what was recorded at this time or later, 2026-11-22T12:00:00Z.")
@click.option("--to", "until", help="Only what was recorded before this time.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "csv", "markdown"]), default="text", show_default=True,
    help="How to print the record; `markdown` is for a release note.",
)  # fmt: skip
@listing
@click.pass_obj
def changes(
    client: Client,
    application: str | None,
    team: str | None,
    account: str | None,
    since: str | None,
    until: str | None,
    form: str,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """List each time that what runs changed: before and after, commits, tickets and approvals.

    Requires --application, --team or --account.
    """
    if not (application or team or account):
        raise click.UsageError("name --application, --team or --account")
    filters = {"application": application, "team": team, "account": account, "from": since, "to": until}
    found = listed(client, "/v1/changes", "changes", filters, None if everything else limit)
    _print(found, "json" if as_json else form)
    note(found.note())


def _print(found: PagedList, form: str) -> None:
    """Print the record change by change, so that a long one is not held in memory."""
    if form == "json":
        json_list(found, "changes")
        return
    if form == "csv":
        out(csv_head())
    for change in chain.from_iterable(found.pages):
        if form == "csv":
            out(csv_of(change))
        else:
            lines = text_of(change) if form == "text" else markdown_of(change)
            out("".join(f"{line}\n" for line in lines))
