"""The units: confined, and starting commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT

SYSTEMD = ROOT / "systemd"
UNITS = sorted(path for path in SYSTEMD.glob("*.service") if "/usr/bin/whence-aggregator " in path.read_text("utf-8"))
EXPOSURE_MAX = {
    "whence-agent.service": 1.6,
    "whence-aggregator.service": 1.7,
    "whence-mint.service": 1.7,
    "whence-registry.service": 1.7,
    "whence-witness.service": 1.7,
    "whence-disks@.service": 3.9,
    "whence-machine@.service": 3.9,
}
NO_PROCESS = "whence-shutdown.service"
"""It runs nothing while the machine runs: two commands write and remove one file of root's."""


async def test_each_unit_is_exposed_no_more_than_is_stated() -> None:
    assert {path.name for path in SYSTEMD.glob("*.service")} == {*EXPOSURE_MAX, NO_PROCESS}
    units = [SYSTEMD / name for name in EXPOSURE_MAX]
    said = await run("systemd-analyze", "security", "--offline=true", "--no-pager", *units)
    levels = re.findall(r"exposure level for (\S+): ([0-9.]+)", said)
    found = {name.replace("@i.", "@."): float(level) for name, level in levels}
    assert set(found) == set(EXPOSURE_MAX)
    assert {name: level for name, level in found.items() if level > EXPOSURE_MAX[name]} == {}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
async def test_a_unit_starts_what_there_is(unit: Path) -> None:
    command = re.search(r"^ExecStart=/usr/bin/whence-aggregator (\w+)$", unit.read_text("utf-8"), re.M)
    assert command is not None
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit.read_text("utf-8")
    assert "--config" in await run(BIN / "whence-aggregator", command[1], "--help")


def test_there_are_four() -> None:
    assert [path.stem for path in UNITS] == ["whence-aggregator", "whence-mint", "whence-registry", "whence-witness"]


def test_a_helper_is_confined_but_for_what_it_changes_on_the_machine() -> None:
    disks = (SYSTEMD / "whence-disks@.service").read_text(encoding="utf-8")
    settings = (SYSTEMD / "whence-machine@.service").read_text(encoding="utf-8")
    # Each of these gives the service a mount namespace, in which its mounts would stay.
    for name in ("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectProc",
                 "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
                 "ProtectControlGroups", "ReadWritePaths", "InaccessiblePaths", "BindPaths"):  # fmt: skip
        assert f"\n{name}=" not in disks, name
    # In a network of its own the settings below net. would be those of that network.
    assert "\nPrivateNetwork=" not in settings
    assert "\nProtectKernelTunables=" not in settings
    assert "\nPrivateNetwork=yes\n" in disks


@pytest.mark.parametrize("unit", ["agent", "aggregator", "registry", "mint", "witness"])
def test_a_service_has_bounds_on_its_memory_and_is_slowed_before_it_is_ended(unit: str) -> None:
    lines = (ROOT / "systemd" / f"whence-{unit}.service").read_text(encoding="utf-8").splitlines()
    set_ = dict(line.split("=", 1) for line in lines if line.startswith(("MemoryHigh=", "MemoryMax=")))
    high, most = (int(set_[name].removesuffix("M").replace("G", "")) for name in ("MemoryHigh", "MemoryMax"))
    assert set_["MemoryHigh"].endswith("M")
    assert high < (most * 1024 if set_["MemoryMax"].endswith("G") else most)
