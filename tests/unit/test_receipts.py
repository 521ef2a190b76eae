"""The agent's verification of receipts: an invalid receipt or another history removes no statement from disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.agent_world import World
from fakes.signed_logs import LOG, OTHER, WITNESSES, SignedLog
from whence_agent.ports_aggregator import AggregatorUnavailable, StatementReceipt
from whence_agent.report.receipts import Receipts, Trusted
from whence_agent.report.seen_logs import LOGS_MAX
from whence_agent.status.document import state_of, what_to_do
from whence_common.digest import sha256_digest
from whence_common.note import WITNESS, Signer

ENVELOPE = b'{"payload": "x"}'
PINNED = Trusted(log_keys=[LOG.verifier])


def receipt(*, signer: Signer = LOG, index: int = 0, said: int = 0, content: bytes = ENVELOPE) -> StatementReceipt:
    answer = SignedLog([content], signers=[signer]).receipt(0, index=index)
    return StatementReceipt(digest=sha256_digest(ENVELOPE), ledger_index=said, proof=answer.proof)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(receipts: Receipts, given: StatementReceipt, content: bytes = ENVELOPE) -> str:
    with pytest.raises(AggregatorUnavailable) as caught:
        receipts.check(given, content)
    assert caught.value.retryable
    return caught.value.code


def test_a_receipt_of_the_log_named_at_enrolment_is_accepted(world: World) -> None:
    receipts = world.receipts()
    receipts.learn([str(LOG.verifier)])
    receipts.check(receipt(), ENVELOPE)
    world.receipts().check(receipt(), ENVELOPE)
    assert refused(receipts, receipt(signer=OTHER)) == "receipt-invalid"


def test_log_keys_of_the_settings_replace_those_of_the_enrolment(world: World) -> None:
    receipts = world.receipts(PINNED)
    receipts.learn([str(OTHER.verifier)])
    assert refused(receipts, receipt(signer=OTHER)) == "receipt-invalid"
    receipts.check(receipt(), ENVELOPE)


@pytest.mark.parametrize(
    "given, code",
    [
        (StatementReceipt(digest="sha256:" + "0" * 64, ledger_index=0, proof=""), "receipt-for-other"),
        (StatementReceipt(digest=sha256_digest(ENVELOPE), ledger_index=0, proof=""), "receipt-invalid"),
        (StatementReceipt(digest=sha256_digest(ENVELOPE), ledger_index=0, proof="é" * 200_000), "receipt-invalid"),
        (receipt(content=b"other"), "receipt-invalid"),
        (receipt(said=5), "receipt-invalid"),
        (receipt(index=1), "receipt-invalid"),
    ],
)
def test_an_invalid_receipt_is_refused(world: World, given: StatementReceipt, code: str) -> None:
    assert refused(world.receipts(PINNED), given) == code


def test_an_aggregator_that_names_an_invalid_log_key_is_refused(world: World) -> None:
    with pytest.raises(AggregatorUnavailable):
        world.receipts().learn(["no key"])


def test_without_any_key_only_the_digest_is_compared(world: World) -> None:
    receipts = world.receipts()
    receipts.check(StatementReceipt(digest=sha256_digest(ENVELOPE), ledger_index=0), ENVELOPE)
    assert refused(receipts, StatementReceipt(digest="sha256:" + "0" * 64, ledger_index=0)) == "receipt-for-other"


# --- witnesses


def watched(*witnesses: Signer, least: int | None = None) -> Trusted:
    keys = [one.verifier for one in witnesses]
    return Trusted(log_keys=[LOG.verifier], witness_keys=keys, witnesses_least=len(keys) if least is None else least)


def test_a_receipt_without_cosignatures_is_requested_again(world: World) -> None:
    receipts, log = world.receipts(watched(*WITNESSES)), SignedLog([ENVELOPE])
    assert refused(receipts, log.receipt(0)) == "receipt-unwitnessed"
    assert refused(receipts, log.receipt(0, witnesses=WITNESSES[:1])) == "receipt-unwitnessed"
    assert receipts.seen_size is None
    receipts.check(log.receipt(0, witnesses=WITNESSES), ENVELOPE)
    assert receipts.seen_size == 1


def test_as_many_witnesses_as_the_settings_require_suffice(world: World) -> None:
    world.receipts(watched(*WITNESSES, least=1)).check(
        SignedLog([ENVELOPE]).receipt(0, witnesses=WITNESSES[1:]), ENVELOPE
    )


def test_an_invalid_cosignature_does_not_count(world: World) -> None:
    forged = Signer(WITNESSES[0].verifier.name, b"f" * 32, WITNESS)
    given = SignedLog([ENVELOPE]).receipt(0, witnesses=[forged])
    assert refused(world.receipts(watched(WITNESSES[0])), given) == "receipt-unwitnessed"


def test_a_replica_cannot_cosign_its_own_log_as_a_witness(world: World) -> None:
    """A rogue replica holds the log's key; configuring that key as a witness's must not make its receipts valid."""
    own = Signer("witness.example.org", b"l" * 32, WITNESS)
    given = SignedLog([ENVELOPE]).receipt(0, witnesses=[own])
    receipts = world.receipts(Trusted(witness_keys=[own.verifier], witnesses_least=1))
    receipts.learn([str(LOG.verifier)])
    assert refused(receipts, given) == "receipt-unwitnessed"


def test_an_aggregator_without_a_signed_log_does_not_satisfy_witnesses(world: World) -> None:
    receipts = world.receipts(Trusted(witness_keys=[WITNESSES[0].verifier], witnesses_least=1))
    assert refused(receipts, StatementReceipt(digest=sha256_digest(ENVELOPE), ledger_index=0)) == "receipt-unwitnessed"


# --- one history


def grown(first: int = 3, more: int = 4) -> tuple[SignedLog, SignedLog]:
    """Return a log, and the same log later."""
    entries = [b"entry %d" % number for number in range(first + more)]
    return SignedLog(entries[:first]), SignedLog(entries)


def test_a_growing_log_is_accepted_over_restarts(world: World) -> None:
    before, after = grown()
    world.receipts(PINNED).check(before.receipt(2), b"entry 2")
    again = world.receipts(PINNED)
    assert again.seen_size == 3
    again.check(after.receipt(6, seen=3), b"entry 6")
    assert world.receipts(PINNED).seen_size == 7


def test_an_older_checkpoint_of_the_same_log_is_accepted_and_the_newer_one_stays_stored(world: World) -> None:
    before, after = grown()
    receipts = world.receipts(PINNED)
    receipts.check(after.receipt(6), b"entry 6")
    receipts.check(before.receipt(2, seen=7, proof=after.consistency(3, 7)), b"entry 2")
    assert receipts.seen_size == 7


def fork(world: World, given: StatementReceipt, content: bytes) -> None:
    receipts = world.receipts(PINNED)
    assert refused(receipts, given, content) == "log-forked"
    assert (receipts.take_findings(), receipts.take_findings()) == (True, False)
    assert refused(receipts, given, content) == "log-forked"
    assert not receipts.take_findings()
    assert receipts.seen_size == 3


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_second_history_is_never_accepted_and_is_shown_permanently(world: World, size: int) -> None:
    before, _ = grown()
    world.receipts(PINNED).check(before.receipt(2), b"entry 2")
    other = SignedLog([b"other %d" % number for number in range(size)])
    proof = other.consistency(*sorted((3, size))) if size > 3 else []
    fork(world, other.receipt(0, seen=3, proof=proof), b"other 0")
    world.progress.boot.state = "up"
    restarted = world.receipts(PINNED)
    assert restarted.seen_size == 3
    world.reporter.report("change")
    (said,) = world.statements()
    assert [(problem["code"], problem["severity"]) for problem in said.problems] == [("log-forked", "error")]
    state, reasons = state_of(world.progress)
    assert (state, any("has forked" in reason for reason in reasons)) == ("degraded", True)
    assert "two histories" in what_to_do(world.progress, state)


def test_both_signed_checkpoints_of_a_fork_are_stored_as_proof(world: World) -> None:
    before, _ = grown()
    world.receipts(PINNED).check(before.receipt(2), b"entry 2")
    other = SignedLog([b"other"] * 3)
    fork(world, other.receipt(0, seen=3), b"other")
    (kept,) = json.loads((world.directory / "log-seen.json").read_bytes())["forks"]
    assert (kept["kept"], kept["shown"]) == (before.note(), other.note())


def test_what_was_seen_of_the_log_outlives_the_machines_key(world: World) -> None:
    """A server that answers `key-of-other` causes a new key; a fork must still be detected."""
    before, _ = grown()
    world.receipts(PINNED).check(before.receipt(2), b"entry 2")
    world.key.replace({"name": "replaced"})
    fork(world, SignedLog([b"other"] * 3).receipt(0, seen=3), b"other")


def test_a_shorter_log_is_refused_with_a_fix(world: World) -> None:
    before, after = grown()
    receipts = world.receipts(PINNED)
    receipts.check(after.receipt(6), b"entry 6")
    with pytest.raises(AggregatorUnavailable) as caught:
        receipts.check(before.receipt(2), b"entry 2")
    assert (caught.value.code, "ledger continue" in caught.value.diagnostics()) == ("log-shorter", True)
    assert (receipts.seen_size, receipts.take_findings()) == (7, False)


def test_a_log_without_a_consistency_proof_is_refused(world: World) -> None:
    before, after = grown()
    receipts = world.receipts(PINNED)
    receipts.check(before.receipt(2), b"entry 2")
    assert refused(receipts, after.receipt(6), b"entry 6") == "log-unproven"


def test_a_log_with_a_new_name_is_accepted_and_reported(world: World) -> None:
    before, after = grown()
    receipts = world.receipts()
    receipts.learn([str(LOG.verifier)])
    receipts.check(before.receipt(2), b"entry 2")
    new = Signer("whence.example.org/2", b"2" * 32)
    receipts.learn([str(new.verifier), str(LOG.verifier)])
    receipts.check(SignedLog([b"entry 0"], signers=[new]).receipt(0), b"entry 0")
    assert receipts.take_findings()
    assert [one.code for one in world.progress.delivered.log_problems] == ["log-changed"]
    assert refused(receipts, after.receipt(6), b"entry 6") == "log-unproven"
    receipts.check(after.receipt(6, seen=3), b"entry 6")
    assert receipts.take_findings()


def test_the_first_log_is_not_forgotten_after_many_new_ones(world: World) -> None:
    """A rogue replica without the log's key presents one log after another to hide a fork of the first."""
    before, _ = grown()
    receipts = world.receipts()
    receipts.learn([str(LOG.verifier)])
    receipts.check(before.receipt(2), b"entry 2")
    for number in range(LOGS_MAX + 3):
        new = Signer(f"log-{number}", b"2" * 32)
        receipts.learn([str(new.verifier)])
        given = SignedLog([b"x"], signers=[new]).receipt(0)
        if number < LOGS_MAX - 1:
            receipts.check(given, b"x")
        else:
            assert refused(receipts, given, b"x") == "logs-too-many"
    receipts.learn([str(LOG.verifier)])
    assert refused(receipts, SignedLog([b"other"] * 3).receipt(0, seen=3), b"other") == "log-forked"


def test_a_damaged_file_of_seen_logs_is_reported(world: World) -> None:
    (world.directory / "log-seen.json").write_bytes(b'{"notes": ["no note"]}')
    world.receipts(PINNED).check(receipt(), ENVELOPE)
    assert [one.code for one in world.progress.delivered.log_problems] == ["log-seen-damaged"]
