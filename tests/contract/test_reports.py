"""Reports: numbers that lead to evidence, files that no hostile text breaks out of, and digests in the log."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from html.parser import HTMLParser
from typing import Any

import aiohttp

from fakes.in_process import InProcess
from fakes.machine import scm
from fakes.served_house import served
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.callers.caller import Caller
from whence_aggregator.compliance.own.recording import record_rules
from whence_aggregator.compliance.own.rule_file import RuleInFile
from whence_aggregator.compliance.own.rules import OwnRule
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.http.reports import ReportCalls
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage import CoverageReader, ExpectedSources
from whence_aggregator.reports.report import ComplianceReport, ReportScope
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_maker import MadeReport, RendersHtml, ReportMaker
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


class HeldHtml:
    """Renders once the loop has done something else, however long that takes."""

    def __init__(self, going: threading.Event) -> None:
        self._going = going

    def render(self, report: ComplianceReport) -> str:
        assert self._going.wait(30.0)
        return HtmlReports().render(report)


def maker(house: InProcess, html: RendersHtml | None = None) -> ReportMaker:
    expected = ExpectedSources(
        accounts=lambda: [ACCOUNT], regions=["eu-central-1"], inventory_seconds=300.0, trail=False, organisation=[]
    )
    return ReportMaker(
        ledger=house.ledger,
        summaries=Summaries(database=house.database, listening=house.listening),
        violations=StandingViolations(
            Violations(database=house.database, listening=house.listening, rules=house.rules.every), house.rules.every
        ),
        coverage=CoverageReader(database=house.database, expected=expected, now=house.clock),
        moments=Moments(database=house.database, now=house.clock),
        html=html or HtmlReports(),
        rules=house.rules.every,
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


async def test_others_are_answered_while_a_report_is_written(house: InProcess) -> None:
    going, scope = threading.Event(), ReportScope(account=ACCOUNT, since="2026-11-20", until="2026-11-22")
    made_ = asyncio.create_task(
        maker(house, HeldHtml(going)).make(scope, made_by="audit", team_as_written=False, names_sources=True)
    )
    await house.reader.size()
    asyncio.get_running_loop().call_later(0.05, going.set)
    assert (await made_).files["report.html"].startswith("<!doctype html>")


async def test_violations_of_users_rules_are_in_the_report(database: Database, authority: SigningAuthority) -> None:
    own = OwnRule.of(
        RuleInFile(id="own-spec", title="It has a specification", kind="application", severity=1, rationale="Why.",
                   remedy="Do.", pass_when="application.specification_url != ''", examples=[])
    )  # fmt: skip
    first = InProcess(database, authority)
    async with first.running():
        recorded = await record_rules(database, first.ledger, [own], {}, at=first.clock())
    engine = RuleProcess()
    rules = RulesInForce.of(recorded=recorded, engine=engine)
    async with InProcess(database, authority, rules=rules).running() as house:
        await house.register("greeter", specification_url="")
        await faulty(house)
        report = (await made(house, ReportScope(team="hello", since="2026-11-20", until="2026-11-22"))).report
        (found,) = (one for one in report.rules if one.id == "own-spec")
        assert (found.title, found.severity, found.counts.failed) == ("It has a specification", 1, 1)
        assert [one.subject for one in found.violations] == ["greeter"]
    await engine.close()


async def test_a_report_is_made_over_http_for_who_may_read_its_team(house: InProcess) -> None:
    await house.register("greeter")
    await faulty(house)
    callers = {"own": Caller(name="own", teams=frozenset({"evil"}), reads="teams"),
               "hello": Caller(name="ada", teams=frozenset({"hello"}), reads="teams")}  # fmt: skip
    asked = {"team": "hello", "from": "2026-11-20", "to": "2026-11-22"}
    async with served(house, ReportCalls(maker(house)).routes(), callers) as url, aiohttp.ClientSession() as client:
        for token, status in (("hello", 201), ("own", 403)):
            headers = {"Authorization": f"Bearer {token}"}
            async with client.post(f"{url}/v1/reports", params=asked, headers=headers) as answer:
                assert answer.status == status, await answer.text()
