"""The image's root as packaging/ami makes it, once for one content, and layers over it that tests boot and spoil."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from landscape.package_builds import built, made_wheels
from landscape.processes import run
from landscape.whole import ROOT

AMI = ROOT / "packaging/ami"
_PROGRAM = AMI / "image.py"
_KEPT_OTHERS = 1
"""Roots of other contents that stay; older ones are removed."""


@asynccontextmanager
async def layered(directory: Path, *below: Path) -> AsyncIterator[Path]:
    """Mount roots, the uppermost first, so that what is written goes to a layer of its own."""
    mounted, upper, work = directory / "root", directory / "upper", directory / "work"
    for one in (mounted, upper, work):
        one.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}"
    await run("mount", "-t", "overlay", "overlay", "-o", layers, mounted)
    try:
        yield mounted
    finally:
        await run("umount", mounted)


async def base_root() -> Path:
    """Return a root with everything of the image that comes from the distribution; made anew each week."""
    plan = await run(sys.executable, _PROGRAM, "--plan")
    week = datetime.now(UTC).strftime("%G-%V")
    made = ROOT / "build" / f"image-base-{week}-{_digest([json.loads(plan)['WHENCE_PACKAGES'].encode()])}"
    if not (made / "root").exists():
        own = made.with_name(f"{made.name}-{os.getpid()}")
        await run(sys.executable, _PROGRAM, "--only", "base", "--out", own)
        _keep(own, made)
        _forget("image-base-", made)
    return made / "root"


async def agent_package() -> Path:
    """Return the agent's package of this checkout, built once for one content."""
    parts = ("common/src", "common/pyproject.toml", "agent", "packaging/deb", "packaging/agent.lock",
             "packaging/settings", "systemd")  # fmt: skip
    listed = await run(
        "git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard", *parts, cwd=ROOT
    )
    names = sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())
    made = ROOT / "build" / f"image-package-{_digest(part for name in names for part in _named(ROOT / name))}"
    if not made.exists():
        own = made.with_name(f"{made.name}-{os.getpid()}")
        await made_wheels(own / "wheels")
        await built(own / "wheels", own, "--package", "whence-agent")
        _keep(own, made)
        _forget("image-package-", made)
    (package,) = made.glob("whence-agent_*.deb")
    return package


async def provisioned_layers(package: Path, base: Path) -> tuple[Path, ...]:
    """Return the layers of the image, the uppermost first: provisioned, cleaned and checked, over the base."""
    files = sorted(path for path in AMI.rglob("*") if path.is_file() and path.suffix not in (".md", ".pyc"))
    key = _digest([str(base).encode(), package.read_bytes(), *(part for file in files for part in _named(file))])
    made = ROOT / "build" / f"image-root-{key}"
    if not made.exists():
        own = made.with_name(f"{made.name}-{os.getpid()}")
        shutil.rmtree(own, ignore_errors=True)
        async with layered(own, base):
            settings = own / "agent.yaml"
            settings.write_text("aggregator_url: https://whence.example.org\n", encoding="utf-8")
            await run(
                sys.executable, _PROGRAM, "--only", "provision", "--out", own, "--package", package,
                "--settings", settings,
            )  # fmt: skip
        _keep(own, made)
        _forget("image-root-", made)
    return made / "upper", base


async def image_layers() -> tuple[Path, ...]:
    """Return the layers of the image of this checkout, the uppermost first."""
    return await provisioned_layers(await agent_package(), await base_root())


async def repacked(directory: Path, version: str | None) -> Path:
    """Return the agent's package with another version, or as it is."""
    package = await agent_package()
    if version is None:
        return package
    tree = directory / f"package-{version}"
    await run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    lines = control.read_text(encoding="utf-8").splitlines()
    kept = [f"Version: {version}" if line.startswith("Version: ") else line for line in lines]
    control.write_text("\n".join([*kept, ""]), encoding="utf-8")
    made = directory / f"whence-agent_{version}.deb"
    await run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made)
    return made


def _keep(own: Path, made: Path) -> None:
    """Give what was made its name, unless another run has made the same meanwhile."""
    try:
        own.rename(made)
    except OSError:
        if not made.exists():
            raise
        shutil.rmtree(own)


def _named(path: Path) -> tuple[bytes, bytes]:
    return str(path.relative_to(ROOT)).encode(), path.read_bytes()


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def _forget(beginning: str, kept: Path) -> None:
    others = [path for path in kept.parent.glob(f"{beginning}*") if path != kept]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_OTHERS:]:
        shutil.rmtree(path, ignore_errors=True)
