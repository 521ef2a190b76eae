"""The identity document: only what AWS signed is believed; everything bent is refused with a code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.signing_authority import SigningAuthority, identity_document
from whence_aggregator.wiring.settings_files import load_authorities
from whence_common import ber
from whence_common.errors import InputError
from whence_common.identity_document import Authorities, verify

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def trusted(authority: SigningAuthority) -> Authorities:
    return Authorities.from_pem({"eu-central-1": authority.pem})


def refusal(blob: str, trusted: Authorities) -> str:
    with pytest.raises(InputError) as caught:
        verify(blob, trusted)
    return caught.value.code


def test_a_document_that_aws_signed_identifies_the_instance(authority: SigningAuthority, trusted: Authorities) -> None:
    content = identity_document(INSTANCE)
    identity = verify(authority.sign(content), trusted)
    assert (identity.account_id, identity.region, identity.instance_id) == ("123456789012", "eu-central-1", INSTANCE)
    assert identity.digest == "sha256:" + hashlib.sha256(content).hexdigest()


def test_the_fake_writes_indefinite_lengths_and_no_certificate_as_aws_does(authority: SigningAuthority) -> None:
    blob = base64.b64decode(authority.sign(identity_document(INSTANCE)))
    assert blob[:2] == b"\x30\x80"
    assert authority.certificate.public_bytes(serialization.Encoding.DER) not in blob


def test_all_of_aws_certificates_load() -> None:
    shipped = load_authorities(None).by_region
    assert len(shipped) == 39
    assert "eu-central-1" in shipped


Bend = Callable[[SigningAuthority, bytes], str]
BENDS: dict[str, tuple[str, Bend]] = {
    "signed by another authority": ("identity-signature", lambda _, c: SigningAuthority.make().sign(c)),
    "signed by another, naming our serial": (
        "identity-signature",
        lambda a, c: SigningAuthority.make().sign(c, serial=a.certificate.serial_number),
    ),
    "our key, another serial": ("identity-signature", lambda a, c: a.sign(c, serial=7)),
    "no signer": ("cms-signers", lambda a, c: a.sign(c, signers=0)),
    "two signers": ("cms-signers", lambda a, c: a.sign(c, signers=2)),
    "digest of other content": ("cms-digest", lambda a, c: a.sign(c, claimed_digest=hashlib.sha256(b"x").digest())),
    "an attribute twice": ("cms-attributes", lambda a, c: a.sign(c, repeat_attribute=True)),
    "not base64": ("identity-not-base64", lambda a, c: "!" + a.sign(c)),
    "empty": ("cms-ber", lambda a, c: ""),
    "cut off": ("cms-ber", lambda a, c: a.sign(c)[:260]),
    "trailing bytes": ("cms-ber", lambda a, c: base64.b64encode(base64.b64decode(a.sign(c)) + b"x").decode()),
    "too large": ("identity-too-large", lambda a, c: "A" * 9000),
    "a plain signature instead of CMS": ("cms-ber", lambda a, c: base64.b64encode(b"\x01" * 128).decode()),
    "json": ("cms-ber", lambda a, c: base64.b64encode(c).decode()),
}  # fmt: skip


@pytest.mark.parametrize("name", BENDS)
def test_what_is_bent_is_refused(name: str, authority: SigningAuthority, trusted: Authorities) -> None:
    code, bend = BENDS[name]
    assert refusal(bend(authority, identity_document(INSTANCE)), trusted) == code


@pytest.mark.parametrize("position", ["first", "last"])
def test_a_foreign_certificate_in_the_bag_changes_nothing(
    position: str, authority: SigningAuthority, trusted: Authorities
) -> None:
    attacker = SigningAuthority.make()
    theirs = attacker.certificate.public_bytes(serialization.Encoding.DER)
    ours = authority.certificate.public_bytes(serialization.Encoding.DER)
    bag = theirs + ours if position == "first" else ours + theirs
    content = identity_document(INSTANCE)
    assert refusal(attacker.sign(content, certificates=bag), trusted) == "identity-signature"
    assert verify(authority.sign(content, certificates=bag), trusted).instance_id == INSTANCE


def test_the_key_of_one_region_does_not_speak_for_another(authority: SigningAuthority) -> None:
    other = SigningAuthority.make()
    trusted = Authorities.from_pem({"eu-central-1": authority.pem, "eu-west-1": other.pem})
    content = identity_document(INSTANCE, region="eu-west-1")
    assert refusal(authority.sign(content), trusted) == "identity-signature"


def test_a_region_without_certificate_is_refused(authority: SigningAuthority, trusted: Authorities) -> None:
    assert (
        refusal(authority.sign(identity_document(INSTANCE, region="us-east-1")), trusted) == "identity-region-unknown"
    )


@pytest.mark.parametrize(
    "content, code",
    [
        (b"not json", "identity-not-json"),
        (b"[]", "identity-not-json"),
        (b'{"region": "eu-central-1", "region": "eu-west-1"}', "identity-not-json"),
        (b'{"region": 7}', "identity-malformed"),
        (b'{"region": "eu-central-1"}', "identity-malformed"),
        (b"[" * 3000, "identity-not-json"),
        (b" " * 5000, "identity-too-large"),
        (identity_document("i-xyz"), "identity-malformed"),
        (identity_document(INSTANCE, accountId="12"), "identity-malformed"),
        (identity_document(INSTANCE, pendingTime="yesterday"), "identity-malformed"),
    ],
)
def test_signed_nonsense_is_still_refused(
    content: bytes, code: str, authority: SigningAuthority, trusted: Authorities
) -> None:
    assert refusal(authority.sign(content), trusted) == code


def test_no_single_bit_flip_changes_what_is_believed(authority: SigningAuthority, trusted: Authorities) -> None:
    content = identity_document(INSTANCE)
    expected = verify(authority.sign(content), trusted)
    blob = base64.b64decode(authority.sign(content))
    for bit in range(0, len(blob) * 8, 3):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            identity = verify(base64.b64encode(bytes(flipped)).decode(), trusted)
        except InputError:
            continue
        assert identity == expected


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    try:
        ber.read(content)
    except ber.BerInvalid:
        return


def test_deep_nesting_ends_early() -> None:
    with pytest.raises(ber.BerInvalid):
        ber.read(b"\x30\x80" * 5000)
