"""One Debian root with both packages in it, for all tests that boot it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT

BARE = "systemd,systemd-sysv,dbus"
"""What boots a root; everything else must come with the packages."""

_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")


@pytest.fixture(scope="session")
async def pristine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root with the packages installed in it, and with what they depend on, but nothing more. Nobody boots it."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    work = tmp_path_factory.mktemp("package")
    for part in ("common", "agent", "aggregator"):
        await run(BIN / "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", work / "wheels", ROOT / part)
    build = (BIN / "python", ROOT / "packaging/deb/build.py", "--compression", "zstd")
    await run(*build, "--wheels", work / "wheels", "--out", work)
    packages = sorted(work.glob("*.deb"))
    assert [one.name.split("_")[0] for one in packages] == ["whence-agent", "whence-aggregator"]
    root = work / "root"
    root.mkdir()
    await run("tar", "--extract", "--numeric-owner", "--file", await bare_root(packages), "--directory", root)
    for one in packages:
        shutil.copy(one, root)
    within = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={root}")
    await run(*within, *_INSTALL, *(f"/{one.name}" for one in packages))
    (root / "var/log/journal").mkdir(exist_ok=True)
    return root


async def bare_root(packages: Sequence[Path]) -> Path:
    """Return the archive of a root without the packages; Debian's packages that these need are downloaded in it."""
    week = datetime.now(UTC).strftime("%G-%V")
    kept = ROOT / "build" / f"bare-root-{week}.tar"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        made = kept.with_name(f"{kept.stem}-{os.getpid()}.tar")
        names = " ".join(f"/{one.name}" for one in packages)
        await run(
            "mmdebstrap", "--variant=minbase", f"--include={BARE}", "--skip=cleanup/apt",
            *(f"--customize-hook=copy-in {one} /" for one in packages),
            f"--customize-hook=chroot $1 {' '.join(_INSTALL)} --download-only {names}",
            f"--customize-hook=cd $1 && rm {names.replace('/', './')}",
            "bookworm", made,
        )  # fmt: skip
        made.rename(kept)
    return kept


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
