"""How far sources are covered, for calls that a test serves: by default the settings have nothing read."""

from __future__ import annotations

from collections.abc import Sequence

from fakes.in_process import InProcess
from whence_aggregator.reports.coverage_reading import CoverageReader, ScannerStates
from whence_aggregator.reports.coverage_sources import ExpectedSources

COVERED = {"complete": True, "incomplete_total": 0, "incomplete": []}
"""What an answer states that lacks nothing."""


def coverage_of(
    house: InProcess,
    *,
    accounts: Sequence[str] = (),
    regions: Sequence[str] = (),
    trail: bool = False,
    organisation: Sequence[str] = (),
    scanners: ScannerStates | None = None,
    named: Sequence[str] = (),
) -> CoverageReader:
    """Return the reader of a house whose settings name these sources; `named` are the scanners of the settings."""
    expected = ExpectedSources(
        accounts=lambda: accounts, regions=regions, inventory_seconds=300.0, trail=trail, organisation=organisation,
        scanners=named,
    )  # fmt: skip
    return CoverageReader(database=house.database, expected=expected, now=house.clock, scanners=scanners)
