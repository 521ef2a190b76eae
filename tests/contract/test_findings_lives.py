"""Findings through the lives of their violations: one cause is one violation, and a silent scanner closes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.test_findings import Asked, served
from contract.test_judged_findings import AN_HOUR_LATER, HIGH, LOW, NEVER, RULES, SCANNERS, scan, verdicts
from fakes.findings import ACCOUNT, ocsf
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.scanners import IMAGE_CVE, Scanners
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.violations.brief import UNFIXED
from whence_aggregator.violations.listing import WantedGroups
from whence_aggregator.violations.recording import ViolationRecorder
from whence_aggregator.wiring.violations import load_violations

DAY = 86_400.0


class Lives:
    """The violations of a house whose findings scanners push."""

    def __init__(self, asked: Asked) -> None:
        house, directory = asked.house, OrganisationDirectory(asked.house.database)
        self._house = house
        living = load_violations(house.database, house.ledger, directory, asked.findings, now=house.clock)
        self._listed = living.grouped
        self.recorder: ViolationRecorder = living.recorder

    async def of(self, rule: str, *, fixed: bool = False) -> list[dict[str, Any]]:
        """Return the violations of a rule after everything was judged and followed."""
        await self._house.database.write(AN_HOUR_LATER)
        await self._house.work()
        await self.recorder.follow_all()
        states = (*UNFIXED, "fixed") if fixed else UNFIXED
        moment = await self._house.tracer.moments.of()
        wanted = WantedGroups(rules=[rule], states=states)
        return (await self._listed.page(wanted, moment=moment, after="", limit=100)).violations


@pytest.fixture
async def ruled(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, rules=RULES, scanners=SCANNERS).running() as running:
        yield running


@pytest.fixture
async def asked(ruled: InProcess) -> AsyncIterator[Asked]:
    async with served(ruled, SCANNERS) as found:
        yield found


def shown(one: dict[str, Any]) -> tuple[str, str, str, str]:
    return one["subject"]["kind"], one["subject"]["id"], one["source"], one["state"]


async def test_the_findings_of_an_image_and_the_verdict_of_its_version_are_one_violation(
    asked: Asked, ruled: InProcess
) -> None:
    lives = Lives(asked)
    await scan(asked, HIGH, LOW)
    assert list(map(shown, await lives.of(IMAGE_CVE))) == [("account", ACCOUNT, "finding", "open")]
    await ruled.say(await ruled.machine())
    assert list(map(shown, await lives.of(IMAGE_CVE))) == [("version", "greeter@1.0", "verdict", "open")]
    await scan(asked, HIGH, {**HIGH, "ruleId": "CVE-2026-7"}, tool="grype")
    assert list(map(shown, await lives.of(IMAGE_CVE))) == [("version", "greeter@1.0", "verdict", "open")]
    ruled.clock.advance(60)
    for tool in ("Trivy", "grype"):
        await scan(asked, LOW, tool=tool, complete=True)
    assert await lives.of(IMAGE_CVE) == []
    assert {one["state"] for one in await lives.of(IMAGE_CVE, fixed=True)} == {"fixed"}


async def test_a_version_whose_scanner_is_late_stays_open_and_not_confirmed_until_it_reports(
    asked: Asked, ruled: InProcess
) -> None:
    lives = Lives(asked)
    await ruled.say(await ruled.machine())
    assert await lives.of(IMAGE_CVE) == [], "a scanner that has never reported opens nothing"
    assert (await verdicts(ruled))[IMAGE_CVE] == ("unknown", NEVER)
    await scan(asked, HIGH)
    (opened,) = await lives.of(IMAGE_CVE)
    assert (opened["state"], opened["not_confirmed_since"]) == ("open", None)
    ruled.clock.advance(2 * DAY + 60)
    (late,) = await lives.of(IMAGE_CVE)
    assert (late["id"], late["state"], late["since"]) == (opened["id"], "open", opened["since"])
    assert late["not_confirmed_since"].startswith("2026-11-24T12:01")
    assert "has not reported since" in late["reason"]
    ruled.clock.advance(DAY)
    assert (await lives.of(IMAGE_CVE))[0]["not_confirmed_since"] == late["not_confirmed_since"]
    await scan(asked, HIGH)
    (again,) = await lives.of(IMAGE_CVE)
    assert (again["id"], again["state"], again["not_confirmed_since"], again["reopened"]) == (
        opened["id"], "open", None, 0,
    )  # fmt: skip
    ruled.clock.advance(60)
    await scan(asked, LOW, complete=True)
    assert await lives.of(IMAGE_CVE) == []


async def test_a_finding_whose_scanner_is_late_stays_open_and_one_that_is_silent_for_ever_passes_nothing(
    asked: Asked, ruled: InProcess
) -> None:
    lives = Lives(asked)
    report = ocsf("a", at="2026-11-22T12:00:00Z")
    await asked.push(report, token="every")
    rule = (await asked.list(token="reader"))[0]["rule"]
    (opened,) = await lives.of(rule)
    assert shown(opened) == ("account", ACCOUNT, "finding", "open")
    ruled.clock.advance(3 * DAY)
    (late,) = await lives.of(rule)
    assert (late["state"], late["not_confirmed_since"] is not None) == ("open", True)
    ruled.clock.advance(365 * DAY)
    (silent,) = await lives.of(rule)
    assert (silent["state"], silent["not_confirmed_since"]) == ("open", late["not_confirmed_since"])
    await asked.push(ocsf("a", at="2027-11-25T11:00:00Z", result="PASS"), token="every")
    assert await lives.of(rule) == []


async def test_metrics_show_scanners_by_state_their_newest_report_and_open_findings(
    asked: Asked, ruled: InProcess
) -> None:
    accounts = AllowedAccounts(named=frozenset({ACCOUNT}), collected=False, database=ruled.database)
    coverage = ScannerCoverage(database=ruled.database, scanners=SCANNERS, accounts=accounts)

    async def metrics() -> dict[str, list[tuple[float, dict[str, str]]]]:
        found = await coverage.families(now=ruled.clock())
        return {one.name: [(sample.value, dict(sample.labels)) for sample in one.samples] for one in found}

    assert await metrics() == {
        "whence_scanners": [(1, {"product": "grype", "state": "never"}), (1, {"product": "trivy", "state": "never"})],
        "whence_scanner_newest_report_timestamp_seconds": [],
        "whence_scanner_reports": [],
        "whence_findings_open": [],
    }
    await scan(asked, HIGH, LOW)
    ruled.clock.advance(3 * DAY)
    assert await metrics() == {
        "whence_scanners": [(1, {"product": "grype", "state": "never"}), (1, {"product": "trivy", "state": "late"})],
        "whence_scanner_newest_report_timestamp_seconds": [
            (1_795_348_800.0, {"account": ACCOUNT, "product": "trivy"})
        ],
        "whence_scanner_reports": [(1, {"product": "trivy"})],
        "whence_findings_open": [(2, {"product": "trivy"})],
    }  # fmt: skip


async def test_a_fault_stays_open_after_the_scanners_are_removed_from_the_settings(
    asked: Asked, ruled: InProcess, database: Database, authority: SigningAuthority
) -> None:
    lives = Lives(asked)
    await ruled.say(await ruled.machine())
    await scan(asked, HIGH)
    (opened,) = await lives.of(IMAGE_CVE)
    assert shown(opened) == ("version", "greeter@1.0", "verdict", "open")
    without = InProcess(database, authority, rules=RulesInForce.of(sources=["trust"]))
    async with without.running() as restarted, served(restarted, Scanners()) as served_again:
        restarted.clock.advance(60)
        later = Lives(served_again)
        (one,) = await later.of(IMAGE_CVE)
        assert (one["id"], *shown(one)) == (opened["id"], "version", "greeter@1.0", "finding", "open")
        restarted.clock.advance(3 * DAY)
        (late,) = await later.of(IMAGE_CVE)
        assert (late["id"], late["state"], late["not_confirmed_since"] is not None) == (opened["id"], "open", True)


async def test_findings_about_a_version_that_runs_are_a_violation_without_scanners_in_the_settings(
    database: Database, authority: SigningAuthority
) -> None:
    house = InProcess(database, authority, rules=RulesInForce.of(sources=["trust"]))
    async with house.running() as running, served(running, Scanners()) as asked:
        lives = Lives(asked)
        await running.say(await running.machine())
        await scan(asked, HIGH)
        assert list(map(shown, await lives.of(IMAGE_CVE))) == [("version", "greeter@1.0", "finding", "open")]
