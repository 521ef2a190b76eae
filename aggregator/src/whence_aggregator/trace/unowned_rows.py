"""Rows about what no application's team owns as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.queries.reports import AccountsOfApplicationsCountedRow, UnownedApplicationsRow


def unowned(rows: Sequence[UnownedApplicationsRow]) -> list[str]:
    """Return the ids of applications."""
    return [row["application_id"] for row in rows]


def accounts_with_applications(rows: Sequence[AccountsOfApplicationsCountedRow]) -> dict[str, list[str]]:
    """Return the applications in each account; none for an account that has only what is of no application."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["account_id"], []).extend([row["application_id"]] if row["application_id"] else [])
    return found
