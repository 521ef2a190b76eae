"""whence coverage and `accounts check`: which sources are read, by account and region, and what is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from whence_aggregator.whence.accounts import accounts
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import INCOMPLETE, ask, show

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


_OF_ROLES = ("inventory", "user data", "AMIs", "trail")


@accounts.command()
@click.argument("account", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def check(client: Client, account: str | None, as_json: bool) -> None:
    """Show what the role in each account and region may do, by the newest readings, with the missing permission.

    Exits 5 if a reading failed, or was never made.
    """
    found = ask(lambda: client.get("/v1/coverage", account=account))
    rows = [{**one, "may": _may(one)} for one in found["sources"] if one["source"] in _OF_ROLES]
    shown = ("account_id", "region", "source", "may", "permission", "read_at", "reason")
    show({"sources": rows}, rows, shown, as_json=as_json)
    sys.exit(0 if all(one["may"] == "yes" for one in rows) else INCOMPLETE)


def _may(one: Mapping[str, Any]) -> str:
    if one["state"] == "read":
        return "yes"
    return "no" if one["permission"] else "not known"
