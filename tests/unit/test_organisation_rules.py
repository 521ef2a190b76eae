"""Teams and accounts as rules: what a reading changes, what it never takes away, and where names lead."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.organisation.changes import OVER, Change, applied, differences
from whence_aggregator.organisation.names import is_member, is_team_id, shown
from whence_aggregator.organisation.projection import writes
from whence_aggregator.organisation.resolving import Ambiguous, FoundTeam, TeamNames
from whence_aggregator.organisation.rows import held_names
from whence_aggregator.organisation.snapshots import (
    ALIASES_MAX,
    MEMBERS_MAX,
    TEAMS_MAX,
    SnapshotTooLarge,
    StatedTeam,
    snapshot,
)
from whence_aggregator.organisation.values import Account, Known, Snapshot
from whence_aggregator.queries.organisation import TeamsNamedAtRow

A, B = "111111111111", "222222222222"


def teams(*stated: StatedTeam, complete: bool = True) -> Snapshot:
    return snapshot("file", teams=stated, complete=complete)


def said(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Return what changes are about: the kind of change, and of what."""
    return [
        (str(one.stated.get("change", one.kind)), str(one.stated.get("team_id") or one.stated.get("account_id", "")))
        for one in changes
    ]  # fmt: skip


def after(*snapshots: Snapshot) -> Known:
    known = Known()
    for one in snapshots:
        known = applied(known, differences(known, one))
    return known


class Names:
    """What names lead to after readings, as the tables have it: rows by index, each newest one counting."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.known = Known()
        self._names: dict[tuple[str, str, str], TeamsNamedAtRow] = {}
        self._teams: dict[tuple[str, str], tuple[str, str]] = {}
        self._index = 0
        for one in snapshots:
            self.read(one)

    def read(self, one: Snapshot) -> None:
        changes = differences(self.known, one)
        self.known = applied(self.known, changes)
        for change in changes:
            self._index += 1
            for command in writes(change.kind, [(self._index, {**change.stated, "observed_at": "then"})]):
                for row in command.rows:
                    self._keep(command.name, dict(row))

    def _keep(self, name: str, row: dict[str, object]) -> None:
        if name == "add_team_revision":
            self._teams[str(row["source"]), str(row["team_id"])] = str(row["change"]), str(row["team_name"])
        elif name == "add_team_name":
            key = str(row["name"]), str(row["source"]), str(row["team_id"])
            self._names[key] = TeamsNamedAtRow(
                name=key[0], source=key[1], team_id=key[2], held=int(str(row["held"])), ledger_index=self._index,
                change="", team_name="", revised_index=self._index, observed_at="then",
            )  # fmt: skip

    def lead(self, name: str) -> FoundTeam | Ambiguous | None:
        rows = [
            {**row, "change": self._teams[source, team][0], "team_name": self._teams[source, team][1]}
            for (_, source, team), row in self._names.items()
        ]
        return TeamNames(held_names(rows)).resolve(name)  # type: ignore[arg-type]  # dicts of the same members

    def to(self, name: str) -> str | None:
        """Return the team that a name leads to, `over TEAM` for one that no source states any more."""
        found = self.lead(name)
        if isinstance(found, Ambiguous):
            return f"ambiguous {' '.join(found.teams)}"
        return None if found is None else f"over {found.team_id}" if found.over else found.team_id


@pytest.mark.parametrize("name", ["payments", "Team-7", "a", "a.b_c-d", "x" * 100])
def test_a_team_id_is_one_segment_of_ascii(name: str) -> None:
    assert is_team_id(name)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "a..b", "a/b", "../a", "a\\b", " a", "a ", "a b", "-a", "a-", "a\n", "a\x00b", "x" * 101, "pаyments",
        "ｐayments", "payments\u200b", "payments\u202e", "päyments", "%2e%2e", "a?b", "a#b",
    ],
)  # fmt: skip
def test_what_a_path_would_change_or_the_eye_would_mistake_is_no_team_id(name: str) -> None:
    assert not is_team_id(name)


def test_a_name_for_people_shows_nothing_that_cannot_be_seen() -> None:
    assert shown("Pay\u202ements\x00\n Zürich") == "Pay\ufffdments\ufffd\ufffd Zürich"
    assert len(shown("x" * 10_000)) == 200


@pytest.mark.parametrize("uid", ["", "a b", "jürgen", "a\n", "x" * 201])
def test_a_member_is_a_uid_of_printable_ascii(uid: str) -> None:
    assert not is_member(uid)


def test_the_first_reading_finds_all_and_says_that_it_was_whole() -> None:
    read = snapshot("aws", teams=[StatedTeam(id="pay")], accounts=[Account(account_id=A, status="ACTIVE")])
    assert said(differences(Known(), read)) == [("found", "pay"), ("found", A), ("organisation-read", "")]


def test_as_many_teams_as_are_kept_change_their_ids_within_seconds() -> None:
    before = teams(*(StatedTeam(id=f"old-{number}") for number in range(TEAMS_MAX)))
    known = Known(teams={one.team_id: one for one in before.teams}, names={}, members={}, accounts={}, read=True)
    after = teams(*(StatedTeam(id=f"new-{number}", aliases=[f"old-{number}"]) for number in range(TEAMS_MAX)))
    begun = time.process_time()
    changes = differences(known, after)
    assert time.process_time() - begun < 10
    assert len(changes) == 2 * TEAMS_MAX + 1


def test_the_same_again_is_no_entry() -> None:
    read = teams(StatedTeam(id="pay", members=["ada"]))
    assert differences(after(read), read) == []


def test_an_empty_source_was_read_all_the_same() -> None:
    assert said(differences(Known(), teams())) == [("organisation-read", "")]


def test_a_partial_reading_adds_and_never_takes_away() -> None:
    known = after(teams(StatedTeam(id="pay"), StatedTeam(id="ship")))
    assert said(differences(known, teams(StatedTeam(id="new"), complete=False))) == [("found", "new")]


def test_a_renamed_team_keeps_its_id_and_all_that_led_to_it() -> None:
    names = Names(
        teams(StatedTeam(id="pay", name="Payments", aliases=["billing"])),
        teams(StatedTeam(id="pay", name="Checkout", aliases=["money"])),
    )
    assert [names.to(one) for one in ("pay", "billing", "money", "Checkout")] == ["pay", "pay", "pay", None]


def test_a_team_whose_id_became_an_alias_was_merged_and_its_names_lead_on() -> None:
    names = Names(
        teams(StatedTeam(id="pay", aliases=["billing"]), StatedTeam(id="ship")),
        teams(StatedTeam(id="ship", aliases=["pay"])),
    )
    assert [names.to(one) for one in ("pay", "billing", "ship")] == ["ship", "ship", "ship"]


def test_a_changed_id_and_a_merge_are_told_apart() -> None:
    known = after(teams(StatedTeam(id="pay"), StatedTeam(id="ship")))
    assert said(differences(known, teams(StatedTeam(id="ship", aliases=["pay"]))))[1] == ("merged", "pay")
    renamed = teams(StatedTeam(id="checkout", aliases=["pay"]), StatedTeam(id="ship"))
    assert said(differences(known, renamed))[1] == ("id-changed", "pay")


def test_merges_in_a_row_lead_to_the_last_and_a_circle_of_them_ends() -> None:
    names = Names(
        teams(*(StatedTeam(id=one) for one in "abc")),
        teams(StatedTeam(id="b", aliases=["a"]), StatedTeam(id="c")),
        teams(StatedTeam(id="c", aliases=["b"])),
    )
    assert [names.to(one) for one in "abc"] == ["c", "c", "c"]
    names.read(teams(StatedTeam(id="a", aliases=["c"])))
    assert [names.to(one) for one in "abc"] == ["a", "a", "a"]


def test_aliases_of_each_other_lead_to_the_teams_of_those_ids() -> None:
    names = Names(teams(StatedTeam(id="a", aliases=["b"]), StatedTeam(id="b", aliases=["a"])))
    assert [names.to(one) for one in "ab"] == ["a", "b"]


def test_an_alias_of_two_teams_leads_to_neither() -> None:
    names = Names(teams(StatedTeam(id="a", aliases=["x"]), StatedTeam(id="b", aliases=["X"])))
    assert names.to("x") == "ambiguous a b"


def test_a_team_that_is_gone_is_still_found_and_said_to_be_over() -> None:
    names = Names(teams(StatedTeam(id="pay", aliases=["billing"])), teams())
    assert [names.to(one) for one in ("pay", "billing", "other")] == ["over pay", "over pay", None]


def test_case_tells_no_teams_apart() -> None:
    names = Names(teams(StatedTeam(id="Payments")))
    assert [names.to(one) for one in ("payments", "PAYMENTS")] == ["payments", "payments"]


def test_twins_by_case_are_left_out_and_delete_nothing() -> None:
    known = after(teams(StatedTeam(id="pay")))
    read = teams(StatedTeam(id="PAY"), StatedTeam(id="pay"))
    assert read.notes == ("2 teams have the id pay, compared without case",)
    assert "pay" in applied(known, differences(known, read)).teams


def test_unusable_ids_are_noted_within_bounds() -> None:
    read = teams(*(StatedTeam(id=f"../{number}") for number in range(50)), StatedTeam(id="ok", aliases=["a/b"]))
    assert ([one.team_id for one in read.teams], len(read.notes), read.notes[-1]) == (["ok"], 21, "and 31 more")
    assert read.notes[0] == "'../0' cannot be a team's id"


@pytest.mark.parametrize(
    "stated",
    [
        [StatedTeam(id=f"t{number}") for number in range(TEAMS_MAX + 1)],
        [StatedTeam(id="t", aliases=[f"a{number}" for number in range(ALIASES_MAX + 1)])],
        [StatedTeam(id="t", members=["m"] * (MEMBERS_MAX + 1))],
    ],
)
def test_more_than_is_kept_is_refused_whole(stated: list[StatedTeam]) -> None:
    with pytest.raises(SnapshotTooLarge):
        snapshot("file", teams=stated)


def test_an_account_stated_twice_differently_stays_as_it_was() -> None:
    known = after(snapshot("aws", accounts=[Account(account_id=A, owner="pay")]))
    read = snapshot("aws", accounts=[Account(account_id=A, owner="x"), Account(account_id=A, owner="y")])
    assert read.notes == (f"account {A} is stated twice, and differently",)
    assert applied(known, differences(known, read)).accounts[A].owner == "pay"


def test_what_could_not_be_read_of_an_account_stays_as_it_was() -> None:
    first = snapshot("aws", accounts=[Account(account_id=A, name="one", owner="pay")])
    second = snapshot("aws", accounts=[Account(account_id=A, name="two", unread=("owner",))], complete=False)
    assert after(first, second).accounts[A] == Account(account_id=A, name="two", owner="pay")
    assert after(second).accounts[A].unread == ("owner",)
    assert after(second, first).accounts[A] == Account(account_id=A, name="one", owner="pay")


IDS = st.sampled_from(["a", "b", "c", "d", "A", "../x", "é"])
TEAMS = st.builds(
    StatedTeam,
    id=IDS,
    name=st.sampled_from(["One", "Two"]),
    aliases=st.lists(IDS, max_size=2),
    members=st.one_of(st.none(), st.lists(st.sampled_from(["ada", "bob", "no good"]), max_size=2)),
)
ACCOUNTS = st.builds(
    Account,
    account_id=st.sampled_from([A, B, "12"]),
    owner=st.sampled_from(["a", "b", ""]),
    unread=st.sampled_from([(), ("owner",)]),
)
SNAPSHOTS = st.builds(
    lambda teams, accounts, complete: snapshot("file", teams=teams, accounts=accounts, complete=complete),
    st.lists(TEAMS, max_size=4), st.lists(ACCOUNTS, max_size=3), st.booleans(),
)  # fmt: skip


@given(readings=st.lists(SNAPSHOTS, max_size=8))
def test_whatever_was_read_before_a_whole_reading_is_what_is_known_after_it(readings: list[Snapshot]) -> None:
    known = Known()
    for one in readings:
        before, known = known, applied(known, differences(known, one))
        assert differences(known, one) == []  # the same again changes nothing
        stated = {team.team_id: team.to_wire() for team in one.teams}
        assert {team: known.teams[team].to_wire() for team in stated} == stated
        if one.complete:
            assert known.teams.keys() == stated.keys() | (before.teams.keys() & one.withheld)
            assert known.accounts.keys() == {x.account_id for x in one.accounts} | (
                before.accounts.keys() & one.withheld
            )
        else:
            assert known.teams.keys() >= before.teams.keys()
            assert known.accounts.keys() >= before.accounts.keys()


@given(readings=st.lists(SNAPSHOTS, max_size=8))
def test_what_ever_led_to_a_team_leads_to_one_for_ever(readings: list[Snapshot]) -> None:
    names, ever = Names(), set[str]()
    for one in readings:
        names.read(one)
        ever |= {name for team in one.teams for name in team.names}
        for name in ever:
            assert names.lead(name) is not None, name
        for team in one.teams:
            assert names.to(team.team_id) == team.team_id
    assert all(change in ("found", "changed", "renamed", *OVER) for change, _ in names._teams.values())
