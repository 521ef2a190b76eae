"""whence notifications: how each destination stands, and what could not be sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import GAPS, ask, document_of, end, listed, listing, out, show, show_list

_DESTINATIONS = ("name", "kind", "host", "waiting", "dead", "oldest_due_at", "paused_until", "disabled_reason")
_DEAD_COLUMNS = ("id", "destination", "violation", "step", "attempts", "code", "reason", "dead_at")


@click.group()
def notifications() -> None:
    """Show where violations are announced, and send again what could not be sent."""


@notifications.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_destinations(client: Client, as_json: bool) -> None:
    """List the destinations: what waits, and why one is paused or switched off."""
    found = document_of(client, "/v1/notifications", "destinations")
    show(found, found["destinations"], _DESTINATIONS, as_json=as_json)


@notifications.command()
@click.option("--destination", help="Only those of this destination.")
@listing
@click.pass_obj
def dead(client: Client, destination: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """List what was given up, the oldest first. Exits 1 if there is anything."""
    filters = {"destination": destination}
    found = listed(client, "/v1/notifications/dead", "letters", filters, None if everything else limit)
    show_list(found, "letters", _DEAD_COLUMNS, as_json=as_json)
    sys.exit(GAPS if found.rows else 0)


@notifications.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="The oldest thousand.")
@click.option("--destination", help="Those of this destination, of the oldest thousand.")
@click.pass_obj
def replay(client: Client, ids: Sequence[str], everything: bool, destination: str | None) -> None:
    """Send dead letters again, by IDS, --all or --destination. Each keeps its id."""
    if bool(ids) == (everything or destination is not None):
        raise click.UsageError("name IDS, or --all or --destination")
    document = {"ids": list(ids)} if ids else {"all": everything, "destination": destination}
    replayed = ask(lambda: client.post("/v1/notifications/dead/replay", document))["replayed"]
    out(f"{replayed} dead letters are sent again\n")


@notifications.command()
@click.argument("ids", nargs=-1, required=True)
@click.pass_obj
def discard(client: Client, ids: Sequence[str]) -> None:
    """Give dead letters up for good, by IDS."""
    document = {"ids": list(ids)}
    out(f"{ask(lambda: client.post('/v1/notifications/dead/discard', document))['discarded']} discarded\n")


@notifications.command()
@click.argument("destination")
@click.pass_obj
def enable(client: Client, destination: str) -> None:
    """Send to DESTINATION again, which wanted no more messages (HTTP 410)."""
    ask(lambda: client.post("/v1/notifications/enable", {"destination": destination}))
    out(f"{destination} is sent to again\n")


@notifications.command()
@click.argument("destination")
@click.pass_obj
def test(client: Client, destination: str) -> None:
    """Send a test message to DESTINATION. Ends with 1 if it was not accepted."""
    found = ask(lambda: client.post("/v1/notifications/test", {"destination": destination}))
    if found["outcome"] != "accepted":
        end(f"{found['outcome']}: {found['reason']}", GAPS)
    out(f"{destination} accepted a test message\n")
