"""Hand-over: an application moves to another team when both agree, and nobody else can move it."""

from __future__ import annotations

import asyncio

import pytest

from fakes.in_process import ROOT, InProcess
from whence_aggregator.applications.handovers import Closing
from whence_aggregator.callers.caller import Caller
from whence_common.errors import WhenceError

ADA = Caller(name="ada", teams=frozenset({"hello"}))
BOB = Caller(name="bob", teams=frozenset({"other"}), subject=("https://issuer", "2"))
EVE = Caller(name="eve", teams=frozenset({"third"}))


async def offered(house: InProcess, to: str = "other") -> int:
    done = await house.handovers.offer("greeter", to, "they run it", ADA)
    assert (done["state"], done["team_id"]) == ("offered", "hello")
    return int(done["offer"])


async def refusal(house: InProcess, number: int, closing: Closing, caller: Caller) -> str:
    with pytest.raises(WhenceError) as caught:
        await house.handovers.close("greeter", number, closing, caller)
    return caught.value.code


async def team(house: InProcess) -> str:
    return str((await house.applications.read("greeter"))["team_id"])


async def test_an_accepted_offer_moves_the_application(house: InProcess) -> None:
    await house.register()
    number = await offered(house)
    assert await team(house) == "hello"
    done = await house.handovers.close("greeter", number, "accepted", BOB)
    assert done == {"state": "accepted", "offer": number, "team_id": "other", "revision": 2}
    assert await team(house) == "other"
    assert await house.handovers.open_offer("greeter") is None
    accepted, offer = await house.handovers.listed("greeter")
    assert (offer["ledger_index"], offer["note"], offer["recorded_by"]) == (number, "they run it", "ada")
    assert (accepted["action"], accepted["recorded_by"], accepted["subject"]) == (
        "accepted", "bob", ["https://issuer", "2"],
    )  # fmt: skip
    (newer, _), _ = await house.application_history.page("greeter", at=None, after="", limit=5)
    assert newer["changes"] == [{"field": "team_id", "from": "hello", "to": "other"}]
    with pytest.raises(WhenceError):
        await house.applications.write("greeter", {"team_id": "other", "name": "x", "active": True}, ADA)


@pytest.mark.parametrize("closing, caller", [("declined", BOB), ("withdrawn", ADA)])
async def test_a_declined_or_withdrawn_offer_moves_nothing_and_another_may_follow(
    house: InProcess, closing: Closing, caller: Caller
) -> None:
    await house.register()
    number = await offered(house)
    await house.handovers.close("greeter", number, closing, caller)
    assert await refusal(house, number, "accepted", BOB) == "handover-not-open"
    assert await team(house) == "hello"
    again = await offered(house)
    assert await refusal(house, number, "accepted", BOB) == "handover-not-open"
    await house.handovers.close("greeter", again, "accepted", BOB)


async def test_only_the_receiver_accepts_and_only_the_owner_offers_and_withdraws(house: InProcess) -> None:
    await house.register()
    for caller in (BOB, EVE):
        with pytest.raises(WhenceError) as caught:
            await house.handovers.offer("greeter", "other", "", caller)
        assert caught.value.code == "team-forbidden"
    number = await offered(house)
    for closing, callers in (("accepted", (ADA, EVE)), ("declined", (ADA, EVE)), ("withdrawn", (BOB, EVE))):
        for caller in callers:
            assert await refusal(house, number, closing, caller) == "team-forbidden"  # type: ignore[arg-type]  # the literals above
    assert await team(house) == "hello"


async def test_one_offer_is_open_at_a_time(house: InProcess) -> None:
    await house.register()
    await offered(house)
    with pytest.raises(WhenceError) as caught:
        await offered(house, "third")
    assert caught.value.code == "handover-open"


async def test_who_writes_for_both_teams_needs_no_offer_and_an_open_one_is_superseded(house: InProcess) -> None:
    await house.register()
    number = await offered(house, "third")
    both = Caller(name="cleo", teams=frozenset({"hello", "other"}))
    done = await house.handovers.offer("greeter", "other", "", both)
    assert (done["state"], done["team_id"], await team(house)) == ("accepted", "other", "other")
    assert await refusal(house, number, "accepted", EVE) == "handover-not-open"
    assert [one["action"] for one in await house.handovers.listed("greeter")] == ["superseded", "offered"]
    await house.handovers.offer("greeter", "third", "", BOB)
    await house.applications.write("greeter", {"team_id": "hello", "name": "x", "active": True}, ROOT)
    assert (await house.handovers.listed("greeter"))[0]["action"] == "superseded"


async def test_the_receiving_team_must_exist_and_differ(house: InProcess) -> None:
    await house.register()
    house.team_lookup.known = frozenset({"hello"})
    for to, code in (("gone", "application-team"), ("", "handover-team"), ("x" * 201, "handover-team")):
        with pytest.raises(WhenceError) as caught:
            await house.handovers.offer("greeter", to, "", ADA)
        assert caught.value.code == code
    with pytest.raises(WhenceError) as caught:
        await house.handovers.offer("greeter", "hello", "", ADA)
    assert caught.value.code == "handover-same-team"
    with pytest.raises(WhenceError) as caught:
        await house.handovers.offer("nobody", "other", "", ADA)
    assert caught.value.code == "application-unknown"


async def test_an_offer_to_a_team_that_is_gone_since_cannot_be_accepted(house: InProcess) -> None:
    await house.register()
    number = await offered(house)
    house.team_lookup.known = frozenset({"hello"})
    assert await refusal(house, number, "accepted", EVE) == "team-forbidden"
    assert await refusal(house, number, "accepted", BOB) == "handover-team-gone"
    assert await team(house) == "hello"
    await house.handovers.close("greeter", number, "declined", BOB)


async def test_an_accept_races_a_withdrawal_and_one_of_them_holds(house: InProcess) -> None:
    await house.register()
    for _ in range(10):
        owner = await team(house)
        giver, taker = (ADA, BOB) if owner == "hello" else (BOB, ADA)
        other = "other" if owner == "hello" else "hello"
        number = (await house.handovers.offer("greeter", other, "", giver))["offer"]
        done = await asyncio.gather(
            house.handovers.close("greeter", number, "accepted", taker),
            house.handovers.close("greeter", number, "withdrawn", giver),
            return_exceptions=True,
        )
        assert sum(isinstance(one, WhenceError) for one in done) == 1
        assert await team(house) == (owner if isinstance(done[0], WhenceError) else other)
