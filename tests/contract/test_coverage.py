"""Coverage of answers: a source makes those incomplete that it could deny, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.coverage import COVERED, coverage_of
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, scm
from fakes.organisation import FakeOrganisation
from whence_aggregator.findings.coverage import ScannerState
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import snapshot
from whence_aggregator.organisation.source import OrganisationSource
from whence_aggregator.organisation.values import Account, SourceName
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.queries.reports import FailingQuestionsRow
from whence_aggregator.reports.coverage import AskedAbout, Covered, Places, SourceCoverage
from whence_aggregator.reports.coverage_rows import of_questions, of_scanners

ACCOUNT, BROKEN = "123456789012", "210987654321"
BOTH = [ACCOUNT, BROKEN]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REGION = "eu-central-1"
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet"


async def unread(house: InProcess, about: AskedAbout) -> list[str]:
    """Return the accounts and names of the sources that make an answer incomplete."""
    reader = coverage_of(house, accounts=BOTH, regions=[REGION])
    shown: Any = await reader.of(about, named=True)
    assert shown["complete"] is (shown["incomplete_total"] == 0)
    return [one["account_id"] or one["name"] for one in shown["incomplete"]]


@pytest.fixture
async def broken(house: InProcess) -> InProcess:
    """A house in which one of two accounts denies, and greeter, of hello, runs in the other one."""
    await house.register("greeter", team_id="hello")
    house.sources.images[DIGEST], house.sources.commits[COMMIT] = None, MESSAGE
    await house.say(await house.machine())
    await house.work()
    await house.inventory.collect(f"{ACCOUNT}/{REGION}")
    house.ec2.away = True
    with pytest.raises(SourceUnavailable):
        await house.inventory.collect(f"{BROKEN}/{REGION}")
    house.ec2.away = False
    return house


async def test_an_account_that_is_not_read_makes_only_answers_about_it_incomplete(broken: InProcess) -> None:
    assert await unread(broken, AskedAbout()) == [BROKEN]
    assert await unread(broken, AskedAbout(account=BROKEN)) == [BROKEN]
    assert await unread(broken, AskedAbout(account=ACCOUNT)) == []
    assert await unread(broken, AskedAbout(region="eu-west-1")) == []
    assert await unread(broken, AskedAbout(region=REGION)) == [BROKEN]


async def test_an_instance_is_denied_by_its_own_account_alone_and_one_that_nobody_knows_by_every(
    broken: InProcess,
) -> None:
    assert await unread(broken, AskedAbout(instance="i-0123456789abcdef0")) == []
    assert await unread(broken, AskedAbout(instance="i-00000000000000099")) == [BROKEN]


async def test_a_team_is_denied_by_accounts_where_it_has_instances_and_no_others(broken: InProcess) -> None:
    for about in (AskedAbout(team="hello"), AskedAbout(team="nobody"), AskedAbout(application="greeter")):
        assert await unread(broken, about) == []
    broken.ec2.away = True
    with pytest.raises(SourceUnavailable):
        await broken.inventory.collect(f"{ACCOUNT}/{REGION}")
    assert await unread(broken, AskedAbout(team="hello")) == [ACCOUNT]
    assert await unread(broken, AskedAbout(team="hello", team_as_written=True)) == [ACCOUNT]
    assert await unread(broken, AskedAbout(application="greeter")) == [ACCOUNT]
    assert await unread(broken, AskedAbout(application="greeter", account=BROKEN)) == []
    assert await unread(broken, AskedAbout(team="nobody")) == []


async def test_a_team_is_denied_by_an_account_that_it_owns_though_nothing_of_it_runs_there(broken: InProcess) -> None:
    stated = snapshot("file", accounts=[Account(account_id=BROKEN, owner="hello")])
    sources: dict[SourceName, OrganisationSource] = {"file": FakeOrganisation(stated)}
    await OrganisationRecorder(
        database=broken.database, ledger=broken.ledger, sources=sources, now=broken.clock
    ).read("file")  # fmt: skip
    assert await unread(broken, AskedAbout(team="hello")) == [BROKEN]
    assert await unread(broken, AskedAbout(team="other")) == []


async def test_what_several_accounts_share_denies_answers_about_each(broken: InProcess) -> None:
    """A Git server that refuses is everybody's; the AMIs of a place are that place's."""
    other = "e" * 40
    await broken.say(await broken.machine("i-00000000000000002"), scm_source=scm(revision=other))
    await broken.work()
    found = await unread(broken, AskedAbout(account=ACCOUNT))
    assert "git.example.org" in found
    assert "git.example.org" in await unread(broken, AskedAbout(team="nobody"))
    assert "git.example.org" not in await unread(broken, AskedAbout(findings_alone=True))


def test_a_host_that_the_settings_do_not_name_is_no_source_and_the_kinds_of_questions_have_theirs() -> None:
    rows: list[FailingQuestionsRow] = [
        {"kind": kind, "host": host, "n": 1, "reason": "r"}
        for kind, host in [
            ("image-source", "-"), ("image-source", "r.example.org"), ("commit", "git.example.org"),
            ("ticket", "jira.example.org"), ("ami", f"ec2/{ACCOUNT}/{REGION}"), ("inventory", f"ec2/{ACCOUNT}/{REGION}"),
        ]
    ]  # fmt: skip
    assert [(one.source, one.account_id, one.name) for one in of_questions(rows)] == [
        ("registries", "", "r.example.org"), ("Git", "", "git.example.org"), ("trackers", "", "jira.example.org"),
        ("AMIs", ACCOUNT, ""),
    ]  # fmt: skip


def covered(*sources: SourceCoverage) -> Covered:
    return Covered(sources=sources, now=NOW)


def test_a_scanner_denies_findings_of_its_own_alone() -> None:
    late = SourceCoverage(source="scanners", account_id=ACCOUNT, name="prowler", state="late")
    inventory = SourceCoverage(source="inventory", account_id=ACCOUNT, region=REGION, state="failed")
    both = covered(late, inventory)
    assert both.unread(AskedAbout(), Places()) == [late, inventory]
    assert both.unread(AskedAbout(findings_alone=True), Places()) == [late]
    assert both.unread(AskedAbout(findings_alone=True, scanner="trivy"), Places()) == []
    assert both.unread(AskedAbout(findings_alone=True), Places(accounts={BROKEN})) == []


def test_an_answer_counts_every_source_and_names_the_first_ones() -> None:
    many = covered(*(SourceCoverage(source="inventory", account_id=f"{n:012}", state="never") for n in range(60)))
    shown: Any = many.shown()
    assert (shown["complete"], shown["incomplete_total"], len(shown["incomplete"])) == (False, 60, 50)
    assert many.shown(named=False)["incomplete"] == []
    assert covered().shown() == COVERED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("prowler", ACCOUNT, "reporting")], ["read"]),
        ([("prowler", ACCOUNT, "late"), ("prowler", BROKEN, "never")], ["late", "never"]),
        ([("by-hand", ACCOUNT, "late")], []),
        ([("prowler", "", "reporting"), ("prowler", ACCOUNT, "never")], ["read"]),
    ],
    ids=["reporting", "late and never", "not in the settings", "without accounts"],
)
def test_a_scanner_of_the_settings_is_a_source(states: list[tuple[str, str, str]], expected: list[str]) -> None:
    stated = [
        ScannerState(
            product=product, account_id=account, interval_seconds=3600.0, state=state, complete_at="",
            reported_at="" if state == "never" else "2026-11-22T12:00:00.000Z",
        )
        for product, account, state in states
    ]  # fmt: skip
    assert [one.state for one in of_scanners(stated, ["prowler"])] == expected


@pytest.mark.parametrize(
    ("reason", "permission"),
    [
        ("EC2 denies the request: UnauthorizedOperation: is not authorized to perform: ec2:DescribeInstances because no "
         "identity-based policy allows the ec2:DescribeInstances action", "ec2:DescribeInstances"),
        ("User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized to perform: sts:AssumeRole on resource: "
         "arn:aws:iam::210987654321:role/whence", "sts:AssumeRole"),
        ("not authorized: ec2:DescribeImages with an explicit deny in a service control policy", "ec2:DescribeImages"),
        ("AuthFailure: AWS was not able to validate the provided access credentials", "not named by AWS"),
        ("RequestLimitExceeded: ec2:DescribeInstances", ""),
    ],
)  # fmt: skip
def test_the_missing_permission_is_named_as_aws_names_it(reason: str, permission: str) -> None:
    one = SourceCoverage(source="inventory", account_id=ACCOUNT, region=REGION, state="failed", reason=reason)
    assert one.permission == permission


async def test_sums_by_source_state_the_worst_place_and_how_many_accounts_are_not_read(broken: InProcess) -> None:
    reader = coverage_of(broken, accounts=BOTH, regions=[REGION], organisation=["file"])
    found: Any = await reader.by_source()
    assert found["complete"] is False
    inventory, organisation = found["groups"]
    names = ("source", "state", "places", "read", "late", "failed", "never", "accounts", "accounts_unread")
    assert [inventory[name] for name in names] == ["inventory", "failed", 2, 1, 0, 1, 0, 2, 1]
    assert inventory["worst"]["account_id"] == BROKEN
    assert inventory["oldest_read_at"] == inventory["newest_read_at"] == "2026-11-22T12:00:00.000Z"
    assert inventory["oldest_age_seconds"] == 0
    assert [organisation[name] for name in names] == ["organisation", "never", 1, 0, 0, 0, 1, 0, 0]
    assert (organisation["name"], organisation["oldest_read_at"], organisation["oldest_age_seconds"]) == (
        "file", None, None,
    )  # fmt: skip
