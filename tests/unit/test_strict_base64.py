"""Base64 has one text for one value, in every signature, key, note, receipt and envelope."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from fakes.clocks import CountingRandom
from fakes.signing_authority import SigningAuthority, identity_document
from whence_aggregator.audit.witness import WitnessRefusal, _parse
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.http.authentication import shown_token
from whence_common import strict_base64
from whence_common.envelope import Envelope, EnvelopeInvalid, seal
from whence_common.errors import InputError
from whence_common.identity_document import Authorities, verify
from whence_common.keys import public_key_from_wire, public_key_to_wire
from whence_common.note import Checkpoint, Note, Signer, VerifierKey
from whence_common.receipt import Receipt, receipt_text

SIGNER = Signer("log.example.org", b"k" * 32)
TEXT = str(Checkpoint(origin="log.example.org", size=1, root=b"r" * 32))
NOTE = str(Note(TEXT, (SIGNER.sign(TEXT),)))
KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = SigningAuthority.make()


def surplus(text: str) -> str:
    return text + "===="


def one_more(text: str) -> str:
    return text + "="


def spaced(text: str) -> str:
    return text[:8] + " " + text[8:]


def left_over_bits(text: str) -> str:
    """Change bits that stand for nothing: the last character before the padding."""
    body, padding = text.rstrip("="), len(text) - len(text.rstrip("="))
    assert padding, "this test needs a text with padding"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + "=" * padding


WRONG = [surplus, one_more, spaced]
CHANGES = pytest.mark.parametrize("change", WRONG)


@given(st.binary(max_size=64))
def test_what_is_encoded_is_read_back(content: bytes) -> None:
    assert strict_base64.decode(base64.b64encode(content).decode()) == content
    assert strict_base64.decode_url_safe(base64.urlsafe_b64encode(content).decode()) == content


@given(st.one_of(st.text(alphabet="AQgwZz09+/-_= \n", max_size=24), st.text(max_size=12)))
def test_accepted_text_is_encoded_again_unchanged(text: str) -> None:
    try:
        content = strict_base64.decode(text)
    except ValueError:
        return
    assert base64.b64encode(content).decode() == text


@given(st.text(alphabet="AQgwZz09+/-_= \n", max_size=24))
def test_accepted_url_safe_text_is_encoded_again_unchanged(text: str) -> None:
    try:
        content = strict_base64.decode_url_safe(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(content).decode() == text


@pytest.mark.parametrize(
    "text", ["YQ", "YQ=", "YQ===", "YQ==YQ==", "YQ==\n", " YQ==", "YR==", "YWJ=", "YWI-", "=", "====", "Ａ", "YQ\x00=="]
)
def test_one_value_is_not_read_from_another_text(text: str) -> None:
    with pytest.raises(ValueError):
        strict_base64.decode(text)


@CHANGES
@pytest.mark.parametrize("member", ["payload", "sig"])
def test_an_envelope_with_other_base64_is_refused(member: str, change: Callable[[str], str]) -> None:
    document = json.loads(seal(KEY, b"payload!"))
    part = document if member == "payload" else document["signatures"][0]
    part[member] = change(part[member])
    with pytest.raises(EnvelopeInvalid, match="the body is not a DSSE envelope"):
        Envelope.parse(json.dumps(document).encode())


def test_an_envelope_with_both_alphabets_is_refused_and_one_in_either_is_accepted() -> None:
    document = json.loads(seal(KEY, bytes(range(250, 256)) * 4))
    standard = base64.b64encode(b"\xfb\xff\xfe\xfb\xff\xfe").decode()
    document["payload"] = standard
    Envelope.parse(json.dumps(document).encode())
    document["payload"] = standard.replace("+", "-").replace("/", "_")
    Envelope.parse(json.dumps(document).encode())
    document["payload"] = standard.replace("+", "-")
    with pytest.raises(EnvelopeInvalid):
        Envelope.parse(json.dumps(document).encode())


@CHANGES
def test_a_note_or_key_or_root_or_receipt_with_other_base64_is_refused(change: Callable[[str], str]) -> None:
    signature = NOTE.rstrip("\n").rpartition(" ")[2]
    with pytest.raises(InputError):
        Note.parse(NOTE.replace(signature, change(signature)).encode())
    name, number, encoded = str(SIGNER.verifier).split("+", 2)
    with pytest.raises(InputError):
        VerifierKey.parse(f"{name}+{number}+{change(encoded)}")
    root = TEXT.split("\n")[2]
    with pytest.raises(InputError):
        Checkpoint.parse(TEXT.replace(root, change(root)))
    hashed = base64.b64encode(b"h" * 32).decode()
    text = receipt_text(0, [b"h" * 32], NOTE)
    Receipt.parse(text.encode())
    with pytest.raises(InputError):
        Receipt.parse(text.replace(hashed, change(hashed)).encode())
    with pytest.raises(WitnessRefusal):
        _parse(f"old 0\n{change(hashed)}\n\n{NOTE}".encode())


def test_a_key_id_has_one_way_to_be_written() -> None:
    name, number, encoded = str(SIGNER.verifier).split("+", 2)
    for wrong in (number.upper(), " ".join((number[:4], number[4:]))):
        with pytest.raises(InputError):
            VerifierKey.parse(f"{name}+{wrong}+{encoded}")


@CHANGES
def test_a_public_key_with_other_base64_is_refused(change: Callable[[str], str]) -> None:
    text = public_key_to_wire(KEY.public_key())
    public_key_from_wire(text)
    with pytest.raises(InputError):
        public_key_from_wire(change(text))


@CHANGES
def test_an_identity_document_with_other_base64_is_refused(change: Callable[[str], str]) -> None:
    blob = AUTHORITY.sign(identity_document("i-0123456789abcdef0"))
    authorities = Authorities.from_pem({"eu-central-1": AUTHORITY.pem})
    flat = "".join(blob.split())
    lines = "\n".join(flat[at : at + 64] for at in range(0, len(flat), 64)) + "\n"
    assert verify(lines, authorities).instance_id == verify(flat, authorities).instance_id
    with pytest.raises(InputError, match="the signature is not base64"):
        verify(change(flat), authorities)


def test_a_sealed_token_has_one_text() -> None:
    seal_ = Seal(b"s" * 32, purpose="test", random_bytes=CountingRandom())
    text = seal_.seal({"a": 1})
    assert Seal(b"s" * 32, purpose="test", random_bytes=CountingRandom()).open(text) == {"a": 1}
    for wrong in (text + "=", text + "====", text + "\n", " " + text):
        assert Seal(b"s" * 32, purpose="test", random_bytes=CountingRandom()).open(wrong) is None


def test_a_basic_header_has_one_text() -> None:
    encoded = base64.b64encode(b"oauth2:secret").decode()
    assert shown_token(f"Basic {encoded}") == "secret"
    assert left_over_bits(encoded) != encoded
    for wrong in (surplus(encoded), left_over_bits(encoded), spaced(encoded)):
        assert shown_token(f"Basic {wrong}") == ""
