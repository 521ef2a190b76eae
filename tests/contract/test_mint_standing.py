"""What Kio states of an application whose credentials are minted: the register, and the fake that stands for it."""

from __future__ import annotations

import pytest

from fakes.in_process import ROOT, InProcess
from fakes.mint_buckets import FakeStandings
from whence_aggregator.mint.kio import RegisteredApplications
from whence_aggregator.mint.ports import KnownApplications
from whence_aggregator.mint.values import KioStanding


@pytest.fixture(params=["register", "fake"])
async def known(request: pytest.FixtureRequest, house: InProcess) -> KnownApplications:
    if request.param == "fake":
        return FakeStandings({
            "greeter": KioStanding(name="Greeter", team_id="hello", is_active=True),
            "sleeper": KioStanding(name="Sleeper", team_id="other", is_active=False),
        })  # fmt: skip
    await house.applications.write("greeter", {"team_id": "hello", "name": "old", "active": True}, ROOT)
    await house.applications.write("greeter", {"team_id": "hello", "name": "Greeter", "active": True}, ROOT)
    await house.applications.write("sleeper", {"team_id": "other", "name": "Sleeper", "active": False}, ROOT)
    return RegisteredApplications(house.database)


async def test_an_application_stands_as_it_was_written_last(known: KnownApplications) -> None:
    assert await known.standing("greeter") == KioStanding(name="Greeter", team_id="hello", is_active=True)


async def test_an_inactive_application_is_there_and_not_active(known: KnownApplications) -> None:
    assert await known.standing("sleeper") == KioStanding(name="Sleeper", team_id="other", is_active=False)


@pytest.mark.parametrize("name", ["nobody", "", "../greeter", "greeter/", "GREETER"])
async def test_an_application_that_was_never_written_has_no_standing(known: KnownApplications, name: str) -> None:
    assert await known.standing(name) is None
