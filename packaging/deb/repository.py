"""Write an APT repository from Debian packages: one suite for each release, signed by the key that the caller names.

Format: https://wiki.debian.org/DebianRepository/Format. Packages of earlier versions in --out stay; its indices are
written again. Needs dpkg-deb, and gpg for the signature.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from epoch import EpochUnknown, source_date_epoch
from targets import ARCHITECTURES

SUITES = {"deb12": "bookworm", "deb13": "trixie", "ubuntu24.04": "noble"}
"""The release's code name, which is the suite, by the end of a package's version."""
_COMPONENT = "main"


class RepositoryRefused(Exception):
    """The repository was not written; the message states the fix."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder with .deb files (make deb)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the repository")
    signed = parser.add_mutually_exclusive_group()
    signed.add_argument("--key", help="fingerprint of the secret key in gpg's keyring that signs the repository")
    signed.add_argument(
        "--unsigned", action="store_true", help="sign nothing; apt refuses it unless it is told to trust"
    )
    arguments = parser.parse_args()
    try:
        if not arguments.key and not arguments.unsigned:
            raise RepositoryRefused(
                "apt trusts no unsigned repository: `make apt KEY=FINGERPRINT` (--key) signs it, "
                "`make apt ARGS=--unsigned` does not"
            )
        for suite in write(arguments.packages, arguments.out, epoch=source_date_epoch(os.environ), key=arguments.key):
            print(suite)
    except (RepositoryRefused, EpochUnknown, OSError) as exc:
        print(f"repository: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("repository: interrupted", file=sys.stderr)
        return 130
    return 0


def write(packages: Path, out: Path, *, epoch: int, key: str | None) -> list[Path]:
    """Add packages to a repository and write its indices; return its suites.

    Each suite is replaced at once, when all of them are signed. Raises RepositoryRefused or OSError.
    """
    for program, debian in (("dpkg-deb", "dpkg"), *([("gpg", "gnupg")] if key else [])):
        if shutil.which(program) is None:
            raise RepositoryRefused(f"{program} is missing: apt-get install {debian}")
    found = sorted(packages.glob("*.deb"))
    if not found:
        raise RepositoryRefused(f"{packages} has no packages: run `make deb`")
    for file in found:
        _add(file, out)
    entries: dict[tuple[str, str], list[str]] = {}
    for file in sorted((out / "pool").rglob("*.deb")):
        _, version, architecture = _parts(file)
        entries.setdefault((_suite(file, version), architecture), []).append(_entry(file, out))
    suites = sorted({suite for suite, _ in entries})
    (out / "dists").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out / "dists") as directory:
        new = Path(directory)
        for suite in suites:
            _write_suite(new / suite, suite, entries, epoch)
            _sign(new / suite, key)
        for suite in suites:
            place = out / "dists" / suite
            if place.exists():
                place.rename(new / f"{suite}.old")
            (new / suite).rename(place)
    return [out / "dists" / suite for suite in suites]


def _suite(file: Path, version: str) -> str:
    suite = SUITES.get(version.rpartition("+")[2])
    if suite is None:
        raise RepositoryRefused(f"{file.name} is for no release of {', '.join(SUITES)}: remove it from the folder")
    return suite


def _add(file: Path, out: Path) -> None:
    name, version, _ = _parts(file)
    _check_name(file)
    _suite(file, version)
    place = out / "pool" / _COMPONENT / name[0] / name / file.name
    if place.exists():
        if place.read_bytes() != file.read_bytes():
            # Machines that have it would keep the old content, and apt would refuse the new one by its checksum.
            raise RepositoryRefused(
                f"{place} has other content: a published version does not change; raise the version"
            )
        return
    _dpkg_deb("--fsys-tarfile", file)  # to its end
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial")
    shutil.copyfile(file, partial)
    partial.rename(place)


def _parts(file: Path) -> tuple[str, str, str]:
    """Return package, version and architecture of a file's name. Raises RepositoryRefused."""
    parts = file.stem.split("_")
    if len(parts) != 3:
        raise RepositoryRefused(f"{file} is not named PACKAGE_VERSION_ARCHITECTURE.deb: remove it from the folder")
    return parts[0], parts[1], parts[2]


def _dpkg_deb(how: str, file: Path) -> bytes:
    done = subprocess.run(["dpkg-deb", how, str(file)], check=False, capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise RepositoryRefused(f"{file} is not a whole package: {said}: remove it, and run `make deb`")
    return done.stdout


def _check_name(file: Path) -> None:
    """Raise RepositoryRefused unless a package's file is named by its contents."""
    fields = ("Package", "Version", "Architecture")
    said = subprocess.run(
        ["dpkg-deb", "--showformat", "_".join(f"${{{one}}}" for one in fields), "--show", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode != 0 or said.stdout != file.stem:
        raise RepositoryRefused(f"{file} is not a package of this name: build it again, or remove it from the folder")


def _entry(file: Path, out: Path) -> str:
    control = _dpkg_deb("--field", file).decode()
    content = file.read_bytes()
    return (
        f"{control}Filename: {file.relative_to(out).as_posix()}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def _write_suite(folder: Path, suite: str, entries: dict[tuple[str, str], list[str]], epoch: int) -> None:
    sums = []
    for architecture in ARCHITECTURES:
        index = "\n".join(entries.get((suite, architecture), [])).encode()
        place = folder / _COMPONENT / f"binary-{architecture}"
        place.mkdir(parents=True)
        for name, content in (("Packages", index), ("Packages.gz", gzip.compress(index, 9, mtime=0))):
            (place / name).write_bytes(content)
            path = (place / name).relative_to(folder).as_posix()
            sums.append(f" {hashlib.sha256(content).hexdigest()} {len(content):8} {path}\n")
    written = datetime.fromtimestamp(epoch, UTC)
    (folder / "Release").write_text(
        f"Origin: Whence\nLabel: Whence\nSuite: {suite}\nCodename: {suite}\n"
        f"Date: {written:%a, %d %b %Y %H:%M:%S} +0000\nArchitectures: {' '.join(ARCHITECTURES)}\n"
        f"Components: {_COMPONENT}\nSHA256:\n{''.join(sums)}",
        encoding="utf-8",
    )


def _sign(folder: Path, key: str | None) -> None:
    if key is None:
        return
    command = ["gpg", "--batch", "--local-user", key, "--digest-algo", "SHA512", "--armor"]
    for how, name in ((["--detach-sign"], "Release.gpg"), (["--clearsign"], "InRelease")):
        whole = [*command, *how, "--output", str(folder / name), str(folder / "Release")]
        said = subprocess.run(whole, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            fix = "import the secret key into gpg's keyring (GNUPGHOME), or name another"
            raise RepositoryRefused(f"gpg cannot sign with {key}: {said.stderr.strip()[-300:]}: {fix}")


if __name__ == "__main__":
    sys.exit(main())
