"""The image's root as packaging/ami makes it, once for one content: layers that tests boot and spoil."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from landscape.package_builds import our_packages, sources
from landscape.processes import run
from landscape.roots import digest, kept, layered, named, this_week
from landscape.whole import ROOT

AMI = ROOT / "packaging/ami"
_PROGRAM = AMI / "image.py"
_OF_THE_AGENT = (
    "common/src", "common/pyproject.toml", "agent", "packaging/deb", "packaging/agent.lock", "packaging/settings", "systemd",
)  # fmt: skip
"""What its package is built from."""


async def base_root() -> Path:
    """Return a root with everything of the image that comes from the distribution; made anew each week."""
    plan = json.loads(await run(sys.executable, _PROGRAM, "--plan"))

    async def make(own: Path) -> None:
        async with layered(own) as disk:
            await run(sys.executable, _PROGRAM, "--only", "base", "--out", disk)

    made = await kept("image-base", f"{this_week()}-{digest([plan['WHENCE_PACKAGES'].encode()])}", make)
    return made / "upper/root"


async def agent_package() -> Path:
    """Return the agent's package of this checkout."""
    (package,) = (await our_packages()).glob("whence-agent_*.deb")
    return package


async def image_layers() -> tuple[Path, ...]:
    """Return the layers of the image of this checkout, the uppermost first: provisioned, cleaned, checked; and the base."""
    package, base = await agent_package(), await base_root()

    async def make(own: Path) -> None:
        async with layered(own, base):
            settings = own / "agent.yaml"
            settings.write_text("aggregator_url: https://whence.example.org\n", encoding="utf-8")
            await run(
                sys.executable, _PROGRAM, "--only", "provision", "--out", own, "--package", package,
                "--settings", settings,
            )  # fmt: skip

    # The package's bytes are no part of the key: they have the time of the last commit.
    provisioning = [path for path in AMI.rglob("*") if path.is_file() and path.suffix not in (".md", ".pyc")]
    files = sorted([*provisioning, *await sources(*_OF_THE_AGENT)])
    key = digest([str(base).encode(), *(part for file in files for part in named(file))])
    return await kept("image-root", key, make) / "upper", base


async def repacked(directory: Path, version: str | None) -> Path:
    """Return the agent's package with another version, or as it is."""
    package = await agent_package()
    if version is None:
        return package
    tree = directory / f"package-{version}"
    await run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    lines = control.read_text(encoding="utf-8").splitlines()
    changed = [f"Version: {version}" if line.startswith("Version: ") else line for line in lines]
    control.write_text("\n".join([*changed, ""]), encoding="utf-8")
    made = directory / f"whence-agent_{version}.deb"
    await run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made)
    return made
