"""whence instances --package: running instances by a package, and of how many it is not known."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import INCOMPLETE, json_list, listed, note, show_list

_COLUMNS = ("instance_id", "account_id", "region", "application_id", "image_id", "package", "stated_by", "heard")


def show_with_package(client: Client, filters: Mapping[str, str | None], most: int | None, *, as_json: bool) -> None:
    """Print the list and what is unknown. Exits 5 if the package is not known of some instances."""
    found = listed(client, "/v1/instances", "instances", filters, most)
    if as_json:
        json_list(found, "instances")
        note(found.note())
    else:
        found.pages = ([_row(row) for row in page] for page in found.pages)
        show_list(found, "instances", _COLUMNS, as_json=False)
    known = found.first["packages_known"]
    for line in _lines(known):
        note(f"whence: {line}")
    sys.exit(INCOMPLETE if known["unknown"] else 0)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    package = row["package"]
    return {
        **row,
        "package": package.get("version") or package.get("reason"),
        "heard": row["heard"] + (f" since {row['seen_at']}" if row["heard"] == "silent" else ""),
        "stated_by": package.get("stated_by", ""),
    }


def _lines(known: Mapping[str, Any]) -> list[str]:
    """Return what is known of how many instances."""
    lines = [f"of {known['instances']} running instances the package is known of {known['known']}"]
    if known["known_by_image_alone"]:
        lines.append(f"{known['known_by_image_alone']} of them by their image alone: their agents state no packages")
    if not known["versions"]:
        lines.append(
            "no image and no machine has a package of this name: names are those of binary packages, as libssl3"
        )
    lines += [f"unknown of {count}: {reason}" for reason, count in known["reasons"].items()]
    return lines
