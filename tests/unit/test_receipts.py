"""The agent's side of receipts: nothing leaves the disk for an acknowledgement that proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence_agent.instance_key import InstanceKey
from whence_agent.ports import AggregatorUnavailable, Receipt
from whence_agent.receipts import Receipts
from whence_common.digest import sha256_digest
from whence_common.merkle import leaf_hash
from whence_common.note import Checkpoint, Signer
from whence_common.receipt import receipt_text

ENVELOPE = b'{"payload": "x"}'
LOG, OTHER = Signer("whence.example.org", b"l" * 32), Signer("whence.example.org", b"o" * 32)


def receipt(*, signer: Signer = LOG, index: int = 0, said: int = 0, content: bytes = ENVELOPE) -> Receipt:
    text = str(Checkpoint(origin="whence.example.org", size=1, root=leaf_hash(content)))
    proof = receipt_text(index, [], f"{text}\n{signer.sign(text)}")
    return Receipt(digest=sha256_digest(ENVELOPE), ledger_index=said, proof=proof)


@pytest.fixture
def key(tmp_path: Path) -> InstanceKey:
    return InstanceKey(tmp_path)


def refused(receipts: Receipts, given: Receipt) -> str:
    with pytest.raises(AggregatorUnavailable) as caught:
        receipts.check(given, ENVELOPE)
    return caught.value.code


def test_a_receipt_of_the_log_that_was_named_at_enrolment_is_taken(key: InstanceKey) -> None:
    receipts = Receipts(key=key, log_keys=[])
    receipts.learn([str(LOG.verifier)])
    receipts.check(receipt(), ENVELOPE)
    Receipts(key=key, log_keys=[]).check(receipt(), ENVELOPE)
    assert refused(receipts, receipt(signer=OTHER)) == "receipt-invalid"


def test_the_keys_of_the_settings_are_the_only_ones_where_there_are_any(key: InstanceKey) -> None:
    receipts = Receipts(key=key, log_keys=[str(LOG.verifier)])
    receipts.learn([str(OTHER.verifier)])
    assert refused(receipts, receipt(signer=OTHER)) == "receipt-invalid"
    receipts.check(receipt(), ENVELOPE)


@pytest.mark.parametrize(
    "given, code",
    [
        (Receipt(digest="sha256:" + "0" * 64, ledger_index=0, proof=""), "receipt-for-other"),
        (Receipt(digest=sha256_digest(ENVELOPE), ledger_index=0, proof=""), "receipt-invalid"),
        (Receipt(digest=sha256_digest(ENVELOPE), ledger_index=0, proof="é" * 200_000), "receipt-invalid"),
        (receipt(content=b"other"), "receipt-invalid"),
        (receipt(said=5), "receipt-invalid"),
        (receipt(index=1), "receipt-invalid"),
    ],
)
def test_a_receipt_that_proves_nothing_is_refused(key: InstanceKey, given: Receipt, code: str) -> None:
    assert refused(Receipts(key=key, log_keys=[str(LOG.verifier)]), given) == code


def test_an_aggregator_that_names_something_else_as_its_key_is_refused(key: InstanceKey) -> None:
    with pytest.raises(AggregatorUnavailable):
        Receipts(key=key, log_keys=[]).learn(["no key"])


def test_without_any_key_only_the_digest_is_compared(key: InstanceKey) -> None:
    receipts = Receipts(key=key, log_keys=[])
    receipts.check(Receipt(digest=sha256_digest(ENVELOPE), ledger_index=0), ENVELOPE)
    assert refused(receipts, Receipt(digest="sha256:" + "0" * 64, ledger_index=0)) == "receipt-for-other"
