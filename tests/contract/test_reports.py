"""Reports: numbers that lead to evidence, files that no hostile text breaks out of, and digests in the log."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from typing import Any

from fakes.coverage import coverage_of, findings_of_reports
from fakes.in_process import InProcess
from fakes.machine import scm
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_maker import MadeReport, ReportMaker
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.standing_violations import StandingViolations
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.trace.moment import Moments
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import type_of

ACCOUNT = "123456789012"
HOSTILE = "<script>alert(1)</script>\" onload='x"


class Elements(HTMLParser):
    """The elements and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.add(value or "")
            if name == "href":
                self.links.add(value or "")


def maker(house: InProcess) -> ReportMaker:
    return ReportMaker(
        ledger=house.ledger,
        summaries=Summaries(database=house.database, listening=house.listening),
        violations=StandingViolations(Violations(database=house.database, listening=house.listening)),
        coverage=coverage_of(house, accounts=[ACCOUNT], regions=["eu-central-1"]),
        findings=findings_of_reports(house),
        moments=Moments(database=house.database, now=house.clock),
        html=HtmlReports(),
        version="0.1.0",
        now=house.clock,
    )


async def made(house: InProcess, scope: ReportScope | None = None) -> MadeReport:
    scope = scope or ReportScope(account=ACCOUNT, since="2026-11-20", until="2026-11-22")
    return await maker(house).make(scope, made_by="audit", team_as_written=False, names_sources=True)


async def faulty(house: InProcess) -> None:
    await house.say(await house.machine(), scm_source=scm(status="M x"))
    await house.work()


async def test_each_number_of_the_page_leads_to_verdicts_and_each_verdict_to_its_entry(house: InProcess) -> None:
    await faulty(house)
    await Snapshots(database=house.database, ledger=house.ledger, now=house.clock).take()
    report = await made(house)
    page = Elements(report.files["report.html"])
    assert page.links == {link for link in page.links if link.startswith("#")}, "the file needs nothing from elsewhere"
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert "script" not in page.tags
    verdicts = {one.ledger_index for one in await house.entries("verdict")}
    assert {one.ledger_index for one in report.report.violations} <= verdicts
    (dirty,) = (one for one in report.report.rules if one.id == "source-dirty")
    assert (dirty.counts.failed, [one.verdict for one in dirty.violations]) == (1, ["fail"])
    for rule in report.report.rules:
        broken = rule.counts.failed + rule.counts.unknown + rule.counts.folded
        of_account = [one for one in rule.violations if one.account_id == ACCOUNT]
        assert broken == len(of_account), rule.id


async def test_the_digests_of_the_files_are_an_entry_of_the_log(house: InProcess) -> None:
    await faulty(house)
    report = await made(house)
    (entry,) = await house.entries("report")
    assert entry.ledger_index == report.ledger_index
    assert entry.content is not None
    stated: dict[str, Any] = type_of(entry.content)[2]
    assert (stated["account_id"], stated["made_by"]) == (ACCOUNT, "audit")
    assert stated["digests"] == {name: sha256_digest(text.encode()) for name, text in report.files.items()}


async def test_a_report_without_every_source_says_so_in_each_file(house: InProcess) -> None:
    report = await made(house)
    assert report.report.complete is False
    assert "This report is not complete." in report.files["report.html"]
    (result,) = json.loads(report.files["assessment-results.json"])["assessment-results"]["results"]
    assert {one["name"]: one["value"] for one in result["props"]}["complete"] == "no"
    await house.inventory.collect(f"{ACCOUNT}/eu-central-1")
    assert (await made(house)).report.complete is True


async def test_hostile_names_stay_text(house: InProcess) -> None:
    await faulty(house)
    report = await made(house, ReportScope(team=HOSTILE, since="2026-11-20", until="2026-11-22"))
    page = Elements(report.files["report.html"])
    assert "script" not in page.tags
    assert "onload" not in page.attributes
    assert "&lt;script&gt;" in report.files["report.html"]


async def test_a_period_that_ended_is_counted_by_its_snapshot(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine, scm_source=scm(status="M x"))
    await house.work()
    await Snapshots(database=house.database, ledger=house.ledger, now=house.clock).take()
    house.clock.advance(2 * 86_400.0)
    await house.say(machine)
    await house.work()
    then = (await made(house)).report
    assert then.stood_at == "2026-11-22T12:00:00.000Z"
    assert {one.id: one.counts.failed for one in then.rules}["source-dirty"] == 1
    now = (await made(house, ReportScope(account=ACCOUNT, since="2026-11-20", until="2026-11-24"))).report
    assert {one.id: one.counts.failed for one in now.rules}["source-dirty"] == 0
    assert now.snapshot_index is None


async def test_the_csv_has_a_row_for_each_violation(house: InProcess) -> None:
    await faulty(house)
    report = await made(house)
    rows = list(csv.DictReader(io.StringIO(report.files["violations.csv"])))
    assert len(rows) == len(report.report.violations)
    assert {"rule", "verdict", "subject", "ledger_index"} <= rows[0].keys()
