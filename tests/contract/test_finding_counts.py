"""Counts of findings: those of the list, by scanner, with what is unknown because its scanner is late."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from contract.test_findings import BOTH, DAY, SCANNERS, Asked, served
from fakes.findings import ACCOUNT, asff, ocsf
from fakes.in_process import InProcess
from whence_aggregator.findings.counting import FindingCounts
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import WantedFindings
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.reports.report_findings import FindingsOfReports
from whence_aggregator.trace.moment import Moments
from whence_common.clock import to_instant


def coverage(house: InProcess) -> ScannerCoverage:
    accounts = AllowedAccounts(named=BOTH, collected=False, database=house.database)
    return ScannerCoverage(database=house.database, scanners=SCANNERS, accounts=accounts)


async def counted(house: InProcess) -> dict[str, dict[str, Any]]:
    """Return the counts about the account, by scanner."""
    counts = FindingCounts(database=house.database, scanners=SCANNERS, states=coverage(house), now=house.clock)
    wire: Any = (await counts.counted()).of(ACCOUNT).to_wire()
    assert wire["total"]["total"] == sum(one["findings"]["total"] for one in wire["scanners"])
    return {one["product"]: one for one in wire["scanners"]}


async def listed(asked: Asked) -> dict[str, Counter[str]]:
    """Return the verdicts of the list, by scanner."""
    found: dict[str, Counter[str]] = {}
    every = asked.findings.every(WantedFindings(account=ACCOUNT), now=asked.house.clock())
    async for one in every:
        found.setdefault(one.finding.product, Counter())[one.verdict] += 1
    return found


async def test_a_scanner_is_counted_with_its_interval_and_unknown_once_it_is_late(house: InProcess) -> None:
    async with served(house) as asked:
        await asked.push(ocsf("a"), ocsf("b", result="PASS"), ocsf("c", result="MANUAL"), complete="true")
        prowler = (await counted(house))["prowler"]
        assert (prowler["interval_seconds"], prowler["state"]) == (DAY, "reporting")
        assert prowler["findings"] == {
            "pass": 1, "fail": 1, "unknown": 0, "manual": 1, "fixed": 0, "suppressed": 0, "total": 3,
        }  # fmt: skip
        house.clock.advance(2 * DAY)
        prowler = (await counted(house))["prowler"]
        assert (prowler["state"], prowler["findings"]["unknown"], prowler["findings"]["pass"]) == ("late", 3, 0)
        assert (await counted(house))["securityhub"]["state"] == "never"
        assert (await counted(house))["securityhub"]["findings"]["total"] == 0


async def test_the_counts_of_a_random_history_are_those_of_the_list(house: InProcess) -> None:
    dice = random.Random(22)
    async with served(house) as asked:
        for _ in range(12):
            house.clock.advance(dice.choice([0.1, 0.4, 1.1]) * DAY)
            now = to_instant(house.clock())
            some = dice.sample(["a", "b", "c", "d", "e"], dice.randint(1, 4))
            if dice.random() < 0.5:
                events = [ocsf(one, at=now, result=dice.choice(["PASS", "FAIL", "MANUAL"])) for one in some]
                await asked.push(*events, complete=dice.choice(["true", "false"]))
            else:
                await asked.push(*(asff(one, UpdatedAt=now) for one in some))
            wire = await counted(house)
            expected = await listed(asked)
            for product in ("prowler", "securityhub"):
                found = {name: n for name, n in wire[product]["findings"].items() if n}
                found.pop("total", None)
                found.pop("suppressed", None)
                assert found == dict(expected.get(product, Counter())), product


async def test_counts_are_kept_for_half_a_minute_and_state_when_they_were_made(house: InProcess) -> None:
    async with served(house) as asked:
        counts = FindingCounts(database=house.database, scanners=SCANNERS, states=coverage(house), now=house.clock)
        first = await counts.counted()
        await asked.push(ocsf("a"))
        house.clock.advance(29.0)
        assert (await counts.counted()) is first
        house.clock.advance(1.0)
        second = await counts.counted()
        assert (first.counted_at, second.counted_at) == ("2026-11-22T12:00:00.000Z", "2026-11-22T12:00:30.000Z")
        assert sum(one.total for one in second.scanners) == 1


async def test_a_report_counts_findings_as_they_were_known_when_its_period_ended(house: InProcess) -> None:
    async with served(house) as asked:
        await asked.push(ocsf("a"), complete="true")
        then = to_instant(house.clock())
        house.clock.advance(DAY / 2)
        await asked.push(ocsf("a", at=to_instant(house.clock()), result="PASS"), complete="true")
        of_reports = FindingsOfReports(findings=asked.findings, states=coverage(house))
        moments = Moments(database=house.database, now=house.clock)
        scope = ReportScope(account=ACCOUNT, since="2026-11-20", until="2026-11-22")
        for at, verdict in ((then, "fail"), (None, "pass")):
            found = await of_reports.of(scope, await moments.of(at), team_as_written=False)
            assert [(one.state.product, dict(one.verdicts)) for one in found.scanners] == [
                ("prowler", {verdict: 1}), ("securityhub", {}),
            ]  # fmt: skip
