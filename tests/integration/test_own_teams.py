"""Who reads what belongs to their own teams alone: what is theirs is shown, and everything else is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes.coverage import counts_of, coverage_of
from fakes.in_process import InProcess
from fakes.served_house import application_routes, served
from fakes.signing_authority import SigningAuthority
from whence_aggregator.amis.package_search import PackageSearch
from whence_aggregator.callers.caller import AUDIT, Caller
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.image_checks import ImageCheckCalls
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.summaries import SummaryCalls
from whence_aggregator.http.violations import ViolationCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.reports.image_check import ImageChecks
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_aggregator.wiring.changes import change_routes
from whence_common.statement import ApplicationFacts

THEIRS, OTHERS = "i-00000000000000001", "i-00000000000000002"
KNOWN = {
    "ada": Caller(name="ada", teams=frozenset({"hello"}), subject=("https://i", "1"), reads="teams"),
    "lost": Caller(name="lost", teams=frozenset(), subject=("https://i", "2"), reads="teams", not_written="unknown teams"),
    "audit": Caller(
        name="audit", teams=frozenset(), subject=("https://i", "3"), reads="teams", rights=frozenset({AUDIT})
    ),
}  # fmt: skip
Ask = Callable[[str, str], Awaitable[tuple[int, Any]]]


def routes_of(house: InProcess) -> list[web.RouteDef]:
    """Return the calls of queries and of the application registry."""
    routes = QueryCalls(
        database=house.database,
        log=LogReader(house.database),
        search=house.search,
        tracer=house.tracer,
        rules=house.rules,
        packages=PackageSearch(
            database=house.database, listening=house.listening, search=house.search, trusted=frozenset()
        ),
    ).routes()
    routes += ViolationCalls(
        Violations(database=house.database, listening=house.listening), coverage=coverage_of(house), now=house.clock
    ).routes()
    accounts = Accounts(database=house.database, accounts=["123456789012"], listening=house.listening)
    routes += AccountCalls(
        accounts,
        OrganisationDirectory(house.database),
        Moments(database=house.database, now=house.clock),
        TrailCoverage(database=house.database, configured=False, now=house.clock),
        None,
    ).routes()
    routes += SummaryCalls(
        database=house.database,
        summaries=Summaries(database=house.database, listening=house.listening),
        coverage=coverage_of(house, accounts=["123456789012"], regions=["eu-central-1"], organisation=["aws"]),
        moments=Moments(database=house.database, now=house.clock),
        findings=counts_of(house),
    ).routes()
    routes += ImageCheckCalls(
        ImageChecks(
            database=house.database, tracer=house.tracer, rules=house.rules, scans=None, listening=house.listening,
            now=house.clock, tags=house.collectors["tag"], wake=lambda: None, pause=asyncio.sleep,
        )
    ).routes()  # fmt: skip
    return routes + application_routes(house) + change_routes(house.database, house.tracer)


@pytest.fixture
async def ask(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Ask]:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as house, aiohttp.ClientSession() as session:
        await house.register("greeter", team_id="hello")
        await house.register("farewell", team_id="other")
        await house.register("offered", team_id="third")
        owner = Caller(name="cleo", teams=frozenset({"third"}))
        await house.handovers.offer("offered", "hello", "", owner)
        for instance_id, application in ((THEIRS, "greeter"), (OTHERS, "farewell")):
            machine = await house.machine(instance_id)
            await house.say(machine, application=ApplicationFacts(id=application, version="1.0"))
        house.clock.advance(10)
        async with served(house, routes_of(house), KNOWN) as url:

            async def asked(token: str, path: str) -> tuple[int, Any]:
                async with session.get(url + path, headers={"Authorization": f"Bearer {token}"}) as answer:
                    return answer.status, await answer.json(content_type=None)

            yield asked
    await database.close()


async def test_what_belongs_to_their_teams_is_shown(ask: Ask) -> None:
    status, listed = await ask("ada", "/v1/instances?team=hello")
    assert (status, [one["instance_id"] for one in listed["instances"]]) == (200, [THEIRS])
    for path in (f"/v1/trace?instance={THEIRS}", f"/v1/instances/{THEIRS}", "/apps/greeter", "/v1/rules",
                 "/v1/changes?team=hello", f"/v1/diff?a={THEIRS}&b=greeter/1.0", "/v1/violations?team=hello", "/apps?team_id=hello",
                 "/v1/summary?team=hello", "/v1/summary/trend?team=hello", "/apps?team_id=hello&search=greeter",
                 "/v1/applications?team=hello&q=greeter", "/v1/applications/greeter",
                 "/v1/applications/greeter/history", "/v1/applications/greeter/handover"):  # fmt: skip
        assert (await ask("ada", path))[0] == 200, path


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/trace?instance={OTHERS}", f"/v1/instances/{OTHERS}", "/apps/farewell", "/apps", "/apps?team_id=other",
        "/v1/instances", "/v1/instances?team=other", "/v1/instances?team=hello&team=other", "/v1/violations",
        "/v1/violations?team=other", "/v1/summary", "/v1/summary?team=other", "/v1/coverage", "/v1/accounts", "/v1/statements/sha256:" + "a" * 64, "/v1/nothing",
        "/apps?search=farewell", "/apps?search=farewell&team_id=other", "/v1/applications", "/v1/applications?q=farewell",
        "/v1/applications?q=farewell&team=other", "/v1/applications?team=hello&team=other", "/v1/applications/farewell",
        "/v1/applications/farewell/history", "/v1/applications/farewell/handover",
        "/v1/changes?application=greeter", "/v1/changes?team=other", f"/v1/diff?a={THEIRS}&b={OTHERS}",
        f"/v1/diff?a={OTHERS}&b={THEIRS}", "/v1/instances?package=openssl", "/v1/instances?package=openssl&team=other",
        "/v1/amis/ami-12c6146b", "/v1/amis/ami-12c6146b/packages",
    ],
)  # fmt: skip
async def test_what_belongs_to_others_or_to_all_is_refused(ask: Ask, path: str) -> None:
    status, said = await ask("ada", path)
    assert (status, said["code"]) == (403, "read-own-teams")


async def test_a_search_in_their_teams_finds_nothing_of_others(ask: Ask) -> None:
    """Greeter is the name of both applications."""
    for path in ("/v1/applications?team=hello&q=greeter", "/v1/applications?team=hello&q=farewell"):
        status, said = await ask("ada", path)
        assert (status, [one["id"] for one in said["applications"]]) == (200, ["greeter"] if "greeter" in path else [])
        assert said["next"] is None


async def test_packages_of_others_are_neither_listed_nor_counted(ask: Ask) -> None:
    status, said = await ask("ada", "/v1/instances?package=openssl&package_state=unknown&team=hello")
    assert (status, [one["instance_id"] for one in said["instances"]]) == (200, [THEIRS])
    assert said["packages_known"]["instances"] == 1


async def test_the_team_that_an_application_is_offered_to_reads_the_offer_and_nothing_else(ask: Ask) -> None:
    """The offer to hello of another team's application."""
    assert (await ask("ada", "/v1/applications/offered/handover"))[1]["open"]["to_team"] == "hello"
    assert (await ask("ada", "/v1/applications/offered"))[0] == 403


async def test_a_list_of_traces_shows_theirs_alone(ask: Ask) -> None:
    for application, found in (("greeter", [THEIRS]), ("farewell", [])):
        status, said = await ask("ada", f"/v1/trace?application={application}")
        assert (status, [one["subject"]["instance"] for one in said["lineages"]]) == (200, found)


@pytest.mark.parametrize("caller", ["ada", "lost"])
async def test_no_cursor_tells_that_instances_of_others_match(ask: Ask, caller: str) -> None:
    """The AMI is that of both instances; the first that enrolled is theirs, the second is of another team."""
    theirs = [THEIRS] if caller == "ada" else []
    for path, found in (("application=farewell", []), ("ami=ami-12c6146b", theirs)):
        status, said = await ask(caller, f"/v1/trace?{path}&limit=1&state=any")
        assert (status, [one["subject"]["instance"] for one in said["lineages"]]) == (200, found)
        assert said["next"] is None


async def test_whose_teams_are_unknown_is_told_so(ask: Ask) -> None:
    status, said = await ask("lost", f"/v1/trace?instance={THEIRS}")
    assert (status, said["detail"]) == (403, "lost may not read resources of other teams: unknown teams")


async def test_auditors_read_everything(ask: Ask) -> None:
    for path in ("/v1/instances", "/v1/summary", "/v1/accounts", "/apps/farewell", f"/v1/trace?instance={OTHERS}"):
        assert (await ask("audit", path))[0] == 200, path


async def test_a_summary_for_one_team_does_not_name_sources_of_other_accounts(ask: Ask) -> None:
    _, theirs = await ask("ada", "/v1/summary?team=hello&by=team")
    assert theirs["coverage"] == {"complete": False, "incomplete_total": 1, "incomplete": []}
    _, listed = await ask("ada", "/v1/violations?team=hello")
    assert listed["coverage"] == {"complete": True, "incomplete_total": 0, "incomplete": []}
    _, every = await ask("audit", "/v1/summary?by=team")
    assert [one["source"] for one in every["coverage"]["incomplete"]] == ["inventory", "organisation"]


async def test_whoever_reads_one_team_checks_images_of_its_applications_only(ask: Ask) -> None:
    image = f"registry.example.org/hello/greeter@sha256:{'a' * 64}"
    status, _ = await ask("ada", f"/v1/check?application=farewell&image={image}")
    assert status == 403
    assert (await ask("ada", f"/v1/check?application=nobodys&image={image}"))[0] == 403
    status, checked = await ask("ada", f"/v1/check?application=greeter&image={image}")
    assert (status, checked["complete"]) == (200, False)
