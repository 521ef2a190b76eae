"""Teams and accounts on both databases: recorded, found again as of any time, rebuilt, and members removed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.auditor import bundle, checked, dumped
from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from fakes.signing_authority import SigningAuthority
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.collect.handlers import OrganisationReading
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.changes import MEMBERS, applied, differences
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.erasure import MembersRemoved
from whence_aggregator.organisation.groups import GroupsSeen, GroupsSource
from whence_aggregator.organisation.listing import standing_accounts
from whence_aggregator.organisation.recorder import OrganisationRecorder, known_of
from whence_aggregator.organisation.snapshots import ACCOUNTS_MAX, StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Known, Snapshot
from whence_aggregator.ports import Conflict, Database, Forbidden, NotFound, SourceUnavailable
from whence_aggregator.queries.organisation import MEMBERS_OF_SOURCE
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, TASKS_OF_KIND
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.applications import OrganisationTeams
from whence_aggregator.wiring.work import kinds_of
from whence_aggregator.work.questions import ORGANISATION_KIND, SHARED_LANE, question
from whence_aggregator.work.task import Work
from whence_common.clock import to_instant
from whence_common.ledger_entry import kind_of

A, B = "111111111111", "222222222222"
FIRST = snapshot(
    "file",
    teams=[StatedTeam(id="pay", name="Payments", aliases=["billing"], members=["ada", "bob"]), StatedTeam(id="ship")],
    accounts=[Account(account_id=A, name="prod", status="ACTIVE", owner="pay")],
)


class Organisation:
    """A house with one source, and what is known from it."""

    def __init__(self, house: InProcess, says: Snapshot | SourceUnavailable = FIRST) -> None:
        self.house = house
        self.file = FakeOrganisation(says)
        self.directory = OrganisationDirectory(house.database)
        self.recorder = OrganisationRecorder(
            database=house.database, ledger=house.ledger, sources={"file": self.file, "aws": self.file}, now=house.clock
        )

    async def read(self, says: Snapshot | SourceUnavailable | None = None) -> str:
        self.file.says = says if says is not None else self.file.says
        self.house.clock.advance(60)
        return await self.recorder.read(self.file.says.source if isinstance(self.file.says, Snapshot) else "file")


async def test_what_was_read_is_found_by_id_and_alias_with_its_source_and_entry(house: InProcess) -> None:
    org = Organisation(house)
    assert await org.read() == "2 teams and 1 accounts read, 5 changes"
    found = await org.directory.team("BILLING")
    assert found.to_wire() == {
        "team_id": "pay", "spelled": "pay", "name": "Payments", "aliases": ["billing"], "status": "active",
        "into": None, "members": 2,
        "sources": [{"source": "file", "observed_at": "2026-11-22T12:01:00.000Z", "ledger_index": 3}],
    }  # fmt: skip
    assert found.members == ("ada", "bob")
    account = (await org.directory.accounts([A, B]))[A]
    assert (account.name, account.status, dict(account.owners), account.active) == (
        "prod", "ACTIVE", {"file": "pay"}, True,
    )  # fmt: skip


async def test_reading_the_same_again_adds_no_entry_and_moves_the_age(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    size = await house.reader.size()
    assert await org.read() == "2 teams and 1 accounts read, 0 changes"
    assert await house.reader.size() == size
    (state,) = await org.directory.sources()
    assert (state.read_at, state.failure) == ("2026-11-22T12:02:00.000Z", "")


async def test_a_source_that_is_away_takes_nothing_away_and_shows_age_and_failure(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    with pytest.raises(SourceUnavailable):
        await org.read(SourceUnavailable("organisation-unreachable", "the file cannot be read"))
    (state,) = await org.directory.sources()
    assert state.to_wire() == {
        "source": "file", "read_at": "2026-11-22T12:01:00.000Z", "notes": [],
        "failure": {"at": "2026-11-22T12:02:00.000Z", "reason": "the file cannot be read"},
    }  # fmt: skip
    assert (await org.directory.team("pay")).over == ""


async def test_a_partial_reading_is_shown_as_a_failure_and_deletes_nothing(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    partial = snapshot("file", teams=[StatedTeam(id="new")], complete=False, notes=["a page is missing"])
    assert await org.read(partial) == "1 teams and 0 accounts read, not all of the source: a page is missing"
    assert [one.team_id for one in await org.directory.teams()] == ["new", "pay", "ship"]
    (state,) = await org.directory.sources()
    assert (state.read_at, state.failure) == ("2026-11-22T12:01:00.000Z", "a page is missing")


async def test_a_service_that_lists_nothing_any_more_takes_nothing_away(house: InProcess) -> None:
    org = Organisation(house)
    teams, accounts = [StatedTeam(id="pay")], [Account(account_id=A, owner="pay")]
    await org.read(snapshot("aws", teams=teams, accounts=accounts))
    for says, what in (
        (snapshot("aws", accounts=accounts), "team"),
        (snapshot("aws", teams=teams), "account"),
        (snapshot("aws"), "team"),
    ):
        with pytest.raises(SourceUnavailable, match=f"lists no {what} any more, of 1 before: nothing is taken away"):
            await org.read(says)
    assert (await org.directory.team("pay")).over == ""
    assert (await org.directory.accounts([A]))[A].status != "gone"
    (state,) = await org.directory.sources()
    assert "lists no team any more" in state.failure


async def test_a_reading_that_takes_too_long_is_given_up(house: InProcess) -> None:
    class Never:
        async def read(self) -> Snapshot:
            await asyncio.Event().wait()
            raise AssertionError

    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": Never()}, now=house.clock, read_seconds_max=0.01
    )
    with pytest.raises(SourceUnavailable, match=r"not read whole within 0\.01 seconds"):
        await recorder.read("file")


async def test_a_reading_that_a_later_one_overtook_is_not_kept(house: InProcess) -> None:
    org = Organisation(house)

    class Slow:
        async def read(self) -> Snapshot:
            await org.read()
            return snapshot("file")

    slow = OrganisationRecorder(database=house.database, ledger=house.ledger, sources={"file": Slow()}, now=house.clock)
    assert await slow.read("file") == "a later reading overtook this one: it is not kept"
    assert [one.team_id for one in await org.directory.teams()] == ["pay", "ship"]


async def test_a_merge_is_an_entry_and_old_names_lead_on(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    await org.read(snapshot("file", teams=[StatedTeam(id="ship", name="Shipping", aliases=["pay"])]))
    assert [(await org.directory.team(one)).team_id for one in ("pay", "billing", "ship")] == ["ship"] * 3
    history = await org.directory.team_history("ship")
    assert [(one["team_id"], one["change"], one["into"]) for one in history] == [
        ("pay", "merged", "ship"), ("ship", "renamed", None), ("ship", "found", None),
    ]  # fmt: skip


async def test_a_merge_outlasts_that_another_source_no_longer_lists_the_old_team(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    await org.read(snapshot("aws", teams=[StatedTeam(id="pay"), StatedTeam(id="other")]))
    await org.read(snapshot("file", teams=[StatedTeam(id="ship", name="Shipping", aliases=["pay"])]))
    await org.read(snapshot("aws", teams=[StatedTeam(id="other")]))
    listed = {one.team_id: (one.over, one.into) for one in await org.directory.teams()}
    assert listed == {"other": ("", ""), "pay": ("merged", "ship"), "ship": ("", "")}


async def test_as_of_an_earlier_entry_everything_is_as_it_was(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    past = await house.reader.size()
    await org.read(snapshot("file", teams=[StatedTeam(id="ship", aliases=["pay"])]))
    assert (await org.directory.team("pay", past=past)).members == ("ada", "bob")
    assert (await org.directory.accounts([A], past=past))[A].status == "ACTIVE"
    assert (await org.directory.accounts([A]))[A].status == "gone"
    assert (await org.directory.accounts([A]))[A].owners == {}
    with pytest.raises(NotFound):
        await org.directory.team("pay", past=1)


async def test_a_name_that_two_sources_give_to_two_teams_leads_to_neither(house: InProcess) -> None:
    org = Organisation(house)
    await org.read(snapshot("file", teams=[StatedTeam(id="a", aliases=["x"])]))
    await org.read(snapshot("aws", teams=[StatedTeam(id="b", aliases=["x"])]))
    with pytest.raises(Conflict, match="2 teams have the name 'x'"):
        await org.directory.team("x")


async def test_several_sources_state_one_account_and_each_owner_is_kept(house: InProcess) -> None:
    org = Organisation(house)
    await org.read(snapshot("file", accounts=[Account(account_id=A, owner="pay", allows=("ship",))]))
    await org.read(snapshot("aws", accounts=[Account(account_id=A, name="prod", status="SUSPENDED", owner="Ship")]))
    found = (await org.directory.accounts([A]))[A]
    assert (found.name, found.status, dict(found.owners), found.allows) == (
        "prod", "SUSPENDED", {"file": "pay", "aws": "Ship"}, frozenset({"ship"}),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["", "../pay", "pay/ship", "PАY", "pay\x00", "x" * 5000])
async def test_what_can_be_no_team_is_not_found(house: InProcess, name: str) -> None:
    org = Organisation(house)
    await org.read()
    with pytest.raises(NotFound):
        await org.directory.team(name)


async def test_the_log_gives_the_same_rows_again_and_the_check_finds_nothing(house: InProcess, tmp_path: Path) -> None:
    org = Organisation(house)
    await org.read()
    await org.read(snapshot("aws", accounts=[Account(account_id=B, status="ACTIVE", tags=(("team", "Zürich"),))]))
    await org.read(snapshot("file", teams=[StatedTeam(id="ship", aliases=["pay"], members=["eve"])]))
    before = await dumped(house.database)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before
    assert (await checked(house, tmp_path)).findings == []


async def test_ten_thousand_accounts_are_read_in_batches_and_paged(house: InProcess) -> None:
    org = Organisation(house)
    many = [Account(account_id=f"{number:012d}", status="ACTIVE", owner="pay") for number in range(10_000)]
    assert await org.read(snapshot("aws", accounts=many)) == "0 teams and 10000 accounts read, 10001 changes"
    assert await org.read(snapshot("aws", accounts=many[1:])) == "0 teams and 9999 accounts read, 2 changes"
    assert await org.directory.account_ids(after="000000009997") == ["000000009998", "000000009999"]
    assert len(many) < ACCOUNTS_MAX


def retention(house: InProcess) -> Retention:
    return Retention(
        database=house.database, ledger=house.ledger, archive=None, days={MEMBERS: 2}, now=house.clock,
        derived={MEMBERS: MembersRemoved(house.database)},
    )  # fmt: skip


async def filled(org: Organisation) -> None:
    """Let days pass, with a bundle of entries: bodies go by whole bundles."""
    await org.read(snapshot("aws", accounts=[Account(account_id=f"{number:012d}") for number in range(300)]))
    await org.read(snapshot("aws", accounts=[Account(account_id=f"{0:012d}")]))
    org.house.clock.advance(3 * 86_400)


async def test_names_of_former_members_are_removed_and_the_hash_stays(house: InProcess, tmp_path: Path) -> None:
    org = Organisation(house)
    for number in range(3):
        await org.read(snapshot("file", teams=[StatedTeam(id="pay", members=[f"person-{number}"])]))
    await filled(org)
    assert await retention(house).prune(MEMBERS) == 3
    left = [one.content for one in await house.entries(MEMBERS) if one.content is not None]
    assert [b"person-2" in one for one in left] == [True]
    assert (await org.directory.team("pay")).members == ("person-2",)
    before = await dumped(house.database)
    assert "person-0" not in str(before["team_members"])
    assert (await checked(house, tmp_path)).findings == []
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before


async def test_the_newest_list_of_members_stays_however_old(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    await filled(org)
    await retention(house).prune(MEMBERS)
    assert (await org.directory.team("pay")).members == ("ada", "bob")


async def test_members_are_in_no_account_s_bundle(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    assert b"ada" in b"".join(await bundle(house))
    assert b"ada" not in b"".join(await bundle(house, A))
    assert b"prod" in b"".join(await bundle(house, A))
    assert b"prod" not in b"".join(await bundle(house, B))


async def test_members_have_entries_of_their_own(house: InProcess) -> None:
    org = Organisation(house)
    await org.read()
    with_names = [one.kind for one in await house.entries() if one.content is not None and b"ada" in one.content]
    assert with_names == [MEMBERS]
    (entry,) = await house.entries(MEMBERS)
    assert kind_of(entry.content or b"")[1]["members"] == ["ada", "bob"]


_TEAMS = st.builds(
    StatedTeam, id=st.sampled_from("abc"), name=st.sampled_from(["One", "Two"]),
    aliases=st.lists(st.sampled_from("abc"), max_size=1),
    members=st.one_of(st.none(), st.lists(st.sampled_from(["ada", "bob"]), max_size=2)),
)  # fmt: skip
_READINGS = st.lists(
    st.builds(
        lambda teams, accounts, complete: snapshot("file", teams=teams, accounts=accounts, complete=complete),
        st.lists(_TEAMS, max_size=3),
        st.lists(st.builds(Account, account_id=st.just(A), owner=st.sampled_from(["a", "b"])), max_size=1),
        st.booleans(),
    ),
    max_size=6,
)
_AUTHORITY = SigningAuthority.make()


@given(readings=_READINGS)
@settings(max_examples=25, deadline=timedelta(seconds=60))
def test_the_tables_say_what_the_rules_say(tmp_path_factory: pytest.TempPathFactory, readings: list[Snapshot]) -> None:
    asyncio.run(_as_the_rules(tmp_path_factory.mktemp("organisation"), readings))


async def _as_the_rules(directory: Path, readings: list[Snapshot]) -> None:
    database = await SqliteDatabase.open(directory / "ledger.db")
    async with InProcess(database, _AUTHORITY).running() as house:
        org, known = Organisation(house), Known()
        for one in readings:
            known = applied(known, differences(known, one))
            await org.read(one)
            assert await known_of(database, "file") == known
        before = await dumped(database)
        await rebuild(database, house.reader)
        assert await dumped(database) == before
    await database.close()


async def _nothing() -> None:
    """Do nothing after a reading."""


async def test_sources_are_read_by_the_worker_again_and_again_with_back_off(house: InProcess) -> None:
    org = Organisation(house, SourceUnavailable("team-service-unreachable", "it is away"))
    reading = OrganisationReading(recorder=org.recorder, seconds={"file": 900.0}, on_read=_nothing)
    worker = house.worker_of(kinds_of(house.ledger, {}, None, Work(handler=reading), now=house.clock))
    due = to_instant(house.clock())
    await house.database.write(
        ADD_TASK_UNLESS_KNOWN.bind(
            [question(ORGANISATION_KIND, one, due_at=due, lane=SHARED_LANE) for one in ("file", "team-service")]
        )
    )
    await worker.work()
    tasks = await house.database.fetch(TASKS_OF_KIND.bind({"kind": ORGANISATION_KIND}))
    assert [(one["subject"], one["reason"]) for one in tasks] == [("file", "it is away")]
    org.file.says = FIRST
    house.clock.advance(11)
    await worker.work()
    house.clock.advance(899)
    assert (await worker.work(), org.file.asked) == (0, 2)
    house.clock.advance(2)
    assert (await worker.work(), org.file.asked) == (1, 3)


async def test_only_collected_accounts_that_are_active_are_allowed_and_nobody_before(house: InProcess) -> None:
    org = Organisation(house)
    allowed = AllowedAccounts(named=(), collected=True, database=house.database)
    await allowed.refresh()
    assert A not in allowed
    active, closed = Account(account_id=A, status="ACTIVE"), Account(account_id=B, status="SUSPENDED")
    await org.read(snapshot("aws", accounts=[active, closed]))
    await org.read(snapshot("file", accounts=[Account(account_id=B, status="ACTIVE")]))
    await allowed.refresh()
    assert (A in allowed, B in allowed, allowed.names) == (True, False, frozenset({A}))
    assert await standing_accounts(org.directory) == [A, B], "the file comes first"
    await org.read(snapshot("aws", accounts=[Account(account_id=A, status="PENDING_CLOSURE"), closed]))
    await allowed.refresh()
    assert A not in allowed
    assert await standing_accounts(org.directory) == [B]


async def test_an_instance_of_a_collected_account_enrols_and_that_of_another_does_not(
    database: Database, authority: SigningAuthority
) -> None:
    allowed = AllowedAccounts(named=(), collected=True, database=database)
    async with InProcess(database, authority, accounts=allowed).running() as house:
        with pytest.raises(Forbidden, match="not on the allow-list"):
            await house.machine()
        account = Account(account_id="123456789012", status="ACTIVE")
        await Organisation(house).read(snapshot("aws", accounts=[account]))
        await allowed.refresh()
        await house.machine()


class Groups:
    """A house whose tokens name groups, in as many processes as a test has."""

    def __init__(self, house: InProcess, *, days: int | None = None) -> None:
        self.house = house
        source = GroupsSource(database=house.database, days=days, now=house.clock)
        self.recorder = OrganisationRecorder(
            database=house.database, ledger=house.ledger, sources={"groups": source}, now=house.clock
        )
        self.directory = OrganisationDirectory(house.database)

    def process(self) -> GroupsSeen:
        return GroupsSeen(database=self.house.database, now=self.house.clock)

    async def read(self) -> str:
        self.house.clock.advance(60)
        return await self.recorder.read("groups")


async def test_groups_that_the_tokens_of_any_replica_name_are_teams_without_members(house: InProcess) -> None:
    groups = Groups(house)
    one, other = groups.process(), groups.process()
    one.saw(["pay", "PAY", "../x", "sh\u0456p"])
    other.saw(["ship"])
    await one.keep()
    await other.keep()
    assert await groups.read() == "2 teams and 0 accounts read, 3 changes"
    team = await groups.directory.team("Pay")
    assert (team.spelled, team.members, [said.source for said in team.said]) == ("pay", (), ["groups"])
    assert await house.database.fetch(MEMBERS_OF_SOURCE.bind({"source": "groups"})) == []


async def test_a_group_that_is_not_seen_again_is_not_gone(house: InProcess) -> None:
    groups = Groups(house)
    seen = groups.process()
    seen.saw(["pay"])
    await seen.keep()
    await groups.read()
    house.clock.advance(10 * 365 * 86_400)
    seen.saw(["ship"])
    await seen.keep()
    assert await groups.read() == "2 teams and 0 accounts read, 2 changes"
    assert (await groups.directory.team("pay")).over == ""


async def test_a_group_that_no_token_named_for_so_many_days_is_gone_where_the_operator_says_so(
    house: InProcess,
) -> None:
    groups = Groups(house, days=30)
    seen = groups.process()
    seen.saw(["pay", "ship"])
    await seen.keep()
    await groups.read()
    house.clock.advance(20 * 86_400)
    seen.saw(["ship"])
    await seen.keep()
    house.clock.advance(20 * 86_400)
    await groups.read()
    assert (await groups.directory.team("pay")).over == "gone"
    assert (await groups.directory.team("ship")).over == ""
    house.clock.advance(20 * 86_400)
    with pytest.raises(SourceUnavailable, match="no verified token of a person named a group within 30 days"):
        await groups.read()
    assert (await groups.directory.team("ship")).over == ""


async def test_only_so_many_groups_are_kept(house: InProcess) -> None:
    groups = Groups(house)
    seen = groups.process()
    seen.saw([f"team-{number}" for number in range(6000)])
    await seen.keep()
    seen.saw(["one-more"])
    await seen.keep()
    assert (await groups.read()).startswith("5000 teams and 0 accounts read")
    (state,) = await groups.directory.sources()
    assert state.notes == ("5000 groups were seen: further ones are not kept",)


async def test_a_group_that_another_source_has_as_an_alias_is_that_team(house: InProcess) -> None:
    await Organisation(house).read()
    groups = Groups(house)
    seen = groups.process()
    seen.saw(["billing", "ops"])
    await seen.keep()
    await groups.read()
    assert (await groups.directory.team("billing")).team_id == "pay"
    assert [one.team_id for one in await groups.directory.teams()] == ["ops", "pay", "ship"]


async def test_applications_belong_to_teams_by_the_id_that_a_source_states(house: InProcess) -> None:
    org = Organisation(house)
    teams = OrganisationTeams(org.directory, ["file"])
    with pytest.raises(SourceUnavailable, match="no reading of file has ended yet"):
        await teams.exists("pay")
    await org.read()
    found = {
        name: await teams.exists(name) for name in ("pay", "ship", "billing", "PAY", "gone", "", "x" * 300, "a/../b")
    }
    assert found == {
        "pay": True, "ship": True, "billing": False, "PAY": False, "gone": False, "": False, "x" * 300: False,
        "a/../b": False,
    }  # fmt: skip
    unread = OrganisationTeams(org.directory, ["file", "team-service"])
    assert await unread.exists("pay")
    with pytest.raises(SourceUnavailable, match="no reading of team-service"):
        await unread.exists("gone")
    others = OrganisationTeams(OrganisationDirectory(house.database, ["team-service"]), [])
    assert not await others.exists("pay")  # the file is configured no more
