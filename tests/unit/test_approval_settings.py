"""The settings of `approvals`, and the file of people."""

from __future__ import annotations

import pytest

from whence_aggregator.settings.approvals import parse_people
from whence_aggregator.settings.server import parse_settings
from whence_common.settings_file import SettingsInvalid

LEAST = "audience: https://whence.example.org\naccounts: ['123456789012']\n"


def refused(approvals: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(f"{LEAST}approvals: {approvals}\n".encode(), name="aggregator.yaml")
    return caught.value.message


def test_the_setting_alone_asks_for_kios_four_types() -> None:
    found = parse_settings(f"{LEAST}approvals: {{}}\n".encode(), name="aggregator.yaml").approvals
    assert found is not None
    assert found.required == ["SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY"]
    assert parse_settings(LEAST.encode(), name="aggregator.yaml").approvals is None


@pytest.mark.parametrize(
    ("approvals", "message"),
    [
        ("{types: [security]}", "approvals.types: 'security' is not a type: 2 to 50 capital letters"),
        ("{required: [SECURITY]}", "approvals.required: 'SECURITY' is not in approvals.types"),
        ("{required: []}", "approvals.required must name a type: with an empty list, everything would be approved"),
        ("{teams: {SECURITY: [ops]}}", "approvals.teams.SECURITY is not in approvals.types"),
        ("{teams: {DEPLOY: []}}", "approvals.teams.DEPLOY must name one team id or more"),
        ("{teams: {DEPLOY: [Ops Team]}}", "approvals.teams.DEPLOY must name one team id or more"),
        ("{email_domains: ['@Example.org']}", "approvals.email_domains: '@Example.org' is not a domain in lower case"),
    ],
)
def test_what_is_wrong_is_named(approvals: str, message: str) -> None:
    assert message in refused(approvals)


def test_an_own_type_may_be_required_and_be_approved_by_another_team() -> None:
    text = f"{LEAST}approvals: {{types: [SECURITY], required: [SECURITY], teams: {{SECURITY: [security]}}}}\n"
    found = parse_settings(text.encode(), name="aggregator.yaml").approvals
    assert found is not None
    assert (found.required, found.teams) == (["SECURITY"], {"SECURITY": ["security"]})


def test_people_have_names_and_addresses() -> None:
    people = parse_people(
        b"people:\n  - names: [ada, ada-admin]\n    emails: [Ada@example.org, 12+ada@users.noreply.github.com]\n",
        name="people.yaml", domains=["example.org"],
    )  # fmt: skip
    assert people.by_name["ada-admin"].emails == {"ada@example.org", "12+ada@users.noreply.github.com"}
    assert people.domains == {"example.org"}


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (
            "- {names: [ada], emails: []}\n- {names: [ada], emails: []}",
            "people[1].names: 'ada' is another person's too",
        ),
        (
            "- {names: [ada], emails: [a@b.c]}\n- {names: [bob], emails: [A@B.C]}",
            "people[1].emails: 'A@B.C' is another person's too",
        ),
        ("- {names: [], emails: []}", "people[0].names must have a name"),
        (
            "- {names: ['github.example:ada'], emails: []}",
            "people[0].names: 'github.example:ada' is not HOST:LOGIN of a host in trackers whose reviews are read",
        ),
        (
            "- {names: ['github.com:ada'], emails: []}\n- {names: ['GitHub.com:Ada'], emails: []}",
            "people[1].names: 'GitHub.com:Ada' is another person's too",
        ),
        ("- {names: [ada], emails: [ada]}", "people[0].emails: 'ada' is not an e-mail address"),
    ],
)
def test_wrong_people_are_named(people: str, message: str) -> None:
    indented = "\n".join(f"  {line}" for line in people.splitlines())
    with pytest.raises(SettingsInvalid) as caught:
        parse_people(f"people:\n{indented}\n".encode(), name="people.yaml", domains=[], code_hosts={"github.com"})
    assert message in caught.value.message


def test_a_file_of_thousands_of_people_is_read() -> None:
    lines = [f"- {{names: [p{number}], emails: [p{number}@example.org]}}\n" for number in range(3_000)]
    found = parse_people("".join(["people:\n", *lines]).encode(), name="people.yaml", domains=())
    assert len(found.known) == 3_000
