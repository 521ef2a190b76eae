"""Whose signatures count: witnesses that are the log itself do not, revoked keys only as far as they can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from whence_common.log_policy import LogKeys, Policy, RevokedKey, count_distinct, parse_keys
from whence_common.merkle import leaf_hash
from whence_common.note import WITNESS, Checkpoint, Note, NoteInvalid, Signer, VerifierKey

NAME = "whence.example.org"
OLD, NEW = Signer(NAME, b"o" * 32), Signer(NAME, b"n" * 32)
ONE, TWO = Signer("one.example.org", b"1" * 32, WITNESS), Signer("two.example.org", b"2" * 32, WITNESS)
STOLEN = RevokedKey(key=OLD.verifier, from_size=100, stolen=True)
LOST = RevokedKey(key=OLD.verifier, from_size=100, stolen=False)


def note(size: int, *signers: Signer) -> Note:
    text = str(Checkpoint(origin=NAME, size=size, root=leaf_hash(b"x")))
    lines = [one.cosign(text, 1_700_000_000) if one.verifier.type == WITNESS else one.sign(text) for one in signers]
    return Note.parse((text + "\n" + "".join(map(str, lines))).encode())


def refusal(policy: Policy, signed: Note) -> str:
    with pytest.raises(NoteInvalid) as caught:
        policy.check(signed)
    return caught.value.code


def as_witness(signer: Signer, name: str) -> VerifierKey:
    return VerifierKey(name=name, type=WITNESS, key=signer.verifier.key)


@pytest.mark.parametrize(
    "witness",
    [
        as_witness(NEW, "witness.example.org"),
        as_witness(NEW, NAME),
        as_witness(ONE, NAME),
        as_witness(OLD, "witness.example.org"),
        NEW.verifier,
        Signer("other.example.org", b"9" * 32).verifier,
    ],
)
def test_a_witness_that_could_be_the_log_itself_is_refused(witness: VerifierKey) -> None:
    with pytest.raises(NoteInvalid) as caught:
        Policy(log_keys=[NEW.verifier], witness_keys=[ONE.verifier, witness], revoked=[STOLEN])
    assert caught.value.code == "witness-key"


def test_a_witness_key_in_place_of_the_logs_is_refused() -> None:
    with pytest.raises(NoteInvalid):
        Policy(log_keys=[as_witness(ONE, NAME)])


@pytest.mark.parametrize(
    "keys, witnesses",
    [
        ([], 0),
        ([ONE.verifier, ONE.verifier], 1),
        ([ONE.verifier, as_witness(ONE, "alias.example.org")], 1),
        ([ONE.verifier, as_witness(TWO, "one.example.org"), TWO.verifier], 1),
        ([TWO.verifier, ONE.verifier, as_witness(TWO, "one.example.org")], 1),
        ([ONE.verifier, TWO.verifier], 2),
    ],
)
def test_one_witness_under_two_names_counts_once(keys: Sequence[VerifierKey], witnesses: int) -> None:
    assert count_distinct(keys) == witnesses


def test_a_quorum_is_not_reached_by_one_witness_that_signs_under_two_names() -> None:
    alias = Signer("alias.example.org", b"1" * 32, WITNESS)
    policy = Policy(
        log_keys=[NEW.verifier], witness_keys=[ONE.verifier, alias.verifier, TWO.verifier], witnesses_least=2
    )
    assert refusal(policy, note(5, NEW, ONE, alias)) == "checkpoint-unwitnessed"
    policy.check(note(5, NEW, ONE, TWO))


def test_more_witnesses_than_there_are_keys_cannot_be_asked_for() -> None:
    with pytest.raises(NoteInvalid):
        Policy(log_keys=[NEW.verifier], witness_keys=[ONE.verifier, ONE.verifier], witnesses_least=2)


@pytest.mark.parametrize("size", [100, 101, 10_000])
@pytest.mark.parametrize("revoked", [STOLEN, LOST])
def test_a_revoked_key_is_refused_from_its_size_on_despite_cosignatures(revoked: RevokedKey, size: int) -> None:
    policy = Policy(log_keys=[NEW.verifier], witness_keys=[ONE.verifier], revoked=[revoked])
    assert refusal(policy, note(size, OLD, ONE)) == "checkpoint-revoked"
    assert policy.check(note(size, OLD, NEW))[0].size == size


def test_earlier_signatures_of_a_stolen_key_count_only_with_a_witness() -> None:
    policy = Policy(log_keys=[NEW.verifier], witness_keys=[ONE.verifier], revoked=[STOLEN])
    assert refusal(policy, note(99, OLD)) == "checkpoint-revoked"
    assert policy.check(note(99, OLD, ONE))[0].size == 99


def test_what_a_lost_key_signed_before_counts_as_it_did() -> None:
    assert Policy(log_keys=[NEW.verifier], revoked=[LOST]).check(note(99, OLD))[0].size == 99


def test_a_key_that_is_listed_as_good_and_as_revoked_is_revoked() -> None:
    policy = Policy(log_keys=[OLD.verifier, NEW.verifier], revoked=[STOLEN])
    assert refusal(policy, note(100, OLD)) == "checkpoint-revoked"


def test_a_file_names_keys_and_revoked_ones() -> None:
    text = f"# ours\n{NEW.verifier}\n{STOLEN}\nrevoked {ONE.verifier} from 0 lost\n"
    assert parse_keys(text) == LogKeys(
        keys=(NEW.verifier,), revoked=(STOLEN, RevokedKey(key=ONE.verifier, from_size=0, stolen=False))
    )


@pytest.mark.parametrize(
    "line", ["revoked", "revoked x", f"revoked {OLD.verifier} from 01 stolen", "revoked x from 1 lost"]
)
def test_a_malformed_line_of_a_revoked_key_is_an_error(line: str) -> None:
    with pytest.raises(NoteInvalid):
        parse_keys(f"{NEW.verifier}\n{line}\n")
