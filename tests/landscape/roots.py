"""Debian roots as layers of overlay mounts, and what the tests build once for one content and keep in build/."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from landscape.processes import run
from landscape.whole import ROOT

_KEPT_OTHERS = 1
"""Builds of other contents that stay; older ones are removed."""


@asynccontextmanager
async def layered(directory: Path, *below: Path) -> AsyncIterator[Path]:
    """Mount roots, the uppermost first, or none, so that what is written goes to a layer of its own, `upper`.

    Nothing there waits for the disk: dpkg, which syncs every file, would wait longer than it works. Linux 5.10 or newer.
    """
    mounted, upper, work, empty = (directory / name for name in ("root", "upper", "work", "empty"))
    for one in (mounted, upper, work, empty):
        one.mkdir(parents=True, exist_ok=True)
    layers = f"volatile,lowerdir={':'.join(map(str, below or (empty,)))},upperdir={upper},workdir={work}"
    await run("mount", "-t", "overlay", "overlay", "-o", layers, mounted)
    try:
        yield mounted
    finally:
        await run("umount", mounted)


@asynccontextmanager
async def read_only(directory: Path, *layers: Path) -> AsyncIterator[Path]:
    """Mount layers, the uppermost first, so that nobody changes what other mounts have below them."""
    directory.mkdir(parents=True, exist_ok=True)
    await run("mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={':'.join(map(str, layers))}", directory)
    try:
        yield directory
    finally:
        await run("umount", directory)


async def kept(kind: str, key: str, make: Callable[[Path], Awaitable[object]]) -> Path:
    """Return the folder build/KIND-KEY. `make` fills it if it does not exist yet."""
    made = ROOT / "build" / f"{kind}-{key}"
    if not made.exists():
        own = made.with_name(f"{made.name}-{os.getpid()}")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        await make(own)
        _name(own, made)
        _forget(f"{kind}-", made)
    return made


def this_week() -> str:
    """Return the beginning of the key of what is made from Debian's packages, which change."""
    return f"{datetime.now(UTC):%G-%V}"


def digest(parts: Iterable[bytes]) -> str:
    """Return a short key of a content."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def named(path: Path) -> tuple[bytes, bytes]:
    """Return a file's place in the repository and its content."""
    return str(path.relative_to(ROOT)).encode(), path.read_bytes()


def _name(own: Path, made: Path) -> None:
    """Give what was made its name, unless another run has made the same meanwhile."""
    try:
        own.rename(made)
    except OSError:
        if not made.exists():
            raise
        shutil.rmtree(own)


def _forget(beginning: str, made: Path) -> None:
    others = [path for path in made.parent.glob(f"{beginning}*") if path != made]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_OTHERS:]:
        shutil.rmtree(path, ignore_errors=True)
