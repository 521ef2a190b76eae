"""The organisation as a file: read whole, or refused with every place."""

from __future__ import annotations

import pytest

from whence_aggregator.organisation.file import parse_organisation
from whence_aggregator.organisation.values import Account
from whence_common.settings_file import SettingsInvalid

FILE = """\
teams:
  - id: payments
    name: Payments
    aliases: [Billing]
    members: [ada, bob]
  - id: platform
accounts:
  - id: "111111111111"
    name: production
    owner: payments
    allows: [Platform, platform]
    status: ACTIVE
"""


def test_a_file_states_teams_accounts_and_allowances() -> None:
    read = parse_organisation(FILE.encode(), name="organisation.yaml")
    assert [(one.team_id, one.name, one.aliases, one.members) for one in read.teams] == [
        ("payments", "Payments", ("billing",), ("ada", "bob")), ("platform", "platform", (), None),
    ]  # fmt: skip
    assert read.accounts == (
        Account(
            account_id="111111111111", name="production", owner="payments", allows=("platform",), status="ACTIVE"
        ),
    )  # fmt: skip
    assert (read.complete, read.notes) == (True, ())


@pytest.mark.parametrize(
    "text, says",
    [
        ("teams: [{id: a/b}]", "teams[0].id: 'a/b' cannot be a team's id"),
        ("teams: [{id: ..}]", "teams[0].id: '..' cannot be a team's id"),
        ("teams: [{id: pа}]", "use ASCII letters, digits"),
        ("teams: [{id: Pay}, {id: pay}]", "teams[1].id: there is another team pay"),
        ("teams: [{id: a, aliases: [B]}, {id: b}]", "teams[0].aliases: 'B' is the id of another team"),
        ("teams: [{id: a, aliases: [x]}, {id: b, aliases: [X]}]", "teams[1].aliases: 'X' is an alias of a too"),
        ("teams: [{id: a, aliases: [../x]}]", "teams[0].aliases: '../x' cannot be a team's alias"),
        ("teams: [{id: a, members: ['a b']}]", "teams[0].members: 'a b' cannot be a uid"),
        ("teams: [{id: a, owner: b}]", "teams[0].owner: unknown setting"),
        ("teams: [{name: a}]", "teams[0].id: is required, but not set"),
        ("accounts: [{id: '12'}]", "accounts[0].id: '12' is not an account id"),
        ("accounts: [{id: 111111111111}]", "accounts[0].id: must be text"),
        ("accounts: [{id: '111111111111'}, {id: '111111111111'}]", "account 111111111111 is stated twice"),
        ("accounts: [{id: '111111111111', owner: a/b}]", "accounts[0].owner: 'a/b' cannot be a team"),
        ("accounts: [{id: '111111111111', allows: ['*']}]", "accounts[0].allows: '*' cannot be a team"),
        ("accounts: [{id: '111111111111', status: OPEN}]", "accounts[0].status"),
        ("teams: &x [*x]", "organisation.yaml:1:"),
        ("- a", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        parse_organisation(text.encode(), name="organisation.yaml")
    assert says in caught.value.message


def test_a_file_of_thousands_of_teams_is_read() -> None:
    lines = [f"- {{id: team-{number}, aliases: [a{number}], members: [ada, bob, eve]}}\n" for number in range(3_000)]
    read = parse_organisation("".join(["teams:\n", *lines]).encode(), name="organisation.yaml")
    assert (len(read.teams), read.teams[0].members) == (3_000, ("ada", "bob", "eve"))


def test_of_thousands_of_mistakes_the_first_hundred_are_named() -> None:
    lines = [f"- {{id: 'team {number}'}}\n" for number in range(3_000)]
    with pytest.raises(SettingsInvalid) as caught:
        parse_organisation("".join(["teams:\n", *lines]).encode(), name="organisation.yaml")
    assert len(caught.value.problems) == 100
