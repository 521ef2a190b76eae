"""What befalls a log, on SQLite and PostgreSQL: files lost, databases restored, keys stolen. Nothing is decided silently."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fakes.in_process import ORIGIN, InProcess, KeptCheckpoint
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.decisions import NAME, OLD, CosigningWitness, StillWitness, refusal, size_of, spoken
from landscape.installation import Installation
from whence_aggregator.agents.heartbeat_secret import fingerprint
from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.ledger.ledger import LogKeyRevoked
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.queries.agents import SECRET_FINGERPRINT
from whence_aggregator.settings.server import WitnessSettings
from whence_aggregator.wiring import parts
from whence_aggregator.wiring.backup import back_up
from whence_aggregator.wiring.ledger import (
    accept_checkpoint,
    accept_heartbeat_secret,
    continue_log,
    known_keys,
    revoke_key,
)
from whence_common.errors import WhenceError
from whence_common.evidence_bundle import check
from whence_common.identity_document import Authorities
from whence_common.log_policy import Policy, RevokedKey
from whence_common.note import Note, NoteInvalid, VerifierKey
from whence_common.receipt import Receipt
from whence_common.settings_file import SettingsInvalid


@pytest.fixture(params=["sqlite", "postgres"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, authority: SigningAuthority, postgres_dsn: str
) -> Installation:
    made = Installation(tmp_path, authority, postgres_dsn if request.param == "postgres" else None)
    await made.make()
    return made


# --- the checkpoint file


async def test_a_new_log_has_a_checkpoint_before_its_first_entry(place: Installation) -> None:
    """Killed in between, it must not be taken for one whose checkpoint file was lost."""
    kept: list[int] = []

    class Keeper(KeptCheckpoint):
        def keep(self, note: str) -> None:
            kept.append(size_of(note))

    database = await parts.open_database(place.location)
    await InProcess(database, place.authority, keeper=Keeper()).ledger.start()
    await database.close()
    assert kept[0] == 0
    assert len(kept) == 2


async def test_a_start_without_the_checkpoint_file_is_refused_and_nothing_is_signed(place: Installation) -> None:
    await spoken(place)
    place.checkpoint_file.unlink()
    assert await refusal(place) == "checkpoint-missing"
    assert not place.checkpoint_file.exists()


async def test_a_lost_checkpoint_file_is_accepted_by_a_command_and_recorded_in_the_log(place: Installation) -> None:
    await spoken(place)
    place.checkpoint_file.unlink()
    size, names = await accept_checkpoint(place.decision("the disk was replaced"))
    (_, entry) = await place.log_key_entries()
    told = entry["accepted"]
    assert (told["size"], told["reason"], told["witnesses"], names) == (size, "the disk was replaced", [], [])
    async with place.started():
        pass
    assert await place.findings() == []
    with pytest.raises(SettingsInvalid, match="exists: start the server"):
        await accept_checkpoint(place.decision())


async def test_a_restored_database_is_refused_with_its_checkpoint_file_and_without(place: Installation) -> None:
    await spoken(place)
    saved = await place.save()
    await spoken(place)
    await place.restore(saved)
    assert await refusal(place) == "ledger-inconsistent"
    place.checkpoint_file.unlink()
    assert await refusal(place) == "checkpoint-missing"


async def test_a_lost_checkpoint_is_not_accepted_while_a_witness_knows_better_or_does_not_answer(
    place: Installation, authority: SigningAuthority
) -> None:
    await spoken(place)
    async with place.house() as house:
        await Publisher(database=house.database, ledger=house.ledger, witnesses=[], seconds=1).publish()
    place.checkpoint_file.unlink()
    key = str(StillWitness(0).key)
    for answer, code in (
        (Answer(status=409, headers={"Content-Type": "text/x.tlog.size"}, body=b"50\n"), "witness-ahead"),
        (Answer(status=500), "witness-silent"),
    ):
        async with misbehaving(answer) as address:
            watched = [WitnessSettings(url=f"http://{address}", key=key)]
            place.settings = msgspec.structs.replace(place.settings, witnesses=watched)
            with pytest.raises(WhenceError) as caught:
                await accept_checkpoint(place.decision())
        assert caught.value.code == code
    assert not place.checkpoint_file.exists()


# --- a restored database goes on under a new name


async def test_a_log_that_lost_entries_continues_under_a_new_name_and_records_the_loss(place: Installation) -> None:
    await spoken(place)
    saved = await place.save()
    (*_, lost) = await spoken(place)
    kept = place.checkpoint_file.read_text().partition("\0")[0]
    await place.restore(saved)
    key, size, count = await continue_log(place.decision("Monday's backup"), NAME)
    assert (key.name, count) == (NAME, size_of(kept) - size)
    assert await refusal_of_settings(place) == "log-key"  # the settings still have the old name
    place.renamed(NAME)
    async with place.started() as (ledger, _):
        assert ledger.keys == (str(key),)
        assert Policy(log_keys=[key]).check(Note.parse(ledger.note.encode()))[0].origin == NAME
    told = (await place.log_key_entries())[-1]["continues"]
    assert {name: told[name] for name in ("origin", "checkpoint", "size", "lost", "reason")} == {
        "origin": ORIGIN, "checkpoint": kept, "size": size, "lost": count, "reason": "Monday's backup",
    }  # fmt: skip
    assert await place.findings() == []
    with pytest.raises(NoteInvalid):
        Policy(log_keys=[key]).check(Receipt.parse(lost.encode()).note)
    aside = sorted(path.name for path in place.home.glob("log.*.before-*"))
    assert [name.rpartition("-")[0] for name in aside] == ["log.checkpoint.before", "log.key.before"]


async def refusal_of_settings(place: Installation) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        async with place.started():
            pass
    return caught.value.code


async def test_agents_that_enrolled_before_go_on_under_the_new_name(place: Installation) -> None:
    async with place.house() as house:
        machine = await house.machine()
        await house.say(machine)
    saved = await place.save()
    async with place.house() as house:
        await house.say(machine)
    await place.restore(saved)
    await continue_log(place.decision(), NAME)
    place.renamed(NAME)
    async with place.started() as (ledger, database):
        house = InProcess(database, place.authority)
        house.ledger = house.ingest._ledger = house.enrolments._ledger = ledger
        task = asyncio.create_task(house.ingest.run())
        receipt = Receipt.parse((await house.say(machine)).receipt.encode())
        task.cancel()
        assert Policy(log_keys=[VerifierKey.parse(ledger.keys[0])]).check(receipt.note)[0].origin == NAME


# --- witnesses, and replicas beside each other


async def test_a_replica_that_was_idle_catches_up_with_what_the_witness_has_seen(place: Installation) -> None:
    async with place.house() as busy, place.house() as idle:
        witness = CosigningWitness("one.example.org")
        publishers = [
            Publisher(database=one.database, ledger=one.ledger, witnesses=[witness], seconds=1) for one in (busy, idle)
        ]
        await busy.enrol(place.machine)
        accepted = await busy.say(place.machine)
        await publishers[0].publish()
        for _ in range(2):
            await publishers[1].publish()
        receipt = Receipt.parse((await publishers[1].receipt(accepted.ledger_index)).encode())
        Policy(log_keys=[OLD.verifier], witness_keys=[witness.key], witnesses_least=1).check(receipt.note)


async def test_a_witness_that_cosigned_more_than_the_database_has_is_reported(
    place: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.house() as house:
        await Publisher(
            database=house.database, ledger=house.ledger, witnesses=[StillWitness(10_000)], seconds=1
        ).publish()
    assert any("a witness has cosigned a larger log: this database is older" in one.message for one in caplog.records)


# --- keys


async def test_a_stolen_key_is_revoked_and_everything_is_signed_anew(place: Installation) -> None:
    receipts = await spoken(place)
    revoked = await revoke_key(place.decision("found on a laptop"), str(OLD.verifier), stolen=True, from_size=None)
    signers, told = await known_keys(place.decision())
    assert told == (revoked,) == (RevokedKey(key=OLD.verifier, from_size=revoked.from_size, stolen=True),)
    keys = [one.verifier for one in signers]
    assert OLD.verifier not in keys
    async with place.started() as (ledger, _):
        note = Note.parse(ledger.note.encode())
        assert [line.key_id for line in note.signatures] == [keys[0].id]
        policy = Policy(log_keys=keys, revoked=told)
        with pytest.raises(NoteInvalid, match="stolen"):
            policy.check(Receipt.parse(receipts[0].encode()).note)
        stored = await ledger.reader.entry(Receipt.parse(receipts[0].encode()).index)
        again = await ledger.receipt(stored.ledger_index)
        Receipt.parse(again.encode()).check(stored.content or b"", policy)
    entry = (await place.log_key_entries())[-1]
    assert entry["revoked"][0]["reason"] == "found on a laptop"
    assert (entry["keys"], entry["revoked"][0]["key"]) == (list(map(str, keys)), str(OLD.verifier))
    assert await place.findings() == []


async def test_a_revocation_signed_with_the_stolen_key_is_not_trusted(place: Installation) -> None:
    """Also by an auditor who was never told: the log itself says so."""
    await spoken(place)
    await revoke_key(place.decision(), str(OLD.verifier), stolen=True, from_size=2)
    (new,), _ = await known_keys(place.decision())
    async with place.started() as (ledger, database):
        text = str(ledger.signed)
        lines = Bundles(database=database, ledger=ledger).lines(
            account=None, since="2020-01-01T00:00:00Z", until="2100-01-01T00:00:00Z", note=f"{text}\n{OLD.sign(text)}"
        )
        forged = [line async for line in lines]
    certificates = Authorities.from_pem({"eu-central-1": place.authority.pem})
    with pytest.raises(NoteInvalid) as caught:
        check(forged, Policy(log_keys=[OLD.verifier, new.verifier]), certificates)
    assert caught.value.code == "checkpoint-revoked"
    honest = [line.replace(str(OLD.sign(text)).encode()[:-1], str(new.sign(text)).encode()[:-1]) for line in forged]
    found = check(honest, Policy(log_keys=[OLD.verifier, new.verifier]), certificates)
    assert [one.key for _, one in found.revoked] == [OLD.verifier]


async def test_a_replica_that_still_has_a_revoked_key_signs_no_more(place: Installation) -> None:
    async with place.house() as house:
        machine = await house.machine()
        await house.say(machine)
        before = house.ledger.note
        await revoke_key(place.decision(), str(OLD.verifier), stolen=True, from_size=None)
        for _ in range(2):
            with pytest.raises(LogKeyRevoked, match="was revoked") as caught:
                await house.say(machine)
            assert "restart" in caught.value.fix
        assert house.ledger.note == before
    place.write_keys(OLD)
    assert await refusal(place) == "log-key-revoked"


async def test_a_lost_key_is_reported_and_replaced_by_a_command(place: Installation) -> None:
    receipts = await spoken(place)
    place.keys_file.unlink()
    assert await refusal(place) == "log-key-lost"
    assert not place.keys_file.exists(), "a new key would be taken for the log's"
    revoked = await revoke_key(place.decision(), str(OLD.verifier), stolen=False, from_size=None)
    (new,), told = await known_keys(place.decision())
    async with place.started() as (ledger, _):
        assert ledger.keys == (str(new.verifier),)
    assert told == (revoked,)
    Policy(log_keys=[new.verifier], revoked=told).check(Receipt.parse(receipts[0].encode()).note)


# --- the heartbeat secret


async def test_a_new_heartbeat_secret_is_accepted_by_a_command_and_agents_enrol_again(place: Installation) -> None:
    async with place.house() as house:
        machine = await house.machine()
        await house.say(machine)
    (place.home / "heartbeat.secret").unlink()
    assert await accept_heartbeat_secret(place.decision()) == 1
    async with place.started():
        pass
    assert await place.findings() == []


async def test_the_heartbeat_secret_may_change_before_the_first_enrolment(place: Installation) -> None:
    async with place.started():
        pass
    (place.home / "heartbeat.secret").write_bytes(b"o" * 32)
    async with place.started() as (_, database):
        (row,) = await database.fetch(SECRET_FINGERPRINT.bind({"name": "heartbeat"}))
        assert row["fingerprint"] == fingerprint(b"o" * 32)
        assert b"o" * 8 not in row["fingerprint"].encode()


# --- backups


@pytest.fixture
async def busy(place: Installation) -> AsyncIterator[InProcess]:
    """A server that is written to all the time."""
    async with place.house() as house:
        machine = await house.machine()

        async def talk() -> None:
            while True:
                await house.say(machine)

        task = asyncio.create_task(talk())
        yield house
        assert not task.done(), "the backup kept the server from writing"
        task.cancel()


async def test_a_backup_beside_a_running_server_is_whole_and_is_restored(place: Installation, busy: InProcess) -> None:
    config = place.home / "aggregator.yaml"
    config.write_text("audience: https://whence.example.org\n")
    dumped = await place.save()
    saved = await back_up(place.settings, place.home / "backup", location=place.location, config=config)
    files = {path.name: path for path in (place.home / "backup").iterdir()}
    assert {"log.key", "heartbeat.secret", "tokens", "aggregator.yaml", "backup.json"} <= files.keys()
    assert "log.checkpoint" not in files
    assert (place.home / "backup").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    manifest = json.loads(files["backup.json"].read_bytes())
    assert (manifest["size"], manifest["log_origin"]) == (saved.size, ORIGIN)
    if "ledger.db" in files:
        dumped = "backup/ledger.db"
    later = (await busy.say(await busy.machine("i-00000000000000009"))).ledger_index
    restored = place.beside()
    await restored.restore(dumped)
    (finding,) = await restored.findings()
    assert re.fullmatch(r"checkpoint file: it is over \d+ entries, but there are \d+", finding)
    assert int(finding.split()[5]) > later
    assert await refusal(restored) == "ledger-inconsistent"


async def test_the_first_backup_makes_the_directory_that_backups_go_to(place: Installation) -> None:
    await spoken(place, times=1)
    config = place.home / "aggregator.yaml"
    config.write_text("audience: https://whence.example.org\n")
    first = place.home / "backups" / "whence" / "2026-11-26"
    await back_up(place.settings, first, location=place.location, config=config)
    assert (first / "backup.json").exists()
    assert [one.stat().st_mode & 0o777 for one in (first, *first.parents[:2])] == [0o700] * 3


async def test_a_backup_overwrites_nothing_and_makes_nothing_on_a_mistyped_path(place: Installation) -> None:
    await spoken(place, times=1)
    config = place.home / "aggregator.yaml"
    config.write_text("")
    (place.home / "there").mkdir()
    with pytest.raises(WhenceError, match="already exists"):
        await back_up(place.settings, place.home / "there", location=place.location, config=config)
    with pytest.raises(WhenceError):
        await back_up(place.settings, place.home / "new", location=f"sqlite://{place.home}/leger.db", config=config)
    assert not (place.home / "new").exists()
    assert not (place.home / "leger.db").exists()
