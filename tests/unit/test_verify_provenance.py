"""whence verify --provenance: what its signed statement must be, beside the release that tests/acceptance builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.whence.cli import whence
from whence_common.digest import sha256_digest
from whence_common.envelope import IN_TOTO_TYPE, seal

KEY = ec.generate_private_key(ec.SECP256R1())
CONTENT = b"a release's file"
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "file", "digest": {"sha256": sha256_digest(CONTENT).removeprefix("sha256:")}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {"runDetails": {"builder": {"id": "https://ci.example.org"}}},
}


def verify(folder: Path, statement: dict[str, Any], *options: str, payload_type: str = IN_TOTO_TYPE) -> Result:
    (folder / "file").write_bytes(CONTENT)
    (folder / "key.pub").write_bytes(
        KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    envelope = json.loads(seal(KEY, json.dumps(statement).encode(), payload_type=payload_type, named=False))
    (folder / "bundle").write_text(json.dumps({"dsseEnvelope": {**envelope, "payloadType": IN_TOTO_TYPE}}))
    named = ("--provenance", str(folder / "bundle"), "--key", str(folder / "key.pub"))
    return CliRunner().invoke(whence, ["verify", str(folder / "file"), *named, *options])


def test_a_file_that_signed_provenance_names_is_verified(tmp_path: Path) -> None:
    assert verify(tmp_path, STATEMENT, "--builder-id", "https://ci.example.org").exit_code == 0


@pytest.mark.parametrize("kind", ["https://in-toto.io/Link/v1", "", None, 7])
def test_a_signed_document_that_is_no_statement_of_in_toto_proves_nothing(tmp_path: Path, kind: object) -> None:
    result = verify(tmp_path, {**STATEMENT, "_type": kind})
    assert result.exit_code == 1
    assert "not an in-toto statement" in result.output


def test_a_document_that_was_signed_as_another_type_is_not_provenance(tmp_path: Path) -> None:
    result = verify(tmp_path, STATEMENT, payload_type="application/json")
    assert result.exit_code == 1
    assert "no valid signature" in result.output


@pytest.mark.parametrize("option", ["--builder-id", "--source", "--commit"])
def test_an_empty_requirement_is_refused_and_not_left_out(tmp_path: Path, option: str) -> None:
    result = verify(tmp_path, STATEMENT, option, "")
    assert result.exit_code == 2
    assert "must not be empty" in result.output
