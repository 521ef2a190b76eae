"""whence events: what touched an instance by CloudTrail, and the dead letters of its trails."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import GAPS, ask, listed, listing, note, out, show_list
from whence_aggregator.whence.picture import doer_text

_COLUMNS = ("at", "event", "by", "detail", "region", "event_id", "ledger_index")
_DEAD_COLUMNS = ("id", "sort", "code", "reason", "place", "record", "at")


@click.group()
def events() -> None:
    """Show events of CloudTrail, and what of its trails could not be used."""


@events.command(name="list")
@click.argument("instance")
@click.option("--at", help="Only what was recorded by this time, 2026-11-22T12:00:00Z.")
@click.option("--before", help="Only events of before this time.")
@listing
@click.pass_obj
def list_events(
    client: Client, instance: str, at: str | None, before: str | None, limit: int, everything: bool, as_json: bool
) -> None:
    """List the events that touched INSTANCE (i-…), the newest first: who did what."""
    filters = {"instance": instance, "at": at, "before": before}
    found = listed(client, "/v1/events", "events", filters, None if everything else limit)
    if not as_json:
        found.pages = _named(found.pages)
    show_list(found, "events", _COLUMNS, as_json=as_json)


@events.command()
@listing
@click.pass_obj
def dead(client: Client, limit: int, everything: bool, as_json: bool) -> None:
    """List messages, objects and records that could not be used, the oldest first. Exits 1 if there are any."""
    found = listed(client, "/v1/events/dead", "letters", {}, None if everything else limit)
    show_list(found, "letters", _DEAD_COLUMNS, as_json=as_json)
    counts = found.first.get("counts", {})
    if counts and not as_json:
        note(", ".join(f"{n} {code}" for code, n in counts.items()))
    sys.exit(GAPS if found.rows else 0)


@events.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="The oldest thousand.")
@click.option("--code", help="Those with this code, of the oldest thousand.")
@click.pass_obj
def replay(client: Client, ids: Sequence[str], everything: bool, code: str | None) -> None:
    """Take dead letters again, by IDS, --all or --code. One that is refused again stays."""
    if bool(ids) == (everything or code is not None):
        raise click.UsageError("name IDS, or --all or --code")
    document = {"ids": list(ids)} if ids else {"all": everything, "code": code}
    out(f"{ask(lambda: client.post('/v1/events/dead/replay', document))['replayed']} dead letters are taken again\n")


@events.command()
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def discard(client: Client, ids: Sequence[str]) -> None:
    """Delete dead letters for good, by IDS."""
    document = {"ids": list(ids)}
    out(f"{ask(lambda: client.post('/v1/events/dead/discard', document))['discarded']} dead letters discarded\n")


def _named(pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for page in pages:
        yield [{**one, "by": doer_text(one["by"])} for one in page]
