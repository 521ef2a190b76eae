"""What befalls a log and no database has a part in, on SQLite: witnesses, keys, checkpoint files. Nothing is decided silently."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.in_process import ORIGIN
from fakes.signing_authority import SigningAuthority
from landscape.decisions import NAME, OLD, CosigningWitness, StillWitness, refusal, spoken
from landscape.installation import SEED, Installation
from whence_aggregator.ledger.continuity import StartRefused
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.wiring.ledger import (
    accept_checkpoint,
    continue_log,
    known_keys,
    revoke_key,
)
from whence_common.log_policy import Policy
from whence_common.note import Checkpoint, Note, NoteInvalid, Signer
from whence_common.receipt import Receipt
from whence_common.settings_file import SettingsInvalid


@pytest.fixture
def lone(tmp_path: Path, authority: SigningAuthority) -> Installation:
    """One on SQLite, for what no database has a part in."""
    return Installation(tmp_path, authority, None)


async def test_a_start_is_refused_when_a_witness_has_seen_more(lone: Installation) -> None:
    """The checkpoint file was restored together with the database: only a witness knows."""
    await spoken(lone)
    assert await refusal(lone, witnesses=[StillWitness(50)]) == "witness-ahead"
    async with lone.started(witnesses=[StillWitness(None), StillWitness(2)]):
        pass


async def test_a_second_replica_needs_a_checkpoint_file_and_a_copy_is_enough(lone: Installation) -> None:
    await spoken(lone)
    copy = lone.home / "elsewhere.checkpoint"
    shutil.copy(lone.checkpoint_file, copy)
    lone.checkpoint_file.unlink()
    assert await refusal(lone) == "checkpoint-missing"
    shutil.copy(copy, lone.checkpoint_file)
    async with lone.started():
        pass


async def test_the_front_on_the_same_machine_starts_from_the_servers_checkpoint(lone: Installation) -> None:
    await spoken(lone)
    beside = lone.checkpoint_file.rename(lone.home / "log.checkpoint.registry")
    async with lone.started(beside=beside):
        pass
    assert lone.checkpoint_file.exists()


async def test_the_front_does_not_start_a_restored_database_either(lone: Installation) -> None:
    await spoken(lone)
    saved = await lone.save()
    await spoken(lone)
    await lone.restore(saved)
    beside = lone.checkpoint_file.rename(lone.home / "log.checkpoint.registry")
    with pytest.raises(StartRefused, match="the database is older"):
        async with lone.started(beside=beside):
            pass


async def test_a_log_that_goes_on_without_its_checkpoint_file_does_not_say_that_nothing_is_lost(
    lone: Installation,
) -> None:
    await spoken(lone, times=1)
    lone.checkpoint_file.unlink()
    _, size, lost = await continue_log(lone.decision("both disks failed"), "whence.example.org/2")
    lone.renamed("whence.example.org/2")
    (*_, told) = [one["continues"] for one in await lone.log_key_entries() if "continues" in one]
    assert (lost, told["lost"], told["size"], told["checkpoint"]) == (None, None, size, None)


async def test_a_log_that_lost_nothing_is_not_continued(lone: Installation) -> None:
    await spoken(lone)
    before = lone.keys_file.read_bytes()
    with pytest.raises(SettingsInvalid, match="nothing is lost"):
        await continue_log(lone.decision(), NAME)
    with pytest.raises(SettingsInvalid, match="already"):
        await continue_log(lone.decision(), ORIGIN)
    assert (lone.keys_file.read_bytes(), len(await lone.log_key_entries())) == (before, 1)


async def test_a_decision_that_was_interrupted_is_made_once_more(lone: Installation) -> None:
    """Killed between the entry and the files: the same command ends what was begun."""
    await spoken(lone)
    saved = await lone.save()
    await spoken(lone)
    await lone.restore(saved)
    kept, keys = lone.checkpoint_file.read_bytes(), lone.keys_file.read_bytes()
    await continue_log(lone.decision(), NAME)
    lone.checkpoint_file.write_bytes(kept)
    lone.keys_file.write_bytes(keys)
    await continue_log(lone.decision(), NAME)
    lone.renamed(NAME)
    async with lone.started():
        pass
    assert await lone.findings() == []


async def test_a_witness_that_is_away_takes_no_cosignature_from_receipts_that_had_it(lone: Installation) -> None:
    witnesses = [CosigningWitness("one.example.org"), CosigningWitness("two.example.org")]
    keys = [one.key for one in witnesses]
    async with lone.house() as house:
        publisher = Publisher(database=house.database, ledger=house.ledger, witnesses=witnesses, seconds=1)
        await house.enrol(lone.machine)
        first = await house.say(lone.machine)
        await publisher.publish()
        witnesses[1].away = True
        second = await house.say(lone.machine)
        await publisher.publish()
        for accepted, least in ((first, 2), (second, 1)):
            note = Receipt.parse((await publisher.receipt(accepted.ledger_index)).encode()).note
            assert len(Policy(log_keys=[OLD.verifier], witness_keys=keys).check(note)[1]) == least
        third = await house.say(lone.machine)
        note = Receipt.parse((await publisher.receipt(third.ledger_index)).encode()).note
        assert Policy(log_keys=[OLD.verifier], witness_keys=keys).check(note)[1] == ()


async def test_a_thief_with_the_stolen_key_convinces_nobody_who_knows(lone: Installation) -> None:
    """Also with a checkpoint that claims to be older than the theft."""
    await spoken(lone)
    revoked = await revoke_key(lone.decision(), OLD.verifier.id.hex(), stolen=True, from_size=5)
    signers, _ = await known_keys(lone.decision())
    for size in (1, 5, 1_000):
        text = str(Checkpoint(origin=ORIGIN, size=size, root=b"\0" * 32))
        forged = Note.parse(f"{text}\n{OLD.sign(text)}".encode())
        with pytest.raises(NoteInvalid) as caught:
            Policy(log_keys=[signers[0].verifier], revoked=[revoked]).check(forged)
        assert caught.value.code == "checkpoint-revoked"


async def test_keys_beside_the_revoked_one_go_on(lone: Installation) -> None:
    other = Signer(ORIGIN, b"x" * 32)
    await spoken(lone)
    lone.write_keys(other, OLD, seeds=(b"x" * 32, SEED))
    await revoke_key(lone.decision(), str(OLD.verifier), stolen=True, from_size=None)
    assert [one.verifier for one in (await known_keys(lone.decision()))[0]] == [other.verifier]


async def test_a_second_revocation_leaves_the_first_in_force(lone: Installation) -> None:
    await spoken(lone)
    await revoke_key(lone.decision(), str(OLD.verifier), stolen=True, from_size=3)
    (second,), _ = await known_keys(lone.decision())
    await revoke_key(lone.decision(), str(second.verifier), stolen=True, from_size=None)
    await revoke_key(lone.decision(), str(OLD.verifier), stolen=True, from_size=1)
    _, revoked = await known_keys(lone.decision())
    assert {str(one.key): one.from_size for one in revoked}[str(OLD.verifier)] == 1
    assert len(revoked) == 2
    async with lone.started():
        pass


@pytest.mark.parametrize("key", ["nothing", "0" * 8, str(Signer("elsewhere", b"e" * 32).verifier)])
async def test_a_key_that_is_not_the_logs_is_not_revoked(lone: Installation, key: str) -> None:
    await spoken(lone, times=1)
    with pytest.raises(SettingsInvalid):
        await revoke_key(lone.decision(), key, stolen=True, from_size=None)
    with pytest.raises(SettingsInvalid, match="--from-size"):
        await revoke_key(lone.decision(), str(OLD.verifier), stolen=True, from_size=10_000)
    assert len(await lone.log_key_entries()) == 1


@pytest.mark.parametrize("reason", ["x" * 501, "two\nlines", "\x1b[2J"])
def test_a_reason_is_one_line_that_can_be_shown(tmp_path: Path, authority: SigningAuthority, reason: str) -> None:
    with pytest.raises(SettingsInvalid):
        Installation(tmp_path, authority, None).decision(reason)


@pytest.mark.parametrize("lost", [True, False])
async def test_a_lost_or_other_heartbeat_secret_is_told_at_the_start(lone: Installation, lost: bool) -> None:
    await spoken(lone)
    secret = lone.home / "heartbeat.secret"
    if lost:
        secret.unlink()
    else:
        secret.write_bytes(b"o" * 32)
    assert await refusal(lone) == "heartbeat-secret"
    assert secret.exists() is not lost


async def test_check_finds_what_the_start_of_a_log_would_be_refused_with(lone: Installation) -> None:
    assert await lone.found_by_check() == []
    await spoken(lone)
    assert await lone.found_by_check() == []
    saved = await lone.save()
    await spoken(lone)
    now = await lone.save()
    await lone.restore(saved)
    assert await lone.found_by_check() == ["ledger-inconsistent"]
    lone.checkpoint_file.unlink()
    assert await lone.found_by_check() == ["checkpoint-missing"]
    await lone.restore(now)
    await accept_checkpoint(lone.decision())
    keys = lone.keys_file.read_bytes()
    lone.keys_file.unlink()
    (lone.home / "heartbeat.secret").unlink()
    assert await lone.found_by_check() == ["log-key-lost", "heartbeat-secret"]
    assert not lone.keys_file.exists()
    lone.keys_file.write_bytes(keys)
    await revoke_key(lone.decision(), str(OLD.verifier), stolen=True, from_size=None)
    lone.keys_file.write_bytes(keys)
    assert await lone.found_by_check() == ["log-key-revoked", "heartbeat-secret"]
