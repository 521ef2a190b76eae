"""`whence trace --format slsa-vsa`: a summary as SLSA 1.0 defines it, signed by a key that is for nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from fakes.facts import AT, DOCUMENT, FAILED, OWNED, claim, facts, lineage, on, said
from fakes.machine import DIGEST, REPOSITORY
from whence_aggregator.whence.cli import whence
from whence_aggregator.whence.summary import summary
from whence_common.envelope import Envelope
from whence_common.errors import InputError

VERIFIER = "https://whence.example.org"
INSTANCE = "i-0123456789abcdef0"
KEY = ec.generate_private_key(ec.SECP256R1())


def wire(*, complete: bool = True, proven: bool = False) -> dict[str, Any]:
    known = (
        facts(image_source=said(claim("provenance"), scm_source=DOCUMENT), branch=on(), ownership=OWNED)
        if proven
        else facts()
    )
    return {**lineage(known).to_wire(), "complete": complete}


def test_a_complete_lineage_passes_in_the_fields_that_slsa_defines() -> None:
    found = summary(wire(), verifier_id=VERIFIER, now=AT)
    extension = found["predicate"].pop("urn:whence:lineage:v1")
    assert found == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": REPOSITORY, "digest": {"sha256": "d" * 64}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {"id": VERIFIER},
            "timeVerified": AT,
            "resourceUri": f"pkg:oci/greeter@sha256%3A{'d' * 64}?repository_url={REPOSITORY}",
            "policy": {"uri": "urn:whence:policy:complete-lineage:v1"},
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_0"],
            "slsaVersion": "1.0",
        },
    }
    assert [one["link"] for one in extension["notChecked"]] == ["review", "ticket"]
    assert {"link", "state", "reason", "evidence"} == set(extension["links"][0])


@pytest.mark.parametrize("name", ["at", "known_at"])
def test_what_is_asked_about_an_earlier_time_is_not_signed_as_verified_now(name: str) -> None:
    earlier = "2026-11-01T00:00:00.000Z"
    found = summary({**wire(), name: earlier}, verifier_id=VERIFIER, now=AT)
    assert found["predicate"]["timeVerified"] == earlier


def test_provenance_of_a_trusted_builder_is_level_1_and_no_more() -> None:
    assert summary(wire(proven=True), verifier_id=VERIFIER, now=AT)["predicate"]["verifiedLevels"] == [
        "SLSA_BUILD_LEVEL_1"
    ]


def test_what_is_not_complete_fails_and_has_no_level() -> None:
    found = summary(wire(complete=False, proven=True), verifier_id=VERIFIER, now=AT)["predicate"]
    assert (found["verificationResult"], found["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_no_user_data_and_no_name_of_a_person_is_in_a_summary() -> None:
    text = json.dumps(summary(wire(), verifier_id=VERIFIER, now=AT))
    assert "Ada" not in text
    assert "document" not in text


@pytest.mark.parametrize("verifier", ["", "me", "whence.example.org", "https://ü", "https://a\nb"])
def test_a_verifier_that_is_no_uri_is_refused(verifier: str) -> None:
    with pytest.raises(InputError):
        summary(wire(), verifier_id=verifier, now=AT)


def test_an_instance_on_which_nothing_runs_has_no_summary() -> None:
    with pytest.raises(InputError, match="no image runs"):
        summary(lineage(facts(stated=FAILED)).to_wire(), verifier_id=VERIFIER, now=AT)


def pem(tmp_path: Path, key: Any) -> Path:
    path = tmp_path / "vsa.key"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def ask(*options: str, found: dict[str, Any] | None = None) -> Result:
    class Fixed:
        def get(self, path: str, **parameters: str | None) -> dict[str, Any]:
            lineages = [found or wire(), found or wire()]
            return lineages[0] if parameters.get("instance") else {"lineages": lineages, "next": None}

    environment = {"WHENCE_VSA_KEY": None, "WHENCE_VERIFIER_ID": None}
    return CliRunner(env=environment).invoke(whence.commands["trace"], options, obj=Fixed())


def test_each_lineage_is_one_envelope_in_a_line_that_its_key_verifies(tmp_path: Path) -> None:
    options = ("--format", "slsa-vsa", "--vsa-key", str(pem(tmp_path, KEY)), "--verifier-id", VERIFIER)
    for subject, lines in ((INSTANCE, 1), ("greeter", 2)):
        result = ask(subject, *options)
        assert (result.exit_code, result.stdout.count("\n")) == (0, lines)
        for line in result.stdout.splitlines():
            envelope = Envelope.parse(line.encode())
            statement = json.loads(envelope.verify(KEY.public_key()))
            assert statement["subject"][0]["digest"] == {"sha256": DIGEST.removeprefix("sha256:")}


def test_a_failed_summary_is_printed_and_exits_with_1(tmp_path: Path) -> None:
    options = ("--format", "slsa-vsa", "--vsa-key", str(pem(tmp_path, KEY)), "--verifier-id", VERIFIER)
    result = ask(INSTANCE, *options, found=wire(complete=False))
    assert (result.exit_code, "payload" in result.stdout) == (1, True)


def test_a_key_of_the_logs_type_and_a_missing_key_are_refused(tmp_path: Path) -> None:
    log_key = pem(tmp_path, ed25519.Ed25519PrivateKey.generate())
    for options in (
        ("--vsa-key", str(log_key), "--verifier-id", VERIFIER), ("--vsa-key", str(tmp_path / "none"), "--verifier-id", VERIFIER),
        ("--vsa-key", str(log_key)), ("--verifier-id", VERIFIER), (),
    ):  # fmt: skip
        result = ask(INSTANCE, "--format", "slsa-vsa", *options)
        assert (result.exit_code, result.stdout) == (2, ""), options


@pytest.mark.parametrize(("form", "first"), [("mermaid", "flowchart TB"), ("dot", "digraph lineage {")])
@pytest.mark.parametrize("subject", [INSTANCE, "greeter", "ami-0123", "123456789012", "greeter/1.0", "PAY-7"])
def test_every_subject_is_drawn_as_a_graph(form: str, first: str, subject: str) -> None:
    result = ask(subject, "--format", form)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, first)
