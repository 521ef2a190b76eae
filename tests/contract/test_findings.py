"""Findings over HTTP: recorded once, tied to what runs and to its owner, closed and reopened, and never a pass unseen."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner, Result

from fakes.auditor import checked, dumped
from fakes.coverage import coverage_of
from fakes.findings import ACCOUNT, AFTER_THE_SCANS, DATA, IMAGE, as_bytes, asff, ocsf, sample, sarif
from fakes.in_process import LIMITLESS, OTHER_ACCOUNT, InProcess
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import Findings, WantedFindings
from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE, Scanner, Scanners
from whence_aggregator.findings.violations import finding_violations, judge_image
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.findings import FindingCalls
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.trace.moment import Moments
from whence_aggregator.whence.cli import whence

BOTH = frozenset({ACCOUNT, OTHER_ACCOUNT})
RIGHT = frozenset({"findings"})
OTHER_SCANNER = {"event_code": "bucket_public", "product": {"uid": "other-scanner", "version": "1.0"}}
CALLERS = {
    token_hash("scanner"): Caller(name="scanner", teams=frozenset(), rights=RIGHT, accounts=frozenset({ACCOUNT})),
    token_hash("both"): Caller(name="both", teams=frozenset(), rights=RIGHT, accounts=BOTH),
    token_hash("every"): Caller(name="every", teams=frozenset(), rights=RIGHT, accounts=frozenset({"*"})),
    token_hash("prowler"): Caller(
        name="prowler", teams=frozenset(), rights=RIGHT, accounts=BOTH, products=frozenset({(ACCOUNT, "prowler")})
    ),
    token_hash("blind"): Caller(name="blind", teams=frozenset(), rights=RIGHT, accounts=BOTH, reads="nothing"),
    token_hash("reader"): Caller(name="reader", teams=frozenset()),
    token_hash("hello"): Caller(name="hello", teams=frozenset({"hello"}), reads="teams"),
    token_hash("evil"): Caller(name="evil", teams=frozenset({"evil"}), reads="teams"),
}
DAY = 86_400.0
SCANNERS = Scanners(
    named=(
        Scanner(product="prowler", interval_seconds=DAY),
        Scanner(product="securityhub", interval_seconds=DAY, reports="changes"),
    )
)


class Asked:
    """Sends files and asks for findings."""

    def __init__(self, client: Any, house: InProcess, findings: Findings) -> None:
        self.client = client
        self.house = house
        self.findings = findings

    async def push(self, *documents: Any, token: str = "scanner", status: int | None = None, body: bytes | None = None,
                   headers: dict[str, str] | None = None, **query: str) -> dict[str, Any]:  # fmt: skip
        content = body if body is not None else as_bytes(list(documents))
        given = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with self.client.post("/v1/findings", params=query, headers=given, data=io.BytesIO(content)) as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
            assert status in (None, answer.status), found
            return {**found, "status": answer.status}

    async def list(self, token: str = "reader", **query: str) -> list[dict[str, Any]]:
        async with self.client.get(
            "/v1/findings", params=query, headers={"Authorization": f"Bearer {token}"}
        ) as answer:  # fmt: skip
            found = await answer.json(content_type=None)
            assert answer.status == 200, found
            listed: list[dict[str, Any]] = found["findings"]
            return listed

    async def code(self, method: str, token: str, **query: str) -> tuple[int, str]:
        given = {"Authorization": f"Bearer {token}"}
        async with self.client.request(method, "/v1/findings", params=query, headers=given) as answer:
            return answer.status, (await answer.json(content_type=None)).get("code")

    async def verdicts(self, **query: str) -> dict[str, str]:
        return {one["uid"]: one["verdict"] for one in await self.list(**query)}

    async def entries(self) -> int:
        return len(await self.house.entries("findings"))


@asynccontextmanager
async def served(house: InProcess, scanners: Scanners = SCANNERS, rate: Rate = LIMITLESS) -> AsyncIterator[Asked]:
    findings = Findings(
        database=house.database, directory=OrganisationDirectory(house.database), scanners=scanners
    )  # fmt: skip
    accounts = AllowedAccounts(named=BOTH, collected=False, database=house.database)
    states = ScannerCoverage(database=house.database, scanners=scanners, accounts=accounts)
    coverage = coverage_of(house, scanners=states, named=[one.product for one in scanners.named])
    calls = FindingCalls(
        ledger=house.ledger, findings=findings, scanners=states, coverage=coverage, moments=Moments(database=house.database, now=house.clock),
        now=house.clock, on_change=lambda: None,
        caller_bytes=Limit("caller", rate, lambda: house.clock.moment.timestamp(), unit="bytes"),
    ).routes()  # fmt: skip
    check = authentication(Authenticator(
        known=CALLERS, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
    ))  # fmt: skip
    application = web.Application()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, check)) for one in calls)
    async with TestClient(TestServer(application)) as client:
        yield Asked(client, house, findings)


@pytest.fixture
async def asked(house: InProcess) -> AsyncIterator[Asked]:
    async with served(house) as found:
        yield found


def at(hour: int, minute: int = 0) -> str:
    return f"2026-11-22T{hour:02d}:{minute:02d}:00Z"


async def test_prowlers_own_file_is_recorded_and_the_same_file_again_changes_nothing(asked: Asked) -> None:
    asked.house.clock.moment = AFTER_THE_SCANS
    first = await asked.push(body=sample("prowler.ocsf.json"), complete="true")
    assert (first["status"], first["new"], first["refused"], first["complete"]) == (201, 7, 0, True)
    entries = await asked.entries()
    again = await asked.push(body=sample("prowler.ocsf.json"), complete="true")
    assert (again["status"], again["new"], again["unchanged"], again["updated"]) == (200, 0, 7, 0)
    assert await asked.entries() == entries


async def test_whence_pushes_prowlers_own_file_unmodified_and_lists_what_it_found(asked: Asked) -> None:
    asked.house.clock.moment = AFTER_THE_SCANS

    async def whence_(*words: str, token: str) -> Result:
        given = ["--url", str(asked.client.make_url("")).rstrip("/"), "findings", *words]
        return await asyncio.to_thread(CliRunner(env={"WHENCE_TOKEN": token}).invoke, whence, given)

    file = str(DATA / "prowler.ocsf.json")
    pushed = await whence_("push", "--complete", file, token="scanner")
    assert (pushed.exit_code, pushed.output) == (
        0, f"{file}: 7 new, 0 updated, 0 unchanged, 0 closed, 0 refused\n",
    )  # fmt: skip
    again = await whence_("push", "--complete", file, token="scanner")
    assert (again.exit_code, "0 new, 0 updated, 7 unchanged" in again.output) == (0, True)
    listed = await whence_("list", "--json", "--rule", "prowler/ec2_instance_imdsv2_enabled", token="reader")
    (found,) = json.loads(listed.stdout)["findings"]
    assert (listed.exit_code, found["verdict"]) == (5, "fail"), "the other scanners of the settings never reported"


async def test_prowlers_next_run_fixes_what_passes_and_what_a_complete_report_does_not_have(asked: Asked) -> None:
    asked.house.clock.moment = AFTER_THE_SCANS
    await asked.push(body=sample("prowler.ocsf.json"), complete="true")
    later = await asked.push(body=sample("prowler-later.ocsf.json"), complete="true")
    assert (later["updated"], later["unchanged"], later["closed"]) == (2, 1, 4)
    found = {one["check"]: one for one in await asked.list()}
    assert {check: one["verdict"] for check, one in found.items()} == {
        "account_maintain_current_contact_details": "fixed",
        "ec2_instance_detailed_monitoring_enabled": "fixed",
        "ec2_instance_imdsv2_enabled": "fixed",
        "ec2_instance_profile_attached": "fixed",
        "s3_bucket_default_encryption": "pass",
        "s3_bucket_level_public_access_block": "fail",
        "s3_bucket_secure_transport_policy": "fail",
    }
    assert found["ec2_instance_imdsv2_enabled"]["reason"] == (
        "the complete report of 2026-11-26T18:33:21.000Z did not have it any more"
    )
    assert found["s3_bucket_secure_transport_policy"]["suppressed"]
    assert found["s3_bucket_level_public_access_block"]["last_seen"] == "2026-11-26T18:33:21.000Z"


async def test_only_a_right_for_the_account_records_and_nobody_reads_a_body_before(asked: Asked) -> None:
    assert (await asked.push(ocsf(), token="reader"))["code"] == "findings-forbidden"
    assert (await asked.push(ocsf(), token="nobody"))["status"] == 401
    foreign = ocsf("foreign", cloud={"account": {"uid": OTHER_ACCOUNT}})
    found = await asked.push(ocsf("own"), foreign, status=201)
    assert (found["new"], found["refused"]) == (1, 1)
    assert found["refusals"] == [{
        "position": 1, "uid": "foreign", "field": None, "code": "finding-account-forbidden",
        "reason": f"scanner may not record findings of account {OTHER_ACCOUNT}",
    }]  # fmt: skip
    assert await asked.verdicts() == {"own": "fail"}
    refused = await asked.push(foreign, status=400)
    assert (refused["code"], "scanner may not record findings" in refused["detail"]) == ("findings-refused", True)


async def test_a_sender_of_many_bytes_waits_and_no_other_does(house: InProcess) -> None:
    async with served(house, rate=Rate(per_second=100.0, burst=1_000.0)) as asked:
        large = as_bytes([ocsf(f"f-{number}") for number in range(10)])
        assert (await asked.push(body=large, status=201))["new"] == 10, "a file is taken whole, whatever its size"
        given = {"Authorization": "Bearer scanner"}
        async with asked.client.post("/v1/findings", headers=given, data=as_bytes([ocsf("later")])) as refused:
            document = await refused.json(content_type=None)
            owed = len(large) - 1_000
            assert (refused.status, document["code"]) == (429, "rate-limited")
            assert document["detail"] == "too many bytes from caller scanner"
            assert abs(int(refused.headers["Retry-After"]) - owed / 100) < 1
        await asked.push(ocsf("other"), token="both", status=201)
        house.clock.advance(owed / 100 + 1)
        await asked.push(ocsf("later"), status=201)


async def test_a_file_that_breaks_off_counts_as_far_as_it_came(house: InProcess) -> None:
    async with served(house, rate=Rate(per_second=1.0, burst=500.0)) as asked:
        await asked.push(body=as_bytes([ocsf(f"f-{number}") for number in range(5)])[:-2])
        assert (await asked.push(ocsf("later")))["status"] == 429


async def test_a_right_for_one_product_records_no_finding_of_another(asked: Asked) -> None:
    await asked.push(ocsf("theirs", metadata=OTHER_SCANNER), status=201)
    mine, theirs = ocsf("mine"), ocsf("theirs", result="PASS", metadata=OTHER_SCANNER)
    found = await asked.push(mine, theirs, token="prowler", complete="true", status=201)
    assert (found["new"], found["refused"], found["complete"]) == (1, 1, False)
    assert found["refusals"] == [{
        "position": 1, "uid": "theirs", "field": None, "code": "finding-product-forbidden",
        "reason": f"prowler may not record findings of other-scanner about account {ACCOUNT}",
    }]  # fmt: skip
    refused = await asked.push(theirs, token="prowler", complete="true", status=403)
    assert (refused["code"], refused["detail"], refused["fix"]) == (
        "findings-product-forbidden",
        f"none of 1 findings was accepted: prowler may not record findings of other-scanner about account {ACCOUNT}",
        "use a token for the product: whence-aggregator token NAME --may findings --account ID --product PRODUCT",
    )
    assert await asked.verdicts() == {"mine": "fail", "theirs": "fail"}
    elsewhere = ocsf("else", metadata=OTHER_SCANNER, cloud={"account": {"uid": OTHER_ACCOUNT}})
    assert (await asked.push(elsewhere, token="prowler", status=201))["new"] == 1, "that account has no bound"


async def test_no_scanner_replaces_or_closes_a_finding_of_another_account(asked: Asked) -> None:
    await asked.push(ocsf("same", cloud={"account": {"uid": OTHER_ACCOUNT}}), token="both")
    await asked.push(ocsf("same", result="PASS"), status=201, complete="true")
    assert [(one["account_id"], one["verdict"]) for one in await asked.list()] == [
        (ACCOUNT, "pass"), (OTHER_ACCOUNT, "fail"),
    ]  # fmt: skip


async def test_a_caller_that_may_not_read_may_still_record(asked: Asked) -> None:
    assert (await asked.push(ocsf(), token="blind"))["new"] == 1
    assert await asked.code("GET", "blind") == (403, "read-forbidden")


async def test_a_finding_without_account_needs_one_stated_or_the_right_for_all(asked: Asked) -> None:
    scan = sarif({"ruleId": "CVE-2026-1"}, repoDigests=[f"r.example.org/a@{IMAGE}"])
    assert (await asked.push(scan))["code"] == "findings-refused"
    assert (await asked.push(scan, account=OTHER_ACCOUNT))["code"] == "findings-refused"
    assert (await asked.push(scan, account=ACCOUNT))["new"] == 2
    assert (await asked.push(scan, token="every"))["new"] == 2


async def test_a_result_changes_closes_and_reopens_with_its_history(asked: Asked) -> None:
    async def state() -> tuple[str, str, str, int]:
        (one,) = await asked.list()
        return one["verdict"], one["since"][11:16], one["first_seen"][11:16], one["reopened"]

    await asked.push(ocsf("a", at=at(1)))
    assert await state() == ("fail", "01:00", "01:00", 0)
    await asked.push(ocsf("a", at=at(2)))
    assert await state() == ("fail", "01:00", "01:00", 0)
    await asked.push(ocsf("a", at=at(3), result="PASS"))
    assert await state() == ("pass", "03:00", "01:00", 0)
    await asked.push(ocsf("a", at=at(4)))
    assert await state() == ("fail", "04:00", "01:00", 1)
    await asked.push(ocsf("a", at=at(5), status_id=4))
    assert await state() == ("fixed", "05:00", "01:00", 1)
    await asked.push(ocsf("a", at=at(6), status_id=4, severity_id=5))
    assert await state() == ("fixed", "05:00", "01:00", 1)
    await asked.push(ocsf("b", at=at(7)), ocsf("a", at=at(7)), complete="true")
    await asked.push(ocsf("b", at=at(8)), complete="true")
    assert (await asked.verdicts(), (await asked.list())[0]["reopened"]) == ({"a": "fixed", "b": "fail"}, 2)


async def test_an_older_report_denies_nothing_that_a_newer_one_stated(asked: Asked) -> None:
    await asked.push(ocsf("a", at=at(3), result="PASS"), ocsf("b", at=at(3)), complete="true")
    assert (await asked.push(ocsf("a", at=at(2))))["unchanged"] == 1
    older = await asked.push(ocsf("c", at=at(2)), complete="true")
    assert (older["closed"], older["complete"]) == (0, True)
    assert await asked.verdicts() == {"a": "pass", "b": "fail", "c": "fail"}


async def test_a_finding_without_account_is_refused_with_what_to_state(asked: Asked) -> None:
    result = {"ruleId": "X", "message": {"text": "x"}}
    refused = await asked.push(body=as_bytes(sarif(result)), token="scanner", status=400)
    assert "the finding names no account: state it with account=ID (--account ID)" in refused["detail"]


async def test_absence_from_a_report_that_is_not_complete_fixes_nothing(asked: Asked) -> None:
    await asked.push(ocsf("a", at=at(1)), ocsf("b", at=at(1)), complete="true")
    await asked.push(ocsf("b", at=at(2)))
    refused = await asked.push(ocsf("b", at=at(3)), ocsf(""), complete="true")
    assert (refused["complete"], refused["incomplete_reason"]) == (False, "1 findings were refused")
    cut = await asked.push(body=as_bytes([ocsf("b", at=at(4)), ocsf("x")])[:-3], complete="true")
    assert (cut["complete"], cut["incomplete_reason"]) == (
        False, "the file is empty, or was cut off within an array or a finding",
    )  # fmt: skip
    empty = await asked.push(complete="true")
    assert (empty["complete"], empty["incomplete_reason"]) == (False, "no finding was accepted")
    assert await asked.verdicts() == {"a": "fail", "b": "fail"}
    assert (await asked.list())[1]["last_seen"] == "2026-11-22T04:00:00.000Z"


async def test_a_complete_scan_of_one_image_closes_nothing_of_another(asked: Asked) -> None:
    other = "sha256:" + "e" * 64

    def scan(digest: str, *rules: str) -> dict[str, Any]:
        return sarif(*({"ruleId": one} for one in rules), repoDigests=[f"r.example.org/a@{digest}"])

    await asked.push(scan(IMAGE, "CVE-2026-1", "CVE-2026-2"), account=ACCOUNT, complete="true")
    await asked.push(scan(other, "CVE-2026-1"), account=ACCOUNT, complete="true")
    asked.house.clock.advance(60)
    found = await asked.push(scan(IMAGE, "CVE-2026-2"), account=ACCOUNT, complete="true")
    assert found["closed"] == 1
    assert sorted((one["resource"]["image_digest"], one["check"], one["verdict"]) for one in await asked.list()) == [
        (IMAGE, "CVE-2026-1", "fixed"), (IMAGE, "CVE-2026-2", "fail"), (IMAGE, "image-scanned", "pass"),
        (other, "CVE-2026-1", "fail"), (other, "image-scanned", "pass"),
    ]  # fmt: skip


async def test_a_scanner_that_does_not_report_makes_its_findings_unknown_with_age_and_reason(asked: Asked) -> None:
    await asked.push(ocsf("a", at=at(12)), ocsf("b", at=at(12), result="PASS"))
    asked.house.clock.advance(DAY)
    assert await asked.verdicts() == {"a": "fail", "b": "pass"}
    asked.house.clock.advance(3600)
    assert await asked.verdicts() == {"a": "unknown", "b": "unknown"}
    assert [one["reason"] for one in await asked.list()] == [
        "prowler has not reported since 2026-11-22T12:00:00.000Z (expected every 24 h): it was fail then",
        "prowler has not reported since 2026-11-22T12:00:00.000Z (expected every 24 h): it was pass then",
    ]
    await asked.push(ocsf("a", at="2026-11-23T13:00:00Z"))
    found = await asked.list()
    assert [one["verdict"] for one in found] == ["fail", "unknown"]
    assert found[1]["reason"] == (
        "not confirmed since 2026-11-22T12:00:00.000Z; prowler has reported since then without it"
        " (expected every 24 h): it was pass then"
    )


async def test_any_report_of_a_scanner_that_sends_changes_confirms_its_other_findings(asked: Asked) -> None:
    await asked.push(asff("a", UpdatedAt=at(11)), asff("b", UpdatedAt=at(11)))
    asked.house.clock.advance(DAY)
    await asked.push(asff("b", UpdatedAt="2026-11-23T12:00:00Z"))
    assert await asked.verdicts() == {"a": "fail", "b": "fail"}
    asked.house.clock.advance(2 * DAY)
    assert await asked.verdicts() == {"a": "unknown", "b": "unknown"}


async def test_a_scanner_that_is_late_or_never_reported_is_shown(asked: Asked) -> None:
    async def states() -> dict[tuple[str, str], str]:
        async with asked.client.get("/v1/scanners", headers={"Authorization": "Bearer reader"}) as answer:
            found = (await answer.json())["scanners"]
        return {(one["product"], one["account_id"]): one["state"] for one in found}

    await asked.push(ocsf("a", at=at(11)), complete="true")
    never = {
        ("prowler", OTHER_ACCOUNT): "never",
        ("securityhub", ACCOUNT): "never",
        ("securityhub", OTHER_ACCOUNT): "never",
    }
    assert await states() == {("prowler", ACCOUNT): "reporting", **never}
    asked.house.clock.advance(DAY)
    assert await states() == {("prowler", ACCOUNT): "late", **never}


async def test_a_finding_is_of_the_instance_and_the_team_of_its_application(asked: Asked) -> None:
    house = asked.house
    await house.register()
    await house.say(await house.machine())
    arn = "arn:aws:ec2:eu-central-1:{}:instance/i-0123456789abcdef0"
    await asked.push(
        ocsf("i", resources=[{"uid": arn.format(ACCOUNT)}]),
        ocsf("j", resources=[{"uid": arn.format(OTHER_ACCOUNT)}], cloud={"account": {"uid": OTHER_ACCOUNT}}),
        ocsf("k", resources=[{"uid": "arn:aws:s3:::b"}]),
        token="both",
    )
    found = {one["uid"]: one["subjects"] for one in await asked.list()}
    assert found == {
        "i": [{"kind": "instance", "id": "i-0123456789abcdef0", "application_id": "greeter", "team": "hello"}],
        "j": [{"kind": "account", "id": OTHER_ACCOUNT, "application_id": None, "team": None}],
        "k": [{"kind": "account", "id": ACCOUNT, "application_id": None, "team": None}],
    }
    assert [one["uid"] for one in await asked.list(team="hello")] == ["i"]
    assert [one["uid"] for one in await asked.list(application="greeter")] == ["i"]
    assert [one["uid"] for one in await asked.list(token="hello", team="hello")] == ["i"]
    assert await asked.list(token="evil", team="evil") == []
    assert await asked.code("GET", "evil", team="hello") == (403, "read-own-teams")
    assert await asked.code("GET", "evil") == (403, "read-own-teams")


async def test_a_finding_of_an_image_is_of_the_version_that_runs_it_in_the_account_even_if_it_came_before(
    asked: Asked,
) -> None:
    scan = sarif({"ruleId": "CVE-2026-1"}, repoDigests=[f"r.example.org/a@{IMAGE}"])
    await asked.push(scan, account=ACCOUNT)
    await asked.push(scan, account=OTHER_ACCOUNT, token="both")
    assert {one["subjects"][0]["kind"] for one in await asked.list()} == {"account"}
    house = asked.house
    await house.register()
    await house.say(await house.machine())
    found = {(one["account_id"], one["subjects"][0]["kind"], one["subjects"][0]["id"]) for one in await asked.list()}
    assert found == {(ACCOUNT, "version", "greeter@1.0"), (OTHER_ACCOUNT, "account", OTHER_ACCOUNT)}


async def test_the_findings_of_an_image_are_one_violation_and_decide_its_two_rules(asked: Asked) -> None:
    house = asked.house
    await house.register()
    await house.say(await house.machine())
    rules = [
        {"ruleId": f"CVE-2026-{n}", "level": "error", "message": {"text": f"Package: p{n}"}} for n in range(5)
    ]  # fmt: skip
    low = {"ruleId": "CVE-2026-9", "level": "note"}
    outdated = {"ruleId": "base-image-outdated"}
    await asked.push(sarif(*rules, low, outdated, repoDigests=[f"r.example.org/a@{IMAGE}"]), account=ACCOUNT)
    found = await finding_violations(asked.findings, WantedFindings(), now=house.clock())
    assert [(one.rule, one.subject.kind, one.subject.id, one.verdict, one.findings, one.severity) for one in found] == [
        ("base-image-outdated", "version", "greeter@1.0", "fail", 1, 3),
        ("image-cve", "version", "greeter@1.0", "fail", 5, 2),
    ]
    assert (found[1].subject.team, found[1].since, found[1].reopened) == ("hello", "2026-11-22T12:00:00.000Z", 0)


async def test_an_image_passes_only_if_a_whole_scan_states_so(asked: Asked) -> None:
    async def judged(rule: str) -> tuple[str, str]:
        wanted = WantedFindings(image=IMAGE)
        found = [one.finding async for one in asked.findings.every(wanted, now=asked.house.clock())]
        return judge_image(rule, found, SCANNERS, now=asked.house.clock())

    never = "no scanner has reported about this image"
    assert await judged(IMAGE_CVE) == ("unknown", never)
    low = {"ruleId": "CVE-2026-9", "level": "note"}
    await asked.push(sarif(low, repoDigests=[f"r.example.org/a@{IMAGE}"]), account=ACCOUNT)
    assert await judged(IMAGE_CVE) == ("pass", "")
    assert await judged(BASE_IMAGE_OUTDATED) == ("unknown", never)
    high = {"ruleId": "CVE-2026-8", "level": "error", "message": {"text": "Package: p"}}
    await asked.push(sarif(high, repoDigests=[f"r.example.org/a@{IMAGE}"]), account=ACCOUNT)
    assert await judged(IMAGE_CVE) == ("fail", "CVE-2026-8 in p")
    asked.house.clock.advance(3 * DAY)
    verdict, reason = await judged(IMAGE_CVE)
    assert (verdict, "trivy has not reported since" in reason) == ("unknown", True)


async def test_findings_are_listed_as_they_were_and_page_by_page(asked: Asked) -> None:
    await asked.push(*(ocsf(f"f-{n:02d} ~é", at=at(1)) for n in range(12)))
    asked.house.clock.advance(3600)
    then = asked.house.clock().isoformat().replace("+00:00", "Z")
    asked.house.clock.advance(3600)
    await asked.push(ocsf("f-00 ~é", at=at(13), result="PASS"))
    assert (await asked.verdicts())["f-00 ~é"] == "pass"
    assert (await asked.verdicts(at=then))["f-00 ~é"] == "fail"
    early = await asked.code("GET", "reader", at="2026-11-22T11:00:00Z")
    assert early == (404, "time-before-log"), "nothing is known of that time"
    seen: list[str] = []
    cursor = ""
    while True:
        given = {"Authorization": "Bearer reader"}
        query = {"limit": "5", "verdict": "fail", **({"cursor": cursor} if cursor else {})}
        async with asked.client.get("/v1/findings", params=query, headers=given) as answer:
            page = await answer.json()
        seen += [one["uid"] for one in page["findings"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"f-{n:02d} ~é" for n in range(1, 12)]


@pytest.mark.parametrize("cursor", ["x", "a~b~c", "~", "~~", "１~b~c"])
async def test_a_cursor_of_no_list_is_refused(asked: Asked, cursor: str) -> None:
    assert await asked.code("GET", "reader", cursor=cursor) == (400, "parameter-malformed")


async def test_every_filter_restricts_the_list(asked: Asked) -> None:
    await asked.push(
        ocsf("a", at=at(1), severity_id=5), ocsf("b", at=at(2), result="PASS"), ocsf("c", at=at(3), status_id=3),
        ocsf("d", at=at(4), cloud={"region": "us-east-1", "account": {"uid": ACCOUNT}}),
        ocsf("e", at=at(5), metadata={"event_code": "other", "product": {"uid": "prowler"}}),
    )  # fmt: skip
    for query, expected in (
        ({"verdict": "pass"}, "b"), ({"severity": "1"}, "a"), ({"suppressed": "true"}, "c"),
        ({"region": "us-east-1"}, "d"), ({"check": "other"}, "e"), ({"rule": "prowler/other"}, "e"),
        ({"since": at(5)}, "e"), ({"until": at(2)}, "a"), ({"product": "trivy"}, ""), ({"account": OTHER_ACCOUNT}, ""),
    ):  # fmt: skip
        assert "".join(one["uid"] for one in await asked.list(**query)) == expected, query


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"Content-Encoding": "identity"}, "body-encoded"),
        ({"Idempotency-Key": "x" * 300}, "idempotency-key"),
    ],
)
async def test_headers_are_checked_before_the_body(asked: Asked, headers: dict[str, str], code: str) -> None:
    assert (await asked.push(ocsf(), headers=headers))["code"] == code
    assert (await asked.push(ocsf(), headers={"Idempotency-Key": "run-7"}))["new"] == 1


@pytest.mark.parametrize("content", [b"", b"<html>", b"[", b"nonsense", b"[" * 5000, b"\x1f\x8b"])
async def test_a_file_without_findings_is_refused(asked: Asked, content: bytes) -> None:
    found = await asked.push(body=content, status=400)
    assert found["code"] in ("findings-not-json", "findings-truncated", "findings-malformed")
    assert await asked.entries() == 0


async def test_a_repeated_id_in_one_file_counts_once_unless_it_is_later(asked: Asked) -> None:
    found = await asked.push(ocsf("a"), ocsf("a"), ocsf("a", result="PASS"), ocsf("a", at=at(11), result="PASS"))
    assert (found["new"], found["unchanged"], found["refused"]) == (1, 2, 1)
    assert found["refusals"][0]["reason"] == "another finding of this file has the same id"
    assert await asked.verdicts() == {"a": "pass"}


async def test_entries_stay_small_enough_to_be_in_the_log_whole(asked: Asked) -> None:
    long = {"desc": "d" * 1400, "references": [f"https://example.org/{'x' * 400}/{n}" for n in range(10)]}
    await asked.push(*(ocsf(f"f-{n}", remediation=long) for n in range(100)))
    sizes = [len(one.content or b"") for one in await asked.house.entries("findings")]
    assert len(sizes) > 5
    assert max(sizes) < 60_000


async def test_what_is_derived_is_what_a_rebuild_derives(house: InProcess, tmp_path: Path) -> None:
    async with served(house) as asked:
        random_ = random.Random(22)
        for hour in range(1, 12):
            events = [
                ocsf(f"f-{n}", at=at(hour, random_.randrange(60)), result=random_.choice(["PASS", "FAIL", "MANUAL"]),
                     status_id=random_.choice([1, 3, 4]))
                for n in range(20) if random_.random() < 0.6
            ]  # fmt: skip
            await asked.push(*events, complete=random_.choice(["true", "false"]))
        await asked.push(sarif({"ruleId": "CVE-2026-1"}, repoDigests=[f"r/a@{IMAGE}"]), token="every")
        assert (await checked(house, tmp_path)).findings == []


def _final(rows: Sequence[dict[str, Any]]) -> list[tuple[object, ...]]:
    names = ("uid", "verdict", "stated", "last_seen", "title", "severity")
    return [tuple(row[name] for name in names) for row in rows]


async def test_the_order_and_the_number_of_deliveries_do_not_matter(house: InProcess) -> None:
    reports = [
        [ocsf("a", at=at(1)), ocsf("b", at=at(1))],
        [ocsf("a", at=at(2), result="PASS")],
        [ocsf("a", at=at(3)), ocsf("b", at=at(3))],
        [ocsf("b", at=at(4), result="PASS")],
    ]
    found = set()
    async with served(house) as asked:
        for number, order in enumerate(itertools.permutations(reports)):
            if number % 4:
                continue
            account = f"{number:012d}"
            for report in (*order, order[0]):
                events = [{**one, "cloud": {"account": {"uid": account}}} for one in report]
                await asked.push(*events, token="every")
            found.add(tuple(_final(await asked.list(account=account))))
    assert found == {(
        ("a", "fail", "fail", "2026-11-22T03:00:00.000Z", "Buckets are not public", 2),
        ("b", "pass", "pass", "2026-11-22T04:00:00.000Z", "Buckets are not public", 2),
    )}  # fmt: skip


async def test_thousands_of_findings_of_one_file_are_recorded_as_they_arrive(house: InProcess) -> None:
    async with served(house) as asked:
        content = as_bytes([ocsf(f"f-{n:04d}") for n in range(2_000)])
        found = await asked.push(body=content, complete="true")
        assert (found["new"], found["complete"]) == (2_000, True)
        again = await asked.push(body=content, complete="true")
        assert (again["status"], again["unchanged"]) == (200, 2_000)
        left = await asked.push(ocsf("f-0007", at=at(11)), complete="true")
        assert (left["closed"], left["unchanged"]) == (1_999, 1)
        assert [one["uid"] for one in await asked.list(verdict="fail")] == ["f-0007"]


async def test_the_rows_of_a_history_are_kept_for_each_change(asked: Asked) -> None:
    await asked.push(ocsf("a", at=at(1)))
    await asked.push(ocsf("a", at=at(2), result="PASS"))
    rows = (await dumped(asked.house.database))["finding"]
    assert [(row["result"], row["since"]) for row in rows] == [
        ("fail", "2026-11-22T01:00:00.000Z"), ("pass", "2026-11-22T02:00:00.000Z"),
    ]  # fmt: skip
    assert rows[0]["until_index"] == rows[1]["ledger_index"]
    assert json.loads(str(rows[0]["body"]))["remedy"] == "Block public access."
