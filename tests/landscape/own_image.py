"""The aggregator's own image, built from this checkout by packaging/container, pushed to a front and attested."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker

from landscape.images import clone_status, pushed, remove_images, scm_source
from landscape.processes import NotReady, run
from landscape.programs import BIN
from landscape.whole import ROOT, Landscape
from whence_aggregator import __version__
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now

FOLDER = ROOT / "packaging" / "container"
_BASE = "container-base-"
REPOSITORY = "platform/whence-aggregator"
_SETTINGS = {
    "audience": "https://whence.example.org", "accounts": ["123456789012"], "sts": "off",
    "listen_address": "0.0.0.0", "insecure_listen": True,
}  # fmt: skip
"""Of the aggregator that runs from the image."""
_ANY_OWNER = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
"""The checkout may be another user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """The image as an instance names it, and the scm-source.json of its build.

    `changes` lists the local changes that it was built with, as git does.
    """

    reference: str
    source: bytes
    changes: str

    @property
    def version(self) -> str:
        return self.reference.rpartition(":")[2]

    @property
    def name(self) -> str:
        """The image without its registry: TEAM/ARTIFACT:VERSION."""
        return self.reference.partition("/")[2]


async def build(scape: Landscape, front: str, *, say: Callable[[str], None]) -> OwnImage:
    """Build the image for a front; its base, from Debian's packages, is made once a week."""
    base, reference = f"whence-own-{os.getpid()}", f"{front}/{REPOSITORY}:{__version__}"
    changes = await clone_status(ROOT)
    wheels, settings = scape.directory / "wheels", _settings(scape.directory)
    here = {"DOCKER_HOST": scape.engine, "TMPDIR": str(scape.directory), **_ANY_OWNER}
    for part in ("common", "aggregator"):
        await run(BIN / "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", wheels, ROOT / part)
    archive = await weekly_base(
        ROOT / "build",
        lambda made: run(BIN / "python", FOLDER / "base.py", "--out", made, environment=here),
        week=f"{datetime.now(UTC):%G-%V}",
        say=say,
    )
    say("whence-aggregator's own image: building it")
    await run("docker", "import", archive, base, environment=here)
    await run(
        BIN / "python", FOLDER / "build.py", "aggregator", "--base", base, "--tag", reference, "--wheels", wheels,
        "--source", scape.sources.clone_url, "--settings", settings, environment=here,
    )  # fmt: skip
    say("whence-aggregator's own image is built")
    source = scm_source(scape.sources.clone_url, scape.sources.head, dirty=changes)
    return OwnImage(reference=reference, source=source, changes=changes)


async def publish(scape: Landscape, image: OwnImage, *, token: str, signing: tuple[str | Path, ...]) -> None:
    """Push the image to its front and sign its provenance, as a build does."""
    await pushed(scape.engine, image.reference, password=token)
    file = scape.directory / "own-scm-source.json"
    file.write_bytes(image.source)
    stated = ("--scm-source", file, *(("--allow-dirty",) if image.changes else ()))
    login = {"WHENCE_REGISTRY_TOKEN": token}
    await run(BIN / "whence", "attest", image.reference, *stated, *signing, environment=login)


async def remove(engine: str, front: str) -> None:
    """Remove the image and what its build leaves on the engine."""
    await remove_images(engine, front)

    def remove() -> None:
        client = docker.APIClient(base_url=engine, version="auto", timeout=60)
        try:
            client.prune_images({"dangling": True, "label": "whence.stage=build"})
            for one in client.images(f"whence-own-{os.getpid()}"):
                client.remove_image(one["Id"], force=True)
        finally:
            client.close()

    await asyncio.to_thread(remove)


async def weekly_base(
    folder: Path, make: Callable[[Path], Awaitable[object]], *, week: str, say: Callable[[str], None]
) -> Path:
    """Return the archive of the base, made once a week; an earlier one if it cannot be made. Raises NotReady."""
    kept = folder / f"{_BASE}{week}.tar"
    earlier = sorted(one for one in folder.glob(f"{_BASE}????-??.tar") if one != kept)
    if kept.exists():
        return kept
    say("the base of whence-aggregator's own image, from Debian's packages: takes a minute, once a week")
    folder.mkdir(exist_ok=True)
    made = folder / f"{_BASE}{os.getpid()}.tar"
    try:
        await make(made)
        made.rename(kept)
    except NotReady as exc:
        if not earlier:
            raise
        say(f"it could not be made, so that {earlier[-1].name} is used: {exc}")
        return earlier[-1]
    finally:
        made.unlink(missing_ok=True)
    for one in earlier:
        one.unlink()
    return kept


def _settings(directory: Path) -> Path:
    """Write the settings that the image gets into a folder: an instance has no other place for such files."""
    folder = directory / "own-settings"
    folder.mkdir()
    (folder / "aggregator.yaml").write_text(json.dumps(_SETTINGS), encoding="utf-8")
    _, line = new_token("nobody", [], admin=False, made=utc_now(), until=utc_now() + timedelta(days=1))
    (folder / "tokens").write_text(f"{line.to_line()}\n", encoding="ascii")
    return folder
