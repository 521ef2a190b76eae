"""Rows of the database as statements about AMIs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.amis.submission import NamedAmi
from whence_aggregator.queries.amis import (
    AgentsOfAmiRow,
    AmisNamedByRow,
    AmiStatementOfRow,
    InstancesOfAmiRow,
    PackagesOfStatementRow,
    VersionsOfPackageRow,
)


def known_index(rows: Sequence[AmiStatementOfRow]) -> int | None:
    """Return the entry of a statement; None if it is not recorded."""
    return rows[0]["ledger_index"] if rows else None


def known_name(rows: Sequence[AmiStatementOfRow]) -> str:
    """Return the name that a statement is about; empty if it is not recorded."""
    return rows[0]["name"] if rows else ""


def named_amis(rows: Sequence[AmisNamedByRow]) -> list[NamedAmi]:
    return [NamedAmi(region=row["region"], image_id=row["image_id"]) for row in rows]


def instances_by_region(rows: Sequence[InstancesOfAmiRow]) -> dict[str, int]:
    return {row["region"]: row["n"] for row in rows}


def agents_to_wire(rows: Sequence[AgentsOfAmiRow]) -> list[dict[str, object]]:
    """Return which statements agents state, and on how many machines packages differ from the image."""
    return [{"digest": row["digest"], "instances": row["instances"], "changed": row["changed"]} for row in rows]


def package_to_wire(row: PackagesOfStatementRow) -> dict[str, str]:
    """Return a package as the API shows it."""
    return {
        "system": row["system"], "name": row["name"], "architecture": row["architecture"], "version": row["version"],
        "distribution": row["distribution"], "origin": row["origin"], "suite": row["suite"],
        "component": row["component"],
    }  # fmt: skip


def package_cursor(row: PackagesOfStatementRow) -> str:
    return f"{row['system']}/{row['name']}/{row['architecture']}"


def versions(rows: Sequence[VersionsOfPackageRow]) -> list[str]:
    return [row["version"] for row in rows]
