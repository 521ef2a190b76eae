"""The parts of a release, each of which consists of steps that write files."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sboms import write_sboms
from steps import Step
from targets import TARGETS, Target
from version import ROOT

_IMAGE_FILES = ("disk.raw", "image.json", "statement.json", "root.mtree", "sbom.cdx.json", "sbom.spdx.json")


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
    """From what the parts are made, and what the caller stated. `finished` has the files of the rounds before."""

    finished: Path
    source: Source
    base: str
    settings: Path | None
    builder_id: str

    def run(self, *words: str | Path) -> None:
        """Run a program of this repository. Raises SystemExit with what it printed."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = {**kept, "SOURCE_DATE_EPOCH": str(self.source.epoch)}
        _run(sys.executable, *map(str, words), environment=environment)


def wheels(making: Making) -> list[Step]:
    def build(out: Path) -> None:
        for part in ("common", "agent", "aggregator"):
            making.run("-m", "build", "--no-isolation", "--wheel", "--outdir", out, ROOT / part)

    return [Step(name="wheels", build=build)]


def packages(making: Making) -> list[Step]:
    """Both Debian packages, for every release and architecture."""

    def build(target: Target, out: Path) -> None:
        chosen = ("--python", target.python, "--architecture", target.architecture)
        making.run(ROOT / "packaging/deb/build.py", "--wheels", making.finished, "--out", out, *chosen)

    return [
        Step(name=f"packages {target.suffix} {target.architecture}", build=functools.partial(build, target))
        for target in TARGETS
    ]


def sboms(making: Making) -> list[Step]:
    def build(out: Path) -> None:
        write_sboms(ROOT, out, wheels=making.finished, version=making.source.version, epoch=making.source.epoch)

    return [Step(name="sboms", build=build)]


def container(making: Making) -> list[Step]:
    """The aggregator's image, as `docker load` reads it."""
    version, program = making.source.version, ROOT / "packaging/container"

    def build(out: Path) -> None:
        tag = f"whence-aggregator:{version}"
        place = ("--wheels", making.finished, "--source", making.source.repository)
        making.run(program / "build.py", "aggregator", "--base", making.base, "--tag", tag, *place)
        with tempfile.TemporaryDirectory(prefix="whence-saved-") as saved:
            archive = Path(saved) / "saved.tar"
            _run("docker", "save", "--output", str(archive), tag, environment=os.environ)
            making.run(program / "archive.py", archive, out / f"whence-aggregator-{version}.container.tar")

    return [Step(name="container", build=build)]


def image(making: Making) -> list[Step]:
    """The machine image's disk, with its statement and SBOMs."""
    settings, version = making.settings, making.source.version
    if settings is None:
        raise SystemExit("make release: the part image needs --settings, the platform's agent.yaml")

    def build(out: Path) -> None:
        architecture = subprocess.run(("dpkg", "--print-architecture"), check=True, stdout=subprocess.PIPE, text=True)
        (package,) = making.finished.glob(f"whence-agent_*+deb12_{architecture.stdout.strip()}.deb")
        with tempfile.TemporaryDirectory(prefix="whence-image-") as made:
            making.run(
                ROOT / "packaging/ami/image.py", "--package", package, "--settings", settings, "--out", made,
                "--version", version, "--git", ROOT, "--builder-id", making.builder_id,
            )  # fmt: skip
            for file in _IMAGE_FILES:
                shutil.move(Path(made) / file, out / f"whence-image-{version}.{file}")

    return [Step(name="image", build=build)]


def _run(*words: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise SystemExit(f"make release: {' '.join(words)} failed with exit code {done.returncode}")


PARTS: dict[str, Callable[[Making], list[Step]]] = {
    "wheels": wheels, "packages": packages, "sboms": sboms, "container": container, "image": image,
}  # fmt: skip
ROUNDS = (("wheels",), ("container", "packages", "sboms"), ("image",))
"""Parts of one round are built concurrently, from the files of the rounds before."""
