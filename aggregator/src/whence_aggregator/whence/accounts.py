"""whence accounts: running instances by account and region, how many report, and drift from the configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.account_drift import drift_lines, drift_told
from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import GAPS, ask, listed, listing, one_of_them, show_json, show_lines, show_list
from whence_aggregator.whence.teams import note_sources, said

_NO_INVENTORY = "not listed: EC2's inventory is not collected here (setting `inventory`)"
_NOT_READ = "not listed: the account is not in the setting `accounts`, or there is no setting `inventory`"


_PLANS_SHOWN_MAX = 5
_COLUMNS = ("account_id", "name", "owner", "status", "region", "listed_at", "running", "speaking", "silent", "never",
            "awaited", "unknown", "drift", "asked")  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--silent", "account", help="List the silent instances of this account.")
@listing
@click.pass_context
def accounts(context: click.Context, account: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """Show who owns each account, and by region how many instances the EC2 API lists, and how many report.

    Exits 1 if in any account an instance is silent or never reported, a region could not be listed, or the account is
    not known to be as its configuration states. `show` shows one account with what differs and its history.
    """
    if context.invoked_subcommand is not None:
        return
    client, most = context.obj, None if everything else limit
    if account is not None:
        found = listed(client, f"/v1/accounts/{segment(account)}/silent", "silent", {}, most)
        columns: tuple[str, ...] = ("instance_id", "region", "life", "heard", "launched_at", "last_seen")
        show_list(found, "silent", columns, as_json=as_json)
        sys.exit(GAPS if found.rows else 0)
    found = listed(client, "/v1/accounts", "accounts", {}, most)
    gaps = _Gaps()
    found.pages = gaps.watched(found.pages)
    if not as_json:
        found.pages = ([row for one in page for row in _regions(one)] for page in found.pages)
    show_list(found, "accounts", _COLUMNS, as_json=as_json)
    note_sources(found.first.get("sources", ()))
    if found.following is not None and not gaps.found:
        rest = listed(client, "/v1/accounts", "accounts", {}, None, after=found.following)
        for _ in gaps.watched(rest.pages):
            pass
    sys.exit(GAPS if gaps.found else 0)


@accounts.command(name="show")
@click.argument("account")
@one_of_them
@click.pass_obj
def show_account(client: Client, account: str, at: str | None, as_json: bool) -> None:
    """Show one account: who owns it by which source, and what became of it."""
    document = ask(lambda: client.get(f"/v1/accounts/{segment(account)}", at=at))
    if as_json:
        show_json(document)
        return
    status = document["status"] or ("status unknown" if document["sources"] else "no source states it")
    show_lines(
        [
            ("account", f"{document['account_id']} ({status})"),
            ("name", document["name"] or ""),
            ("path", document["path"] or ""),
            ("owner", document["owner"] or ""),
            *(("owned", f"by {owner} as {source} states") for source, owner in document["owners"].items()),
            ("allows", ", ".join(document["allows"])),
            *(("tag", f"{key}={value}") for key, value in document["tags"].items()),
            *(("source", said(one)) for one in document["sources"]),
            *drift_lines(document.get("drift")),
            *(("applied", _applied(one)) for one in _plans(client, account, at)),
            *(("history", _change(one)) for one in document["history"]),
        ]
    )


class _Gaps:
    """Whether any account that was read has a gap."""

    def __init__(self) -> None:
        self.found = False

    def watched(self, pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[Sequence[Mapping[str, Any]]]:
        for page in pages:
            self.found = self.found or any(_has_gap(one) for one in page)
            yield page


def _change(one: Mapping[str, Any]) -> str:
    told = [f"{name} {one[name]}" for name in ("owner", "status", "path") if one.get(name)]
    stated = f": {', '.join(told)}" if told else ""
    return f"{one['observed_at']} {one['change']} ({one['source']}, ledger {one['ledger_index']}){stated}"


def _has_gap(account: Mapping[str, Any]) -> bool:
    """Return whether instances are silent, or the account is not known to be as its configuration states."""
    drift = account.get("drift")
    differs = drift is not None and drift["state"] != "converged"
    return differs or any(_has_silence(row) for row in _regions(account))


def _plans(client: Client, account: str, at: str | None) -> Sequence[Mapping[str, Any]]:
    """Return the newest plans that were applied to an account; none of the past."""
    if at is not None:
        return ()
    found = ask(lambda: client.get("/v1/account-plans", account=account, limit=str(_PLANS_SHOWN_MAX)))
    plans: Sequence[Mapping[str, Any]] = found["plans"]
    return plans


def _applied(one: Mapping[str, Any]) -> str:
    failed = f", {one['failed']} not" if one["failed"] else ""
    error = f": {one['error']}" if one["error"] else ""
    place = f"(ledger {one['ledger_index']})"
    return f"{one['ended_at']} {one['changed']} changed{failed} by {one['applied_by']} {place}{error}"


def _has_silence(row: Mapping[str, Any]) -> bool:
    """Return whether an instance of a region is silent, or whether this is unknown because the listing failed."""
    return bool(row.get("silent") or row.get("never") or row.get("listed_at") is None or row.get("failure"))


def _regions(account: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each region of an account, or one row that states why there is none."""
    about = {name: account.get(name) for name in ("account_id", "name", "owner", "status")}
    about["drift"] = drift_told(account.get("drift"))
    if not account["regions"]:
        return [{**about, "asked": _NOT_READ}]
    return [{**about, **region, **_unlisted(region)} for region in account["regions"]]


def _unlisted(region: Mapping[str, Any]) -> dict[str, str]:
    """Return how many instances with unknown life report or are silent, and why their life is unknown."""
    counts = [f"{n} {heard}" for heard, n in region.get("unknown", {}).items() if n]
    asked = region["asked"] or (_NO_INVENTORY if region.get("listed_at") is None else "")
    return {"unknown": ", ".join(counts), "asked": asked}
