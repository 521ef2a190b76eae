"""Who is who: names and e-mail addresses of one person, by the people file and by what approvals recorded. Pure.

An e-mail address in a commit is what its author wrote there: one that belongs to nobody known may be anybody's. It
tells who is not the author if somebody else has it, or if it is in a domain where each person has one address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

_AUTHOR = re.compile(r"<([^<>\s]{1,254})>\s*\Z")
_CO_AUTHOR = re.compile(r"^co-authored-by:[^<\n]{0,200}<([^<>\s]{1,254})>\s*$", re.IGNORECASE | re.MULTILINE)
_CO_AUTHORED = "co-authored-by"
REVIEW_PLACE = "review:"
"""Begins the place of an account at a code host, which follows it."""
AUTHORS_MAX = 100
"""Co-authors of one commit; who wrote a commit with more is unknown."""


def folded_email(text: str) -> str:
    """Return an address in the form that addresses are compared in."""
    return text.strip().casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authors:
    """Addresses of the authors of a version's commits, or why they are not known."""

    emails: frozenset[str] = frozenset()
    """Where `unknown` is not empty, those that are known all the same."""
    unknown: str = ""
    unproved: str = ""
    """Why the authors are only as the commits state them; empty if the signature of each commit is its author's."""

    @classmethod
    def of_commit(
        cls, author: str, message: str, trailers: Sequence[tuple[str, str]] = (), *, unproved: str
    ) -> Authors:
        """Return the author of a commit and the co-authors that its message and trailers name."""
        match = _AUTHOR.search(author)
        named = [found[1] for key, one in trailers if key.lower() == _CO_AUTHORED and (found := _AUTHOR.search(one))]
        others = list(dict.fromkeys(map(folded_email, [*_CO_AUTHOR.findall(message), *named])))
        if match is None:
            unknown = "the commit names no author by e-mail address"
            return cls(emails=frozenset(others), unknown=unknown, unproved=unproved)
        if len(others) > AUTHORS_MAX:
            reason = f"the commit names more than {AUTHORS_MAX} co-authors"
            kept = frozenset([folded_email(match[1]), *others[:AUTHORS_MAX]])
            return cls(emails=kept, unknown=reason, unproved=unproved)
        return cls(emails=frozenset([folded_email(match[1]), *others]), unproved=unproved)

    def with_those_of(self, other: Authors) -> Authors:
        """Return the authors of both; they are unknown, or not proved, if those of one are."""
        return Authors(
            emails=self.emails | other.emails, unknown=self.unknown or other.unknown,
            unproved=self.unproved or other.unproved,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPerson:
    """A person of the people file: the names of its tokens, `HOST:LOGIN` for accounts at code hosts, its addresses."""

    names: frozenset[str]
    emails: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """Somebody who approved: what identifies the token's owner, its name, and the addresses that are known."""

    person: str
    name: str
    emails: frozenset[str]

    @property
    def place(self) -> str:
        """Return the issuer of the token, or the code host; empty for tokens of our own."""
        issuer, tab, _ = self.person.partition("\t")
        return issuer if tab else ""

    @property
    def listed_as(self) -> str:
        """Return the name that the people file has for it: `HOST:LOGIN` for an account at a code host.

        Everybody may take any free login at a public host: it does not make them the owner of a token of that name.
        """
        host = self.place.removeprefix(REVIEW_PLACE)
        return self.name if host == self.place else f"{host}:{self.name}".casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeople:
    """The people file, and the domains in which each person has one address."""

    known: Sequence[KnownPerson] = ()
    domains: frozenset[str] = frozenset()
    by_name: Mapping[str, KnownPerson] = field(default_factory=dict)
    by_email: Mapping[str, Sequence[KnownPerson]] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Sequence[KnownPerson], domains: Iterable[str] = ()) -> KnownPeople:
        by_name = {name.casefold() if ":" in name else name: one for one in known for name in one.names}
        by_email: dict[str, list[KnownPerson]] = {}
        for one in known:
            for email in one.emails:
                by_email.setdefault(email, []).append(one)
        return cls(known=known, domains=frozenset(map(str.casefold, domains)), by_name=by_name, by_email=by_email)

    def somebody(self, person: str, name: str, emails: Iterable[str]) -> Somebody:
        """Return somebody with all addresses: those in the token, and those of the people file."""
        stated = Somebody(person=person, name=name, emails=frozenset(map(folded_email, emails)))
        known = self.known_of(stated)
        return replace(stated, emails=stated.emails | known.emails) if known is not None else stated

    def known_of(self, one: Somebody) -> KnownPerson | None:
        """Return the person of the people file. A token's name that looks like an account at a host is not one."""
        if ":" in one.name:
            return None
        return self.by_name.get(one.listed_as)

    def are_distinct(self, one: Somebody, other: Somebody) -> bool:
        """Return whether two approvers are two people: not one person by two names, or one name at two issuers."""
        if one.person == other.person or one.emails & other.emails or one.name.casefold() == other.name.casefold():
            return False
        known = self.known_of(one)
        return known is None or known is not self.known_of(other)

    def are_surely_distinct(self, one: Somebody, other: Somebody) -> bool:
        """Return whether two approvers are known to be two people.

        One person has accounts at an issuer of tokens and at a code host, often by different names: they tell two apart
        only if it is known of both who they are.
        """
        known = all(somebody.emails or self.known_of(somebody) is not None for somebody in (one, other))
        return self.are_distinct(one, other) and (known or one.place == other.place)

    def count(self, some: Iterable[Somebody], *, surely: bool) -> int:
        """Return the number of people, `surely` or at most.

        Whoever shares a name or an address with another, also by a third, is one.
        """
        distinct = self.are_surely_distinct if surely else self.are_distinct
        groups: list[list[Somebody]] = []
        for one in some:
            same = [group for group in groups if not all(distinct(one, other) for other in group)]
            groups = [group for group in groups if group not in same]
            groups.append([one, *(member for group in same for member in group)])
        return len(groups)

    def is_author(self, one: Somebody, authors: Authors, others: Collection[Somebody]) -> bool | None:
        """Return whether somebody is an author; None where it cannot be told."""
        if one.emails & authors.emails:
            return True
        if authors.unknown or not authors.emails or not one.emails:
            return None
        own = self.known_of(one)
        theirs = {
            email for email in authors.emails if any(known is not own for known in self.by_email.get(email, ()))
        }  # fmt: skip
        for other in others:
            if not theirs.issuperset(other.emails & authors.emails) and self.are_distinct(one, other):
                theirs |= other.emails
        own_domains = {email.rpartition("@")[2] for email in one.emails} & self.domains
        told = all(email in theirs or email.rpartition("@")[2] in own_domains for email in authors.emails)
        return False if told else None
