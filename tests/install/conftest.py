"""One Debian root with both packages in it, for all tests that boot it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT

BARE = "systemd,systemd-sysv,dbus"
"""What boots a root; everything else must come with the packages."""


@pytest.fixture(scope="session")
async def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root with the packages installed in it, and with what they depend on, but nothing more."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    work = tmp_path_factory.mktemp("package")
    for part in ("common", "agent", "aggregator"):
        await run(BIN / "python", "-m", "build", "--wheel", "--outdir", work / "wheels", ROOT / part)
    await run(BIN / "python", ROOT / "packaging/deb/build.py", "--wheels", work / "wheels", "--out", work)
    packages = sorted(work.glob("*.deb"))
    assert [one.name.split("_")[0] for one in packages] == ["whence-agent", "whence-aggregator"]
    root = work / "root"
    install = "chroot $1 apt-get install --yes --no-install-recommends " + " ".join(f"/{one.name}" for one in packages)
    await run(
        "mmdebstrap", "--variant=minbase", f"--include={BARE}",
        *(f"--customize-hook=copy-in {one} /" for one in packages), f"--customize-hook={install}",
        "bookworm", root,
    )  # fmt: skip
    (root / "var/log/journal").mkdir(exist_ok=True)
    return root


@pytest.fixture
async def copied_root(root: Path, tmp_path: Path) -> AsyncIterator[Path]:
    """The root as it was installed, for a test that changes it: what it writes goes to a layer of its own."""
    copy, upper, work = tmp_path / "root", tmp_path / "upper", tmp_path / "work"
    for directory in (copy, upper, work):
        directory.mkdir()
    layers = f"lowerdir={root},upperdir={upper},workdir={work}"
    await run("mount", "-t", "overlay", "overlay", "-o", layers, copy)
    try:
        for settings in ("agent.yaml", "aggregator.yaml", "witness.yaml", "tokens"):
            (copy / "etc/whence" / settings).unlink(missing_ok=True)
        shutil.rmtree(copy / "var/log/journal")
        (copy / "var/log/journal").mkdir()
        for unit in (copy / "etc/systemd/system").glob("whence-*.d"):
            shutil.rmtree(unit)
        yield copy
    finally:
        await run("umount", copy)
