"""Both packages, and one Debian root with them in it, for all tests that use them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from landscape.package_builds import Repository, in_root, our_packages, signed_repository
from landscape.package_files import Installed, paths
from landscape.processes import run
from landscape.roots import digest, kept, layered, read_only, this_week

BARE = "systemd,systemd-sysv,dbus"
"""What boots a root; everything else must come with the packages."""

_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
_UPDATE = (
    "apt-get", "update", "--option=Dir::Etc::sourcelist=/etc/apt/sources.list.d/whence.sources",
    "--option=Dir::Etc::sourceparts=-", "--option=APT::Get::List-Cleanup=0",
)  # fmt: skip
"""Only of our repository: Debian's is not needed any more."""


@pytest.fixture(scope="session")
async def packages() -> list[Path]:
    """Both packages for this machine, built once for one content."""
    found = sorted((await our_packages()).glob("*.deb"))
    assert [one.name.split("_")[0] for one in found] == ["whence-agent", "whence-aggregator"]
    return found


@pytest.fixture(scope="session")
def wheels(packages: list[Path]) -> Path:
    """The folder of our wheels."""
    return packages[0].parent / "wheels"


@pytest.fixture(scope="session")
async def repository(packages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An APT repository of both packages, signed by a key of its own."""
    return await signed_repository(packages[0].parent, tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
async def installation(
    packages: list[Path], repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installed]:
    """A Debian root in which apt has installed the packages, and what they depend on, but nothing more."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    bare, folder = await bare_root(packages), tmp_path_factory.mktemp("package")
    async with layered(folder, bare) as root:
        repository.add_to(root)
        await in_root(root, *_UPDATE)
        before = frozenset(paths(root))
        await in_root(root, *_INSTALL, "whence-agent", "whence-aggregator")
    layers = (folder / "upper", bare)
    async with read_only(folder / "root", *layers) as root:
        yield Installed(root=root, layers=layers, before=before)


@pytest.fixture(scope="session")
def pristine_root(installation: Installed) -> Path:
    """The root with the packages. Nobody boots it."""
    return installation.root


async def bare_root(packages: Sequence[Path]) -> Path:
    """Return a root in which apt has installed what the packages depend on, but not the packages; made anew each week."""
    depends = ", ".join([await run("dpkg-deb", "--field", one, "Depends") for one in packages]).replace("\n", "")

    async def make(own: Path) -> None:
        async with layered(own) as disk:
            satisfied = f"chroot $1 {' '.join(_INSTALL).replace('install', 'satisfy', 1)} '{depends}'"
            given = ("--variant=minbase", f"--include={BARE}", f"--customize-hook={satisfied}")
            await run("mmdebstrap", *given, "bookworm", disk / "root")
            (disk / "root/var/log/journal").mkdir(exist_ok=True)

    return await kept("bare-root", f"{this_week()}-{digest([depends.encode()])}", make) / "upper/root"


@pytest.fixture(scope="session")
async def root(installation: Installed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The root as it was installed, for tests that go on from what others left in it."""
    async with layered(tmp_path_factory.mktemp("shared"), *installation.layers) as layer:
        yield layer


@pytest.fixture
async def copied_root(installation: Installed, tmp_path: Path) -> AsyncIterator[Path]:
    """The root as it was installed, for one test."""
    async with layered(tmp_path, *installation.layers) as layer:
        yield layer
