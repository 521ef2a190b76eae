"""Receipts: a statement leaves the disk only once its receipt proves that it is in the log.

The log's keys are those of the settings; without any, those that the aggregator named when this machine enrolled.
"""

from __future__ import annotations

from collections.abc import Sequence

from whence_agent.instance_key import InstanceKey
from whence_agent.ports import AggregatorUnavailable, Receipt
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.log_policy import Policy
from whence_common.note import VerifierKey
from whence_common.receipt import Receipt as Proof

_REMEMBERED = "log-keys"


class Receipts:
    """Checks receipts for this machine's statements."""

    def __init__(self, *, key: InstanceKey, log_keys: Sequence[str]) -> None:
        self._key = key
        self._set = tuple(VerifierKey.parse(one) for one in log_keys)

    def learn(self, log_keys: Sequence[str]) -> None:
        """Remember the keys that an aggregator named at enrolment. Raises AggregatorUnavailable for no keys at all."""
        if self._set:
            return
        try:
            known = [str(VerifierKey.parse(one)) for one in log_keys]
        except InputError as exc:
            raise AggregatorUnavailable("answer-malformed", "the aggregator named a log key that is none") from exc
        self._key.remember(_REMEMBERED, {"keys": known})

    def check(self, receipt: Receipt, envelope: bytes) -> None:
        """Raises AggregatorUnavailable unless the receipt is for these bytes and proves that they are in the log."""
        if receipt.digest != sha256_digest(envelope):
            raise AggregatorUnavailable("receipt-for-other", "the receipt is for other bytes than were submitted")
        keys = self._set or self._remembered()
        if not keys:
            return  # an aggregator that keeps no signed log has named no key
        try:
            proof = Proof.parse(receipt.proof.encode())
            proof.check(envelope, Policy(log_keys=keys))
        except InputError as exc:
            raise AggregatorUnavailable("receipt-invalid", f"the receipt proves nothing: {exc.message}") from exc
        if proof.index != receipt.ledger_index:
            raise AggregatorUnavailable("receipt-invalid", "the receipt is for another entry than the answer names")

    def _remembered(self) -> tuple[VerifierKey, ...]:
        found = self._key.remembered(_REMEMBERED).get("keys", [])
        try:
            return tuple(VerifierKey.parse(str(one)) for one in found)
        except (InputError, TypeError):
            return ()
