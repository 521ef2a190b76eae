"""The console verifies receipts in the browser: a right one proves its entry, and of a tampered one the fault is named."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fakes.signed_logs import LOG, OTHER, WITNESSES, SignedLog
from landscape.node_verify import ChosenFiles, verified
from whence_common.digest import sha256_digest
from whence_common.log_policy import RevokedKey
from whence_common.note import Signer

ENTRIES = [f'{{"type": "urn:whence:example:v1", "n": {n}}}'.encode() for n in range(13)]
KEYS = f"# of the log\n{LOG.verifier}\n"
WITNESSED = KEYS + "".join(f"{one.verifier}\n" for one in WITNESSES)
INDEX = 5


def receipt(index: int = INDEX, *, witnesses: list[Signer] | None = None, signer: Signer = LOG) -> str:
    log = SignedLog(ENTRIES, signers=[signer])
    return log.receipt(index, witnesses=WITNESSES if witnesses is None else witnesses).proof


def choice(text: str, entry: bytes | None = ENTRIES[INDEX], *, keys: str = WITNESSED, least: int = 2) -> ChosenFiles:
    return ChosenFiles(files=[text.encode(), *([entry] if entry is not None else [])], keys=keys, witnesses_least=least)


def one(given: ChosenFiles) -> dict[str, Any]:
    (found,) = verified(given)
    return found


def edited(text: str, line: int, new: str | None) -> str:
    """Replace a line; remove it if `new` is None."""
    lines = text.split("\n")
    lines[line : line + 1] = [] if new is None else [new]
    return "\n".join(lines)


def flipped(encoded: str) -> str:
    """Change one bit of base64 content."""
    content = bytearray(base64.b64decode(encoded))
    content[-1] ^= 1
    return base64.b64encode(content).decode()


def resigned(text: str, line_starts: str) -> str:
    """Change one bit of the signature in the line that starts so."""
    lines = text.split("\n")
    number = next(n for n, line in enumerate(lines) if line.startswith(line_starts))
    head, _, encoded = lines[number].rpartition(" ")
    return edited(text, number, f"{head} {flipped(encoded)}")


def test_a_receipt_with_its_entry_proves_that_the_entry_is_in_the_log() -> None:
    found = one(choice(receipt()))
    assert (found["verdict"], found["fault"]) == ("pass", None)
    assert found["title"] == "Entry 5 is in the log of whence.example.org, unchanged"
    key = f"whence.example.org+{LOG.verifier.id.hex()}"
    assert found["proved"] == [
        f"The checkpoint of whence.example.org over 13 entries is signed by the trusted key {key}.",
        "The witness witness-0.example.org cosigned this checkpoint.",
        "The witness witness-1.example.org cosigned this checkpoint.",
        f"The entry with the digest {sha256_digest(ENTRIES[5])} is number 5 of this log, byte for byte.",
    ]
    assert (
        "That what the entry states is true: it is proved that it was recorded, and not changed since."
        in found["unproved"]
    )


def test_every_entry_of_logs_of_many_sizes_is_proved() -> None:
    cases = []
    for size in (1, 2, 3, 4, 7, 8, 9, 13):
        log = SignedLog(ENTRIES[:size])
        cases += [choice(log.receipt(n).proof, ENTRIES[n], keys=KEYS, least=0) for n in range(size)]
    assert [found["verdict"] for found in verified(*cases)] == ["pass"] * 47


def test_an_entry_that_is_too_large_for_a_tile_is_proved_by_its_digest() -> None:
    large = b'{"type": "urn:whence:example:v1", "x": "' + b"x" * 70_000 + b'"}'
    log = SignedLog([*ENTRIES, large])
    assert one(choice(log.receipt(13).proof, large, keys=KEYS, least=0))["verdict"] == "pass"


def test_a_receipt_without_its_entry_is_not_a_pass() -> None:
    found = one(choice(receipt(), None))
    assert (found["verdict"], found["fault"]) == ("unknown", None)
    assert found["unproved"][0] == (
        "That an entry is number 5 of the log: choose the entry's file together with its receipt."
    )


def test_the_answer_of_the_api_is_accepted_as_a_receipt() -> None:
    answer = {"digest": sha256_digest(ENTRIES[5]), "ledger_index": 5, "receipt": receipt()}
    assert one(choice(json.dumps(answer)))["verdict"] == "pass"
    found = one(choice(json.dumps(answer), ENTRIES[6]))
    assert (found["verdict"], found["fault"]["code"]) == ("fail", "digest-differs")


def test_a_receipt_of_a_log_without_witnesses_states_that_it_has_none() -> None:
    found = one(choice(receipt(witnesses=[]), keys=KEYS, least=0))
    assert found["verdict"] == "pass"
    assert (
        "That the log has no other history for others: no trusted witness cosigned this checkpoint."
        in found["unproved"]
    )


GOOD = receipt()
LINES = GOOD.split("\n")
TAMPERED: list[tuple[str, ChosenFiles, str, str]] = [
    ("a changed entry", choice(GOOD, ENTRIES[INDEX] + b" "), "proof-invalid", "does not lead from entry 5"),
    ("another entry", choice(GOOD, ENTRIES[6]), "proof-invalid", "does not lead from entry 5"),
    ("another number", choice(GOOD.replace("index 5", "index 4")), "proof-invalid", "does not lead from entry 4"),
    ("a number outside", choice(GOOD.replace("index 5", "index 13")), "index-outside", "not among the 13 entries"),
    ("a changed hash", choice(edited(GOOD, 2, flipped(LINES[2]))), "proof-invalid", "a hash of the proof was changed"),
    ("a removed hash", choice(edited(GOOD, 2, None)), "proof-short", "lacks hashes"),
    ("an added hash", choice(edited(GOOD, 2, LINES[2] + "\n" + LINES[2])), "proof-long", "more hashes than"),
    ("another size", choice(GOOD.replace("\n13\n", "\n14\n")), "note-signature", "signature of the log whence.example.org"),
    ("another root", choice(edited(GOOD, 9, flipped(LINES[9]))), "note-signature", "the checkpoint or the signature was changed"),
    ("a changed signature", choice(resigned(GOOD, "— whence.example.org")), "note-signature", "signature of the log whence"),
    ("a changed cosignature", choice(resigned(GOOD, "— witness-1")), "note-signature", "cosignature of the witness witness-1"),
    ("a foreign key", choice(receipt(signer=OTHER)), "checkpoint-unsigned", "No trusted key of whence.example.org"),
    ("too few witnesses", choice(receipt(witnesses=WITNESSES[:1])), "checkpoint-unwitnessed", "1 trusted witnesses"),
    ("a number with a zero before", choice(GOOD.replace("index 5", "index 05")), "receipt-malformed", "no line `index N`"),
    ("base64 that is not canonical", choice(edited(GOOD, 2, LINES[2][:-2] + "B=")), "receipt-malformed", "not a SHA-256 hash"),
    ("no blank line", choice(GOOD.replace("\n\n", "\n")), "receipt-malformed", "no blank line"),
    ("a cut checkpoint", choice("\n".join(LINES[:10]) + "\n"), "note-malformed", "no signature lines"),
    ("another file", choice("hello"), "files-ambiguous", "choose one of each"),
    ("no receipt", ChosenFiles(files=[ENTRIES[0]], keys=KEYS), "receipt-missing", "None of the files"),
    ("no key", choice(GOOD, keys="# none\n", least=0), "key-missing", "No log key is trusted"),
    ("a key that is cut", choice(GOOD, keys=KEYS.strip()[:-4], least=0), "key-malformed", "not a verifier key"),
    ("a key with another id", choice(GOOD, keys=KEYS.replace(LOG.verifier.id.hex(), "00000000"), least=0), "key-malformed", "must be " + LOG.verifier.id.hex()),
    ("a log that witnesses itself", choice(GOOD, keys=KEYS + str(Signer("whence.example.org", b"w" * 32, 4).verifier)), "witness-key", "cannot witness itself"),
    ("a revoked key", choice(GOOD, keys=f"{OTHER.verifier}\n{RevokedKey(key=LOG.verifier, from_size=10, stolen=True)}", least=0), "checkpoint-revoked", "stolen and is revoked from size 10"),
]  # fmt: skip


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    found = verified(*(case for _, case, _, _ in TAMPERED))
    return {name: result for (name, *_), result in zip(TAMPERED, found, strict=True)}


@pytest.mark.parametrize("name, code, message", [(name, code, message) for name, _, code, message in TAMPERED])
def test_the_fault_of_a_tampered_receipt_is_named(
    results: dict[str, dict[str, Any]], name: str, code: str, message: str
) -> None:
    found = results[name]
    assert (found["verdict"], found["fault"]["code"], found["proved"]) == ("fail", code, [])
    assert message in found["fault"]["message"]
