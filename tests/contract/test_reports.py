"""Reports: numbers that lead to evidence, files that no hostile text breaks out of, and digests in the log."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.coverage import coverage_of, findings_of_reports
from fakes.in_process import OTHER_ACCOUNT, ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import DIGEST, scm
from fakes.organisation import FakeOrganisation
from fakes.served_house import served
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.callers.caller import Caller
from whence_aggregator.compliance.own.recording import record_rules
from whence_aggregator.compliance.own.rule_file import RuleInFile
from whence_aggregator.compliance.own.rules import OwnRule
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.reports import ReportCalls
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import snapshot
from whence_aggregator.organisation.source import OrganisationSource
from whence_aggregator.organisation.values import Account, SourceName
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.reports.period_reading import StepsOfPeriods
from whence_aggregator.reports.recorded_reports import RecordedReports
from whence_aggregator.reports.report import ComplianceReport, ReportScope
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_maker import MadeReport, RendersHtml, ReportMaker
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.standing_violations import StandingViolations
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.trace.moment import Moments
from whence_aggregator.wiring.violations import load_violations
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
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
    return ReportMaker(
        ledger=house.ledger,
        summaries=Summaries(database=house.database, listening=house.listening),
        violations=StandingViolations(
            Violations(database=house.database, listening=house.listening, rules=house.rules), house.rules
        ),
        coverage=coverage_of(house, accounts=[ACCOUNT], regions=["eu-central-1"]),
        findings=findings_of_reports(house),
        steps=StepsOfPeriods(house.database),
        moments=Moments(database=house.database, now=house.clock),
        html=html or HtmlReports(),
        rules=house.rules,
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
    await house.register("farewell", team_id=HOSTILE)
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
    async with (
        served(house, ReportCalls(maker(house), RecordedReports(house.database)).routes(), callers) as url,
        aiohttp.ClientSession() as client,
    ):
        for token, status in (("hello", 201), ("own", 403)):
            headers = {"Authorization": f"Bearer {token}"}
            async with client.post(f"{url}/v1/reports", params=asked, headers=headers) as answer:
                assert answer.status == status, await answer.text()


async def follow(house: InProcess) -> None:
    directory = OrganisationDirectory(house.database)
    await house.work()
    await load_violations(house.database, house.ledger, directory, None, now=house.clock).recorder.follow_all()


async def test_a_period_states_what_was_open_opened_and_fixed_and_leads_to_each_step(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    machine = await house.machine()
    await house.register(team_id="hello")
    await house.say(machine, scm_source=scm(status="M x"))
    await follow(house)
    steps = {one.ledger_index for one in await house.entries("violation-step")}
    first = await made(house, ReportScope(team="hello", since="2026-11-20", until="2026-11-22"))
    counts = first.report.period.counts
    assert counts["opened"] == counts["open_at_end"] == len(steps) > 1
    assert counts["open_at_start"] == 0
    await Snapshots(database=house.database, ledger=house.ledger, now=house.clock).take()
    house.clock.advance(2 * 86_400.0)
    await house.say(machine)
    await follow(house)
    second = await made(house, ReportScope(team="hello", since="2026-11-23", until="2026-11-24"))
    now = second.report.period.counts
    assert now["open_at_start"] == counts["open_at_end"]
    assert now["fixed"] >= 1
    assert now["open_at_start"] + now["opened"] + now["reopened"] - now["fixed"] == now["open_at_end"]
    (dirty,) = (one for one in second.report.period.violations if one.violation.rule == "source-dirty")
    assert (dirty.before.state, dirty.after.state, [one.step for one in dirty.within]) == ("open", "fixed", ["fixed"])
    named = {step.ledger_index for one in second.report.period.violations for step in one.within}
    assert named <= {one.ledger_index for one in await house.entries("violation-step")} - steps
    page = Elements(second.files["report.html"])
    assert {f"entry-{index}" for index in named} <= page.ids
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    await house.register("farewell", team_id="other")
    other = await made(house, ReportScope(team="other", since="2026-11-20", until="2026-11-22"))
    assert other.report.period.violations == []


async def test_a_report_of_a_team_has_what_is_of_no_registered_application_in_its_account(house: InProcess) -> None:
    stated = snapshot("file", accounts=[Account(account_id=ACCOUNT, owner="hello")])
    sources: dict[SourceName, OrganisationSource] = {"file": FakeOrganisation(stated)}
    await OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources=sources, now=house.clock
    ).read("file")  # fmt: skip
    await house.say(await house.machine(), scm_source=scm(status="M x"))
    await follow(house)
    report = await made(house, ReportScope(team="hello", since="2026-11-20", until="2026-11-22"))
    shown = report.to_wire()
    assert (shown["violations"], shown["verdicts"]) == (15, 26)
    assert "source-dirty" in {one.rule for one in report.report.violations}
    assert shown["open_at_end"] == report.report.period.counts["open_at_end"] > 0


async def test_a_period_that_has_not_begun_and_a_team_that_is_not_known_are_refused(house: InProcess) -> None:
    await faulty(house)
    with pytest.raises(InputError, match="2026-11-23 has not begun"):
        await made(house, ReportScope(account=ACCOUNT, since="2026-11-23", until="2026-12-31"))
    with pytest.raises(NotFound, match="team helo is not known"):
        await made(house, ReportScope(team="helo", since="2026-11-20", until="2026-11-22"))
    assert await house.entries("report") == []


async def test_a_violation_of_a_version_is_reported_for_each_account_where_it_runs(house: InProcess) -> None:
    await house.register(team_id="hello")
    await house.say(await house.machine(), scm_source=scm(status="M x"))
    away = await house.machine("i-00000000000000002", accountId=OTHER_ACCOUNT)
    await house.say(away, scm_source=scm(status="M x"))
    await follow(house)
    for account in (ACCOUNT, OTHER_ACCOUNT):
        report = (await made(house, ReportScope(account=account, since="2026-11-20", until="2026-11-22"))).report
        assert "source-dirty" in {one.violation.rule for one in report.period.violations}, account
    nobody = await made(house, ReportScope(account="000000000001", since="2026-11-20", until="2026-11-22"))
    assert nobody.report.period.violations == []


@asynccontextmanager
async def asked(house: InProcess, caller: Caller) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, Any]]]]:
    """Return what the API answers to a path, as status and document."""
    calls = ReportCalls(maker(house), RecordedReports(house.database)).routes()
    application = web.Application(middlewares=[called_by(caller)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestClient(TestServer(application)) as client:

        async def ask(path: str) -> tuple[int, Any]:
            method, _, named = path.rpartition(" ")
            async with client.request(method or "GET", named) as answer:
                return answer.status, await answer.json(content_type=None)

        yield ask


async def test_recorded_reports_are_listed_and_found_by_the_digest_of_a_file(house: InProcess) -> None:
    await faulty(house)
    await house.register("farewell", team_id="hello")
    about_team = await made(house, ReportScope(team="hello", since="2026-11-20", until="2026-11-22"))
    house.clock.advance(1.0)
    about_account = await made(house)
    digest = about_team.digests["report.html"]
    async with asked(house, ROOT) as ask:
        _, found = await ask("/v1/reports?limit=1")
        assert [one["account"] for one in found["reports"]] == [ACCOUNT]
        _, rest = await ask(f"/v1/reports?cursor={found['next']}")
        assert [(one["team"], rest["next"]) for one in rest["reports"]] == [("hello", None)]
        _, of_team = await ask("/v1/reports?team=hello")
        assert [one["ledger_index"] for one in of_team["reports"]] == [about_team.ledger_index]
        _, of_account = await ask(f"/v1/reports?account={ACCOUNT}")
        assert [one["ledger_index"] for one in of_account["reports"]] == [about_account.ledger_index]
        _, shown = await ask(f"/v1/reports/{digest}")
        (one,) = shown["reports"]
        assert (one["made_by"], one["team"], one["from"], one["files"]) == (
            "audit", "hello", "2026-11-20", ["report.html"]
        )  # fmt: skip
        assert one["digests"] == about_team.digests
        unknown, refused = await ask(f"/v1/reports/sha256:{'0' * 64}")
        assert (unknown, refused["code"]) == (404, "report-unknown")
        assert (await ask("/v1/reports/digest"))[0] == 400
        assert (await ask("/v1/reports?cursor=x"))[0] == 400
        assert (await ask("/v1/reports?cursor=99999999999999999999"))[0] == 400
    async with asked(house, ROOT) as ask:
        status, report = await ask("POST /v1/reports?team=hello&from=2026-11-20&to=2026-11-22")
        assert (status, sorted(report["files"])) == (
            201, ["assessment-results.json", "report.html", "steps.csv", "violations.csv"]
        )  # fmt: skip
        assert report["complete"] is report["coverage"]["complete"] is False, "the Git server of this house is away"
    async with asked(house, Caller(name="eve", teams=frozenset({"evil"}), reads="teams")) as ask:
        assert (await ask(f"/v1/reports/{digest}"))[0] == 403, "nobody learns what other teams reported"
        assert (await ask(f"/v1/reports/{about_account.digests['report.html']}"))[0] == 403
    async with asked(house, Caller(name="ada", teams=frozenset({"hello"}), reads="teams")) as ask:
        assert (await ask(f"/v1/reports/{digest}"))[0] == 200
