"""whence replay: a verdict again, from the log alone."""

from __future__ import annotations

import sys

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import GAPS, INCOMPLETE, ask, note, show

_COLUMNS = ("rule", "version", "verdict", "replayed_verdict", "same", "reason", "replayed_reason")


@click.command()
@click.argument("verdict", type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def replay(client: Client, verdict: int, as_json: bool) -> None:
    """Judge again from the entries that VERDICT, the `ledger_index` of a verdict, names.

    Exits 0 if each rule has the same verdict, 1 if one has another, and 5, naming the entries, if retention removed
    what the verdict rests on.
    """
    found = ask(lambda: client.get(f"/v1/verdicts/{verdict}/replay"))
    show(found, found["verdicts"], _COLUMNS, as_json=as_json)
    if found["missing"]:
        note(f"removed from the log: entries {', '.join(map(str, found['missing']))}")
        sys.exit(INCOMPLETE)
    sys.exit(0 if found["same"] else GAPS)
