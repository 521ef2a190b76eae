"""The aggregator's units: closed up, and starting commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT

UNITS = sorted(
    path for path in (ROOT / "systemd").glob("*.service") if "/usr/bin/whence-aggregator " in path.read_text("utf-8")
)
EXPOSURE_MAX = 2.0


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
async def test_a_unit_is_closed_up_and_starts_what_there_is(unit: Path) -> None:
    said = await run("systemd-analyze", "security", "--offline=true", unit)
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= EXPOSURE_MAX
    command = re.search(r"^ExecStart=/usr/bin/whence-aggregator (\w+)$", unit.read_text("utf-8"), re.M)
    assert command is not None
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit.read_text("utf-8")
    assert "--config" in await run(BIN / "whence-aggregator", command[1], "--help")


def test_there_are_three() -> None:
    assert [path.stem for path in UNITS] == ["whence-aggregator", "whence-registry", "whence-witness"]
