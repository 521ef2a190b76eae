"""Verdicts belong to the application's team, else to the account's, in every answer as in grouped violations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.in_process import InProcess
from fakes.machine import DIGEST, FAILED
from fakes.organisation import FakeOrganisation
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectOfRule
from whence_aggregator.compliance.violations import Violations, WantedViolations
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import snapshot
from whence_aggregator.organisation.values import Account
from whence_aggregator.reports.counted import NONE
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.summary import Summaries, Summary, WantedSummary
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.state import States
from whence_aggregator.violations.life import SHOWN_STATES
from whence_aggregator.violations.listing import WantedGroups
from whence_aggregator.wiring.violations import load_violations
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts

ACCOUNT, OTHER = "123456789012", "210987654321"
HELLO, NOBODYS, PLAIN = "i-00000000000000001", "i-00000000000000002", "i-00000000000000003"
ELSEWHERE = "i-00000000000000005"
KINDS: tuple[SubjectOfRule, ...] = SUBJECTS_OF_RULES


@pytest.fixture
async def owned_house(house: InProcess) -> InProcess:
    """An account of `pay` with an application of `hello`, one of no team, and an instance of none; another of nobody."""
    house.sources.images[DIGEST] = None
    read = FakeOrganisation(snapshot("file", accounts=[Account(account_id=ACCOUNT, owner="pay")]))
    await OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": read}, now=house.clock
    ).read("file")
    await house.register()
    await house.say(await house.machine(HELLO))
    await house.say(await house.machine(NOBODYS), application=ApplicationFacts(id="other", version="1"))
    await house.say(await house.machine(PLAIN), **FAILED, user_data=None, application=None)
    away = await house.machine(ELSEWHERE, accountId=OTHER)
    await house.say(away, application=ApplicationFacts(id="foreign", version="1"))
    await house.work()
    return house


async def summary(house: InProcess, wanted: WantedSummary, at: str | None = None) -> Summary:
    summaries = Summaries(database=house.database, listening=house.listening)
    return await summaries.of(wanted, await Moments(database=house.database, now=house.clock).of(at))


def of_instances(found: Summary) -> dict[str | None, int]:
    return {name: one.subjects["instance"].total for name, one in found.groups.items() if "instance" in one.subjects}


async def listed(house: InProcess, team: str, kind: SubjectOfRule = "instance") -> list[dict[str, object]]:
    violations = Violations(database=house.database, listening=house.listening)
    rules = [one.id for one in house.rules.every]
    wanted = WantedViolations(rules=rules, states=States.parse("any"), team=team, kind=kind)
    found, after = await violations.page(wanted, after="", limit=500)
    assert after is None
    return found


async def test_what_is_of_no_application_with_a_team_is_of_the_accounts_owner_in_the_summary(
    owned_house: InProcess,
) -> None:
    house = owned_house
    assert of_instances(await summary(house, WantedSummary(by="team"))) == {"hello": 1, "pay": 2, None: 1}
    assert of_instances(await summary(house, WantedSummary(by="team", account=ACCOUNT))) == {"hello": 1, "pay": 2}
    assert of_instances(await summary(house, WantedSummary(by="account", team="pay"))) == {ACCOUNT: 2}
    assert of_instances(await summary(house, WantedSummary(by="account", team="hello"))) == {ACCOUNT: 1}
    rules = ["image-mutable"]
    for team, count in (("hello", 1), ("pay", 2)):
        by_rule = await summary(house, WantedSummary(by="team", rules=rules))
        assert by_rule.groups[team].verdicts.total == count
        assert (await summary(house, WantedSummary(team=team, rules=rules))).everything.verdicts.total == count
    by_team = await summary(house, WantedSummary(by="team"))
    for team in ("hello", "pay"):
        assert (await summary(house, WantedSummary(team=team))).everything == by_team.groups[team], team
    assert (await summary(house, WantedSummary(team="nobody"))).everything.verdicts == NONE


async def test_owners_of_accounts_are_kept_for_seconds_and_no_application_is_counted_twice(
    owned_house: InProcess,
) -> None:
    house = owned_house
    summaries = Summaries(database=house.database, listening=house.listening, unheard_kept_seconds=30.0)
    moments = Moments(database=house.database, now=house.clock)

    async def by_team() -> dict[str | None, int]:
        return of_instances(await summaries.of(WantedSummary(by="team"), await moments.of()))

    assert await by_team() == {"hello": 1, "pay": 2, None: 1}
    await house.register("other", team_id="hello")
    assert await by_team() == {"hello": 2, "pay": 1, None: 1}
    read = FakeOrganisation(snapshot("file", accounts=[Account(account_id=ACCOUNT, owner="ship")]))
    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": read}, now=house.clock
    )  # fmt: skip
    house.clock.advance(29.0)
    await recorder.read("file")
    assert await by_team() == {"hello": 2, "pay": 1, None: 1}
    house.clock.advance(1.0)
    assert await by_team() == {"hello": 2, "ship": 1, None: 1}


async def test_snapshots_and_trends_have_the_same_owners(owned_house: InProcess) -> None:
    house = owned_house
    now = {team: (await summary(house, WantedSummary(team=team))).everything for team in ("hello", "pay")}
    by_team = (await summary(house, WantedSummary(by="team"))).groups
    taken_at = house.clock()
    assert await Snapshots(database=house.database, ledger=house.ledger, now=house.clock).take() is True
    house.clock.advance(86_400.0)
    at = to_instant(taken_at + timedelta(hours=1))
    assert (await summary(house, WantedSummary(by="team"), at)).groups == by_team
    for team, counted in now.items():
        assert (await summary(house, WantedSummary(team=team), at)).everything == counted, team
        summaries = Summaries(database=house.database, listening=house.listening)
        moment = await Moments(database=house.database, now=house.clock).of()
        (day,) = await summaries.trend(WantedSummary(team=team), moment, since="2026-11-22", until="2026-11-22")
        assert day.counts == counted.verdicts, team


async def test_the_list_of_a_team_has_what_its_grouped_violations_have(owned_house: InProcess) -> None:
    house = owned_house
    directory = OrganisationDirectory(house.database)
    living = load_violations(house.database, house.ledger, directory, None, now=house.clock)
    await living.recorder.follow_all()
    moment = await house.tracer.moments.of()
    for team in ("hello", "pay"):
        wanted = WantedGroups(team=team, states=SHOWN_STATES)
        page = await living.grouped.page(wanted, moment=moment, after="", limit=500)
        grouped = {(one["rule"], (one["subject"]["kind"] != "account" and one["application_id"]) or "")
                   for one in page.violations}  # fmt: skip
        failing = {
            (str(one["rule"]), str(one["application_id"] or ""))
            for kind in KINDS
            for one in await listed(house, team, kind)
            if one["verdict"] == "fail"
        }
        assert failing == grouped, team
    assert {one["instance_id"] for one in await listed(house, "pay")} == {NOBODYS, PLAIN}
    assert {one["instance_id"] for one in await listed(house, "hello")} == {HELLO}


async def test_an_instance_that_never_spoke_is_listed_for_the_owner_of_its_account(owned_house: InProcess) -> None:
    house = owned_house
    house.ec2.listed = {"i-0123456789abcdea0": ("running", "2026-11-22T10:00:00.000Z")}
    await house.inventory.collect(f"{ACCOUNT}/eu-central-1")
    house.clock.advance(600.0)
    assert "i-0123456789abcdea0" in {one["instance_id"] for one in await listed(house, "pay")}
    assert "i-0123456789abcdea0" not in {one["instance_id"] for one in await listed(house, "hello")}
