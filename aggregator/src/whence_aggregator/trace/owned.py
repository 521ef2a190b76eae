"""What the organisation's sources stated of an account and its teams by the time asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_aggregator.organisation.resolving import KnownAccount, TeamNames
from whence_aggregator.organisation.rows import WholeReading

NOT_CONFIGURED = "no source of accounts is configured: who owns the account is not known"
NEVER_READ = "no source of accounts was read yet: who owns the account is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What the organisation's sources stated by the time asked about."""

    account: KnownAccount | None = None
    names: TeamNames = field(default_factory=lambda: TeamNames(()))
    """Of the application's team, of the account's owners, and of those that it allows."""
    read: Mapping[str, WholeReading] = field(default_factory=dict)
    """The sources that had been read whole."""
    unread: str = NOT_CONFIGURED
    """Why nothing is known where no source had been read."""

    @property
    def states_teams(self) -> bool:
        return any(one.teams for one in self.read.values())

    @property
    def states_accounts(self) -> bool:
        return any(one.accounts for one in self.read.values())
