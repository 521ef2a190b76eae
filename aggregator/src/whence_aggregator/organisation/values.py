"""What sources state: teams, accounts, and a snapshot of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SourceName = Literal["file", "aws", "team-service", "groups"]
SOURCES: tuple[SourceName, ...] = ("file", "team-service", "aws", "groups")
"""In the order in which they count where several name one thing."""
ACTIVE = "ACTIVE"
"""The status of an account that is in use, in AWS's words."""
AccountField = Literal["name", "status", "path", "owner", "tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team as one source states it."""

    team_id: str
    """Folded: the same whatever the case that the source writes."""
    spelled: str
    """The id as the source writes it."""
    name: str
    """For people. It never leads to a team."""
    aliases: tuple[str, ...] = ()
    """Folded, sorted, without the id."""
    members: tuple[str, ...] | None = field(default=None, repr=False)
    """Sorted; None where the source does not state them."""

    @property
    def names(self) -> frozenset[str]:
        """What leads to this team."""
        return frozenset((self.team_id, *self.aliases))

    def to_wire(self) -> dict[str, Any]:
        """Return what an entry states of the team; members have entries of their own, which can be removed."""
        return {"spelled": self.spelled, "name": self.name, "aliases": list(self.aliases)}

    @classmethod
    def from_wire(cls, team_id: str, stated: Mapping[str, Any]) -> Team:
        return cls(
            team_id=team_id,
            spelled=stated["spelled"],
            name=stated["name"],
            aliases=tuple(stated["aliases"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as one source states it. `unread` names what could not be read this time."""

    account_id: str
    name: str = field(default="", repr=False)
    status: str = ""
    """AWS's State, else its Status; empty where the source does not state it."""
    path: str = ""
    """Where it is in the tree of organisational units, `root/production`."""
    owner: str = ""
    """The owning team as the source writes it; empty where it names none."""
    allows: tuple[str, ...] = ()
    """Other teams whose applications may run here, folded and sorted."""
    tags: tuple[tuple[str, str], ...] = ()
    """Those whose keys the settings name, by key."""
    unread: tuple[AccountField, ...] = ()

    def after(self, before: Account | None) -> Account:
        """Return the account with what was known before in place of what could not be read; the rest stays unread."""
        if before is None or not self.unread:
            return self
        kept = {name: getattr(before, name) for name in self.unread}
        return replace(self, unread=tuple(one for one in self.unread if one in before.unread), **kept)

    def to_wire(self) -> dict[str, Any]:
        return {
            "name": self.name, "status": self.status, "path": self.path, "owner": self.owner,
            "allows": list(self.allows), "tags": dict(self.tags), "unread": list(self.unread),
        }  # fmt: skip

    @classmethod
    def from_wire(cls, account_id: str, stated: Mapping[str, Any]) -> Account:
        return cls(
            account_id=account_id,
            name=stated["name"],
            status=stated["status"],
            path=stated["path"],
            owner=stated["owner"],
            allows=tuple(stated["allows"]),
            tags=tuple(sorted(dict(stated["tags"]).items())),
            unread=tuple(stated["unread"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one reading of one source found."""

    source: SourceName
    teams: tuple[Team, ...] = ()
    accounts: tuple[Account, ...] = ()
    complete: bool = True
    """Whether all of it was read. What a partial reading lacks may be there."""
    withheld: frozenset[str] = frozenset()
    """Ids of teams and accounts that the source names and that cannot be used: they stay as they were."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known from one source before a reading."""

    teams: Mapping[str, Team] = field(default_factory=dict)
    """Those that it stated last, by id, without their members."""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Those that it stated last, by team."""
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """All that ever led to each team, also to those that are gone."""
    accounts: Mapping[str, Account] = field(default_factory=dict)
    read: bool = False
    """Whether the source was ever read whole."""
