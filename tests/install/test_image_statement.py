"""The image states of itself, as Packer has it do, what `make image` states of the same root from outside."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.image_builder import BUILDER_ID, IMAGE_COMMIT
from landscape.endurance import WHOLE
from landscape.image_roots import AMI, agent_package, base_root, image_layers
from landscape.processes import run
from landscape.roots import layered
from whence_common.ami_file import AMI_FILE_PATH, AmiFile
from whence_common.ami_provenance import AmiProvenance

NAME = "Whence-AMI-debian-12-amd64-7"
PROGRAMS = ("state.sh", "root_statement.py", "root_manifest.py", "root_packages.py", "sbom.py")
RELEASE = "var/lib/apt/lists/deb.example.org_debian_dists_bookworm"
_LARGE_BYTES = 8 * 1024 * 1024
SOURCE = {
    "url": "git:https://git.example.org/demo/image.git", "revision": IMAGE_COMMIT, "author": "", "status": "",
}  # fmt: skip


def thinned(root: Path) -> Path:
    """Leave out large files that nothing here reads, unless the test runs whole: all that stays is digested twice."""
    for path in root.glob("**/*") if not WHOLE else ():
        if path.is_file() and not path.is_symlink() and path.stat().st_size > _LARGE_BYTES:
            path.unlink()
    return root


async def listed(root: Path) -> list[Path]:
    """Have apt's lists offer bash as the root has it; return the files."""
    written = root / "var/lib/dpkg/status"
    found = next(part for part in written.read_text().split("\n\n") if part.startswith("Package: bash\n"))
    files = {
        f"{RELEASE}_InRelease": "Origin: Debian\nSuite: oldstable\n",
        f"{RELEASE}_main_binary-amd64_Packages": found,
    }
    for name, content in files.items():
        (root / name).write_text(content)
    return [root / name for name in files]


async def stated_inside(root: Path, folder: Path) -> None:
    """Run the steps of Packer's template in the root, with what it copies to the machine."""
    folder.mkdir()
    for name in PROGRAMS:
        shutil.copy(AMI / name, folder / name)
    (folder / "scm-source.json").write_text(json.dumps(SOURCE))
    inside = (
        "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={root}",
        f"--bind={folder}:/run/whence-image", "sh", "/run/whence-image/state.sh", "/run/whence-image",
    )  # fmt: skip
    lists = await listed(thinned(root))
    await run(*inside, "origins")
    for one in lists:
        one.unlink()
    await run(*inside, "statement", NAME, BUILDER_ID)


async def stated_outside(root: Path, folder: Path) -> None:
    """Run the programs as `make image` does, on the root of no machine."""
    folder.mkdir()
    (folder / "scm-source.json").write_text(json.dumps(SOURCE))
    lists = await listed(thinned(root))
    await run(sys.executable, AMI / "root_statement.py", "--root", root, "--note-origins", folder / "origins.json")
    for one in lists:
        one.unlink()
    await run(
        sys.executable, AMI / "statement.py", "--root", root, "--output", folder / "out", "--name", NAME, "--builder-id",
        BUILDER_ID, "--scm-source", folder / "scm-source.json", "--origins", folder / "origins.json",
    )  # fmt: skip


def predicate(folder: Path) -> dict[str, Any]:
    """Return the statement without its times, and without the digests of the SBOMs, which have the time too."""
    found: dict[str, Any] = json.loads((folder / "out/statement.json").read_bytes())
    details = found["predicate"]["runDetails"]
    details["metadata"].pop("finishedOn")
    for one in details["byproducts"]:
        one.pop("digest")
    return found


async def provisioned_again(directory: Path) -> tuple[Path, ...]:
    """Return the layers of the image, made anew over the same base."""
    base = await base_root()
    settings = directory / "agent.yaml"
    async with layered(directory, base):
        settings.write_text("aggregator_url: https://whence.example.org\n", encoding="utf-8")
        await run(
            sys.executable, AMI / "image.py", "--only", "provision", "--out", directory, "--package",
            await agent_package(), "--settings", settings,
        )  # fmt: skip
    return directory / "upper", base


@pytest.mark.endurance
async def test_both_ways_state_the_same_of_the_same_image(tmp_path: Path) -> None:
    """When it runs whole, the second image is provisioned anew, with the same content."""
    layers = await image_layers()
    others = await provisioned_again(tmp_path / "again") if WHOLE else layers
    async with layered(tmp_path / "one", *layers) as root:
        await stated_inside(root, tmp_path / "inside")
        file = AmiFile.parse((root / AMI_FILE_PATH).read_bytes())
    async with layered(tmp_path / "two", *others) as root:
        await stated_outside(root, tmp_path / "outside")
    found = AmiProvenance.parse((tmp_path / "inside/out/statement.json").read_bytes())
    assert (file.statement_digest, file.name) == (found.digest, NAME)
    assert (tmp_path / "inside/out/root.mtree").read_text() == (tmp_path / "outside/out/root.mtree").read_text()
    assert predicate(tmp_path / "inside") == predicate(tmp_path / "outside")
    bash = next(one for one in found.packages if one.name == "bash")
    assert (bash.origin, bash.suite, bash.component) == ("Debian", "oldstable", "main"), "noted before the lists went"
    assert {one.system for one in found.packages} == {"deb", "pypi"}
    assert list((tmp_path / "inside/root").iterdir()) == [], "the disk is not mounted there any more"
