"""Teams that were merged, or whose id was changed: their applications are those of the team that took their place."""

from __future__ import annotations

import pytest

from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from whence_aggregator.applications.conditions import UNCONDITIONAL
from whence_aggregator.approvals.asking import check_approver
from whence_aggregator.callers.caller import WRITE_ALL, Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.ports import Forbidden
from whence_aggregator.wiring.organisation import TeamSuccessors

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
