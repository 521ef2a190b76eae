"""One Debian root with both packages in it, for all tests that boot it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT

BARE = "systemd,systemd-sysv,dbus"
"""What boots a root; everything else must come with the packages."""


@pytest.fixture(scope="session")
async def pristine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root with the packages installed in it, and with what they depend on, but nothing more. Nobody boots it."""
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


@pytest.fixture(scope="session")
async def root(pristine_root: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The root as it was installed, for tests that go on from what others left in it."""
    async with layered(pristine_root, tmp_path_factory.mktemp("shared")) as layer:
        yield layer


@pytest.fixture
async def copied_root(pristine_root: Path, tmp_path: Path) -> AsyncIterator[Path]:
    """The root as it was installed, for one test."""
    async with layered(pristine_root, tmp_path) as layer:
        yield layer


@asynccontextmanager
async def layered(below: Path, directory: Path) -> AsyncIterator[Path]:
    """Mount a root so that what is written goes to a layer of its own."""
    mounted, upper, work = directory / "root", directory / "upper", directory / "work"
    for one in (mounted, upper, work):
        one.mkdir()
    layers = f"lowerdir={below},upperdir={upper},workdir={work}"
    await run("mount", "-t", "overlay", "overlay", "-o", layers, mounted)
    try:
        yield mounted
    finally:
        await run("umount", mounted)
