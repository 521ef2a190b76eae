"""whence teams: which teams there are, and what became of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import ask, listed, listing, note, out, show_json, show_list
from whence_common.visible import printable


@click.command()
@click.argument("team", required=False)
@click.option("--at", help="As it was known at this time, 2026-11-22T12:00:00Z.")
@listing
@click.pass_obj
def teams(client: Client, team: str | None, at: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """List the teams, or show one by its id, an alias or a former name, with its members and history."""
    if team is None:
        found = listed(client, "/v1/teams", "teams", {"at": at}, None if everything else limit)
        show_list(found, "teams", ("team_id", "name", "status", "into", "members"), as_json=as_json)
        return
    document = ask(lambda: client.get(f"/v1/teams/{segment(team)}", at=at))
    if as_json:
        show_json(document)
        return
    into = f", now {document['into']}" if document["into"] else ""
    lines = [
        ("team", f"{document['team_id']} ({document['status']}{into})"),
        ("name", document["name"]),
        ("aliases", ", ".join(document["aliases"])),
        ("members", ", ".join(document["member_ids"])),
        *(("source", _said(one)) for one in document["sources"]),
        *(("history", _change(one)) for one in document["history"]),
    ]
    for name, value in lines:
        out(f"{name:<8} {printable(value)}".rstrip() + "\n")


def note_sources(sources: Sequence[Mapping[str, Any]]) -> None:
    """Say on stderr of which sources of the organisation the newest reading failed."""
    for one in sources:
        if one["failure"] is not None:
            read = f"read whole at {one['read_at']}" if one["read_at"] else "never read whole"
            note(f"{one['source']}: {read}; failed at {one['failure']['at']}: {one['failure']['reason']}")


def _said(one: Mapping[str, Any]) -> str:
    return f"{one['source']} at {one['observed_at']}, ledger {one['ledger_index']}"


def _change(one: Mapping[str, Any]) -> str:
    into = f" into {one['into']}" if one["into"] else ""
    return (
        f"{one['observed_at']} {one['team_id']} {one['change']}{into} ({one['source']}, ledger {one['ledger_index']})"
    )
