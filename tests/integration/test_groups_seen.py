"""Which teams verified tokens state for the organisation: those of people alone, and none of a token that is refused."""

from __future__ import annotations

from pathlib import Path

from fakes.sign_in_house import sign_in_house
from whence_aggregator.queries.organisation import GROUPS_SEEN
from whence_aggregator.storage.sqlite import SqliteDatabase


async def test_the_groups_of_people_s_verified_tokens_are_seen_and_no_others(tmp_path: Path) -> None:
    async with sign_in_house(tmp_path, organisation={"groups": {}}) as house:
        groups = house.signing_in.groups
        assert groups is not None
        await house.ask(house.issuer.mint(preferred_username="ada", groups=["team-pay", "team-PAY", "guild-x"]))
        await house.ask(house.issuer.mint(preferred_username="bob", groups=["team-forged"]) + "x")
        robot = house.issuer.mint(preferred_username="robot", sub="robot", client_id="robot", groups=["team-bots"])
        await house.ask(robot)
        assert (await house.exchange(house.job(groups=["team-jobs"]))).status == 200
        await groups.keep()
        database = await SqliteDatabase.open(tmp_path / "ledger.db", mode="read")
        rows = await database.fetch(GROUPS_SEEN.bind({"limit": 10}))
        await database.close()
        assert [row["team_id"] for row in rows] == ["pay"]


async def test_nothing_is_kept_where_groups_are_no_source(tmp_path: Path) -> None:
    async with sign_in_house(tmp_path) as house:
        assert house.signing_in.groups is None
        assert (await house.ask(house.issuer.mint(preferred_username="ada", groups=["team-pay"]))).status == 200
