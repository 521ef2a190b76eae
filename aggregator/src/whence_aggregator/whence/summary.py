"""SLSA verification summaries of lineages: in-toto statements in DSSE envelopes.

Source of the format: slsa.dev/spec/v1.0/verification_summary. `inputAttestations` is left out, because it would have to
list all evidence, and some is no attestation; the lineage is in an extension field, whose name is a URI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.digest import is_sha256_digest
from whence_common.envelope import seal
from whence_common.errors import InputError

PREDICATE = "https://slsa.dev/verification_summary/v1"
POLICY = "urn:whence:policy:complete-lineage:v1"
"""That the lineage is complete: each required link is there, and no source contradicts another."""
LINEAGE = "urn:whence:lineage:v1"


def signed_summary(lineage: Mapping[str, Any], key: ec.EllipticCurvePrivateKey, *, verifier_id: str, now: str) -> bytes:
    """Return the summary of a lineage in an envelope that this key signed. Raises InputError."""
    statement = summary(lineage, verifier_id=verifier_id, now=now)
    return seal(key, msgspec.json.encode(statement), named=False)


def summary(lineage: Mapping[str, Any], *, verifier_id: str, now: str) -> dict[str, Any]:
    """Return the summary of a lineage. Raises InputError if no image runs, or the verifier's id is not a URI."""
    if not urlsplit(verifier_id).scheme or not verifier_id.isascii() or not verifier_id.isprintable():
        fix = "write it like https://whence.example.org"
        raise InputError("verifier-malformed", f"the verifier's id is not a URI: {verifier_id[:100]!r}", fix=fix)
    links = {link["link"]: link for link in lineage["links"]}
    image = links["image"]["value"] or {}
    digest = str(image.get("digest", ""))
    if not is_sha256_digest(digest):
        instance = lineage["subject"]["instance"]
        raise InputError("summary-no-image", f"{instance}: no image runs, so there is nothing to summarise")
    passed = bool(lineage["complete"])
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": str(image["repository"]), "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": PREDICATE,
        "predicate": {
            "verifier": {"id": verifier_id},
            # of what is asked about at an earlier time, no newer time is signed: readers judge by it how old it is
            "timeVerified": min(now, str(lineage["at"]), str(lineage["known_at"])),
            "resourceUri": _package_url(str(image["repository"]), digest),
            "policy": {"uri": POLICY},
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [_level(links["source"])] if passed else ["FAILED"],
            "slsaVersion": "1.0",
            LINEAGE: _shown(lineage),
        },
    }


def _level(source: Mapping[str, Any]) -> str:
    """Return the level of the build track: 1 with provenance of a trusted builder; its service is not judged."""
    proved = source["state"] == "confirmed" and (source["value"] or {}).get("said_by") == "provenance"
    return "SLSA_BUILD_LEVEL_1" if proved else "SLSA_BUILD_LEVEL_0"


def _package_url(repository: str, digest: str) -> str:
    """Return the package URL of an image."""
    name = quote(repository.rpartition("/")[2].lower(), safe="._-")
    return f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={quote(repository, safe='/')}"


def _shown(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of the links with their evidence, but no values: they may be large, or of a person."""
    return {
        "instance": lineage["subject"]["instance"],
        "at": lineage["at"],
        "knownAt": lineage["known_at"],
        "links": [{name: link[name] for name in ("link", "state", "reason", "evidence")} for link in lineage["links"]],
        "notChecked": lineage["not_checked"],
        "checkpoint": lineage["checkpoint"],
    }
