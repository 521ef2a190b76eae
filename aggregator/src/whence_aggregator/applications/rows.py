"""Rows of applications as Kio shows them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from whence_aggregator.queries.applications import ApplicationAtRow, ApplicationFirstRow, ApplicationsAllAtRow


def body_of(row: ApplicationAtRow) -> dict[str, Any]:
    """Return the body of a revision."""
    body: dict[str, Any] = msgspec.json.decode(row["body"])
    return body


def revision(rows: Sequence[ApplicationAtRow]) -> int:
    """Return the number of the newest revision; 0 before the first."""
    return rows[0]["revision"] if rows else 0


def creation(row: ApplicationFirstRow) -> tuple[str, str]:
    """Return when an application was registered, and by whom."""
    return row["recorded_at"], row["recorded_by"]


def shown_application(row: ApplicationAtRow, created: tuple[str, str]) -> dict[str, Any]:
    """Return an application as Kio shows it."""
    return {
        "id": row["application_id"],
        **body_of(row)["kio"],
        "created": created[0],
        "created_by": created[1],
        "last_modified": row["recorded_at"],
        "last_modified_by": row["recorded_by"],
    }


def listed_application(row: ApplicationsAllAtRow) -> dict[str, Any]:
    """Return an application of the list, whose row has its creation too."""
    return shown_application(row, (row["created_at"], row["created_by"]))


def last_id(rows: Sequence[ApplicationsAllAtRow]) -> str:
    """Return the last id of a page, after which the next page begins."""
    return rows[-1]["application_id"]
