"""whence accounts: the number of running instances by account and region, and how many of them report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import GAPS, ask, listed, listing, show, show_list
from whence_aggregator.whence.teams import note_sources

_NO_INVENTORY = "not listed: EC2's inventory is not collected here (setting `inventory`)"


@click.command()
@click.option("--silent", "account", help="List the silent instances of this account.")
@listing
@click.pass_obj
def accounts(client: Client, account: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """Show who owns each account, and by region how many instances the EC2 API lists, and how many report.

    Exits 1 if an instance is silent or never reported, or if a region could not be listed.
    """
    if account is not None:
        path = f"/v1/accounts/{segment(account)}/silent"
        found = listed(client, path, "silent", {}, None if everything else limit)
        columns: tuple[str, ...] = ("instance_id", "region", "life", "heard", "launched_at", "last_seen")
        show_list(found, "silent", columns, as_json=as_json)
        sys.exit(GAPS if found.rows else 0)
    document = ask(lambda: client.get("/v1/accounts"))
    rows = [row for one in document["accounts"] for row in _regions(one)]
    columns = ("account_id", "owner", "status", "region", "listed_at", "running", "speaking", "silent", "never",
               "awaited", "unknown", "asked")  # fmt: skip
    show(document, rows, columns, as_json=as_json)
    note_sources(document.get("sources", ()))
    sys.exit(GAPS if any(_has_silence(row) for row in rows) else 0)


def _has_silence(row: Mapping[str, Any]) -> bool:
    """Return whether an instance of a region is silent, or whether this is unknown because the listing failed."""
    return bool(row.get("silent") or row.get("never") or row.get("listed_at") is None or row.get("failure"))


def _regions(account: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each region of an account, or one row that states that there is no inventory."""
    about = {name: account.get(name) for name in ("account_id", "owner", "status")}
    if not account["regions"]:
        return [{**about, "asked": _NO_INVENTORY}]
    return [{**about, **region, **_unlisted(region)} for region in account["regions"]]


def _unlisted(region: Mapping[str, Any]) -> dict[str, str]:
    """Return how many instances with unknown life report or are silent, and why their life is unknown."""
    counts = [f"{n} {heard}" for heard, n in region.get("unknown", {}).items() if n]
    asked = region["asked"] or (_NO_INVENTORY if region.get("listed_at") is None else "")
    return {"unknown": ", ".join(counts), "asked": asked}
