"""Verdicts replayed from the entries that they name, of random histories too; and subjects that are judged once."""

from __future__ import annotations

import json
import random
import shutil
from argparse import Namespace
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import bundle
from fakes.image_builder import PACKAGES, REGION, ImageBuilder
from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import COMMIT, DIGEST, FAILED, Machine, scm
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.adapters.bundle_file import BundleFile
from whence_aggregator.amis.recording import AmiRecording
from whence_aggregator.amis.submission import parse_submission
from whence_aggregator.commands.replay import run_replay
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ports import BranchAnswer, Database, DescribedImage, NotFound, SourceUnavailable
from whence_aggregator.queries.compliance import (
    MARK_EVERY_SUBJECT,
    SUBJECTS_NAMED,
    UNJUDGE_EVERY,
    VERDICTS_OF_SUBJECTS,
)
from whence_aggregator.queries.query import array
from whence_aggregator.replays.verdicts import ScratchDatabase, StoredLog, VerdictReplay, VerdictReplays
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_common.ami_facts import AmiFacts, PackageFacts
from whence_common.evidence_bundle import BundleInvalid
from whence_common.identity_document import Authorities
from whence_common.ledger_entry import type_of
from whence_common.log_policy import Policy
from whence_common.statement import DriftFacts

AMI = "ami-12c6146b"
PLACE = "123456789012/eu-central-1"
HERE = (REGION, AMI)
BUILDER = ImageBuilder()
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n"
LAUNCHED = "2026-11-22T11:59:59.000Z"
SETTINGS = RuleSettings(
    ami_owners=("123456789012",), registries=("registry.example.org",), regions=("eu-central-1",),
    scm_owners={"git.example.org": ("demo",)}, instance_days_max=30,
)  # fmt: skip
INVENTORY: ConfiguredSource = "inventory"
RULES = RulesInForce.of(SETTINGS, [INVENTORY])
OTHER_RULES = RulesInForce.of(
    RuleSettings(registries=("elsewhere.example",), ami_owners=("1",), image_days_max=30), [INVENTORY, "tickets"],
    off={"ssh-keypair-used": "sessions need it"},
)  # fmt: skip
KINDS = ("version", "application", "ami", "account")


@pytest.fixture(scope="session")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with our tables and nothing in them, which is copied for each replay."""
    path = tmp_path_factory.mktemp("scratch") / "empty.db"
    await (await SqliteDatabase.open(path)).close()
    return path


@pytest.fixture
def scratch(empty: Path, tmp_path: Path) -> ScratchDatabase:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        path = tmp_path / "scratch.db"
        shutil.copy(empty, path)
        database = await SqliteDatabase.open(path)
        try:
            yield database
        finally:
            await database.close()
            for one in tmp_path.glob("scratch.db*"):
                one.unlink()

    return opened


@pytest.fixture
async def stated(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    """One whose settings demand statements about AMIs by `BUILDER`."""
    settings = RuleSettings(ami_builders=(BUILDER.builder_id,), ami_days_max=60, ami_packages_differing_max=0)
    rules = RulesInForce.of(settings, [INVENTORY, "ami-trust"])
    async with InProcess(database, authority, rules=rules, ami_builders=frozenset({BUILDER.pair})).running() as house:
        yield house


@pytest.fixture
async def ruled(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, rules=RULES).running() as running:
        yield running


def replays_of(house: InProcess, scratch: ScratchDatabase) -> VerdictReplays:
    return VerdictReplays(log=StoredLog(database=house.database, log=house.reader), scratch=scratch)


async def replayed(house: InProcess, scratch: ScratchDatabase) -> list[VerdictReplay]:
    """Return the replays of all verdicts of the log."""
    replays = replays_of(house, scratch)
    return [await replays.replay(one.ledger_index) for one in await house.entries("verdict")]


def differences(found: list[VerdictReplay]) -> list[object]:
    return [(one.subject, verdict.to_wire()) for one in found for verdict in one.verdicts if not verdict.same]


async def test_every_verdict_is_the_same_again_from_the_entries_that_it_names(
    ruled: InProcess, scratch: ScratchDatabase
) -> None:
    await ruled.register(scm_url="https://git.example.org/demo/greeter")
    ruled.sources.commits[COMMIT] = MESSAGE + b"no ticket"
    machine = await ruled.machine()
    ruled.ec2.listed = {machine.instance_id: ("running", LAUNCHED)}
    ruled.ec2.details = {machine.instance_id: {"key_name": "ops", "image_id": AMI, "imds_tokens": "required"}}
    ruled.ec2.amis = {AMI: DescribedImage(name="taupage", owner="999999999999", state="available")}
    await ruled.say(machine)
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    ruled.clock.advance(3600)
    await ruled.inventory.collect(PLACE)
    await ruled.evaluator.sweep()
    await ruled.work()
    found = await replayed(ruled, scratch)
    assert differences(found) == []
    outcomes = {(one.subject["kind"], v.rule, v.recorded.outcome) for one in found for v in one.verdicts}
    assert {
        ("instance", "ticket-missing", "fail"), ("instance", "agent-silent", "fail"),
        ("instance", "ssh-keypair-used", "fail"), ("instance", "imdsv2-not-required", "pass"),
        ("ami", "ami-untrusted", "fail"), ("version", "scm-url-not-match-with-kio", "pass"),
        ("application", "app-without-owner", "pass"),
    } <= outcomes  # fmt: skip


async def test_verdicts_beside_statements_about_the_ami_are_the_same_again(
    ruled: InProcess, scratch: ScratchDatabase
) -> None:
    await ruled.register()
    ruled.sources.commits[COMMIT] = MESSAGE + b"no ticket"
    builder = ImageBuilder()
    recording = AmiRecording(ledger=ruled.ledger, now=ruled.clock)
    for packages in (PACKAGES, PACKAGES[:1]):
        submitted = parse_submission(builder.submission(builder.payload(*packages), HERE), [builder.trusted])
        await recording.record(submitted, recorded_by="ci", allowed=lambda _: True)
        await ruled.say(await ruled.machine(f"i-{len(packages):017x}"))
        await ruled.work()
        await ruled.evaluator.sweep()
    evidence = [type_of(one.content or b"")[2]["unlogged"] for one in await ruled.entries("evidence")]
    states = {one.get("links", {}).get("ami", {}).get("state") for one in evidence}
    assert {"asserted", "contradicted"} <= states, "the builder is not trusted, and then there are two statements"
    assert differences(await replayed(ruled, scratch)) == []


async def test_verdicts_by_statements_about_the_ami_are_the_same_again(
    stated: InProcess, scratch: ScratchDatabase
) -> None:
    stated.ec2.amis = {AMI: DescribedImage(name="whence", state="available", created_at=LAUNCHED, deprecated_at="",
                                           expires_at="")}  # fmt: skip
    machine = await stated.machine()
    stated.ec2.listed = {machine.instance_id: ("running", LAUNCHED)}
    stated.ec2.details = {machine.instance_id: {"image_id": AMI}}
    await stated.say(machine)
    await stated.inventory.collect(PLACE)
    await stated.work()
    payload = BUILDER.payload(finished_at="2026-08-01T00:00:00Z")
    submitted = parse_submission(BUILDER.submission(payload, HERE), [BUILDER.trusted])
    await AmiRecording(ledger=stated.ledger, now=stated.clock).record(
        submitted, recorded_by="ci", allowed=lambda _: True
    )
    changed = PackageFacts(name="openssl", architecture="amd64", image="1", machine="2")
    await stated.say(machine, ami=AmiFacts(statement_digest=submitted.digest, name="w", differing=1,
                                           differences=[changed]))  # fmt: skip
    await stated.work()
    found = await replayed(stated, scratch)
    assert differences(found) == []
    outcomes = {(v.rule, v.recorded.outcome) for one in found for v in one.verdicts}
    assert {
        ("ami-unstated", "fail"), ("ami-unstated", "pass"), ("ami-expired", "pass"), ("ami-expired", "fail"),
        ("ami-statement-contradicted", "pass"), ("ami-packages-changed", "fail"),
    } <= outcomes  # fmt: skip


async def test_one_version_is_judged_once_for_all_its_instances(ruled: InProcess) -> None:
    await ruled.register()
    ruled.sources.commits[COMMIT] = MESSAGE + b"DEMO-1: greet"
    for number in range(5):
        await ruled.say(await ruled.machine(f"i-{number:017x}"))
    await ruled.work()
    events = [type_of(one.content or b"")[2] for one in await ruled.entries("verdict")]
    assert {one["subject"]["id"] for one in events if one["subject"]["kind"] == "version"} == {"greeter@1.0"}
    before = len(events)
    await ruled.say(await ruled.machine("i-00000000000000009"))
    await ruled.work()
    events = [type_of(one.content or b"")[2] for one in await ruled.entries("verdict")]
    assert [one["subject"]["kind"] for one in events[before:]] == ["instance"], "nothing else was touched"


async def test_a_version_is_gone_with_its_last_instance(ruled: InProcess, scratch: ScratchDatabase) -> None:
    machine = await ruled.machine()
    ruled.ec2.listed = {machine.instance_id: ("running", LAUNCHED)}
    await ruled.say(machine)
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    ruled.ec2.listed = {machine.instance_id: ("terminated", LAUNCHED)}
    ruled.clock.advance(60)
    await ruled.inventory.collect(PLACE)
    await ruled.work()
    ids = {"ids": array(["greeter@1.0"])}
    rows = await ruled.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": ids["ids"]}))
    assert {row["verdict"] for row in rows} == {"gone"}
    assert differences(await replayed(ruled, scratch)) == []


async def test_a_new_rule_judges_everybody_and_one_no_longer_in_force_closes_what_it_left_open(
    database: Database, authority: SigningAuthority
) -> None:
    async with InProcess(database, authority, rules=RulesInForce.of()).running() as house:
        await house.say(await house.machine())
        await house.work()
        clock = house.clock
    other = RulesInForce.of(RuleSettings(registries=("elsewhere.example",)))
    async with InProcess(database, authority, rules=other, clock=clock).running() as house:
        await house.evaluator.sweep()
        await house.work()
        assert await of_version(house, "image-registry-not-trusted") == "fail"
    async with InProcess(database, authority, rules=RulesInForce.of(), clock=clock).running() as house:
        await house.evaluator.sweep()
        await house.work()
        assert await of_version(house, "image-registry-not-trusted") == "gone"


async def of_version(house: InProcess, rule: str) -> str | None:
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array(["greeter@1.0"])}))
    return next((row["verdict"] for row in rows if row["rule"] == rule), None)


async def test_a_verdict_names_the_leaves_of_its_entries_and_the_settings_that_judged(ruled: InProcess) -> None:
    await ruled.say(await ruled.machine())
    await ruled.work()
    (first, *_) = await ruled.entries("verdict")
    verdict = type_of(first.content or b"")[2]
    for one in verdict["rests_on"]:
        assert (await ruled.reader.node(0, one["ledger_index"])).hex() == one["leaf"]
    evidence = type_of((await ruled.reader.entry(verdict["evidence"]["ledger_index"])).content or b"")[2]
    settings = type_of((await ruled.reader.entry(evidence["settings"])).content or b"")[2]
    assert settings["settings"]["registries"] == ["registry.example.org"]
    assert len(await ruled.entries("rule-settings")) == 1
    (row, *_) = await ruled.database.fetch(SUBJECTS_NAMED.bind({"ids": array(["greeter@1.0"])}))
    assert row["kind"] == "version"


async def test_a_finding_folds_under_the_first_broken_link(ruled: InProcess) -> None:
    """A boot that failed is one cause: what cannot be known because nothing runs folds under it."""
    await ruled.register()
    await ruled.say(await ruled.machine(), **FAILED)
    await ruled.work()
    events = [type_of(one.content or b"")[2] for one in await ruled.entries("verdict")]
    (event,) = [one for one in events if one["subject"]["kind"] == "instance"]
    folds = {one["rule"]: one.get("folded_under", "") for one in event["verdicts"]}
    assert folds["boot-failed"] == ""
    assert {folds[rule] for rule in ("source-missing", "source-dirty", "commit-not-found", "ticket-missing")} == {
        "image"
    }


class History:
    """Random things that happen to a small fleet, by a seed."""

    def __init__(self, house: InProcess, seed: int) -> None:
        self.house, self.chance = house, random.Random(seed)
        self.machines: dict[str, Machine] = {}

    async def begin(self) -> None:
        """Enrol the fleet: an identity document is too old for that later on."""
        for number in range(3):
            name = f"i-{number:017x}"
            self.machines[name] = await self.house.machine(name)

    def continue_in(self, house: InProcess) -> None:
        """Go on in a program that was started again, with other rules; the outside answers as before."""
        for name in ("sources", "ec2"):
            vars(getattr(house, name)).update(vars(getattr(self.house, name)))
        self.house = house

    async def step(self) -> None:
        moves = (self.speak, self.speak, self.list, self.register, self.answer, self.wait)
        await self.chance.choice(moves)()
        await self.house.work()

    async def speak(self) -> None:
        name = f"i-{self.chance.randrange(3):017x}"
        pick = self.chance.choice
        changes: dict[str, Any] = pick(
            ({}, FAILED, {"scm_source": None}, {"scm_source": scm(status=" M a")}, {"cause": "stop"},
             {"drift": [DriftFacts(kind="exec", container="taupageapp", detail="sh", first_at=LAUNCHED)]})
        )  # fmt: skip
        await self.house.say(self.machines[name], **changes)

    async def list(self) -> None:
        pick = self.chance.choice
        states = ("running", "running", "stopped", "terminated")
        self.house.ec2.listed = {name: (pick(states), LAUNCHED) for name in self.machines if self.chance.random() < 0.8}
        self.house.ec2.details = {
            name: {"key_name": pick(("", "ops")), "image_id": AMI, **pick(({}, {"imds_tokens": "required"}))}
            for name in self.machines
        }
        shown = DescribedImage(name="a", owner=pick(("123456789012", "1")))
        self.house.ec2.amis = {AMI: shown} if pick((True, False)) else {}
        await self.house.inventory.collect(PLACE)

    async def register(self) -> None:
        active = self.chance.random() < 0.7
        url = self.chance.choice((None, "https://git.example.org/demo/greeter", "https://git.example.org/demo/other"))
        await self.house.register(active=active, scm_url=url)

    async def answer(self) -> None:
        pick = self.chance.choice
        away = SourceUnavailable("git-refused", "away")
        self.house.sources.commits[COMMIT] = pick((away, None, MESSAGE + b"DEMO-1: greet", MESSAGE + b"none"))
        self.house.sources.images[DIGEST] = pick((SourceUnavailable("registry-unreachable", "away"), None))
        self.house.sources.branches[COMMIT] = BranchAnswer(
            branch="main", commit_id="f" * 40, reachable=pick((True, False)), reached_by=()
        )

    async def wait(self) -> None:
        self.house.clock.advance(self.chance.choice((1, 60, 400, 4_000)))
        await self.house.evaluator.sweep()


@pytest.mark.parametrize("shared", [frozenset[str](), frozenset({"git.example.org"}), None])
async def test_a_verdict_about_what_is_withheld_is_replayed_by_the_settings_of_its_time(
    database: Database, authority: SigningAuthority, scratch: ScratchDatabase, shared: frozenset[str] | None
) -> None:
    host = KnownTracker(
        host="git.example.org", type="gitlab", reviews=True, shared=True, projects=("demo/greeter",),
        repositories={"demo/greeter": ("7",)},
    )  # fmt: skip
    trackers = KnownTrackers(by_host={"git.example.org": host}, shared_git_hosts=shared)
    async with InProcess(database, authority, rules=RULES, trackers=trackers).running() as house:
        await house.register(scm_url="https://git.example.org/demo/another")
        house.sources.commits[COMMIT] = MESSAGE + b"#7: greet"
        await house.say(await house.machine())
        await house.work()
        found = await replayed(house, scratch)
    assert differences(found) == []
    reasons = {v.rule: v.recorded.reason for one in found for v in one.verdicts}
    assert reasons["ticket-missing"].startswith("withheld: ") == (shared == frozenset())


@pytest.mark.endurance
async def test_live_verdicts_of_random_histories_are_those_replayed(
    tmp_path: Path, empty: Path, scratch: ScratchDatabase, authority: SigningAuthority
) -> None:
    for seed in range(repeated(sample=12, whole=1_000)):
        path = tmp_path / f"{seed}.db"
        shutil.copy(empty, path)
        database = await SqliteDatabase.open(path)
        try:
            async with InProcess(database, authority, rules=RULES).running() as house:
                history = History(house, seed)
                await history.begin()
                for _ in range(7):
                    await history.step()
                clock = house.clock
            async with InProcess(database, authority, rules=OTHER_RULES, clock=clock).running() as later:
                history.continue_in(later)
                for _ in range(5):
                    await history.step()
                assert differences(await replayed(later, scratch)) == [], f"seed {seed}"
        finally:
            await database.close()
            path.unlink()


async def test_somebody_without_our_database_replays_a_verdict_from_a_bundle(
    ruled: InProcess, scratch: ScratchDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await ruled.register()
    await ruled.say(await ruled.machine(), **FAILED)
    await ruled.work()
    indexes = [one.ledger_index for one in await ruled.entries("verdict")]
    policy = Policy(log_keys=[one.verifier for one in ruled.signers])
    authorities = Authorities.from_pem({"eu-central-1": ruled.authority.pem})
    (tmp_path / "whole").write_bytes(b"".join(await bundle(ruled)))
    with BundleFile.verified(tmp_path / "whole", policy, authorities) as log:
        replays = VerdictReplays(log=log, scratch=scratch)
        found = [await replays.replay(one) for one in indexes]
        with pytest.raises(NotFound, match="fetch one of a longer period"):
            await replays.replay(10**6)
    assert (len(found), differences(found)) == (len(indexes), [])
    assert ("boot-failed", "fail") in {(v.rule, v.recorded.outcome) for one in found for v in one.verdicts}
    (tmp_path / "log.keys").write_text(f"{ruled.signers[0].verifier}\n")
    (tmp_path / "eu-central-1.pem").write_bytes(ruled.authority.pem)
    given = Namespace(
        verdict=indexes[0], bundle=tmp_path / "whole", log_key=[tmp_path / "log.keys"], authorities=tmp_path, json=True
    )
    assert await run_replay(given) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
    for index, code, reason in ((10**6, 5, "fetch one of a longer period"), (0, 2, "is a clock, not a verdict")):
        assert await run_replay(Namespace(**{**vars(given), "verdict": index})) == code
        assert reason in capsys.readouterr().err
    (tmp_path / "other").write_bytes(b"".join(await bundle(ruled, account=OTHER_ACCOUNT)))
    with BundleFile.verified(tmp_path / "other", policy, authorities) as log, pytest.raises(NotFound):
        await VerdictReplays(log=log, scratch=scratch).replay(indexes[0])
    changed = (tmp_path / "whole").read_bytes().replace(b"boot-failed", b"boot-worked")
    (tmp_path / "forged").write_bytes(changed)
    with pytest.raises(BundleInvalid, match="an entry was changed"):
        BundleFile.verified(tmp_path / "forged", policy, authorities)


@pytest.mark.endurance
async def test_judging_again_with_nothing_new_appends_nothing(
    tmp_path: Path, empty: Path, authority: SigningAuthority
) -> None:
    """Retries fail as before, listings and statements repeat what they stated, and everything is judged again."""
    for seed in range(repeated(sample=5, whole=300)):
        path = tmp_path / f"again-{seed}.db"
        shutil.copy(empty, path)
        database = await SqliteDatabase.open(path)
        try:
            async with InProcess(database, authority, rules=RULES).running() as house:
                history = History(house, seed)
                await history.begin()
                for _ in range(8):
                    await history.step()
                house.clock.advance(4_000)  # whoever falls silent has done so
                await settle(house)
                stood = await house.reader.size()
                for seconds in (0, 10, 10, 60):
                    house.clock.advance(seconds)
                    await settle(house)
                added = [one for one in await house.entries() if one.ledger_index >= stood]
                assert [(one.kind, one.content) for one in added] == [], f"seed {seed}"
        finally:
            await database.close()
            path.unlink()


async def settle(house: InProcess) -> None:
    """List, retry what is due, and judge everybody."""
    await house.inventory.collect(PLACE)
    await house.evaluator.sweep()
    await house.database.write(UNJUDGE_EVERY.bind([{}]), *[MARK_EVERY_SUBJECT.bind([{"kind": one}]) for one in KINDS])
    await house.work()


async def test_where_retention_took_the_evidence_the_entries_are_named(
    ruled: InProcess, scratch: ScratchDatabase
) -> None:
    await ruled.say(await ruled.machine())
    await ruled.work()
    (first, *_) = await ruled.entries("verdict")
    verdict = type_of(first.content or b"")[2]
    statement = next(iter(await ruled.entries("statement"))).ledger_index
    log = WithoutBodies(StoredLog(database=ruled.database, log=ruled.reader), {statement})
    replays = VerdictReplays(log=log, scratch=scratch)
    found = await replays.replay(first.ledger_index)
    assert list(found.missing) == [statement]
    assert {one.replayed for one in found.verdicts} == {None}
    assert found.to_wire()["same"] is False
    assert statement in [one["ledger_index"] for one in verdict["rests_on"]]
    with pytest.raises(NotFound):
        await replays.replay(10**9)


class WithoutBodies:
    """A log of which the bodies of some entries were removed."""

    def __init__(self, log: StoredLog, removed: set[int]) -> None:
        self._log, self._removed = log, removed

    async def entry(self, index: int) -> Stored:
        stored = await self._log.entry(index)
        return type(stored)(stored.ledger_index, stored.kind, None) if index in self._removed else stored

    async def clocks(self, indexes: Collection[int]) -> Collection[int]:
        return await self._log.clocks(indexes)
