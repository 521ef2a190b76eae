"""The links `account` and `team`: who owns the account, whether that is the application's team, and as of when."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Snapshot
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trace.tracer import Tracer
from whence_common.clock import to_instant

ACCOUNT, OTHER = "123456789012", "999999999999"
HELLO, SHIP = StatedTeam(id="hello", name="Hello Team", aliases=["greetings"]), StatedTeam(id="ship")


async def read(house: InProcess, says: Snapshot | SourceUnavailable) -> None:
    """Have a source configured and read; whatever it says."""
    house.clock.advance(60)
    source = says.source if isinstance(says, Snapshot) else "aws"
    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={source: FakeOrganisation(says)}, now=house.clock
    )
    if isinstance(says, SourceUnavailable):
        with pytest.raises(SourceUnavailable):
            await recorder.read(source)
    else:
        await recorder.read(source)
    asks(house, *(one.source for one in await OrganisationDirectory(house.database).sources()))


async def running(house: InProcess) -> None:
    """Have greeter of team hello run in the account."""
    await house.register()
    await house.say(await house.machine())


async def links(house: InProcess, at: str | None = None) -> list[tuple[str, str | None]]:
    lineage = await house.lineage(at=at) if at is not None else await house.lineage()
    return [(lineage.link(name).state, lineage.link(name).reason) for name in ("account", "team")]


def owned(owner: str, **stated: Any) -> Snapshot:
    return snapshot("aws", accounts=[Account(account_id=ACCOUNT, name="prod", status="ACTIVE", owner=owner, **stated)])


def asks(house: InProcess, *sources: str) -> None:
    """Have these sources configured, and no other."""
    house.tracer = Tracer(
        database=house.database, search=house.search, log=house.tracer._log, now=house.clock,
        listening=house.listening, organisation=dict.fromkeys(sources, 60.0),
    )  # fmt: skip


async def test_without_a_source_the_account_is_proved_and_its_owner_is_unknown(house: InProcess) -> None:
    await running(house)
    link = (await house.lineage()).link("account")
    assert (link.state, link.value) == ("unknown", {"account_id": ACCOUNT})
    assert link.reason == "no source of accounts is configured: who owns the account is not known"
    assert [one.source for one in link.evidence] == ["aws-signature", "agent"]


async def test_a_source_that_never_answered_is_said_to_be_unread(house: InProcess) -> None:
    await running(house)
    await read(house, SourceUnavailable("aws-organization-denied", "no"))
    assert (await links(house))[0] == (
        "unknown", "no source of accounts was read yet: who owns the account is not known",
    )  # fmt: skip


async def test_a_source_that_is_not_configured_any_more_counts_for_the_past_only(house: InProcess) -> None:
    await running(house)
    await read(house, snapshot("file", teams=[HELLO, SHIP]))
    await read(house, owned("hello"))
    then = to_instant(house.clock())
    assert [state for state, _ in await links(house)] == ["confirmed", "confirmed"]
    asks(house, "file")
    house.clock.advance(60)
    assert await links(house) == [("unknown", "no source that was read states any account"), ("asserted", None)]
    asks(house)
    assert await links(house) == [
        ("unknown", "no source of accounts is configured: who owns the account is not known"), ("asserted", None),
    ]  # fmt: skip
    assert [state for state, _ in await links(house, then)] == ["confirmed", "confirmed"]


async def test_what_a_source_stated_counts_for_a_day_after_it_was_last_read(house: InProcess) -> None:
    await running(house)
    await read(house, owned("hello"))
    read_at, then = to_instant(house.clock()), to_instant(house.clock())
    house.clock.advance(86_400)
    assert [state for state, _ in await links(house)] == ["confirmed", "confirmed"]
    house.clock.advance(1)
    lapsed = f"who owns the account is not known: the source aws was last read at {read_at}"
    assert await links(house) == [("unknown", lapsed), ("asserted", None)]
    await read(house, SourceUnavailable("aws-organization-denied", "the role is denied"))
    assert (await links(house))[0] == ("unknown", f"{lapsed}: the role is denied")
    assert [state for state, _ in await links(house, then)] == ["confirmed", "confirmed"]
    await read(house, owned("hello"))
    assert [state for state, _ in await links(house)] == ["confirmed", "confirmed"]


async def test_no_owner_is_confirmed_before_every_source_was_read(house: InProcess) -> None:
    await running(house)
    await read(house, owned("hello"))
    asks(house, "aws", "team-service")
    assert await links(house) == [
        ("unknown", "who owns the account is not known: the source team-service was not read yet"), ("asserted", None),
    ]  # fmt: skip
    asks(house, "aws", "groups")
    assert [state for state, _ in await links(house)] == ["confirmed", "confirmed"]


async def test_where_owner_and_team_agree_both_are_confirmed_with_their_evidence(house: InProcess) -> None:
    await running(house)
    await read(house, snapshot("file", teams=[HELLO, SHIP]))
    await read(house, owned("Greetings", path="Root/prod"))
    lineage = await house.lineage()
    account, team = lineage.link("account"), lineage.link("team")
    assert (account.state, account.reason, team.state, team.reason) == ("confirmed", None, "confirmed", None)
    assert account.value == {
        "account_id": ACCOUNT, "name": "prod", "status": "ACTIVE", "path": "Root/prod", "owner": "hello",
        "owners": {"aws": "Greetings"},
    }  # fmt: skip
    assert team.value == {"team_id": "hello", "resolved": "hello", "name": "Hello Team", "status": "active"}
    assert [one.source for one in account.evidence] == [
        "aws-signature", "agent", "organisation:aws", "application-registry",
    ]  # fmt: skip
    assert [one.source for one in team.evidence] == ["application-registry", "organisation:file", "organisation:aws"]
    assert all(one.ledger_index is not None for one in (*account.evidence, *team.evidence))


async def test_tags_of_aws_alone_are_enough_to_agree(house: InProcess) -> None:
    await running(house)
    await read(house, owned("Hello"))
    assert await links(house) == [("confirmed", None), ("confirmed", None)]


async def test_another_team_s_application_contradicts_both(house: InProcess) -> None:
    await running(house)
    await read(house, owned("ship"))
    reason = "the account is of team ship, greeter is of team hello, and nothing allows it"
    assert await links(house) == [("contradicted", reason), ("contradicted", reason)]


async def test_what_the_file_allows_is_no_contradiction_and_not_confirmed_either(house: InProcess) -> None:
    await running(house)
    await read(house, owned("ship"))
    await read(
        house,
        snapshot("file", teams=[HELLO, SHIP], accounts=[Account(account_id=ACCOUNT, allows=("greetings",))]),
    )
    allowed = "applications of team hello are allowed in this account of team ship"
    assert await links(house) == [("asserted", allowed), ("asserted", None)]


async def test_sources_that_disagree_about_the_owner_contradict_each_other(house: InProcess) -> None:
    await running(house)
    await read(house, owned("hello"))
    await read(house, snapshot("file", accounts=[Account(account_id=ACCOUNT, owner="ship")]))
    reason = "sources disagree about who owns the account: file states ship, aws states hello"
    assert await links(house) == [("contradicted", reason), ("contradicted", reason)]


@pytest.mark.parametrize(
    "says, account, team",
    [
        (
            snapshot("aws", accounts=[Account(account_id=OTHER)]),
            ("missing", f"no source of accounts lists {ACCOUNT}"), ("asserted", None),
        ),
        (owned(""), ("missing", "no source states who owns the account"), ("asserted", None)),
        (owned("", unread=("owner", "tags")), ("unknown", "the account's owner was not read yet"), ("asserted", None)),
        (
            snapshot("file", teams=[SHIP]),
            ("unknown", "no source that was read states any account"),
            ("missing", "no source of teams knows hello"),
        ),
        (
            snapshot("file", teams=[StatedTeam(id="a", aliases=["hello"]), StatedTeam(id="b", aliases=["hello"])]),
            ("unknown", "no source that was read states any account"),
            ("unknown", "hello is the name of several teams: a, b"),
        ),
    ],
)  # fmt: skip
async def test_what_is_not_known_is_a_gap_with_its_reason(
    house: InProcess, says: Snapshot, account: tuple[str, str | None], team: tuple[str, str | None]
) -> None:
    await running(house)
    await read(house, says)
    assert await links(house) == [account, team]


async def test_an_account_that_is_suspended_or_gone_is_said_to_be(house: InProcess) -> None:
    await running(house)
    await read(house, snapshot("aws", accounts=[Account(account_id=ACCOUNT, status="SUSPENDED", owner="hello")]))
    assert (await links(house))[0] == ("confirmed", "the account is SUSPENDED")
    await read(house, snapshot("aws", accounts=[Account(account_id=OTHER)]))
    assert (await links(house))[0] == ("missing", "no source states the account any more")


async def test_a_team_that_is_gone_or_was_merged_is_followed(house: InProcess) -> None:
    await running(house)
    await read(house, snapshot("file", teams=[HELLO, SHIP]))
    await read(house, owned("ship"))
    await read(house, snapshot("file", teams=[StatedTeam(id="ship", aliases=["hello"])]))
    assert await links(house) == [("confirmed", None), ("confirmed", None)]
    await read(house, snapshot("file", teams=[StatedTeam(id="other")]))
    assert (await links(house))[1] == ("missing", "no source states the team ship any more")


async def test_without_a_registered_application_the_owner_is_asserted(house: InProcess) -> None:
    await house.say(await house.machine())
    await read(house, owned("hello"))
    assert await links(house) == [
        ("asserted", "no registered application to compare the owner with"),
        ("missing", "no team: greeter is not in the application registry"),
    ]


async def test_as_of_an_earlier_time_the_owner_of_then_is_shown(house: InProcess) -> None:
    await running(house)
    house.clock.advance(10)
    before = to_instant(house.clock())
    await read(house, owned("hello"))
    house.clock.advance(10)
    then = to_instant(house.clock())
    await read(house, owned("ship"))
    house.clock.advance(10)
    assert await links(house, at=then) == [("confirmed", None), ("confirmed", None)]
    assert (await links(house))[0][0] == "contradicted"
    assert (await links(house, at=before))[0] == (
        "unknown", f"no reading of a source of accounts was recorded by {before}",
    )  # fmt: skip


async def test_look_alike_letters_are_never_the_same_team(house: InProcess) -> None:
    await running(house)
    await read(house, owned("hеllo"))  # with a Cyrillic letter
    assert (await links(house))[0][0] == "contradicted"
