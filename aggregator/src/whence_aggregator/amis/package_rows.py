"""Rows of the search for packages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.queries.amis import (
    CountPackagesKnownRow,
    InstancesWithoutPackageRow,
    InstancesWithPackageRow,
)
from whence_aggregator.trace.found_rows import Found, found_now

REASONS = {
    1: "no statement about the AMI is recorded",
    2: "the agent states another statement than the AMI was recorded with",
    3: "the agent does not state all packages that differ from the image",
    4: "the version cannot be compared",
    5: "the agent is silent",
    6: "the settings do not trust the key that signed the statement",
    7: "EC2 lists the instance, and its agent has stated nothing yet",
}
_BY_IMAGE_ALONE = 9


def with_package(row: InstancesWithPackageRow, silent_before: int) -> Found:
    """Return an instance with the version of the package that it has."""
    source = "machine" if row["on_machine"] else "image"
    return _found(row, silent_before, {"version": row["version"], "stated_by": source, "statement": row["digest"]})


def without_package(row: InstancesWithoutPackageRow, silent_before: int) -> Found:
    """Return an instance with why it is not known which version it has."""
    return _found(row, silent_before, {"reason": REASONS[row["reason"]]})


def _found(
    row: InstancesWithPackageRow | InstancesWithoutPackageRow, silent_before: int, package: dict[str, Any]
) -> Found:
    found = found_now(
        {
            "number": row["number"], "facets": row["facets"], "instance_id": row["instance_id"],
            "account_id": row["account_id"], "region": row["region"], "cause": row["cause"],
            "observed_at": row["observed_at"], "ledger_index": row["ledger_index"], "life": row["life"],
            "life_index": -1, "seen_at": row["seen_at"], "recorded_at": row["recorded_at"],
            "life_since": row["life_since"],
        },
        silent_before,
    )  # fmt: skip
    found.shown["image_id"] = row["image_id"]
    found.shown["package"] = package
    return found


def coverage(rows: Sequence[CountPackagesKnownRow], *, versions: int) -> dict[str, object]:
    """Return of how many running instances the package is known. `versions`: how many are known of it anywhere."""
    counts = {row["reason"]: row["n"] for row in rows}
    unknown = {reason: counts[number] for number, reason in REASONS.items() if number in counts}
    return {
        "instances": sum(counts.values()),
        "known": counts.get(0, 0) + counts.get(_BY_IMAGE_ALONE, 0),
        "known_by_image_alone": counts.get(_BY_IMAGE_ALONE, 0),
        "unknown": sum(unknown.values()),
        "reasons": unknown,
        "versions": versions,
    }
