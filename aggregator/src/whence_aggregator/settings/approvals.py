"""The settings of `approvals`: the types, who approves them, and the people file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import msgspec

from whence_aggregator.approvals.people import KnownPeople, KnownPerson, folded_email
from whence_aggregator.approvals.values import STUPS_TYPES
from whence_aggregator.callers.claim_mapping import TEAM
from whence_common import settings_file
from whence_common.errors import one_line

PEOPLE_BYTES_MAX = settings_file.SETTINGS_BYTES_MAX
_WRONG_MAX = 100
"""Mistakes of the people file that are named at once."""
_TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,49}\Z")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,188}[a-z0-9])?\Z")
_EMAIL = re.compile(r"[^@\s<>]{1,64}@[A-Za-z0-9.-]{1,190}\Z")


class ApprovalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version needs to be approved."""

    types: list[str] = []
    """The organisation's own types, beside SPECIFICATION, CODE_CHANGE, TEST and DEPLOY."""
    required: list[str] = msgspec.field(default_factory=lambda: list(STUPS_TYPES))
    """The types that every version must have."""
    teams: dict[str, list[str]] = {}
    """By type: the teams whose people approve it, in place of the application's own."""
    people_file: str | None = None
    """YAML file of people with their names and e-mail addresses; read at the start."""
    email_domains: list[str] = []
    """Domains in which each person has one address: an author of such an address is nobody else."""


class PersonInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person: the names that approvals show, and every address that is in commits."""

    names: list[str]
    emails: list[str]


class PeopleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    people: list[PersonInFile] = []


def wrong_in_approvals(found: ApprovalSettings) -> list[str]:
    """Return what is wrong, each with its place."""
    wrong = [
        f"approvals.types: {_named(one)} is not a type: 2 to 50 capital letters, digits and underscores"
        for one in found.types
        if not _TYPE.match(one)
    ]
    known = {*STUPS_TYPES, *found.types}
    wrong += [
        f"approvals.required: {_named(one)} is not in approvals.types" for one in found.required if one not in known
    ]
    if not found.required:
        wrong.append("approvals.required must name a type: with an empty list, everything would be approved")
    for name, teams in found.teams.items():
        if name not in known:
            wrong.append(f"approvals.teams.{name} is not in approvals.types")
        if not teams or not all(TEAM.match(one) for one in teams):
            wrong.append(f"approvals.teams.{name} must name one team id or more")
    wrong += [f"approvals.email_domains: {_named(one)} is not a domain in lower case" for one in found.email_domains
              if not _DOMAIN.match(one)]  # fmt: skip
    return wrong


def parse_people(content: bytes, *, name: str, domains: Iterable[str], code_hosts: Collection[str] = ()) -> KnownPeople:
    """Read the people file whole; `code_hosts` are those whose reviews are read.

    Raises SettingsInvalid naming every place and what is wrong there.
    """
    found = settings_file.read(
        content, PeopleFile, name=name, least="name at least one person",
        judge=lambda stated: islice(_wrong_in_people(stated, code_hosts), _WRONG_MAX),
        nodes_max=settings_file.LISTING_NODES_MAX,
    )  # fmt: skip
    known = [
        KnownPerson(names=frozenset(one.names), emails=frozenset(map(folded_email, one.emails)))
        for one in found.settings.people
    ]
    return KnownPeople.of(known, domains)


def _wrong_in_people(found: PeopleFile, code_hosts: Collection[str]) -> Iterator[str]:
    names, emails = set[str](), set[str]()
    for number, person in enumerate(found.people):
        place = f"people[{number}]"
        if not person.names:
            yield f"{place}.names must have a name"
        for one in person.names:
            host, colon, login = one.rpartition(":")
            if colon and (not login or host.casefold() not in code_hosts):
                yield (f"{place}.names: {_named(one)} is not HOST:LOGIN of a host in trackers whose reviews are read")
            known_as = one.casefold() if colon else one
            if known_as in names:
                yield f"{place}.names: {_named(one)} is another person's too"
            names.add(known_as)
        for one in person.emails:
            if not _EMAIL.match(one):
                yield f"{place}.emails: {_named(one)} is not an e-mail address"
            elif folded_email(one) in emails:
                yield f"{place}.emails: {_named(one)} is another person's too"
            emails.add(folded_email(one))


def _named(text: str) -> str:
    return repr(one_line(text, 60))
