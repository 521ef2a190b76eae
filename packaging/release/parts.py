"""The parts of a release, each of which writes files into one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sboms import write_sboms
from targets import TARGETS
from version import ROOT

_IMAGE_FILES = ("disk.raw", "image.json", "statement.json", "root.mtree", "sbom.cdx.json", "sbom.spdx.json")
_STARTED = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The commit that is released. `epoch` is its time, seconds since 1970, which all files carry."""

    version: str
    repository: str
    commit: str
    epoch: int

    @property
    def tag(self) -> str:
        return f"v{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """Where a part writes its files, from what, and what the caller stated."""

    out: Path
    source: Source
    base: str
    settings: Path | None
    builder_id: str

    def run(self, *words: str | Path) -> None:
        """Run a program of this repository. Raises SystemExit with what it printed."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = {**kept, "SOURCE_DATE_EPOCH": str(self.source.epoch)}
        _run(sys.executable, *map(str, words), environment=environment)


def wheels(making: Making) -> None:
    for part in ("common", "agent", "aggregator"):
        making.run("-m", "build", "--no-isolation", "--wheel", "--outdir", making.out, ROOT / part)


def packages(making: Making) -> None:
    """Both Debian packages, for every release and architecture."""
    for target in TARGETS:
        say(f"  {target.suffix}, {target.architecture}")
        chosen = ("--python", target.python, "--architecture", target.architecture)
        making.run(ROOT / "packaging/deb/build.py", "--wheels", making.out, "--out", making.out, *chosen)


def sboms(making: Making) -> None:
    write_sboms(ROOT, making.out, version=making.source.version, epoch=making.source.epoch)


def container(making: Making) -> None:
    """The aggregator's image, as `docker load` reads it."""
    tag = f"whence-aggregator:{making.source.version}"
    place = ("--wheels", making.out, "--source", making.source.repository)
    making.run(ROOT / "packaging/container/build.py", "aggregator", "--base", making.base, "--tag", tag, *place)
    file = making.out / f"whence-aggregator-{making.source.version}.container.tar"
    _run("docker", "save", "--output", str(file), tag, environment=os.environ)


def image(making: Making) -> None:
    """The machine image's disk, with its statement and SBOMs."""
    if making.settings is None:
        raise SystemExit("make release: the part image needs --settings, the platform's agent.yaml")
    architecture = subprocess.run(("dpkg", "--print-architecture"), check=True, stdout=subprocess.PIPE, text=True)
    (package,) = making.out.glob(f"whence-agent_*+deb12_{architecture.stdout.strip()}.deb")
    with tempfile.TemporaryDirectory(prefix="whence-image-") as made:
        making.run(
            ROOT / "packaging/ami/image.py", "--package", package, "--settings", making.settings, "--out", made,
            "--version", making.source.version, "--git", ROOT, "--builder-id", making.builder_id,
        )  # fmt: skip
        for file in _IMAGE_FILES:
            shutil.move(Path(made) / file, making.out / f"whence-image-{making.source.version}.{file}")


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {text}", flush=True)


def _run(*words: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise SystemExit(f"make release: {' '.join(words)} failed with exit code {done.returncode}")


PARTS: dict[str, Callable[[Making], None]] = {
    "wheels": wheels, "packages": packages, "sboms": sboms, "container": container, "image": image,
}  # fmt: skip
"""In the order in which they are built; each writes files into the folder, and uses those of the parts before it."""
