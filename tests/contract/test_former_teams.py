"""Teams that were merged, or whose id was changed: their applications are those of the team that took their place."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from whence_aggregator.applications.conditions import UNCONDITIONAL
from whence_aggregator.applications.listing import WantedApplications
from whence_aggregator.applications.search import Sought
from whence_aggregator.approvals.asking import check_approver
from whence_aggregator.callers.caller import WRITE_ALL, Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.ports import Forbidden
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_aggregator.wiring.organisation import TeamSuccessors
from whence_common.clock import to_instant

NEW = Caller(name="nina", teams=frozenset({"new"}), realm="people")


async def merged(house: InProcess, *after: StatedTeam) -> Membership:
    """Have teams hello and other, then those after; return what decides on writing."""
    file = FakeOrganisation(snapshot("file", teams=[StatedTeam(id="hello"), StatedTeam(id="other")]))
    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": file}, now=house.clock
    )  # fmt: skip
    await recorder.read("file")
    house.clock.advance(60)
    file.says = snapshot("file", teams=after)
    await recorder.read("file")
    return Membership(None, TeamSuccessors(OrganisationDirectory(house.database)))


async def test_the_team_that_took_the_place_of_another_writes_and_approves_for_its_applications(
    house: InProcess,
) -> None:
    membership = await merged(house, StatedTeam(id="new", aliases=["hello", "other"]))
    await house.register()
    assert await membership.why_not(NEW, "hello") == ""
    caller = await membership.assured_for(NEW, ["hello", "new"])
    await house.applications.patch("greeter", {"team_id": "new"}, caller, conditions=UNCONDITIONAL)
    assert (await house.applications.read("greeter"))["team_id"] == "new"
    check_approver(await membership.assured(NEW, "hello"), ("hello",))


@pytest.mark.parametrize(
    "after",
    [
        [StatedTeam(id="new"), StatedTeam(id="hello")],
        [StatedTeam(id="new")],
        [StatedTeam(id="new", aliases=["hello"]), StatedTeam(id="third", aliases=["hello"])],
        [StatedTeam(id="new", aliases=["hello"]), StatedTeam(id="hello")],
    ],
)
async def test_nobody_writes_for_a_team_whose_name_does_not_lead_to_their_own_alone(
    house: InProcess, after: list[StatedTeam]
) -> None:
    membership = await merged(house, *after)
    await house.register()
    assert await membership.why_not(NEW, "hello") != ""
    assert await membership.why_not(NEW, "New") != ""
    caller = await membership.assured_for(NEW, ["hello", "new"])
    with pytest.raises(Forbidden):
        await house.applications.patch("greeter", {"name": "mine"}, caller, conditions=UNCONDITIONAL)
    with pytest.raises(Forbidden):
        check_approver(await membership.assured(NEW, "hello"), ("hello",))


async def test_the_right_to_write_everything_is_no_membership_of_a_former_team(house: InProcess) -> None:
    membership = await merged(house, StatedTeam(id="new", aliases=["hello", "other"]))
    admin = Caller(name="admin", teams=frozenset({"ops"}), rights=frozenset({WRITE_ALL}), realm="people")
    with pytest.raises(Forbidden):
        check_approver(await membership.assured(admin, "hello"), ("hello",))


async def lists_by(house: InProcess, team: str, *, as_written: bool = False, at: str | None = None) -> list[object]:
    """Return which applications, ranked applications and instances the lists of a team have."""
    named: dict[str, Any] = {"team": team, "team_as_written": as_written}
    moment = await house.tracer.moments.of(at, None)
    found, _ = await house.application_lists.page(WantedApplications(**named, at=at), after="", limit=5)
    sought = WantedApplications(sought=Sought.parse("greeter"), **named, at=at)
    ranked, _ = await house.application_lists.page(sought, after="", limit=5)
    wanted = Wanted(**named, moment=moment, states=States.parse("any"))
    instances, _ = await house.search.instances(wanted, after="", limit=5)
    return [[one["id"] for one in found], [one["id"] for one in ranked], [one["instance_id"] for one in instances]]


async def test_lists_of_a_team_have_what_it_owns_under_any_name_that_leads_to_it(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine)
    await house.register()
    house.clock.advance(60)
    before = to_instant(house.clock())
    everything: list[object] = [["greeter"], ["greeter"], [machine.instance_id]]
    nothing: list[object] = [[], [], []]
    await merged(house, StatedTeam(id="new", aliases=["hello", "hullo"]), StatedTeam(id="other"))
    for name in ("hello", "new", "HULLO"):
        assert await lists_by(house, name) == everything, name
    for name in ("other", "nobody"):
        assert await lists_by(house, name) == nothing, name
    assert await lists_by(house, "hello", as_written=True) == everything
    assert await lists_by(house, "new", as_written=True) == nothing
    house.clock.advance(60)
    assert await lists_by(house, "new", at=before) == nothing
    assert await lists_by(house, "hello", at=before) == everything


async def test_a_name_that_two_teams_have_lists_what_is_under_that_very_name(house: InProcess) -> None:
    await house.register()
    shared = [StatedTeam(id=one, aliases=["hello"]) for one in ("new", "third")]
    await merged(house, *shared)
    assert [(await lists_by(house, one))[0] for one in ("hello", "new", "third")] == [["greeter"], [], []]
