"""whence teams, whence people: which teams there are, what became of one, and who was in which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.client import Client, segment
from whence_aggregator.whence.output import (
    AT,
    ask,
    listed,
    listing,
    note,
    one_of_them,
    show_json,
    show_lines,
    show_list,
)


@click.group(invoke_without_command=True)
@listing
@click.option("--at", help=AT)
@click.pass_context
def teams(context: click.Context, at: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """List the teams, those that are gone too. `show` shows one, with its members and history."""
    if context.invoked_subcommand is None:
        found = listed(context.obj, "/v1/teams", "teams", {"at": at}, None if everything else limit)
        show_list(found, "teams", ("team_id", "name", "status", "into", "members"), as_json=as_json)
        note_sources(found.first.get("sources", ()))


@teams.command(name="show")
@click.argument("team")
@one_of_them
@click.pass_obj
def show_team(client: Client, team: str, at: str | None, as_json: bool) -> None:
    """Show one team by its id, an alias or a former name, with its members and what became of it."""
    document = ask(lambda: client.get(f"/v1/teams/{segment(team)}", at=at))
    if as_json:
        show_json(document)
        return
    into = f", now {document['into']}" if document["into"] else ""
    show_lines(
        [
            ("team", f"{document['team_id']} ({document['status']}{into})"),
            ("name", document["name"]),
            ("aliases", ", ".join(document["aliases"])),
            ("members", ", ".join(document["member_ids"])),
            *(("source", said(one)) for one in document["sources"]),
            *(("history", _change(one)) for one in document["history"]),
        ]
    )


@click.command()
@click.argument("uid")
@one_of_them
@click.pass_obj
def people(client: Client, uid: str, at: str | None, as_json: bool) -> None:
    """Show in which teams somebody is and was, by their uid. There is no list of people."""
    document = ask(lambda: client.get(f"/v1/people/{segment(uid)}", at=at))
    if as_json:
        show_json(document)
        return
    member = [("member", _member(one)) for one in document["memberships"]]
    show_lines([("uid", document["uid"]), ("teams", ", ".join(document["teams"])), *member])


def note_sources(sources: Sequence[Mapping[str, Any]]) -> None:
    """Say on stderr of which sources of the organisation the newest reading failed."""
    for one in sources:
        if one["failure"] is not None:
            read = f"read whole at {one['read_at']}" if one["read_at"] else "never read whole"
            note(f"{one['source']}: {read}; failed at {one['failure']['at']}: {one['failure']['reason']}")


def said(one: Mapping[str, Any]) -> str:
    return f"{one['source']} at {one['observed_at']}, ledger {one['ledger_index']}"


def _member(one: Mapping[str, Any]) -> str:
    until = f" until {one['until']}, ledger {one['until_index']}" if one["until"] else ""
    return f"{one['team_id']} by {one['source']} since {one['since']}, ledger {one['since_index']}{until}"


def _change(one: Mapping[str, Any]) -> str:
    into = f" into {one['into']}" if one["into"] else ""
    return (
        f"{one['observed_at']} {one['team_id']} {one['change']}{into} ({one['source']}, ledger {one['ledger_index']})"
    )
