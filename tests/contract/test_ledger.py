"""The ledger: receipts that prove, a check that finds every change, a rebuild that changes no answer."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from fakes.auditor import authorities, bundle, checked, dumped, policy, report
from fakes.in_process import ORIGIN, InProcess, KeptCheckpoint
from fakes.kept_blobs import image
from fakes.machine import COMMIT, DIGEST, FAILED, SIDECAR
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.ledger.packing import EntryDamaged
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import ADD_TAG_DIGEST, AddTagDigestParameters
from whence_aggregator.queries.compliance import UNJUDGED
from whence_aggregator.queries.ledger import PUT_CHECKPOINT
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.search import Wanted
from whence_common.errors import InputError
from whence_common.evidence_bundle import BundleInvalid, check
from whence_common.identity_document import Authorities
from whence_common.log_policy import Policy
from whence_common.merkle import Tile, leaf_hash
from whence_common.note import Note, Signer
from whence_common.receipt import Receipt

MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet"


async def lived_in(house: InProcess) -> InProcess:
    """A house in which something of everything has happened."""
    await house.register()
    house.sources.commits[COMMIT] = MESSAGE
    house.sources.images[DIGEST] = (
        b'{"url": "git:https://git.example.org/demo/greeter.git", "revision": "%s", "author": "ada", "status": ""}'
        % COMMIT.encode()
    )
    house.ec2.listed["i-00000000000000000"] = ("running", "2026-11-22T11:00:00.000Z")
    await house.inventory.schedule([("123456789012", "eu-central-1")])
    machines = [await house.machine(f"i-{n:017x}") for n in range(4)]
    for machine in machines:
        await house.say(machine)
    house.clock.advance(5)
    await house.say(machines[1], **FAILED)
    await house.say(machines[2], cause="change", containers=[SIDECAR])
    await house.work()
    ada, app, scratch = Principal(name="ada", kind="person"), *map(Repository.parse, ("alpha/app", "scratch/app"))
    await house.pushes.push(app, "1.0", image(number="1"), ada)
    for number in ("2", "3"):
        await house.pushes.push(app, "2.0-SNAPSHOT", image(number=number), ada)
    await house.pushes.push(scratch, "latest", image(number="4"), ada)
    await house.pushes.untag(scratch, "latest", ada)
    return house


async def test_a_changed_row_cannot_erase_its_finding_from_the_auditors_terminal(
    house: InProcess, tmp_path: Path
) -> None:
    await house.say(await house.machine())
    named: AddTagDigestParameters = {
        "reference": "r/a/b:1\x1b[2K\r",
        "digest": "sha256:1",
        "said_by": "registry",
        "ledger_index": 1,
    }
    await house.database.write(ADD_TAG_DIGEST.bind([named]))
    (found,) = [str(one) for one in (await checked(house, tmp_path)).findings if one.table == "tag_digest"]
    assert found.isprintable()
    assert "reference r/a/b:1\ufffd[2K\ufffd, digest sha256:1" in found


async def test_an_acknowledgement_carries_a_receipt_that_proves_it(house: InProcess) -> None:
    machine = await house.machine()
    for _ in range(3):
        content = machine.statement()
        accepted = await house.ingest.accept(content)
        receipt = Receipt.parse(accepted.receipt.encode())
        checkpoint, _ = receipt.check(content, policy(house))
        assert (receipt.index, checkpoint.size) == (accepted.ledger_index, house.ledger.signed.size)


async def test_a_replayed_statement_has_a_receipt_too(house: InProcess) -> None:
    machine = await house.machine()
    content = machine.statement()
    await house.ingest.accept(content)
    for _ in range(300):
        await house.say(machine)
    again = await house.ingest.accept(content)
    assert again.replayed
    Receipt.parse(again.receipt.encode()).check(content, policy(house))


async def test_receipts_hold_across_the_borders_of_tiles(house: InProcess) -> None:
    machines = [await house.machine(f"i-{n:017x}") for n in range(5)]
    while await house.reader.size() < 530:
        for machine in machines:
            content = machine.statement()
            accepted = await house.ingest.accept(content)
            Receipt.parse(accepted.receipt.encode()).check(content, policy(house))
    for index in (0, 1, 255, 256, 257, 511, 512, 529):
        stored = await house.reader.entry(index)
        assert stored.content is not None
        text = await house.ledger.receipt(index)
        Receipt.parse(text.encode()).check(stored.content, policy(house))


async def test_tiles_are_those_of_their_entries(house: InProcess) -> None:
    machine = await house.machine()
    while await house.reader.size() < 300:
        await house.say(machine)
    entries = await house.entries()
    leaves = [leaf_hash(one.content or b"") for one in entries]
    assert await house.reader.tile(0, 0, 256) == b"".join(leaves[:256])
    assert await house.reader.tile(0, 1, 44) == b"".join(leaves[256:300])
    assert await house.reader.tile(1, 0, 1) == Tile.from_bytes(b"".join(leaves[:256])).root
    bundle = await house.reader.bundle(1, 3)
    size = int.from_bytes(bundle[:2], "big")
    assert bundle[2 : 2 + size] == entries[256].content
    with pytest.raises(InputError):
        await house.reader.tile(0, 1, 250)


async def test_the_time_of_recording_is_in_the_log(house: InProcess) -> None:
    machine = await house.machine()
    house.clock.advance(7)
    accepted = await house.say(machine)
    assert await house.reader.recorded_at(accepted.ledger_index) == "2026-11-22T12:00:07.000Z"
    before = len(await house.entries("clock"))
    house.clock.advance(0.04)
    await house.say(machine)
    assert len(await house.entries("clock")) == before
    house.clock.advance(-30)
    later = await house.say(machine)
    assert await house.reader.recorded_at(later.ledger_index) == "2026-11-22T11:59:37.040Z"


async def test_a_sound_ledger_is_found_clean(house: InProcess, tmp_path: Path) -> None:
    await lived_in(house)
    outcome = await checked(house, tmp_path)
    assert (outcome.findings, outcome.entries) == ([], await house.reader.size())


async def test_rebuilding_changes_no_answer(house: InProcess, tmp_path: Path) -> None:
    await lived_in(house)
    before = [
        lineage.to_wire() for lineage in await house.tracer.instances([f"i-{n:017x}" for n in range(4)], moment=NOW)
    ]
    tables = await dumped(house.database)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables
    after = [
        lineage.to_wire() for lineage in await house.tracer.instances([f"i-{n:017x}" for n in range(4)], moment=NOW)
    ]
    assert msgspec.json.encode(after) == msgspec.json.encode(before)
    assert (await checked(house, tmp_path)).findings == []
    machine = await house.machine("i-0000000000000000a")
    await house.say(machine)
    assert (await checked(house, tmp_path)).findings == []


TAMPERINGS = [
    "delete from entry where ledger_index = (select max(ledger_index) from entry)",
    "delete from entry where ledger_index = 5",
    "update entry set kind = 'fact' where ledger_index = 4",
    "update entry set digest_head = digest_head + 1 where ledger_index = 4",
    "update entry set body = (select body from entry where ledger_index = 6), base = null where ledger_index = 5",
    "update entry set body = null where ledger_index = 4",
    "insert into entry (ledger_index, kind, base, body, digest_head) select max(ledger_index) + 1, 'fact', null, (select body from entry where ledger_index = 2), 0 from entry",
    "update tile set hashes = (select hashes from tile where level = 0) || (select hashes from tile where level = 0) where level = 0",
    "delete from tile where level = 0",
    "insert into tile (level, number, hashes) select 1, 7, hashes from tile where level = 0",
    "update checkpoint set note = replace(note, '—', '— x')",
    "update checkpoint set size = size - 1",
    "insert into checkpoint (size, note) select size + 1, note from checkpoint",
    "update clock set recorded_at = recorded_at - 1000",
    "delete from clock where ledger_index = (select max(ledger_index) from clock)",
    "insert into clock (ledger_index, recorded_at, latest) values (3, 5, 5)",
    "update facets set application_version = '2.0'",
    "delete from facets where number = 1",
    "insert into facets (number, account_id, region, application_id, application_version, user_data_digest, image_digest, other_digests) values (99, 'a', 'b', 'c', 'd', 'e', 'f', '')",
    "update facets set other_digests = 'sha256:0' where other_digests <> ''",
    "delete from facets_image",
    "update facets_image set facets = facets + 1",
    "insert into facets_image (image_digest, facets) values ('sha256:0', 1)",
    "update instance set cause = 'stop' where number = 2",
    "update instance set ledger_index = ledger_index - 1 where number = 2",
    "update instance set instance_id = 'i-99999999999999999' where number = 4",
    "update instance set rule_set = 0 where number = 1",
    "delete from instance where number = 4",
    "insert into instance_facets (facets, instance) values (77, 1)",
    "delete from instance_facets where instance = 1",
    "update statement set observed_at = observed_at + 1 where instance = 1",
    "update statement set ledger_index = ledger_index + 1 where instance = 3",
    "delete from statement where instance = 2 and sequence = 1",
    "insert into statement (instance, enrolment, sequence, ledger_index, observed_at, cause, facets) values (1, 1, 99, 7, 0, 'boot', 1)",
    "update enrolment set number = 2 where instance = 1",
    "delete from enrolment where instance = 1",
    "insert into enrolment (instance, number, key_id, ledger_index, pending_at) select instance, 9, {blob}, ledger_index, 0 from enrolment where instance = 1",
    "update application_revision set body = replace(body, 'Greeter', 'Other')",
    "update application_revision set recorded_by = 'nobody'",
    "delete from application_revision",
    "update fact set outcome = 'missing'",
    "update fact set value = replace(value, 'greet', 'great')",
    "delete from fact where kind = 'commit'",
    "insert into fact (kind, subject, ledger_index, observed_at, outcome, value, reason) values ('commit', 'x@y', 7, '', 'found', '{{}}', '')",
    "update image_commit set repository = 'evil.example.org/x'",
    "delete from image_commit",
    "insert into commit_word (word, repository, commit_id, ledger_index) values ('PAY-1', 'x', 'y', 3)",
    "delete from commit_word",
    "update inventory set state = 'stopped'",
    "delete from inventory",
    "update verdict set verdict = 'pass' where verdict = 'fail'",
    "update verdict set since = '2020-01-01T00:00:00.000Z'",
    "delete from verdict where rule = 'boot-failed'",
    "insert into verdict (subject_kind, subject, rule, rule_version, verdict, reason, since, ledger_index) values ('instance', 1, 'drift', 1, 'fail', 'x', 'y', 3)",
    "update tally set n = n + 1 where subject = 'instances'",
    "delete from tally",
    "update image_manifest set pushed_by = 'nobody'",
    "update image_manifest set child = 'sha256:x' where repository = 'alpha/app'",
    "delete from image_manifest where repository = 'scratch/app'",
    "insert into image_manifest select repository, 'sha256:x', team, media_type, size, image, artifact_type, subject, child, annotations, pushed_at, pushed_by, ledger_index from image_manifest where repository = 'scratch/app'",
    "update image_tag set digest = 'sha256:x' where tag = '1.0'",
    "update image_tag set created_at = '2020-01-01T00:00:00.000Z'",
    "delete from image_tag where tag = '1.0'",
    "insert into image_tag select repository, '1.1', digest, team, created_at, created_by, ledger_index from image_tag where tag = '1.0'",
    "update image_blob set size = size + 1",
    "delete from image_blob",
    "delete from tag_digest where reference like '%SNAPSHOT' and ledger_index = (select min(ledger_index) from tag_digest where reference like '%SNAPSHOT')",
    "insert into tag_digest (reference, digest, said_by, ledger_index) values ('x:1', 'sha256:x', 'front', 3)",
    "update tag_digest set said_by = 'registry' where said_by = 'front'",
    "update image_commit set said_by = 'nobody' where said_by = 'agent'",
    "insert into image_chain (chain, image_digest) values ('sha256:x', 'sha256:y')",
    "update last_seen set seen_at = seen_at + 60000",
    "update last_seen set seal = {blob}",
    "update last_seen set enrolment = enrolment + 1",
    "delete from last_seen where instance_id = 'i-00000000000000001'",
    "insert into last_seen (instance_id, seen_at, seal) values ('i-0000000000000000f', 5, {blob})",
]


_OFTEN = repeated(sample=1, whole=2)
"""On how many databases each change is made: in a sample on one, every second one on PostgreSQL."""


@pytest.mark.endurance
@pytest.mark.parametrize(
    ("database", "statement"),
    [
        (("sqlite", "postgres")[(number + turn) % 2], statement)
        for number, statement in enumerate(TAMPERINGS)
        for turn in range(_OFTEN)
    ],
    ids=lambda text: " ".join(text.split()[:3]),
    indirect=["database"],
)
async def test_any_change_to_any_table_is_found(house: InProcess, tmp_path: Path, statement: str) -> None:
    await lived_in(house)
    await house.database.write(PUT_CHECKPOINT.bind([{"size": house.ledger.signed.size, "note": house.ledger.note}]))
    table = statement.replace("into ", "").replace("from ", "").split()[1]
    await tamper(house.database, statement)
    outcome = await checked(house, tmp_path)
    assert outcome.findings, statement
    wanted = {
        "tile": {"tile", "database"},
        "facets": {"facets", "instance"},
        "clock": {"clock"},
        "entry": {"entry", "tile", "checkpoint"},
    }
    assert {one.table for one in outcome.findings} & wanted.get(table, {table}), outcome.findings


async def test_a_list_that_cannot_be_complete_is_refused_with_what_to_do(house: InProcess) -> None:
    await lived_in(house)
    await tamper(house.database, "delete from facets where number = 1")
    with pytest.raises(EntryDamaged) as caught:
        await house.search.instances(Wanted(), after="", limit=50)
    assert "ledger check" in caught.value.fix


async def tamper(database: Database, statement: str) -> None:
    """Do what somebody with the database's own password could do, triggers and all."""
    if isinstance(database, SqliteDatabase):
        connection = sqlite3.connect(database.path)
        try:
            connection.execute("drop trigger entry_no_update")
            connection.execute("drop trigger entry_no_delete")
            changed = connection.execute(statement.format(blob="x'00112233445566778899aabbccddeeff'")).rowcount
            connection.commit()
        finally:
            connection.close()
        assert changed > 0, "a test that tampers with nothing tests nothing"
        return
    assert isinstance(database, PostgresDatabase)
    await database.pool.execute("alter table entry disable trigger user")
    await database.pool.execute(statement.format(blob="'\\x00112233445566778899aabbccddeeff'::bytea"))


async def test_a_damaged_entry_is_reported_and_other_instances_are_still_judged(
    house: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    other = "i-00000000000000009"
    machine = await house.machine()
    await house.say(machine)
    await house.say(await house.machine(other))
    first = (await house.entries("statement"))[0].ledger_index
    await tamper(house.database, f"update entry set body = {{blob}} where ledger_index = {first}")
    await house.work()
    left = await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 9}))
    assert [row["instance_id"] for row in left] == ["i-0123456789abcdef0"]
    told = [record.whence_fields["instance"] for record in caplog.records if record.levelname == "ERROR"]  # type: ignore[attr-defined]  # logs.fields
    assert set(told) == {"i-0123456789abcdef0"}
    with pytest.raises(EntryDamaged):
        await house.lineage()
    assert (await house.lineage(other)).link("instance").state == "confirmed"
    async with InProcess(house.database, house.authority).running() as restarted:
        assert (await restarted.say(machine)).receipt, "what is said next does not rest on what is damaged"


@pytest.mark.parametrize("body", ["{blob}", "null"])
async def test_a_damaged_enrolment_keeps_no_other_instance_from_speaking(house: InProcess, body: str) -> None:
    machines = [await house.machine(f"i-{number:017x}") for number in range(3)]
    damaged = (await house.entries("enrolment"))[1].ledger_index
    await tamper(house.database, f"update entry set body = {body}, base = null where ledger_index = {damaged}")
    found = await asyncio.gather(*map(house.say, machines), return_exceptions=True)
    assert [getattr(one, "code", "") for one in found] == ["", "entry-damaged", ""]


async def test_two_entries_that_changed_places_are_found_and_named(house: InProcess, tmp_path: Path) -> None:
    await lived_in(house)
    size = await house.reader.size()
    places = [one.ledger_index for one in await house.entries("statement")][:2]
    await tamper(house.database, f"update entry set ledger_index = {size + 9} where ledger_index = {places[0]}")
    if isinstance(house.database, SqliteDatabase):
        connection = sqlite3.connect(house.database.path)
        connection.execute(f"update entry set ledger_index = {places[0]} where ledger_index = {places[1]}")
        connection.execute(f"update entry set ledger_index = {places[1]} where ledger_index = {size + 9}")
        connection.commit()
        connection.close()
    else:
        assert isinstance(house.database, PostgresDatabase)
        await house.database.pool.execute(
            f"update entry set ledger_index = {places[0]} where ledger_index = {places[1]}"
        )
        await house.database.pool.execute(
            f"update entry set ledger_index = {places[1]} where ledger_index = {size + 9}"
        )
    findings = (await checked(house, tmp_path)).findings
    assert any(one.table == "tile" and f"entry {places[0]}" in one.message for one in findings), findings


async def test_a_ledger_of_another_name_is_refused(house: InProcess, authority: SigningAuthority) -> None:
    keeper = KeptCheckpoint()
    signer = Signer("elsewhere", b"e" * 32)
    text = "elsewhere\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    keeper.keep(f"{text}\n{signer.sign(text)}")
    with pytest.raises(InputError, match=r"not whence\.example\.org"):
        await InProcess(house.database, authority, keeper=keeper).ledger.start()


async def test_a_new_key_signs_beside_the_old_one_and_is_recorded_in_the_log(
    house: InProcess, authority: SigningAuthority
) -> None:
    machine = await house.machine()
    await house.say(machine)
    rotated = InProcess(house.database, authority, keeper=house.keeper, seeds=(b"n" * 32, b"l" * 32))
    await rotated.ledger.start()
    both = Note.parse(rotated.ledger.note.encode())
    for seed in (b"n" * 32, b"l" * 32):
        assert both.verify([Signer(ORIGIN, seed).verifier])
    assert len(await house.entries("log-key")) == 2
    await rotated.ledger.start()
    assert len(await house.entries("log-key")) == 2


async def test_a_bundle_holds_everything_of_its_period_and_verifies_alone(house: InProcess) -> None:
    await lived_in(house)
    found = report(house, await bundle(house))
    assert (len(found.statements), len(found.enrolments), found.hidden) == (6, 4, 0)
    assert found.header.past - found.header.first == await house.reader.size()
    assert {one["rule"] for _, event in found.verdicts for one in event["verdicts"]} >= {"boot-failed"}


async def test_a_bundle_of_one_account_shows_others_by_their_hash_only(house: InProcess) -> None:
    await lived_in(house)
    lines = await bundle(house, "999999999999")
    found = report(house, lines)
    assert (found.statements, found.enrolments) == ([], [])
    assert found.hidden > 10
    assert b"i-00000000000000001" not in b"".join(lines)


async def test_a_bundle_of_a_later_period_brings_the_enrolments_it_needs(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine)
    house.clock.advance(86_400 * 3)
    await house.say(machine)
    bundles = Bundles(database=house.database, ledger=house.ledger)
    period = {"since": "2026-11-24T00:00:00Z", "until": "2026-11-30T00:00:00Z"}
    lines = [line async for line in bundles.lines(account=None, **period, note=house.ledger.note)]
    found = report(house, lines)
    assert (len(found.statements), found.enrolments) == (1, [])


async def test_a_bundle_of_a_period_in_which_nothing_happened_is_empty(house: InProcess) -> None:
    await lived_in(house)
    bundles = Bundles(database=house.database, ledger=house.ledger)
    period = {"since": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}
    found = report(house, [line async for line in bundles.lines(account=None, **period, note=house.ledger.note)])
    assert found.statements == []


async def test_every_single_change_to_a_bundle_is_found(house: InProcess) -> None:
    await lived_in(house)
    lines = await bundle(house)
    named = 0
    for at in range(1, len(lines) - 1):
        for wrong in (
            lines[:at] + lines[at + 1 :],
            [*lines[:at], lines[at], *lines[at:]],
            [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
            [*lines[:at], lines[at].replace(b"2026", b"2025", 1).replace(b"1790", b"1791", 1), *lines[at + 1 :]],
        ):
            if wrong == lines:
                continue
            with pytest.raises(BundleInvalid) as caught:
                report(house, wrong)
            named += caught.value.index is not None
    assert named > 10
    for wrong in (lines[:-1], lines[:5], [*lines, lines[-1]], lines[1:], []):
        with pytest.raises(InputError):
            report(house, wrong)


async def test_a_bundle_under_another_key_is_not_believed(house: InProcess) -> None:
    await lived_in(house)
    lines = await bundle(house)
    with pytest.raises(InputError):
        check(lines, Policy(log_keys=[Signer(ORIGIN, b"x" * 32).verifier]), authorities(house))
    other = Authorities.from_pem({"eu-central-1": SigningAuthority.make().pem})
    with pytest.raises(BundleInvalid, match="signature is not valid"):
        check(lines, policy(house), other)
