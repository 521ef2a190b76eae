"""Signed notes, checkpoints, cosignatures and receipts, as C2SP writes them, and every way they can be wrong."""

from __future__ import annotations

import pytest

from whence_common.errors import InputError
from whence_common.ledger_entry import ENTRY_BYTES_MAX, EntryInvalid, event, kind_of, leaf_data, type_of
from whence_common.log_policy import Policy, parse_keys
from whence_common.merkle import leaf_hash, node_hash
from whence_common.note import NOTE_BYTES_MAX, WITNESS, Checkpoint, Note, NoteInvalid, Signer, VerifierKey
from whence_common.receipt import HEADER, Receipt, receipt_text

LOG = Signer("whence.example.org/log", b"l" * 32)
WITNESSES = [Signer(f"witness-{n}", bytes([n]) * 32, WITNESS) for n in range(3)]
LEAVES = [b"first", b"second"]
ROOT = node_hash(leaf_hash(LEAVES[0]), leaf_hash(LEAVES[1]))
CHECKPOINT = Checkpoint(origin=LOG.verifier.name, size=2, root=ROOT)


def note(*, witnesses: int = 0, signer: Signer = LOG, text: str = str(CHECKPOINT)) -> str:
    signatures = [signer.sign(text), *(one.cosign(text, 1_700_000_000) for one in WITNESSES[:witnesses])]
    return text + "\n" + "".join(map(str, signatures))


def receipt(**changes: object) -> str:
    values: dict[str, object] = {"index": 1, "proof": [leaf_hash(LEAVES[0])], "note": note(), **changes}
    return receipt_text(**values)  # type: ignore[arg-type]  # each test changes what it means to


def policy(least: int = 0) -> Policy:
    keys = [one.verifier for one in WITNESSES]
    return Policy(log_keys=[LOG.verifier], witness_keys=keys, witnesses_least=least)


def refusal(content: bytes | str, least: int = 0, data: bytes = LEAVES[1]) -> str:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(InputError) as caught:
        Receipt.parse(raw).check(data, policy(least))
    return caught.value.code


def test_a_note_that_another_implementation_published_verifies() -> None:
    """The example in the documentation of Go's signed notes."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signed = Note.parse(f"{text}\n— PeterNeumann {signature}\n".encode())
    assert signed.verify([key]) == (key,)


def test_a_receipt_shows_that_its_entry_is_in_the_log() -> None:
    checkpoint, witnesses = Receipt.parse(receipt().encode()).check(LEAVES[1], policy())
    assert (checkpoint.size, witnesses) == (2, ())


def test_an_extra_line_is_passed_over() -> None:
    text = receipt().replace(f"{HEADER}\n", f"{HEADER}\nextra aGVsbG8=\n")
    assert Receipt.parse(text.encode()).check(LEAVES[1], policy())[0] == CHECKPOINT


@pytest.mark.parametrize(
    "cosigned, least, holds", [(0, 0, True), (2, 2, True), (1, 2, False), (0, 1, False), (3, 1, True)]
)
def test_a_receipt_needs_the_policys_number_of_witnesses(cosigned: int, least: int, holds: bool) -> None:
    text = receipt(note=note(witnesses=cosigned))
    if holds:
        assert len(Receipt.parse(text.encode()).check(LEAVES[1], policy(least))[1]) == cosigned
    else:
        assert refusal(text, least) == "checkpoint-unwitnessed"


@pytest.mark.parametrize(
    "text, code",
    [
        (receipt(index=0), "proof-invalid"),
        (receipt(index=2), "proof-invalid"),
        (receipt(proof=[]), "proof-invalid"),
        (receipt(proof=[leaf_hash(LEAVES[1])]), "proof-invalid"),
        (receipt(proof=[b"short"]), "receipt-malformed"),
        (receipt(proof=[b"x" * 32] * 64), "receipt-malformed"),
        (receipt().replace("index 1", "index 01"), "receipt-malformed"),
        (receipt().replace("index 1\n", ""), "receipt-malformed"),
        (receipt().replace("@v1", "@v2"), "receipt-malformed"),
        (receipt().replace(f"{HEADER}\n", f"{HEADER}\nextra !\n"), "receipt-malformed"),
        (receipt().replace("\n\n", "\n"), "receipt-malformed"),
        (receipt(note=note(signer=Signer("whence.example.org/log", b"x" * 32))), "note-unsigned"),
        (receipt(note=note(signer=Signer("elsewhere", b"l" * 32))), "note-unsigned"),
        (receipt(note=note(text=str(CHECKPOINT).replace("whence", "thence"))), "checkpoint-unsigned"),
        (receipt(note=note().replace("\n2\n", "\n3\n", 1)), "note-signature"),
        (receipt(note=note(witnesses=1).replace("witness-0 ", "witness-0  ")), "note-malformed"),
        ("é" + receipt(), "receipt-malformed"),
        ("x" * 100_000, "receipt-malformed"),
    ],
)
def test_a_receipt_that_is_bent_shows_nothing(text: str, code: str) -> None:
    assert refusal(text) == code


def test_a_receipt_for_other_bytes_shows_nothing() -> None:
    assert refusal(receipt(), data=b"third") == "proof-invalid"


@pytest.mark.parametrize(
    "content",
    [
        b"text without signatures\n",
        b"text\n\nno dash name AAAA\n",
        "text\n\n— name !!!!\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "te\rxt\n\n— name AAAAAAAA\n".encode(),
        "text\n\n— na+me AAAAAAAA\n".encode(),
        "text\n\n— name AAAAAAAA".encode(),
        b"\xff\n\n",
        b"x" * (NOTE_BYTES_MAX + 1),
        ("text\n\n" + "— name AAAAAAAA\n" * 65).encode(),
    ],
)
def test_a_malformed_note_is_refused(content: bytes) -> None:
    with pytest.raises(NoteInvalid):
        Note.parse(content)


def test_text_and_signatures_part_at_the_last_blank_line() -> None:
    text = "a\n\nb\n"
    parsed = Note.parse((text + "\n" + str(LOG.sign(text))).encode())
    assert (parsed.text, parsed.verify([LOG.verifier])) == (text, (LOG.verifier,))


def test_unknown_keys_are_ignored_and_sixteen_signatures_accepted() -> None:
    text = str(CHECKPOINT)
    strangers = "".join(str(Signer(f"stranger-{n}", bytes([n + 50]) * 32).sign(text)) for n in range(16))
    assert Note.parse((note() + strangers).encode()).verify([LOG.verifier]) == (LOG.verifier,)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n01\nAAAA\n",
        "origin\n-1\nAAAA\n",
        "origin\n2\nAAAA\n",
        "origin\n2\n",
        "origin\n2\n" + "A" * 42 + "B=\n",
        "\n2\n" + "A" * 43 + "=\n",
        "origin\n2\n" + "A" * 43 + "=",
        "origin\n2\n!\n",
        "origin\n2\n" + "A" * 43 + "=\n\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_extension_lines_of_a_checkpoint_are_passed_over() -> None:
    assert Checkpoint.parse(str(CHECKPOINT) + "extension\n") == CHECKPOINT


@pytest.mark.parametrize(
    "text", ["", "name", "name+00000000+AAAA", "na me+1+A", str(LOG.verifier).replace("+", "+00", 1), "n+zz+!!"]
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(text)


def test_a_witness_signs_the_time_too() -> None:
    witness, text = WITNESSES[0], str(CHECKPOINT)
    signature = witness.cosign(text, 1_700_000_000).content
    assert witness.verifier.signature_holds(signature, text.encode())
    assert not witness.verifier.signature_holds(b"\x00" * 8 + signature[8:], text.encode())
    assert not witness.verifier.signature_holds(signature[8:], text.encode())


def test_a_file_of_keys_is_read() -> None:
    assert parse_keys(f"# ours\n\n{LOG.verifier}\n").keys == (LOG.verifier,)
    with pytest.raises(NoteInvalid):
        parse_keys("# none\n")
    with pytest.raises(NoteInvalid):
        Signer("two words", b"x" * 32)


def test_large_entries_stand_in_the_log_by_their_digest() -> None:
    small, large = b"x" * ENTRY_BYTES_MAX, b"x" * (ENTRY_BYTES_MAX + 1)
    assert leaf_data(small) == small
    assert b'"size":65536' in leaf_data(large)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"urn:whence:fact"}',
        b'{"type":"urn:whence:fact:v0"}',
        b'{"type":"urn:whence:Fact:v1"}',
        b'{"type":"urn:whence:fact:v1 "}',
        b"\xff",
        b"[" * 99_999,
    ],
)
def test_a_malformed_entry_is_refused(content: bytes) -> None:
    with pytest.raises(EntryInvalid):
        kind_of(content)


def test_an_entry_states_its_kind() -> None:
    assert kind_of(event("fact", {"kind": "commit"}))[0] == "fact"
    assert kind_of(b'{"payloadType":"x"}') == ("statement", {})


def test_an_entry_names_the_version_of_its_kind_and_a_kind_of_the_future_can_be_read() -> None:
    assert type_of(event("fact", {"kind": "commit"}, version=12))[:2] == ("fact", 12)
    assert type_of(b'{"type":"urn:whence:rule-of-2030:v1"}')[:2] == ("rule-of-2030", 1)
