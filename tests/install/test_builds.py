"""Building packages: the same bytes from the same sources, and libraries for the Python and processor that they are for."""

from __future__ import annotations

import io
import re
import shutil
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest

from landscape.endurance import repeated
from landscape.package_builds import PACKAGING, SOURCES, built
from landscape.processes import NotReady, run
from landscape.programs import BIN
from landscape.whole import ROOT

pytestmark = pytest.mark.timeout(900)
"""Wheels of other processors are downloaded."""
_MACHINES = {"amd64": 62, "arm64": 183}
_EVERY = [
    (package, python, architecture)
    for package in ("whence-agent", "whence-aggregator")
    for python in ("3.13", "3.12", "3.11")
    for architecture in ("arm64", "amd64")
]
"""Neither the Python nor the processor of the first is this machine's."""
_RELEASES = {"3.11": "deb12", "3.12": "ubuntu24.04", "3.13": "deb13"}


async def epoch() -> str:
    return (await run(BIN / "python", PACKAGING / "epoch.py")).strip()


@pytest.mark.endurance
async def test_the_same_sources_give_the_same_bytes_in_another_folder_umask_language_and_time_zone(
    wheels: Path, packages: list[Path], tmp_path: Path
) -> None:
    source, there = tmp_path / "another folder", {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "COLUMNS": "40"}
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    assert not (source / ".git").exists()
    there |= {"SOURCE_DATE_EPOCH": await epoch(), "TMPDIR": str(tmp_path)}
    again = tmp_path / "wheels"
    await run("sh", "-c", 'umask 0077 && exec "$@"', "-", *python(source, again), environment=there)
    for wheel in sorted(wheels.glob("*.whl")):
        assert (again / wheel.name).read_bytes() == wheel.read_bytes(), wheel.name
    for package in packages[: repeated(sample=1, whole=2)]:
        name = package.name.split("_")[0]
        build = (BIN / "python", source / "packaging/deb/build.py", "--compression", "gzip", "--wheels", again)
        more = ("--out", tmp_path, "--package", name, "--wheelhouse", ROOT / "build/wheelhouse")
        await run("sh", "-c", 'umask 0077 && exec "$@"', "-", *map(str, (*build, *more)), environment=there)
        assert (tmp_path / package.name).read_bytes() == package.read_bytes(), name


def python(source: Path, out: Path) -> list[str]:
    """Return the command that builds the wheels of a folder of sources."""
    program = "import subprocess, sys\nfor part in ('common', 'agent', 'aggregator'):\n" + (
        f"    subprocess.run([sys.executable, '-m', 'build', '--no-isolation', '--wheel', '--outdir', {str(out)!r}, "
        f"{str(source)!r} + '/' + part], check=True)"
    )
    return [str(BIN / "python"), "-c", program]


@pytest.mark.endurance
async def test_every_library_is_for_the_python_and_the_processor_of_its_package(wheels: Path, tmp_path: Path) -> None:
    for name, version, architecture in _EVERY[: repeated(sample=1, whole=len(_EVERY))]:
        target = ("--python", version, "--architecture", architecture)
        await built(wheels, tmp_path, "--package", name, *target)
        (package,) = tmp_path.glob("*.deb")
        assert package.name == f"{name}_0.1.0-1+{_RELEASES[version]}_{architecture}.deb"
        fields = await run("dpkg-deb", "--field", package)
        assert f"Architecture: {architecture}\n" in fields
        assert f"Depends: python3 (>= {version}), python3 (<< 3.{int(version[2:]) + 1})" in fields
        files = await contents(package)
        libraries = {place: content for place, content in files.items() if ".so" in Path(place).suffixes}
        assert len(libraries) >= 10
        for place, content in libraries.items():
            assert struct.unpack("<4s14xH", content[:20]) == (b"\x7fELF", _MACHINES[architecture]), place
            abi = re.search(r"\.(cpython-\d+|abi3)[-.]", place)
            assert abi is not None, place
            assert abi[1] in (f"cpython-{version.replace('.', '')}", "abi3"), place
        assert not [place for place in files if place.endswith((".pyc", "direct_url.json", "/RECORD"))]
        package.unlink()


async def contents(package: Path) -> dict[str, bytes]:
    """Return the content of each file of a package, by its path in the package."""
    archive = package.with_suffix(".tar")
    await run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" > "$2"', "-", package, archive)
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as members:
        found = {one.name: _read(members, one) for one in members if one.isfile()}
    archive.unlink()
    return found


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()


async def refused(*command: Any, **environment: str) -> str:
    with pytest.raises(NotReady) as said:
        await run(*map(str, command), environment=environment)
    return str(said.value)


async def test_the_time_of_a_build_is_that_of_the_commit_or_the_release_or_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "packaging/deb").mkdir(parents=True)
    program = tmp_path / "packaging/deb/epoch.py"
    shutil.copyfile(PACKAGING / "epoch.py", program)
    changes = tmp_path / "CHANGELOG.md"
    changes.write_text("# Changelog\n\n## Unreleased\n\nNew.\n\n## 0.1.0, 2026-11-27\n\nFirst.\n", encoding="utf-8")
    assert await run(BIN / "python", program, environment={"SOURCE_DATE_EPOCH": "1700000000"}) == "1700000000\n"
    assert await run(BIN / "python", program, environment={"SOURCE_DATE_EPOCH": ""}) == "1795737600\n"
    changes.write_text("# Changelog\n\n## Unreleased\n\nNew.\n", encoding="utf-8")
    assert "set SOURCE_DATE_EPOCH" in await refused(BIN / "python", program, SOURCE_DATE_EPOCH="")
    assert "not a number of seconds" in await refused(BIN / "python", program, SOURCE_DATE_EPOCH="yesterday")
    git = ("git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org")
    await run(*git, "init", "--quiet")
    assert "set SOURCE_DATE_EPOCH" in await refused(BIN / "python", program, SOURCE_DATE_EPOCH="")
    dated = {"GIT_COMMITTER_DATE": "2026-01-02T00:00:00Z"}
    await run(*git, "commit", "--quiet", "--allow-empty", "--message", "First", environment=dated)
    assert await run(BIN / "python", program, environment={"SOURCE_DATE_EPOCH": ""}) == "1767312000\n"


async def test_a_build_without_our_wheels_is_refused(tmp_path: Path) -> None:
    build = (BIN / "python", PACKAGING / "build.py", "--wheels", tmp_path, "--out", tmp_path)
    assert "must have one wheel of common and one of agent" in await refused(*build)
    assert list(tmp_path.iterdir()) == []


async def test_wheels_for_another_python_are_refused_by_their_hash(wheels: Path, tmp_path: Path) -> None:
    """A lock without the wheels of a target stops its build: pip takes no wheel that the lock does not name."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "packaging", source / "packaging")
    (source / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0, 2026-11-27\n", encoding="utf-8")
    lock = source / "packaging/agent.lock"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text("utf-8")), encoding="utf-8")
    build = (BIN / "python", source / "packaging/deb/build.py", "--wheels", wheels, "--out", tmp_path / "out")
    said = await refused(*build, "--package", "whence-agent", "--wheelhouse", ROOT / "build/wheelhouse")
    assert "could not install the wheels of agent.lock" in said
    assert not (tmp_path / "out").exists()
