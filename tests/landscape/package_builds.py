"""Our wheels, Debian packages and an APT repository, made by the programs that a release uses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscape.processes import run
from landscape.programs import BIN
from landscape.roots import digest, kept, named
from landscape.whole import ROOT

PACKAGING = ROOT / "packaging/deb"
SOURCES = ("common", "agent", "aggregator", "packaging", "systemd", "CHANGELOG.md", "LICENSE")
"""What wheels and packages are built from, besides the tools of requirements-dev.txt."""
_KEY_OWNER = "archive@whence.example.org"


async def our_packages() -> Path:
    """Return a folder with both packages of this checkout for this machine, and our wheels in `wheels`."""
    time = (await run(BIN / "python", PACKAGING / "epoch.py")).strip()

    async def make(own: Path) -> None:
        await made_wheels(own / "wheels")
        await built(own / "wheels", own)

    files = await sources(*SOURCES, "requirements-dev.txt")
    return await kept("packages", digest([time.encode(), *(part for file in files for part in named(file))]), make)


async def sources(*parts: str) -> list[Path]:
    """Return the files of the repository in these places that git does not ignore."""
    listed = await run(
        "git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard", *parts, cwd=ROOT
    )
    return sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


async def made_wheels(out: Path, *, source: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
    """Build our three wheels from a folder of sources, as `make wheels` does."""
    given = dict(environment or {})
    if "SOURCE_DATE_EPOCH" not in given:
        given["SOURCE_DATE_EPOCH"] = (await run(BIN / "python", PACKAGING / "epoch.py")).strip()
    for part in ("common", "agent", "aggregator"):
        command = (BIN / "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", out, source / part)
        await run(*command, environment=given)


async def built(
    wheels: Path, out: Path, *more: str, source: Path = ROOT, environment: Mapping[str, str] | None = None
) -> None:
    """Build packages, compressed for speed; what is downloaded stays in build/."""
    command = (BIN / "python", source / "packaging/deb/build.py", "--compression", "gzip")
    kept = ROOT / "build/wheelhouse"
    await run(*command, "--wheels", wheels, "--out", out, "--wheelhouse", kept, *more, environment=environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An APT repository and the public key of its signature. `gnupg` is gpg's folder with the secret key."""

    folder: Path
    public_key: Path
    gnupg: Path
    fingerprint: str

    def add_to(self, root: Path, *, folder: Path | None = None) -> None:
        """Copy the repository, or what stands for it, into a root, and name it to apt as packaging/README.md does."""
        shutil.copytree(folder or self.folder, root / "srv/whence", dirs_exist_ok=True)
        (root / "etc/apt/keyrings").mkdir(exist_ok=True)
        shutil.copyfile(self.public_key, root / "etc/apt/keyrings/whence.asc")
        text = (ROOT / "packaging/README.md").read_text(encoding="utf-8")
        (shown,) = re.findall(r"^```\n(Types: deb\n.+?)^```$", text, re.MULTILINE | re.DOTALL)
        source = shown.replace("https://apt.example.org/whence", "file:/srv/whence")
        (root / "etc/apt/sources.list.d/whence.sources").write_text(source, encoding="utf-8")


async def signed_repository(packages: Path, folder: Path) -> Repository:
    """Make a key, and a repository of all packages in a folder that is signed by it."""
    gnupg = folder / "gnupg"
    gnupg.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", gnupg, "--batch", "--passphrase", "")
    await run(*gpg, "--quick-generate-key", _KEY_OWNER, "ed25519", "sign", "2y")
    listed = await run(*gpg, "--with-colons", "--list-keys")
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    (folder / "whence.asc").write_text(await run(*gpg, "--armor", "--export", fingerprint), encoding="ascii")
    made = Repository(folder=folder / "apt", public_key=folder / "whence.asc", gnupg=gnupg, fingerprint=fingerprint)
    await run(
        BIN / "python", PACKAGING / "repository.py", "--packages", packages, "--out", made.folder, "--key", fingerprint,
        environment={"GNUPGHOME": str(gnupg)},
    )  # fmt: skip
    return made


async def in_root(root: Path, *command: str) -> str:
    """Run a command in a root that is not booted, with this machine's network. Raises NotReady when it fails."""
    within = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={root}")
    return await run(*within, *command)
