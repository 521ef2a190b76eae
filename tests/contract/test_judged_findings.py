"""Versions judged by what scanners find in their images: marked by reports, never passed unseen, and replayed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.test_findings import Asked, served
from contract.test_image_check import checks
from contract.test_ownership import owned, read
from fakes.findings import ACCOUNT, sarif
from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import DIGEST, REPOSITORY
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.findings.application_scans import ApplicationScans
from whence_aggregator.findings.images import ScannedImages
from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE, Scanner, Scanners
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import (
    MARK_EVERY_SUBJECT,
    SUBJECTS_DUE,
    VERDICTS_OF_SUBJECTS,
    SubjectsDueParameters,
)
from whence_aggregator.queries.query import array
from whence_aggregator.replays.verdicts import StoredLog, VerdictReplays
from whence_aggregator.reports.image_check import WantedCheck
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.image_reference import ImageReference
from whence_common.statement import ImageFacts

DAY = 86_400.0
SCANNERS = Scanners(
    named=(
        Scanner(product="trivy", interval_seconds=2 * DAY),
        Scanner(product="grype", interval_seconds=2 * DAY, accounts=frozenset({ACCOUNT}), reports="changes"),
    ),
    severities={"trivy/CVE-2026-3": 4},
)
FINDINGS: ConfiguredSource = "findings"
RULES = RulesInForce.of(sources=[FINDINGS])
AN_HOUR_LATER = MARK_EVERY_SUBJECT.bind([{"kind": "version"}])
"""What the sweeps of an hour do, so that age counts."""
NEVER = "no scanner has reported about this image"
HIGH = {"ruleId": "CVE-2026-8", "level": "error", "message": {"text": "Package: p"}}
LOW = {"ruleId": "CVE-2026-9", "level": "note"}
OUTDATED = {"ruleId": "base-image-outdated", "message": {"text": "debian:11 is outdated"}}


@pytest.fixture
async def ruled(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, rules=RULES, scanners=SCANNERS).running() as running:
        yield running


@pytest.fixture
async def asked(ruled: InProcess) -> AsyncIterator[Asked]:
    async with served(ruled, SCANNERS) as found:
        yield found


@asynccontextmanager
async def an_empty_database(path: Path) -> AsyncIterator[Database]:
    database = await SqliteDatabase.open(path)
    try:
        yield database
    finally:
        await database.close()
        for one in path.parent.glob(f"{path.name}*"):
            one.unlink()


async def scan(asked: Asked, *results: dict[str, Any], digest: str = DIGEST, account: str = ACCOUNT,
               token: str = "both", tool: str = "Trivy", complete: bool = False) -> None:  # fmt: skip
    document = sarif(*results, repoDigests=[f"{REPOSITORY}@{digest}"])
    document["runs"][0]["tool"]["driver"]["name"] = tool
    await asked.push(document, token=token, account=account, complete=str(complete).lower())


async def verdicts(house: InProcess, version: str = "greeter@1.0") -> dict[str, tuple[str, str]]:
    await house.work()
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([version])}))
    return {
        row["rule"]: (row["verdict"], row["reason"]) for row in rows if row["rule"] in (IMAGE_CVE, BASE_IMAGE_OUTDATED)
    }


async def entries_of_the_rule(house: InProcess) -> int:
    """Return how many entries state a verdict of `image-cve`."""
    return sum(b'"rule":"image-cve"' in (one.content or b"") for one in await house.entries("verdict"))


async def differences(house: InProcess, directory: Path) -> list[object]:
    """Return the verdicts that are others when they are replayed."""
    replays = VerdictReplays(
        log=StoredLog(database=house.database, log=house.reader),
        scratch=lambda: an_empty_database(directory / "scratch.db"),
    )
    found = [await replays.replay(one.ledger_index) for one in await house.entries("verdict")]
    return [(one.subject, verdict.to_wire()) for one in found for verdict in one.verdicts if not verdict.same]


async def test_an_image_is_unknown_until_a_whole_scan_and_fails_by_what_it_finds(
    asked: Asked, ruled: InProcess, tmp_path: Path
) -> None:
    await ruled.say(await ruled.machine())
    assert await verdicts(ruled) == {IMAGE_CVE: ("unknown", NEVER), BASE_IMAGE_OUTDATED: ("unknown", NEVER)}
    await scan(asked, LOW)
    assert (await verdicts(ruled))[IMAGE_CVE][0] == "pass"
    await scan(asked, LOW, HIGH, OUTDATED)
    assert await verdicts(ruled) == {
        IMAGE_CVE: ("fail", "CVE-2026-8 in p"),
        BASE_IMAGE_OUTDATED: ("fail", "debian:11 is outdated"),
    }
    ruled.clock.advance(3600)
    await scan(asked, LOW, complete=True)
    found = await verdicts(ruled)
    assert found[IMAGE_CVE][0] == "pass"
    assert found[BASE_IMAGE_OUTDATED][0] == "pass", "the complete report did not have it any more"
    assert await differences(ruled, tmp_path) == []


async def test_a_scan_before_the_first_instance_counts_and_one_that_is_late_no_more(
    asked: Asked, ruled: InProcess, tmp_path: Path
) -> None:
    await scan(asked)
    await ruled.say(await ruled.machine())
    assert IMAGE_CVE not in await verdicts(ruled), "a first pass has no row"
    ruled.clock.advance(3 * DAY)
    await ruled.database.write(AN_HOUR_LATER)
    verdict, reason = (await verdicts(ruled))[IMAGE_CVE]
    assert verdict == "unknown"
    assert reason == "trivy has not reported since 2026-11-22T12:00:00.000Z (expected every 48 h): it was pass then"
    before = await entries_of_the_rule(ruled)
    ruled.clock.advance(3600)
    await ruled.database.write(AN_HOUR_LATER)
    await ruled.work()
    assert await entries_of_the_rule(ruled) == before == 2, "a greater age changes no verdict"
    assert await differences(ruled, tmp_path) == []


async def test_a_scan_of_the_index_counts_and_one_by_a_foreign_account_does_not(
    asked: Asked, ruled: InProcess, tmp_path: Path
) -> None:
    index = "sha256:" + "e" * 64
    image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=DIGEST, index_digest=index)
    await ruled.say(await ruled.machine(), image=image)
    await scan(asked, account=OTHER_ACCOUNT)
    assert (await verdicts(ruled))[IMAGE_CVE] == ("unknown", NEVER)
    await scan(asked, digest=index)
    assert (await verdicts(ruled))[IMAGE_CVE][0] == "pass"
    await scan(asked, HIGH)
    assert (await verdicts(ruled))[IMAGE_CVE][0] == "fail"
    assert await differences(ruled, tmp_path) == []


async def test_a_report_marks_the_versions_of_its_image_and_nothing_else(asked: Asked, ruled: InProcess) -> None:
    await ruled.say(await ruled.machine())
    await ruled.work()
    await scan(asked, HIGH, digest="sha256:" + "f" * 64)
    everything: SubjectsDueParameters = {"after_kind": "", "after_id": "", "limit": 10}
    assert await ruled.database.fetch(SUBJECTS_DUE.bind(everything)) == []
    await scan(asked, HIGH)
    marked = await ruled.database.fetch(SUBJECTS_DUE.bind(everything))
    assert [(one["kind"], one["id"]) for one in marked] == [("version", "greeter@1.0")]


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(repeated(sample=2, whole=40)))
async def test_random_reports_are_replayed_to_the_same_verdicts(
    asked: Asked, ruled: InProcess, tmp_path: Path, seed: int
) -> None:
    """The replay projects only what a verdict names: findings restated, absent, late and moved to another image."""
    random_ = random.Random(seed)
    await ruled.say(await ruled.machine())
    found = [{"ruleId": f"CVE-2026-{n}", "level": level, "message": {"text": f"Package: p{n}"}}
             for n, level in enumerate(["error", "error", "warning", "error", "note"])]  # fmt: skip
    for _ in range(15):
        some = [one for one in [*found, OUTDATED] if random_.random() < 0.5]
        await scan(
            asked, *some, complete=random_.random() < 0.5, tool=random_.choice(["Trivy", "Trivy", "Grype"]),
            digest=random_.choice([DIGEST, DIGEST, DIGEST, "sha256:" + "f" * 64]),
            account=random_.choice([ACCOUNT, ACCOUNT, OTHER_ACCOUNT]),
        )  # fmt: skip
        ruled.clock.advance(random_.choice([60.0, 3600.0, DAY]))
        if random_.random() < 0.3:
            ruled.clock.advance(2 * DAY)
            await ruled.database.write(AN_HOUR_LATER)
        await ruled.work()
    outcomes = {one[0] for one in (await verdicts(ruled)).values()}
    assert outcomes <= {"pass", "fail", "unknown"}
    assert await entries_of_the_rule(ruled) > 5
    assert await differences(ruled, tmp_path) == []


async def before_it_runs(house: InProcess) -> tuple[str, str]:
    """Return what `whence check` states by image-cve of greeter's image."""
    images, directory = ScannedImages(database=house.database, scanners=SCANNERS), OrganisationDirectory(house.database)
    scans = ApplicationScans(images=images, database=house.database, directory=directory)
    wanted = WantedCheck(
        image=ImageReference.parse(f"{REPOSITORY}@{DIGEST}"), application_id="greeter", version="1.0"
    )  # fmt: skip
    found = await checks(house, scans).check(wanted, lambda _: None)
    (one,) = [each.judged.verdict for each in found.verdicts if each.rule == IMAGE_CVE]
    return one.outcome, one.reason


NONE_OF_ITS_OWN = "no scanner of an account of the application or of its team has reported about this image"


async def test_a_scan_of_a_foreign_account_neither_passes_nor_fails_an_image_before_it_runs(
    asked: Asked, ruled: InProcess
) -> None:
    await ruled.register()
    await scan(asked, LOW, account=OTHER_ACCOUNT)
    assert await before_it_runs(ruled) == ("unknown", NONE_OF_ITS_OWN)
    await scan(asked, HIGH, account=OTHER_ACCOUNT)
    assert await before_it_runs(ruled) == ("unknown", NONE_OF_ITS_OWN)


async def test_a_scan_of_an_account_that_the_team_owns_counts_before_the_image_runs(
    asked: Asked, ruled: InProcess
) -> None:
    await ruled.register(team_id="hello")
    await scan(asked, LOW)
    assert await before_it_runs(ruled) == ("unknown", NONE_OF_ITS_OWN), "no source states whose account it is"
    await read(ruled, owned("ship"))
    assert await before_it_runs(ruled) == ("unknown", NONE_OF_ITS_OWN)
    await read(ruled, owned("hello"))
    assert (await before_it_runs(ruled))[0] == "pass"
    await scan(asked, HIGH, account=OTHER_ACCOUNT)
    assert (await before_it_runs(ruled))[0] == "pass"
    await scan(asked, HIGH)
    assert (await before_it_runs(ruled))[0] == "fail"


async def test_a_scan_of_an_account_where_the_application_runs_counts_and_so_does_one_of_no_account(
    asked: Asked, ruled: InProcess
) -> None:
    await ruled.register()
    await scan(asked, LOW)
    await ruled.say(await ruled.machine())
    assert (await before_it_runs(ruled))[0] == "pass"
    document = sarif(HIGH, repoDigests=[f"{REPOSITORY}@{DIGEST}"])
    await asked.push(document, token="every")
    assert (await before_it_runs(ruled))[0] == "fail"
