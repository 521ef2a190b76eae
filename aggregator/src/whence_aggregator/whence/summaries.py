"""whence summary: how many verdicts pass, fail or are unknown, by team, account or rule; and over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.covered import end_covered
from whence_aggregator.whence.output import AT, ask, note, show

_COUNTS = ("pass", "fail", "unknown", "folded", "total")


@click.command()
@click.option(
    "--by", type=click.Choice(["team", "account", "rule"]), default="team", show_default=True, help="How to group."
)
@click.option(
    "--team", help="Only what this team owns: applications, and in its accounts what no application's team owns."
)
@click.option("--account", help="Only this account.")
@click.option("--rule", help="Only this rule.")
@click.option("--severity", type=click.Choice(["1", "2", "3", "4"]), help="Only rules of this severity.")
@click.option(
    "--kind", type=click.Choice(["instance", "version", "application", "ami", "account"]), help="Only such subjects."
)
@click.option("--at", help=AT + " By the newest daily snapshot by then.")
@click.option("--from", "since", metavar="DAY", help="The verdicts of each day since this one, 2026-11-22.")
@click.option("--to", "until", metavar="DAY", help="… until this one; by default today.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def summary(
    client: Client, /, by: str, at: str | None, since: str | None, until: str | None, as_json: bool,
    **filters: str | None,
) -> None:  # fmt: skip
    """Count verdicts by team, account or rule; with --from, those of each day.

    Exits 5 if a source was not read, else 1 if a verdict fails or is unknown, or if there is none.
    """
    if since is not None or until is not None:
        if at is not None:
            raise click.UsageError("--at is one moment, and --from a period: use one of them")
        _show_trend(ask(lambda: client.get("/v1/summary/trend", **{"from": since, "to": until, **filters})), as_json)
        return
    found = ask(lambda: client.get("/v1/summary", by=by, at=at, **filters))
    total = found["total"]
    rows = [_row(by, one) for one in (*found["groups"], {by: "total", **total})]
    show(found, rows, (by, *_COUNTS, "instances", "failing", "unheard"), as_json=as_json)
    if found["snapshot"] is not None:
        age = f"{found['age_seconds'] / 3600:.1f} h before the time asked about, " if "age_seconds" in found else ""
        note(f"as of the snapshot of {found['at']} ({age}ledger {found['snapshot']['ledger_index']})")
    verdicts = total["verdicts"]
    if not verdicts["total"]:
        note(
            "nothing was judged: no verdict is of what was asked about; whence violations --grouped lists what is open"
        )
    gaps = (
        not verdicts["total"] or verdicts["fail"] or verdicts["unknown"] or verdicts["folded"] or total.get("unheard")
    )
    end_covered(found.get("coverage"), gaps=bool(gaps))


def _row(by: str, group: Mapping[str, Any]) -> dict[str, object]:
    instances = group["subjects"].get("instance", {})
    return {
        by: group[by] if group[by] is not None else f"(no {by})", **group["verdicts"],
        "instances": instances.get("total", 0), "failing": instances.get("fail", 0), "unheard": group.get("unheard"),
    }  # fmt: skip


def _show_trend(found: Mapping[str, Any], as_json: bool) -> None:
    rows = [{"day": one["day"], **(one["verdicts"] or {"pass": "no snapshot"})} for one in found["days"]]
    show(found, rows, ("day", *_COUNTS), as_json=as_json)
