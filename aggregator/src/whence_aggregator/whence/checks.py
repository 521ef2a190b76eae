"""whence check: the rules for an image before it runs, for pipelines."""

from __future__ import annotations

import sys

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import GAPS, INCOMPLETE, ask, note, show

_COLUMNS = ("verdict", "rule", "severity", "reason", "folded_under")


@click.command()
@click.argument("image")
@click.option("--application", required=True, help="The application that is to run it.")
@click.option("--version", help="Its version; by default the image's tag.")
@click.option(
    "--wait", type=click.IntRange(0, 60), default=20, show_default=True, metavar="SECONDS",
    help="How long to wait for the answers of registry, Git server and trackers.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def check(client: Client, image: str, application: str, version: str | None, wait: int, as_json: bool) -> None:
    """Judge IMAGE by the rules about images, builds, sources, tickets and applications, before it runs.

    Exits 0 if each rule passes, 1 if one fails or is unknown, and 5 if a source could not be read.
    """
    found = ask(lambda: client.get("/v1/check", image=image, application=application, version=version, wait=str(wait)))
    show(found, found["verdicts"], _COLUMNS, as_json=as_json)
    for one in found["unread"]:
        note(f"not read: {one['source']}" + (f": {one['reason']}" if one["reason"] else ""))
    if not found["complete"]:
        sys.exit(INCOMPLETE)
    sys.exit(GAPS if any(one["verdict"] != "pass" for one in found["verdicts"]) else 0)
