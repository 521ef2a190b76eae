"""SBOMs of an image or a program: CycloneDX 1.6 and SPDX 2.3, both as JSON, the same for the same packages. Pure.

Sources of the formats: https://cyclonedx.org/docs/1.6/json/ and https://spdx.github.io/spdx-spec/v2.3/. Other projects'
readers read both in the tests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_common.ami_provenance import UNKNOWN, AmiPackage

CYCLONEDX_TYPE, SPDX_TYPE = "application/vnd.cyclonedx+json", "application/spdx+json"
_NAMESPACE = uuid.UUID("5f1d1a70-7c60-5f0c-9f58-0c4d5b1f6f2a")
"""Of the serial numbers of our SBOMs: a random number, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomSubject:
    """The image or program that an SBOM is about."""

    name: str
    digest: str
    """Of an image, the digest of its root; of a program, of its wheel."""
    created_at: str
    """In seconds, as SPDX wants it: 2026-11-22T12:00:00Z."""
    tool_version: str
    is_image: bool = True

    @property
    def digest_of(self) -> str:
        return "root" if self.is_image else "wheel"

    @property
    def serial(self) -> str:
        """A UUID, the same for the same content."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.name}\n{self.digest}"))


def cyclonedx(subject: SbomSubject, packages: Sequence[AmiPackage]) -> bytes:
    """Return a CycloneDX document."""
    return _encoded(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{subject.serial}",
            "version": 1,
            "metadata": {
                "timestamp": subject.created_at,
                "tools": {"components": [{"type": "application", "name": "whence", "version": subject.tool_version}]},
                "component": {
                    "type": "operating-system" if subject.is_image else "application",
                    "bom-ref": "subject",
                    "name": subject.name,
                    "properties": [{"name": f"whence:{subject.digest_of}-digest", "value": subject.digest}],
                },
            },
            "components": [_component(one) for one in packages],
            "dependencies": [{"ref": "subject", "dependsOn": [one.purl for one in packages]}],
        }
    )


def spdx(subject: SbomSubject, packages: Sequence[AmiPackage]) -> bytes:
    """Return an SPDX document."""
    listed = [(f"SPDXRef-Package-{number}", one) for number, one in enumerate(packages, start=1)]
    image = {
        "SPDXID": "SPDXRef-Subject", "name": subject.name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM" if subject.is_image else "APPLICATION",
        "comment": f"{subject.digest_of} digest {subject.digest}",
    }  # fmt: skip
    contains = [
        {"spdxElementId": "SPDXRef-Subject", "relationshipType": "CONTAINS", "relatedSpdxElement": name}
        for name, _ in listed
    ]
    describes = {
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Subject",
    }  # fmt: skip
    return _encoded(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": subject.name,
            "documentNamespace": f"urn:uuid:{subject.serial}",
            "creationInfo": {"created": subject.created_at, "creators": [f"Tool: whence-{subject.tool_version}"]},
            "packages": [image, *(_spdx_package(name, one) for name, one in listed)],
            "relationships": [describes, *contains],
        }
    )


def _component(package: AmiPackage) -> dict[str, object]:
    origin = [
        {"name": f"whence:{name}", "value": value}
        for name, value in (("component", package.component), ("origin", package.origin), ("suite", package.suite))
        if value != UNKNOWN
    ]
    found: dict[str, object] = {
        "type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version,
        "purl": package.purl,
    }  # fmt: skip
    return {**found, "properties": origin} if origin else found


def _spdx_package(identifier: str, package: AmiPackage) -> dict[str, object]:
    reference = {
        "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl,
    }  # fmt: skip
    return {
        "SPDXID": identifier, "name": package.name, "versionInfo": package.version, "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False, "externalRefs": [reference],
    }  # fmt: skip


def _encoded(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=True).encode("ascii") + b"\n"
