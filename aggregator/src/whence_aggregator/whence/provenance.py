"""Verify a file against its build's SLSA provenance, a Sigstore bundle signed with a key. Reads no network.

Source of the formats: Sigstore bundle 0.3 (`dsseEnvelope`), in-toto statement v1, SLSA provenance v1 and v0.2.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.envelope import Envelope, EnvelopeInvalid
from whence_common.errors import InputError, one_line
from whence_common.loose_json import loose
from whence_common.repositories import compare
from whence_common.slsa_source import PROVENANCE_TYPES, built_from
from whence_common.statement import STATEMENT_TYPE

BUNDLE_BYTES_MAX = 4 * 1024 * 1024
SUBJECTS_MAX = 10_000
_STATEMENT_TYPES = (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1")
_KEY_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the reader requires beside a valid signature; an empty text requires nothing."""

    builder_id: str = ""
    source: str = ""
    commit: str = ""


def verify_file(path: Path, provenance: Path, key: Path, expected: Expected) -> str:
    """Verify that the provenance's signed statement names this file; return a sentence about its origin.

    Raises InputError if anything is not as it must be, and OSError if a file cannot be read.
    """
    statement = _statement(provenance, key)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    name = _name_of(digest, statement, provenance)
    found = built_from(statement).source
    builder = _builder(statement)
    commit = found.commit if found else ""
    if expected.builder_id and builder != expected.builder_id:
        raise _unlike("builder", expected.builder_id, builder)
    if expected.source and (found is None or compare(expected.source, found.url) != "same"):
        raise _unlike("source", expected.source, found.url if found else "")
    if expected.commit and commit != expected.commit.lower():
        raise _unlike("commit", expected.commit, commit)
    origin = f"commit {commit} of {one_line(found.url, 300)}" if found else "a source that the provenance does not name"
    called = "" if name == path.name else f", which the provenance calls {one_line(name, 200)}"
    return f"{path} (sha256:{digest}){called}: built by {one_line(builder, 200)} from {origin}"


def _statement(provenance: Path, key: Path) -> dict[str, Any]:
    with provenance.open("rb") as stream:
        content = stream.read(BUNDLE_BYTES_MAX + 1)
    if len(content) > BUNDLE_BYTES_MAX:
        raise InputError("provenance-too-large", f"{provenance} is larger than {BUNDLE_BYTES_MAX} bytes")
    wire = loose(content).get("dsseEnvelope")
    if not isinstance(wire, dict):
        raise InputError(
            "provenance-malformed", f"{provenance} is not a Sigstore bundle with a DSSE envelope",
            fix="name the file that ends in .sigstore.json",
        )  # fmt: skip
    public = _public_key(key)
    try:
        statement = loose(Envelope.parse(json.dumps(wire).encode(), bytes_max=BUNDLE_BYTES_MAX).verify(public))
    except EnvelopeInvalid as exc:
        raise InputError(
            "provenance-unsigned", f"{provenance} has no valid signature of the key in {key}",
            fix="get the release's key from its publisher, not from where the files are",
        ) from exc  # fmt: skip
    if statement.get("_type") not in _STATEMENT_TYPES:
        kind = one_line(str(statement.get("_type")), 100)
        raise InputError("provenance-malformed", f"{provenance} is not an in-toto statement: its type is {kind}")
    if statement.get("predicateType") not in PROVENANCE_TYPES:
        kind = one_line(str(statement.get("predicateType")), 100)
        raise InputError("provenance-malformed", f"{provenance} is not SLSA provenance: its predicate type is {kind}")
    return statement


def _name_of(digest: str, statement: dict[str, Any], provenance: Path) -> str:
    """Return the name of the subject with this digest. Raises InputError if there is none."""
    listed = statement.get("subject")
    subjects = listed if isinstance(listed, list) else []
    if len(subjects) > SUBJECTS_MAX:
        raise InputError("provenance-too-large", f"{provenance} lists more than {SUBJECTS_MAX} subjects")
    for subject in subjects:
        named = subject.get("digest") if isinstance(subject, dict) else None
        if isinstance(named, dict) and named.get("sha256") == digest:
            return str(subject.get("name", ""))
    raise InputError(
        "provenance-other-file", f"{provenance} does not list a file with the digest sha256:{digest}",
        fix="download the file again, and the provenance of the same release",
    )  # fmt: skip


def _builder(statement: dict[str, Any]) -> str:
    predicate = statement.get("predicate")
    details = predicate.get("runDetails", predicate) if isinstance(predicate, dict) else None
    builder = details.get("builder") if isinstance(details, dict) else None
    return str(builder.get("id", "")) if isinstance(builder, dict) else ""


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    with path.open("rb") as stream:
        pem = stream.read(_KEY_BYTES_MAX)
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as exc:
        raise InputError(
            "key-unusable", f"{path} is not a public key in PEM", fix="openssl ec -in KEY -pubout writes one"
        ) from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError("key-unusable", f"{path} is not a P-256 key")
    return key


def _unlike(what: str, wanted: str, found: str) -> InputError:
    stated = f"states {one_line(found, 200)}" if found else "states none"
    return InputError(
        f"provenance-other-{what}", f"the {what} must be {one_line(wanted, 200)}; the provenance {stated}"
    )
