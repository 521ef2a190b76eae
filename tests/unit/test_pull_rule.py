"""Which teams' images the instances of an account may pull, by what sources state about who owns the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from fakes.clocks import FakeClock
from whence_aggregator.ports import Forbidden, StorageUnavailable
from whence_aggregator.registry.pull_rule import KEPT_SECONDS, EveryTeam, OwnersOfAccount, OwnTeams, why_not

ACCOUNT, DAY_SECONDS = "123456789012", 86_400.0
NOW = datetime.fromisoformat("2026-11-22T12:00:00Z")
JUST = NOW - timedelta(seconds=60)
LONG_AGO = NOW - timedelta(seconds=DAY_SECONDS + 1)


def stated(
    team: str, owners: Mapping[str, str], *allows: str, unclear: str = "", **read_at: datetime | None
) -> OwnersOfAccount:
    read = dict.fromkeys(owners, JUST) | {name.replace("_", "-"): at for name, at in read_at.items()}
    return OwnersOfAccount(
        account_id=ACCOUNT, team=team, owners=owners, allows=frozenset(allows), read_at=read, unclear=unclear
    )


def refusal(found: OwnersOfAccount) -> str:
    """Return the code of the refusal; empty if the pull is allowed."""
    refused = why_not(found, now=NOW, seconds_max=DAY_SECONDS)
    return refused.code if refused is not None else ""


@pytest.mark.parametrize(
    "found, code",
    [
        (stated("alpha", {"file": "alpha"}), ""),
        (stated("alpha", {"file": "alpha", "aws": "alpha"}), ""),
        (stated("beta", {"file": "alpha"}, "beta"), ""),
        (stated("beta", {"file": "alpha"}), "pull-other-team"),
        (stated("beta", {"file": "alpha"}, "gamma"), "pull-other-team"),
        (stated("alpha", {}), "account-owner-unknown"),
        (stated("alpha", {}, "alpha", file=JUST), "account-owner-unknown"),
        (stated("alpha", {"file": "alpha", "aws": "beta"}), "account-owner-unclear"),
        (stated("alpha", {"file": "alpha"}, unclear="ops is the name of several teams"), "account-owner-unclear"),
        (stated("alpha", {"file": "alpha"}, file=LONG_AGO), "account-owner-outdated"),
        (stated("alpha", {"file": "alpha"}, file=None), "account-owner-outdated"),
        (stated("alpha", {"file": "alpha"}, file=NOW - timedelta(seconds=DAY_SECONDS)), ""),
        (stated("alpha", {"file": "alpha", "aws": "alpha"}, aws=LONG_AGO), ""),
        (stated("alpha", {"file": "alpha", "aws": "beta"}, aws=LONG_AGO), "account-owner-unclear"),
        (stated("beta", {"aws": "alpha"}, "beta", file=LONG_AGO), "pull-other-team"),
        (stated("beta", {"aws": "alpha"}, "beta", file=JUST), ""),
    ],
)
def test_an_instance_pulls_for_the_team_of_its_account_and_for_those_it_allows(
    found: OwnersOfAccount, code: str
) -> None:
    assert refusal(found) == code


def test_a_refusal_names_account_teams_age_and_what_to_do() -> None:
    refused = why_not(stated("beta", {"file": "alpha"}), now=NOW, seconds_max=DAY_SECONDS)
    assert refused is not None
    assert refused.message == (
        "account 123456789012 is of team alpha (read at 2026-11-22T11:59:00.000Z): its instances may not pull images "
        "of team beta"
    )
    assert refused.fix == (
        "push the image for team alpha, list beta in the account's `allows` in organisation.file, or in "
        "registry_front.shared_teams"
    )


def test_each_reason_to_refuse_has_its_own_message() -> None:
    unknown, disputed, outdated, never = (
        why_not(one, now=NOW, seconds_max=DAY_SECONDS)
        for one in (
            stated("alpha", {}),
            stated("alpha", {"file": "alpha", "aws": "beta"}),
            stated("alpha", {"file": "alpha"}, file=LONG_AGO),
            stated("alpha", {"file": "alpha"}, file=None),
        )
    )
    assert [one.message for one in (unknown, disputed, outdated, never) if one is not None] == [
        "no source states who owns account 123456789012, so its instances may not pull",
        "sources disagree about who owns account 123456789012: file states alpha, aws states beta; its instances may "
        "not pull",
        "who owns account 123456789012 was read at 2026-11-21T11:59:59.000Z, and must have been within 86400 seconds: its "
        "instances may not pull",
        "who owns account 123456789012 was never read, and must have been within 86400 seconds: its instances may not pull",
    ]


@dataclass
class Owners:
    """What is stated about one account; `asked` counts."""

    owner: str = "alpha"
    read_at: datetime = JUST
    down: bool = False
    asked: int = 0
    allows: set[str] = field(default_factory=set)

    async def of(self, account_id: str, team: str) -> OwnersOfAccount:
        self.asked += 1
        if self.down:
            raise StorageUnavailable("storage-unavailable", "the database is away")
        owners = {"file": self.owner} if self.owner else {}
        return OwnersOfAccount(
            account_id=account_id, team=team, owners=owners, allows=frozenset(self.allows), read_at={"file": self.read_at}
        )  # fmt: skip


class House:
    def __init__(self, *shared: str) -> None:
        self.clock, self.owners = FakeClock(), Owners()
        self.rule = OwnTeams(
            owners=self.owners, shared=frozenset(shared), seconds_max=DAY_SECONDS, now=self.clock
        )  # fmt: skip
        self.owners.read_at = self.clock()

    async def refusal(self, team: str = "alpha") -> str:
        try:
            await self.rule.check(ACCOUNT, team)
        except Forbidden as exc:
            return exc.code
        return ""


async def test_an_answer_that_allows_is_cached_for_half_a_minute_and_a_refusal_is_not() -> None:
    house = House()
    assert [await house.refusal() for _ in range(3)] == ["", "", ""]
    assert house.owners.asked == 1
    house.owners.owner = "beta"
    house.clock.advance(KEPT_SECONDS - 1)
    assert await house.refusal() == ""
    house.clock.advance(1)
    assert [await house.refusal(), await house.refusal()] == ["pull-other-team", "pull-other-team"]
    assert house.owners.asked == 3
    house.owners.owner = "alpha"
    assert await house.refusal() == ""


async def test_what_a_source_stated_last_counts_for_a_day_of_its_outage() -> None:
    house = House()
    house.clock.advance(DAY_SECONDS)
    assert await house.refusal() == ""
    house.clock.advance(KEPT_SECONDS)
    assert await house.refusal() == "account-owner-outdated"
    house.owners.read_at = house.clock()
    assert await house.refusal() == ""


async def test_the_images_of_shared_teams_are_pulled_by_every_account_and_nobody_is_asked() -> None:
    house = House("platform")
    house.owners.owner = ""
    assert [await house.refusal("platform"), await house.refusal("alpha")] == ["", "account-owner-unknown"]
    assert house.owners.asked == 1


async def test_without_an_answer_of_the_database_nothing_is_allowed() -> None:
    house = House()
    house.owners.down = True
    with pytest.raises(StorageUnavailable):
        await house.rule.check(ACCOUNT, "alpha")


async def test_without_the_setting_every_team_is_allowed() -> None:
    await EveryTeam().check(ACCOUNT, "anything")
