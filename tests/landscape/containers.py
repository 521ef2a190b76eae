"""The images of packaging/container, built on an engine from Debian's packages, and the Compose file that starts them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.package_builds import our_packages
from landscape.processes import NotReady, run
from landscape.programs import BIN
from landscape.roots import kept, layered, this_week
from landscape.whole import ROOT

FOLDER = ROOT / "packaging" / "container"
_PACKAGES = ("python3", "git", "ca-certificates", "postgresql", "nginx-light")
_UNUSED = ("*/libLLVM-14*", "*/llvmjit*", "*/libz3*", "*/bitcode/*")
"""PostgreSQL's compiler, which `jit=off` does not need: a third of the archive."""
_OURS = f"whence-test-{os.getpid()}"
"""Begins the names of images here: the engine may be yours, and have images of the documented names."""
BASES = tuple(f"{_OURS}-{one}base" for one in ("", "database-", "proxy-"))
IMAGES = tuple(f"{_OURS}-{one}:0.1.0" for one in ("aggregator", "database", "proxy"))
_NAMES = re.compile(r"\bwhence-(?=(?:database-|proxy-)?base\b|(?:aggregator|database|proxy):0)")
_QUICK = {"interval": "1s", "timeout": "5s", "retries": 30}


def named(text: str) -> str:
    """Return a command with the names that images have here."""
    return _NAMES.sub(f"{_OURS}-", text)


def readme(name: str = "container") -> list[str]:
    """Return the commands of a README of packaging."""
    text = (ROOT / "packaging" / name / "README.md").read_text(encoding="utf-8")
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


def command(beginning: str, name: str = "container") -> str:
    """Return the one command of a README that begins so."""
    (found,) = [line for line in readme(name) if line.startswith(beginning)]
    return named(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """Docker's command for one engine."""

    engine: str

    async def __call__(self, *words: str) -> str:
        """Run it; give what it printed. Raises NotReady when it fails."""
        return await run("docker", *words, environment={"DOCKER_HOST": self.engine})

    async def said(self, *words: str) -> tuple[int, str]:
        """Run it; give its exit code and all that it printed."""
        return await self.shell(" ".join(("docker", *words)))

    async def shell(self, text: str, **environment: str) -> tuple[int, str]:
        """Run a command of a README in the repository."""
        process = await asyncio.create_subprocess_shell(
            text, cwd=ROOT, env={**os.environ, "DOCKER_HOST": self.engine, **environment},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def inspect(self, name: str) -> dict[str, Any]:
        """Give what the engine states about a container or image."""
        (found,) = json.loads(await self("inspect", name))
        assert isinstance(found, dict)
        return found


async def base_archive() -> Path:
    """Return the archive of a Debian root with what all three images need, made once a week."""

    async def make(own: Path) -> None:
        excluded = [word for one in _UNUSED for word in ("--exclude", one)]
        making = (BIN / "python", FOLDER / "base.py", "--out", own / "root.tar")
        async with layered(own) as disk:
            await run(*making, *_PACKAGES, *excluded, environment={"TMPDIR": str(disk)})

    return await kept("container-root", this_week(), make) / "root.tar"


@asynccontextmanager
async def images(engine: str, directory: Path, *, source: str) -> AsyncIterator[Docker]:
    """Build the three images as `make container` does, of a clean clone of this repository; remove them at the end."""
    docker, clone = Docker(engine=engine), directory / "clone"
    planned = named(await run("make", "--dry-run", "container", f"SOURCE={source}", cwd=ROOT))
    builds = [line.split()[1:] for line in planned.splitlines() if "container/build.py" in line]
    assert len(builds) == len(IMAGES)
    options = ("--wheels", await our_packages() / "wheels", "--git", clone)
    try:
        await asyncio.gather(
            docker("import", str(await base_archive()), BASES[0]),
            run("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", ROOT, clone),
        )
        for other in BASES[1:]:
            await docker("tag", BASES[0], other)
        await asyncio.gather(
            *(run(BIN / "python", *words, *options, cwd=ROOT, environment={"DOCKER_HOST": engine}) for words in builds)
        )
        yield docker
    finally:
        await docker.said("rmi", "--force", *IMAGES, *BASES)
        await docker.said("image", "prune", "--force", "--filter", "label=whence.stage=build")


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What compose.yaml started."""

    docker: Docker
    project: str
    environment: Mapping[str, str]
    override: Path

    @property
    def version_1(self) -> bool:
        return shutil.which("docker-compose") is not None

    def container(self, service: str) -> str:
        return ("_" if self.version_1 else "-").join((self.project, service, "1"))

    async def compose(self, text: str) -> str:
        """Run a command of the README that begins with `docker compose -f FILE`. Raises NotReady when it fails."""
        program = "docker-compose" if self.version_1 else "docker compose"
        text = text.replace("compose.yaml", f"compose.yaml -f {self.override} -p {self.project}", 1)
        code, said = await self.docker.shell(text.replace("docker compose", program, 1), **self.environment)
        if code != 0:
            raise NotReady(f"{text}: {code}\n{said[-3000:]}")
        return said

    async def inspect(self, service: str) -> dict[str, Any]:
        return await self.docker.inspect(self.container(service))


def write_override(file: Path, services: Sequence[str]) -> None:
    """Have the health checks of these services asked each second."""
    file.write_text(json.dumps({"services": {one: {"healthcheck": _QUICK} for one in services}}), encoding="utf-8")
