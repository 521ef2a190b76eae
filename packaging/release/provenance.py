"""The release's SLSA provenance v1: all its files as subjects, its commit as the source. Format: https://slsa.dev/provenance/v1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from steps import digest

from whence_aggregator.whence.attest import sigstore_bundle
from whence_common.envelope import seal
from whence_common.slsa_source import PROVENANCE_V1

BUILD_TYPE = "urn:whence:build:release:v1"
"""`externalParameters`: repository, ref (the tag) and parts, the names of what was built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What was built from what. Times are RFC 3339 in UTC; `repository` is an HTTPS URL."""

    repository: str
    commit: str
    tag: str
    parts: tuple[str, ...]
    builder_id: str
    started: str
    finished: str


def statement(files: Sequence[Path], build: Build) -> dict[str, Any]:
    """Return the statement about these files, sorted by name."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": one.name, "digest": {"sha256": digest(one)}} for one in sorted(files)],
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "repository": build.repository, "ref": f"refs/tags/{build.tag}", "parts": list(build.parts),
                },
                "resolvedDependencies": [
                    {"uri": f"git+{build.repository}@refs/tags/{build.tag}", "digest": {"gitCommit": build.commit}}
                ],
            },
            "runDetails": {
                "builder": {"id": build.builder_id},
                "metadata": {"startedOn": build.started, "finishedOn": build.finished},
            },
        },
    }  # fmt: skip


def bundle(files: Sequence[Path], build: Build, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the signed statement as a Sigstore bundle."""
    return sigstore_bundle(seal(key, json.dumps(statement(files, build)).encode(), named=False), key)
