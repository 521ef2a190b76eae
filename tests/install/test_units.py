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


def test_there_are_four() -> None:
    assert [path.stem for path in UNITS] == ["whence-aggregator", "whence-mint", "whence-registry", "whence-witness"]


@pytest.mark.parametrize("unit", ["agent", "aggregator", "registry", "mint", "witness"])
def test_a_service_has_bounds_on_its_memory_and_is_slowed_before_it_is_ended(unit: str) -> None:
    lines = (ROOT / "systemd" / f"whence-{unit}.service").read_text(encoding="utf-8").splitlines()
    set_ = dict(line.split("=", 1) for line in lines if line.startswith(("MemoryHigh=", "MemoryMax=")))
    high, most = (int(set_[name].removesuffix("M").replace("G", "")) for name in ("MemoryHigh", "MemoryMax"))
    assert set_["MemoryHigh"].endswith("M")
    assert high < (most * 1024 if set_["MemoryMax"].endswith("G") else most)
