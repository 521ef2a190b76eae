"""Both packages, and one Debian root with them in it, for all tests that use them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from landscape.image_roots import layered
from landscape.package_builds import Repository, built, in_root, made_wheels, signed_repository
from landscape.package_files import Installed, paths
from landscape.processes import run
from landscape.whole import ROOT

BARE = "systemd,systemd-sysv,dbus"
"""What boots a root; everything else must come with the packages."""

_INSTALL = (
    "apt-get", "install", "--yes", "--no-install-recommends", "--option=Dpkg::Options::=--force-unsafe-io",
)  # fmt: skip
_UPDATE = (
    "apt-get", "update", "--option=Dir::Etc::sourcelist=/etc/apt/sources.list.d/whence.sources",
    "--option=Dir::Etc::sourceparts=-", "--option=APT::Get::List-Cleanup=0",
)  # fmt: skip
"""Only of our repository: Debian's is not needed any more."""


@pytest.fixture(scope="session")
async def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of our wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    await made_wheels(folder)
    return folder


@pytest.fixture(scope="session")
async def packages(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both packages for this machine, built once: all tests that use them run on one worker."""
    folder = tmp_path_factory.mktemp("packages")
    await built(wheels, folder)
    found = sorted(folder.glob("*.deb"))
    assert [one.name.split("_")[0] for one in found] == ["whence-agent", "whence-aggregator"]
    return found


@pytest.fixture(scope="session")
async def repository(packages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An APT repository of both packages, signed by a key of its own."""
    return await signed_repository(packages[0].parent, tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
async def installation(
    packages: list[Path], repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """A Debian root in which apt has installed the packages, and what they depend on, but nothing more."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    root = tmp_path_factory.mktemp("package") / "root"
    root.mkdir()
    await run("tar", "--extract", "--numeric-owner", "--file", await bare_root(packages), "--directory", root)
    (root / "var/log/journal").mkdir(exist_ok=True)
    repository.add_to(root)
    await in_root(root, *_UPDATE)
    before = frozenset(paths(root))
    await in_root(root, *_INSTALL, "whence-agent", "whence-aggregator")
    return Installed(root=root, before=before)


@pytest.fixture(scope="session")
def pristine_root(installation: Installed) -> Path:
    """The root with the packages. Nobody boots it."""
    return installation.root


async def bare_root(packages: Sequence[Path]) -> Path:
    """Return the archive of a root in which apt has installed what the packages depend on, but not the packages."""
    depends = ", ".join([await run("dpkg-deb", "--field", one, "Depends") for one in packages]).replace("\n", "")
    kept = ROOT / "build" / f"root-{datetime.now(UTC):%G-%V}-{hashlib.sha256(depends.encode()).hexdigest()[:8]}.tar"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        made = kept.with_name(f"{kept.stem}-{os.getpid()}.tar")
        await run(
            "mmdebstrap", "--variant=minbase", f"--include={BARE}", "--dpkgopt=force-unsafe-io",
            f"--customize-hook=chroot $1 {' '.join(_INSTALL).replace('install', 'satisfy', 1)} '{depends}'",
            "bookworm", made,
        )  # fmt: skip
        made.rename(kept)
    return kept


@pytest.fixture(scope="session")
async def root(pristine_root: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The root as it was installed, for tests that go on from what others left in it."""
    async with layered(tmp_path_factory.mktemp("shared"), pristine_root) as layer:
        yield layer


@pytest.fixture
async def copied_root(pristine_root: Path, tmp_path: Path) -> AsyncIterator[Path]:
    """The root as it was installed, for one test."""
    async with layered(tmp_path, pristine_root) as layer:
        yield layer
