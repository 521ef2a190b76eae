"""SBOMs of the programs of a release, by the lock files: what each of them is installed with."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from sbom import SbomSubject, cyclonedx, spdx
from steps import digest

from whence_common.ami_provenance import AmiPackage

_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s\\;]+)", re.MULTILINE)
PROGRAMS = ("agent", "aggregator")


def locked(lock: Path) -> list[AmiPackage]:
    """Return the packages that a lock file pins, by name."""
    found = _PIN.finditer(lock.read_text(encoding="utf-8"))
    return sorted(AmiPackage(system="pypi", name=one["name"], architecture="", version=one["version"]) for one in found)


def write_sboms(root: Path, out: Path, *, wheels: Path, version: str, epoch: int) -> None:
    """Write a CycloneDX and an SPDX document for each program, whose wheel is in the folder `wheels`."""
    for program in PROGRAMS:
        wheel = next(wheels.glob(f"whence_{program}-{version}-*.whl"))
        ours = AmiPackage(system="pypi", name="whence-common", architecture="", version=version)
        subject = SbomSubject(
            name=f"whence-{program}-{version}",
            digest=f"sha256:{digest(wheel)}",
            created_at=datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            tool_version=version,
            is_image=False,
        )
        packages = sorted([ours, *locked(root / f"packaging/{program}.lock")])
        for ending, document in (("cdx", cyclonedx(subject, packages)), ("spdx", spdx(subject, packages))):
            (out / f"{subject.name}.{ending}.json").write_bytes(document)
