"""whence coverage and `accounts check`: which sources are read, by account and region, and what is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

import click

from whence_aggregator.whence.accounts import accounts
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import INCOMPLETE, UNREACHABLE, ask, end, note, show

_COLUMNS = ("source", "account_id", "region", "name", "state", "read_at", "failed_at", "permission", "count", "reason")


@click.command()
@click.option("--account", help="Only this account, and sources of no account.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def coverage(client: Client, account: str | None, as_json: bool) -> None:
    """Show each source by account and region: last success, last error, and missing permission.

    Exits 5 if a source was not read.
    """
    found = ask(lambda: client.get("/v1/coverage", account=account))
    show(found, found["sources"], _COLUMNS, as_json=as_json)
    sys.exit(0 if found["complete"] else INCOMPLETE)


_OF_CHECK = ("account_id", "region", "source", "may", "permission", "reason")
_MAY = {"allowed": "yes", "denied": "no"}
NO_INVENTORY = "the aggregator's settings have no `inventory`: it assumes no role"


@accounts.command()
@click.argument("account", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(client: Client, account: str | None, as_json: bool) -> None:
    """Have the aggregator assume its role in each account and region now, and try each call as a dry run.

    Shows what works, and which permission is missing. CloudTrail is shown by its newest reading. Exits 0 if everything
    works, and 5 if anything does not, or could not be found out.
    """
    rows, configured = _checked(client, account)
    rows += [_of_trail(one) for one in ask(lambda: client.get("/v1/coverage", account=account))["sources"]
             if one["source"] == "trail"]  # fmt: skip
    show({"checks": rows}, rows, _OF_CHECK, as_json=as_json)
    if not configured:
        note(NO_INVENTORY)
    sys.exit(0 if configured and all(one["may"] == "yes" for one in rows) else INCOMPLETE)


def _checked(client: Client, account: str | None) -> tuple[list[dict[str, Any]], bool]:
    """Return the checks of every place, and whether there is an inventory. Ends the command if the pages do not end."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    seen = set[str | None]()
    while True:
        named = {name: value for name, value in (("account", account), ("cursor", cursor)) if value is not None}
        path = "/v1/accounts/check" + (f"?{urlencode(named)}" if named else "")
        found = ask(partial(client.post, path, {}))
        for one in found["checks"]:
            missing = one["permission"] if one["outcome"] == "denied" else None
            rows.append({**one, "may": _MAY.get(one["outcome"], "not known"), "permission": missing})
        seen.add(cursor)
        cursor = found["next"]
        if cursor is None:
            return rows, bool(found["configured"])
        if cursor in seen:
            end("the list of checks does not end: the aggregator repeats a page", UNREACHABLE)


def _of_trail(one: Mapping[str, Any]) -> dict[str, Any]:
    may = "yes" if one["state"] == "read" else "no" if one["permission"] else "not known"
    return {name: one[name] for name in ("account_id", "region", "source", "permission", "reason")} | {"may": may}
