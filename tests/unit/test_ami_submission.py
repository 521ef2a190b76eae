"""A submitted statement about an AMI: verified by a trusted builder's key, or refused."""

from __future__ import annotations

import json

import pytest

from fakes.image_builder import AMI, BUILDER_ID, OPENSSL_NEW, REGION, ImageBuilder, deb
from whence_aggregator.amis.submission import AMIS_MAX, parse_submission
from whence_aggregator.ports import Forbidden
from whence_common.ami_provenance import AmiProvenanceInvalid
from whence_common.envelope import EnvelopeInvalid
from whence_common.errors import InputError

BUILDER = ImageBuilder()
HERE = (REGION, AMI)


def refused(content: bytes, *builders: ImageBuilder) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_submission(content, [one.trusted for one in builders])
    return caught.value


def test_a_statement_of_a_signer_that_is_not_trusted_is_refused() -> None:
    content = BUILDER.submission(BUILDER.payload(), HERE)
    for builders in ((), (ImageBuilder(),), (ImageBuilder(BUILDER_ID),)):
        found = refused(content, *builders)
        assert isinstance(found, Forbidden)
        assert found.code == "ami-signer-untrusted"
        assert "ami_builders" in found.fix


def test_a_trusted_key_that_signs_for_another_builder_is_refused() -> None:
    other = ImageBuilder("https://ci.example.org/other", BUILDER.key)
    found = refused(BUILDER.submission(BUILDER.payload(), HERE), other)
    assert found.code == "ami-builder-other"
    assert parse_submission(BUILDER.submission(BUILDER.payload(), HERE), [other.trusted, BUILDER.trusted]).provenance


def test_bytes_that_were_changed_after_they_were_signed_are_refused() -> None:
    document = json.loads(BUILDER.submission(BUILDER.payload(), HERE))
    forged = json.loads(BUILDER.submission(BUILDER.payload(deb("openssl", OPENSSL_NEW)), HERE))
    document["statement"]["payload"] = forged["statement"]["payload"]
    assert refused(json.dumps(document).encode(), BUILDER).code == "ami-signer-untrusted"


def test_a_signed_payload_of_another_kind_is_refused() -> None:
    with pytest.raises(AmiProvenanceInvalid):
        parse_submission(BUILDER.submission(b'{"_type": "x"}', HERE), [BUILDER.trusted])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"statement": 7}', b'{"statement": null}', b'{"statement": "latest"}',
        b'{"statement": "\xff"}', b'{"statement": {}, "more": 1}', b'{"statement": {"payload": "!", "signatures": []}}',
        BUILDER.submission("sha256:" + "0" * 64, ("eu central", AMI)),
        BUILDER.submission("sha256:" + "0" * 64, (REGION, "ami-XYZ")),
        BUILDER.submission("sha256:" + "0" * 64, (REGION, "ami-12c6146b\n")),
        BUILDER.submission("sha256:" + "0" * 64, *[(REGION, f"ami-{n:017x}") for n in range(AMIS_MAX + 1)]),
    ],
)  # fmt: skip
def test_a_body_that_is_malformed_is_refused(content: bytes) -> None:
    assert refused(content, BUILDER).code in ("ami-statement-malformed", "ami-malformed", "envelope-malformed")


def test_an_envelope_with_other_members_is_refused() -> None:
    document = json.loads(BUILDER.submission(BUILDER.payload()))
    document["statement"]["note"] = "not signed"
    with pytest.raises(EnvelopeInvalid, match="members that DSSE does not define"):
        parse_submission(json.dumps(document).encode(), [BUILDER.trusted])


@pytest.mark.parametrize("escaped", [b"\\u0000", b"\\ud800"])
def test_a_signed_text_that_no_database_can_store_is_refused(escaped: bytes) -> None:
    payload = BUILDER.payload().replace(b"demo/image", b"demo/" + escaped)
    with pytest.raises(InputError):
        parse_submission(BUILDER.submission(payload, HERE), [BUILDER.trusted])
