"""The APT repository: real apt installs from it what is signed, and refuses everything else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from landscape.package_builds import PACKAGING, Repository
from landscape.processes import NotReady, run
from landscape.programs import BIN

pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""
_PROGRAM = (BIN / "python", PACKAGING / "repository.py")
_APT = ("apt-get", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::SourceParts=/etc/apt/sources.list.d")
_SUITE = "dists/bookworm"


async def test_apt_has_installed_both_packages_from_it_and_knows_that_it_is_signed(pristine_root: Path) -> None:
    said = await run("chroot", pristine_root, "apt-cache", "policy", "whence-agent", "whence-aggregator")
    assert said.count("Installed: 0.1.0-1+deb12") == 2
    assert said.count("file:/srv/whence bookworm/main amd64 Packages") == 2
    listed = await run("chroot", pristine_root, "apt-cache", "show", "whence-agent")
    assert "Filename: pool/main/w/whence-agent/whence-agent_0.1.0-1+deb12_" in listed


def without_signature(folder: Path) -> None:
    for name in ("InRelease", "Release.gpg"):
        (folder / _SUITE / name).unlink()


def with_another_release(folder: Path) -> None:
    path = folder / _SUITE / "InRelease"
    path.write_text(path.read_text(encoding="ascii").replace("Label: Whence", "Label: Hence"), encoding="ascii")


def with_another_index(folder: Path) -> None:
    for path in (folder / _SUITE / "main/binary-amd64").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    "change, message",
    [
        (without_signature, "is not signed"),
        (with_another_release, "BADSIG"),
        (with_another_index, "unexpected size|Hash Sum mismatch"),
    ],
)
async def test_apt_refuses_a_repository_that_was_changed(
    change: Callable[[Path], None], message: str, copied_root: Path, repository: Repository, tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(repository.folder, tmp_path / "changed"))
    change(changed)
    shutil.rmtree(copied_root / "srv/whence")
    shutil.rmtree(copied_root / "var/lib/apt/lists")
    repository.add_to(copied_root, folder=changed)
    with pytest.raises(NotReady) as said:
        await run("chroot", copied_root, "sh", "-c", '"$@" 1>&2', "-", *_APT, "update")
    assert any(one in str(said.value) for one in message.split("|")), said.value


async def test_the_same_packages_give_the_same_repository_and_new_ones_are_added(
    repository: Repository, packages: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "apt"
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(packages[0], first)
    await run(*_PROGRAM, "--packages", first, "--out", out, "--unsigned")
    await run(*_PROGRAM, "--packages", packages[0].parent, "--out", out, "--unsigned")
    for path in sorted(one for one in repository.folder.rglob("*") if one.is_file()):
        if path.name not in ("InRelease", "Release.gpg"):
            assert (out / path.relative_to(repository.folder)).read_bytes() == path.read_bytes(), path
    index = (out / _SUITE / "main/binary-amd64/Packages").read_text(encoding="utf-8")
    assert [line for line in index.splitlines() if line.startswith("Package: ")] == [
        "Package: whence-agent", "Package: whence-aggregator",
    ]  # fmt: skip


async def test_a_repository_is_not_written_unsigned_by_mistake_from_nothing_or_with_changed_content(
    repository: Repository, packages: list[Path], tmp_path: Path
) -> None:
    async def refused(*words: str | Path, folder: Path = packages[0].parent) -> str:
        with pytest.raises(NotReady) as said:
            await run(*_PROGRAM, "--packages", folder, "--out", tmp_path / "apt", *words)
        return str(said.value)

    assert "make apt ARGS=--unsigned" in await refused()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "run `make deb`" in await refused("--unsigned", folder=empty)
    (empty / "whence-agent_0.1.0-1+deb12_amd64.deb").write_bytes(b"")
    assert "is not a package of this name" in await refused("--unsigned", folder=empty)
    (empty / "whence-agent_0.1.0-1+deb12_amd64.deb").unlink()
    (empty / "whence-agent_9_amd64.deb").write_bytes(packages[0].read_bytes())
    assert "is not a package of this name" in await refused("--unsigned", folder=empty)
    assert not (tmp_path / "apt").exists()
    (empty / "whence-agent_9_amd64.deb").unlink()
    await run("dpkg-deb", "--raw-extract", packages[0], tmp_path / "other")
    control = tmp_path / "other/DEBIAN/control"
    control.write_text(control.read_text(encoding="utf-8").replace("+deb12", ""), encoding="utf-8")
    await run("dpkg-deb", "-Znone", "--build", tmp_path / "other", empty)
    assert "is for no release of" in await refused("--unsigned", folder=empty)
    assert not (tmp_path / "apt").exists()
    assert "import the secret key" in await refused("--key", "0123456789ABCDEF0123456789ABCDEF01234567")
    assert not list((tmp_path / "apt/dists").iterdir())

    await run(*_PROGRAM, "--packages", packages[0].parent, "--out", tmp_path / "apt", "--unsigned")
    signature = tmp_path / "apt" / _SUITE / "InRelease"
    signature.write_text("signed", encoding="ascii")
    before = (tmp_path / "apt" / _SUITE / "Release").stat().st_ino
    assert "import the secret key" in await refused("--key", "0123456789ABCDEF0123456789ABCDEF01234567")
    assert signature.read_text(encoding="ascii") == "signed", "what was published stays as it is"
    assert (tmp_path / "apt" / _SUITE / "Release").stat().st_ino == before
    assert sorted(one.name for one in (tmp_path / "apt").iterdir()) == ["dists", "pool"]

    published = tmp_path / "apt/pool/main/w/whence-agent" / packages[0].name
    published.write_bytes(published.read_bytes() + b"x")
    assert "a published version does not change" in await refused("--unsigned")
    assert "argument --unsigned: not allowed with argument --key" in await refused("--key", "a", "--unsigned")
