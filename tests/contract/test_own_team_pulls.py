"""Instances pull the images of their account's teams alone, by what the organisation's sources stated last."""

from __future__ import annotations

import pytest

from fakes.in_process import InProcess
from fakes.machine import Machine
from fakes.organisation import FakeOrganisation
from fakes.pulls import Pulls, pull_request
from landscape.front import basic_header
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Snapshot
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.registry.account_owners import StatedOwners
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.pull_rule import KEPT_SECONDS, OwnTeams
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.errors import WhenceError

ONE, ACCOUNT = "i-00000000000000001", "123456789012"
APP, OTHER, TOOLS = (Repository.parse(name) for name in ("alpha/app", "beta/app", "platform/tools"))
ALPHA, BETA = StatedTeam(id="alpha", name="Alpha", aliases=["first"]), StatedTeam(id="beta", name="Beta")


def own_teams(house: InProcess, *, document_seconds_max: float | None = None) -> Pulls:
    """A front with `pulls: own-teams`, and `platform` as shared team."""
    rule = OwnTeams(
        owners=StatedOwners(OrganisationDirectory(house.database)), shared=frozenset({"platform"}), seconds_max=3600.0,
        now=house.clock,
    )  # fmt: skip
    return Pulls(house, pull_rule=rule, document_seconds_max=document_seconds_max)


async def read(house: InProcess, says: Snapshot) -> None:
    sources = {says.source: FakeOrganisation(says)}
    await OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources=sources, now=house.clock
    ).read(says.source)  # fmt: skip


async def owned(house: InProcess, owner: str, *allows: str, source: str = "file") -> None:
    account = Account(account_id=ACCOUNT, name="prod", status="ACTIVE", owner=owner, allows=allows)
    teams = [ALPHA, BETA] if source == "file" else []
    await read(house, snapshot(source, teams=teams, accounts=[account]))  # type: ignore[arg-type]  # a source's name


async def refusal(pulls: Pulls, machine: Machine, repository: Repository = APP) -> str:
    """Return the code with which a token is refused; empty if it is granted."""
    try:
        await pulls.tokens.token(
            pull_request(machine, pulls.nonce(), pulls.audience, str(repository))
        )  # fmt: skip
    except WhenceError as exc:
        return exc.code
    return ""


async def test_an_instance_receives_tokens_for_its_accounts_teams_alone(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    assert await refusal(pulls, machine) == "account-owner-unknown"
    await owned(house, "Alpha")
    assert await refusal(pulls, machine) == ""
    assert await refusal(pulls, machine, OTHER) == "pull-other-team"
    assert await refusal(pulls, machine, TOOLS) == ""
    await owned(house, "alpha", "beta")
    assert await refusal(pulls, machine, OTHER) == ""


async def test_an_alias_leads_to_the_team_that_owns_the_account(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    await owned(house, "first")
    assert await refusal(pulls, machine) == ""
    assert await refusal(pulls, machine, Repository.parse("first/app")) == ""


async def test_sources_that_disagree_let_no_instance_pull(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    await owned(house, "alpha")
    await owned(house, "beta", source="aws")
    assert await refusal(pulls, machine) == "account-owner-unclear"


async def test_a_token_that_was_granted_ends_with_the_ownership(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    await owned(house, "alpha")
    principal = await pulls.principal(await pulls.token(machine))
    await pulls.access.check_pull(principal, APP)
    await owned(house, "beta")
    house.clock.advance(KEPT_SECONDS)
    with pytest.raises(RegistryRefusal) as caught:
        await pulls.access.check_pull(principal, APP)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    assert caught.value.message.startswith("account 123456789012 is of team beta (read at 2026-11-22T12:0")
    assert caught.value.message.endswith("): its instances may not pull images of team alpha")


async def test_an_outage_of_the_source_is_survived_for_the_configured_time(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    await owned(house, "alpha")
    failing = {"file": FakeOrganisation(SourceUnavailable("organisation-file", "away"))}
    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources=failing, now=house.clock  # type: ignore[arg-type]  # by name
    )  # fmt: skip
    house.clock.advance(3500)
    with pytest.raises(SourceUnavailable):
        await recorder.read("file")
    assert await refusal(pulls, machine) == ""
    house.clock.advance(101)
    assert await refusal(pulls, machine) == "account-owner-outdated"
    await owned(house, "alpha")
    assert await refusal(pulls, machine) == ""


async def test_an_identity_document_pulls_for_its_accounts_teams_alone(house: InProcess) -> None:
    pulls, machine = own_teams(house, document_seconds_max=3600.0), Machine(house.authority, ONE)
    await owned(house, "alpha")
    blob = "".join(machine.authority.sign(machine.document).split())
    principal = await pulls.access.authenticate(basic_header("instance-identity-document", blob))
    await pulls.access.check_pull(principal, APP)
    with pytest.raises(RegistryRefusal, match="may not pull images of team beta"):
        await pulls.access.check_pull(principal, OTHER)
    granted = await pulls.access.grant(principal, [(APP, ["pull"]), (OTHER, ["pull"])])
    found = await pulls.principal(granted)
    assert (found.grant, found.account_id) == ({"alpha/app": ["pull"], "beta/app": []}, ACCOUNT)


async def test_a_renewed_token_is_judged_too(house: InProcess) -> None:
    pulls, machine = own_teams(house), await house.machine(ONE)
    await owned(house, "alpha")
    given = await pulls.tokens.token(pull_request(machine, pulls.nonce(), pulls.audience))
    await owned(house, "beta")
    house.clock.advance(KEPT_SECONDS)
    renewed = await pulls.access.renewed(str(given["refresh_token"]))
    assert renewed is not None
    with pytest.raises(RegistryRefusal, match="may not pull images of team alpha"):
        await pulls.access.check_pull(await pulls.principal(renewed), APP)
