"""whence exemptions: what is exempted, by whom, why, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import document_of, show

_COLUMNS = ("id", "rule", "scope", "until", "granted_by", "granted_at", "reason")


@click.command()
@click.option("--at", help="Those that were in force at this time, 2026-11-22T12:00:00Z; by default now.")
@click.option("--known-at", help="Use only what was recorded by this time; by default now.")
@click.option("--json", "as_json", is_flag=True, help="Print the response as JSON.")
@click.pass_obj
def exemptions(client: Client, /, as_json: bool, **times: str | None) -> None:
    """List the exemptions that are in force, at most 1000. `whence unexempt ID` ends one.

    `whence violations --grouped --exemption ID` lists what one covers.
    """
    found = document_of(client, "/v1/exemptions", "exemptions", **times)
    rows = [{**one, "scope": _scope(one["scope"])} for one in found["exemptions"]]
    show(found, rows, _COLUMNS, as_json=as_json)


def _scope(scope: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in scope.items() if value is not None)
